/**
 * What happens becomes a new state. Pure. Events come in batches, one for each frame, so that the copy of the map is
 * made once for many of them.
 *
 * @module
 */
import { copyOf, type DiskMap, mark, type Range } from "./diskmap.ts";
import type { Key } from "./keys.ts";
import { addLoad, type Busy } from "./load.ts";
import {
  currentPhase,
  type Done,
  doneWork,
  KEPT,
  mapFor,
  type Model,
  type Note,
  type ScreenEvent,
  type SettledRun,
} from "./model.ts";
import { afterKey } from "./key_update.ts";
import { advanceRate, startRate } from "./rate.ts";

/** What the screen is told. */
export type Message =
  /** Time has passed, and these events, perhaps none, have come. */
  | { readonly type: "events"; readonly events: readonly ScreenEvent[]; readonly now: number }
  | { readonly type: "key"; readonly key: Key }
  /** The job is being stopped, by a signal for instance. */
  | { readonly type: "stopping" };

/** What a key wants from outside. `exit`: at once, without waiting for the job. */
export type Effect = "pause" | "resume" | "stop" | "exit" | "redraw";

/** A new state, and what is to be done. */
export interface Updated {
  readonly model: Model;
  readonly effect: Effect | null;
}

/** Phases that go through the whole disk and have a speed. */
const COPIES: readonly string[] = ["copy", "verify"];

/** The state after a message. */
export function update(model: Model, message: Message): Updated {
  switch (message.type) {
    case "events":
      return { model: afterEvents(model, message.events, message.now), effect: null };
    case "key":
      return afterKey(model, message.key);
    case "stopping":
      return { model: { ...model, stopping: true, asking: false, paused: false }, effect: null };
  }
}

/** A state that a batch is being gathered in. */
type Draft = Omit<{ -readonly [key in keyof Model]: Model[key] }, "done" | "inFlight" | "runs" | "notes"> & {
  done: { -readonly [key in keyof Done]: number };
  inFlight: Range[];
  runs: SettledRun[];
  notes: Note[];
};

function afterEvents(model: Model, events: readonly ScreenEvent[], now: number): Model {
  if (events.length === 0) return timed(model, now);
  const draft: Draft = {
    ...model,
    done: { ...model.done },
    map: model.map && copyOf(model.map),
    inFlight: [...model.inFlight],
    runs: [...model.runs],
    notes: [...model.notes],
    now,
  };
  for (const event of events) take(draft, event, now);
  draft.runs = draft.runs.slice(-KEPT);
  draft.notes = draft.notes.slice(-KEPT);
  return timed(draft, now);
}

function timed(model: Model, now: number): Model {
  const running = !model.paused && COPIES.includes(currentPhase(model));
  return { ...model, now, rate: advanceRate(model.rate, now, doneWork(model), running) };
}

function take(draft: Draft, event: ScreenEvent, now: number): void {
  switch (event.type) {
    case "phase":
      return takePhase(draft, event.phase, now);
    case "plan":
      draft.sources = event.sources;
      draft.target = event.target;
      draft.totals = event.totals;
      draft.map = mapFor(event.target.size);
      return;
    case "begin":
      draft.inFlight.push({ start: event.start, end: event.end });
      return;
    case "extent":
      return takeRun(draft, event);
    case "load": {
      const { type: _, ...busy } = event;
      draft.load = addLoad(draft.load, now, busy satisfies Busy);
      return;
    }
    case "bad":
      draft.done.bad += event.end - event.start;
      if (draft.map) mark(draft.map, "error", event);
      return addNote(draft, { kind: "error", message: event.message, range: event });
    case "warning":
      return addNote(draft, { kind: "warning", message: event.message });
  }
}

function addNote(draft: Draft, note: Note): void {
  draft.notes.push(note);
  draft.noteCount++;
  // Disks with many bad places say so many thousand times within one batch.
  if (draft.notes.length > 2 * KEPT) draft.notes = draft.notes.slice(-KEPT);
}

function takePhase(draft: Draft, name: string, now: number): void {
  const known = draft.phases.some((phase) => phase.name === name);
  const ended = draft.phases.map((phase) =>
    phase.startedAt !== undefined && phase.endedAt === undefined ? { ...phase, endedAt: now } : phase
  );
  const begun = { name, startedAt: now };
  if (known) {
    draft.phases = ended.map((phase) => phase.name === name ? begun : phase);
  } else {
    const at = ended.findLastIndex((phase) => phase.startedAt !== undefined) + 1;
    draft.phases = ended.toSpliced(at, 0, begun);
  }
  draft.inFlight = [];
  if (COPIES.includes(name)) draft.rate = startRate(now);
}

function takeRun(draft: Draft, run: SettledRun): void {
  draft.inFlight = draft.inFlight.filter((piece) => piece.end <= run.start || piece.start >= run.end);
  draft.runs.push(run);
  draft.runCount++;
  if (draft.runs.length > 2 * KEPT) draft.runs = draft.runs.slice(-KEPT);
  const length = run.end - run.start;
  if (currentPhase(draft) === "verify") {
    draft.done.verified += length;
    if (draft.map) mark(draft.map, "verified", run);
    return;
  }
  draft.done[run.action === "copy" ? "data" : run.action] += length;
  draft.done.zeroes += run.zeroes;
  if (isLeftToBacking(draft, run)) draft.done.backing += length;
  if (draft.map) markRun(draft, draft.map, run, length);
}

function markRun(draft: Draft, map: DiskMap, run: SettledRun, length: number): void {
  if (run.action === "copy") {
    const zeroes = run.zeroes / length;
    mark(map, draft.job.compress ? "compressed" : "data", run, 1 - zeroes);
    mark(map, "zero", run, zeroes);
  } else {
    mark(map, isLeftToBacking(draft, run) ? "backing" : "zero", run);
  }
}

/** A hole that nobody writes; without a backing file it reads as zeroes. */
function isLeftToBacking(model: { readonly job: Model["job"] }, run: SettledRun): boolean {
  return run.action === "skip" && run.kind === "hole" && model.job.keepsBacking;
}
