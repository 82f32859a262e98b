/**
 * Computes the state of the screen after a message. Pure. Events come in batches, one for each frame, so that the map
 * is copied once for many of them.
 *
 * @module
 */
import { copyOf, type DiskMap, emptyMap, mark, type Range } from "./diskmap.ts";
import { afterKey } from "./key_update.ts";
import type { Key } from "./keys.ts";
import { isLeftToBacking, KEPT, type Model, type Note, type Result, stopped, type Transition } from "./model.ts";
import { advance, type FinishedExtent, type JobEvent, tick } from "./progress.ts";
import { addStageTimes } from "./stage_times.ts";

/** An input of the screen. */
export type Message =
  /** Time has passed, and these events, perhaps none, have come. */
  | { readonly type: "events"; readonly events: readonly JobEvent[]; readonly now: number }
  | { readonly type: "key"; readonly key: Key }
  /** The job is being stopped, by a signal for instance. */
  | { readonly type: "stopping" }
  /** The job has ended; the screen stays until a key. */
  | { readonly type: "result"; readonly result: Result };

/** Returns the state after a message. */
export function update(model: Model, message: Message): Transition {
  switch (message.type) {
    case "events":
      return { model: afterEvents(model, message.events, message.now), effect: null };
    case "key":
      return afterKey(model, message.key);
    case "result":
      return { model: ended(model, message.result), effect: null };
    case "stopping":
      return { model: stopped(model), effect: null };
  }
}

function ended(model: Model, result: Result): Model {
  const phases = model.phases.map((phase) =>
    phase.startedAt !== undefined && phase.endedAt === undefined ? { ...phase, endedAt: model.now } : phase
  );
  return { ...model, phases, result, asking: false, inFlight: [] };
}

/** A state that changes in place while a batch is taken in. */
type Draft = Omit<{ -readonly [key in keyof Model]: Model[key] }, "inFlight" | "extents" | "notes"> & {
  inFlight: Range[];
  extents: FinishedExtent[];
  notes: Note[];
};

function afterEvents(model: Model, events: readonly JobEvent[], now: number): Model {
  if (events.length === 0) return atTime(model, now);
  const draft: Draft = {
    ...model,
    map: model.map && copyOf(model.map),
    inFlight: [...model.inFlight],
    extents: [...model.extents],
    notes: [...model.notes],
  };
  for (const event of events) {
    draft.progress = advance(draft.progress, event, now);
    apply(draft, event, now);
  }
  draft.extents = draft.extents.slice(-KEPT);
  draft.notes = draft.notes.slice(-KEPT);
  return atTime(draft, now);
}

function atTime(model: Model, now: number): Model {
  // After the end, the times stay.
  if (model.result) return model;
  return { ...model, now, progress: tick(model.progress, now, model.paused) };
}

function apply(draft: Draft, event: JobEvent, now: number): void {
  switch (event.type) {
    case "phase":
      return beginPhase(draft, event.phase, now);
    case "plan":
      draft.sources = event.sources;
      draft.target = event.target;
      draft.map = event.target.size > 0 ? emptyMap(event.target.size) : null;
      return;
    case "begin":
      draft.inFlight.push({ start: event.start, end: event.end });
      return;
    case "extent":
      return addExtent(draft, event);
    case "load": {
      const { type: _, ...busy } = event;
      draft.stageTimes = addStageTimes(draft.stageTimes, now, busy);
      return;
    }
    case "bad":
      if (draft.map) mark(draft.map, "error", event);
      return addNote(draft, { severity: "error", message: event.message, range: event });
    case "warning":
      return addNote(draft, { severity: "warning", message: event.message });
  }
}

function addNote(draft: Draft, note: Note): void {
  draft.notes.push(note);
  draft.noteCount++;
  // A disk with many bad sectors can emit thousands of them within one batch.
  if (draft.notes.length > 2 * KEPT) draft.notes = draft.notes.slice(-KEPT);
}

function beginPhase(draft: Draft, name: string, now: number): void {
  const ended = draft.phases.map((phase) =>
    phase.startedAt !== undefined && phase.endedAt === undefined ? { ...phase, endedAt: now } : phase
  );
  const begun = { name, startedAt: now };
  if (ended.some((phase) => phase.name === name)) {
    draft.phases = ended.map((phase) => phase.name === name ? begun : phase);
  } else {
    const at = ended.findLastIndex((phase) => phase.startedAt !== undefined) + 1;
    draft.phases = ended.toSpliced(at, 0, begun);
  }
  draft.inFlight = [];
}

function addExtent(draft: Draft, extent: FinishedExtent): void {
  draft.inFlight = draft.inFlight.filter((range) => range.end <= extent.start || range.start >= extent.end);
  draft.extents.push(extent);
  draft.extentCount++;
  if (draft.extents.length > 2 * KEPT) draft.extents = draft.extents.slice(-KEPT);
  const verifies = draft.progress.phase === "verify";
  if (!verifies && isLeftToBacking(draft, extent)) draft.leftToBacking += extent.end - extent.start;
  if (draft.map === null) return;
  if (verifies) mark(draft.map, "verified", extent);
  else markExtent(draft, draft.map, extent);
}

function markExtent(draft: Draft, map: DiskMap, extent: FinishedExtent): void {
  if (extent.action === "copy") {
    const zeroes = extent.zeroes / (extent.end - extent.start);
    mark(map, draft.job.compress ? "compressed" : "data", extent, 1 - zeroes);
    mark(map, "zero", extent, zeroes);
  } else {
    mark(map, isLeftToBacking(draft, extent) ? "backing" : "zero", extent);
  }
}
