/**
 * States of the screen for tests, built from the events of a job.
 *
 * @module
 */
import { type Effect, type Model, PHASES, type ScreenJob, startModel } from "../../tui/model.ts";
import type { JobEvent } from "../../tui/progress.ts";
import { update } from "../../tui/update.ts";

export const MIB = 1024 ** 2;

/** Returns a job that copies vmdk to qcow2. */
export function jobOf(more: Partial<ScreenJob> = {}): ScreenJob {
  return {
    sources: ["/images/webserver-2019.vmdk"],
    target: "out/webserver.qcow2",
    format: "qcow2",
    compress: false,
    keepsBacking: false,
    workers: 2,
    phases: PHASES,
    ...more,
  };
}

/** Returns the state after more events. */
export function after(model: Model, now: number, ...events: JobEvent[]): Model {
  return update(model, { type: "events", events, now }).model;
}

/** Returns the plan of a disk of which half is data. */
export function plan(size: number): JobEvent {
  const source = "/images/webserver-2019.vmdk";
  return {
    type: "plan",
    sources: [{ path: source, size, layers: [{ path: source, format: "vmdk", size }] }],
    target: { path: "out/webserver.qcow2", format: "qcow2", size },
    totals: { data: size / 2, zero: 0, skip: size / 2 },
  };
}

/** Returns a finished extent. */
export function extent(start: number, end: number, action: "copy" | "zero" | "skip" = "copy", zeroes = 0): JobEvent {
  const kind = action === "copy" ? "data" : action === "zero" ? "zero" : "hole";
  return { type: "extent", start, end, kind, action, zeroes, seconds: (end - start) / (50 * MIB) };
}

/** Returns the state when the copy begins, one second after the start. */
export function copying(size = 1024 * MIB, job: ScreenJob = jobOf()): Model {
  let model = startModel(job, 0);
  model = after(model, 0, { type: "phase", phase: "inspect" });
  model = after(model, 400, { type: "phase", phase: "plan" });
  model = after(model, 900, plan(size));
  return after(model, 1000, { type: "phase", phase: "copy" });
}

/** Returns a state after `steps` extents of 16 MiB, half a second each: data, a hole, data with zeroes, and again. */
export function halfway(job: ScreenJob = jobOf(), steps = 32): Model {
  let model = copying(1024 * MIB, job);
  for (let step = 0; step < steps; step++) {
    const [start, end] = [step * 16 * MIB, (step + 1) * 16 * MIB];
    const now = 1000 + (step + 1) * 500;
    const load = { type: "load", read: step * 0.1, decompress: step * 0.2, compress: 0, write: step * 0.35 } as const;
    const finished = step % 3 === 1
      ? extent(start, end, "skip")
      : extent(start, end, "copy", step % 3 === 2 ? 4 * MIB : 0);
    model = after(model, now, { type: "begin", start, end }, finished, load);
  }
  const at = steps * 16 * MIB;
  return after(model, 1000 + steps * 500 + 100, { type: "begin", start: at, end: at + MIB });
}

/** Returns the state after keys, and the last effect. */
export function press(model: Model, ...keys: string[]): { readonly model: Model; readonly effect: Effect | null } {
  let effect: Effect | null = null;
  for (const key of keys) ({ model, effect } = update(model, { type: "key", key }));
  return { model, effect };
}
