/**
 * What to do next: the first of the three parts. The same walk counts the work before the copy and steers the copy.
 *
 * @module
 */
import {
  alignDown,
  andThen,
  type Extent,
  type ExtentKind,
  type GuestReader,
  type MaybePromise,
  type WriterTraits,
} from "../../formats/mod.ts";
import type { Totals } from "../events.ts";

/** What is done with a run: read and written, written as zeroes, or left alone. */
export type Action = "copy" | "zero" | "skip";

/** Guest bytes `[start, end)` of one status, and what to do with them. Never changed once made. */
export interface Step {
  readonly action: Action;
  readonly kind: ExtentKind;
  /** Whether the source holds it compressed. */
  readonly compressed: boolean;
  readonly start: number;
  readonly end: number;
}

/** What the job wants, as far as it decides the fate of a run. */
export interface Policy {
  /** Whether the target has a backing file that shall show through holes. */
  readonly keepsBacking: boolean;
  /** From this guest byte on nothing lies beneath the target; `Infinity` where that is not known. */
  readonly backingEnd: number;
  /** Whether zeroes are to be written like data (`-S 0`). */
  readonly writesZeroes: boolean;
}

/** A step ends after so many runs of one status, so that a walk over millions of them can be watched and stopped. */
const RUNS_PER_STEP = 512;

/** A copying step ends after so many bytes: long enough to find large writes, short enough to begin soon. */
const BYTES_PER_STEP = 64 << 20;

/**
 * The fate of one run. Pure.
 *
 * @example
 * ```ts
 * import { decide } from "./plan.ts";
 * import assert from "node:assert/strict";
 *
 * const traits = { size: 1024, clusterSize: 1, sector: 1, compress: false, order: "any", startsZeroed: true, zeroes: "cheap" } as const;
 * const policy = { keepsBacking: false, backingEnd: 0, writesZeroes: false };
 * assert.equal(decide({ start: 0, end: 512, kind: "zero" }, traits, policy), "skip");
 * ```
 */
export function decide(run: Extent, traits: WriterTraits, policy: Policy): Action {
  if (run.kind === "data") return "copy";
  if (policy.keepsBacking) {
    if (run.kind === "hole" || run.start >= policy.backingEnd) return "skip";
  }
  if (policy.writesZeroes) return "copy";
  return traits.startsZeroed ? "skip" : "zero";
}

/**
 * The steps of a whole disk, from front to end, each as long as status and fate stay the same. Every run is asked for
 * once.
 *
 * A target that compress takes whole units: where a clusterSize holds more than one fate it is copied as data, whole.
 */
export async function* stepsOf(source: GuestReader, traits: WriterTraits, policy: Policy): AsyncGenerator<Step> {
  const next = traits.compress ? unitAt : runStepAt;
  let follower: Step | null = null;
  for (let at = 0; at < source.size;) {
    let step: Step = follower ?? await next(source, traits, policy, at);
    follower = null;
    for (let runs = 1; runs < RUNS_PER_STEP && step.end < source.size; runs++) {
      if (step.action === "copy" && step.end - at >= BYTES_PER_STEP) break;
      const found: MaybePromise<Step> = next(source, traits, policy, step.end);
      const run = found instanceof Promise ? await found : found;
      if (run.action !== step.action || run.kind !== step.kind || run.compressed !== step.compressed) {
        follower = run;
        break;
      }
      step = { ...step, end: run.end };
    }
    yield step;
    at = step.end;
  }
}

function runStepAt(source: GuestReader, traits: WriterTraits, policy: Policy, at: number): MaybePromise<Step> {
  // A run is also cut where the target's needs change: at the end of a shorter backing file.
  const limit = at < policy.backingEnd ? Math.min(source.size, policy.backingEnd) : source.size;
  return andThen(source.extentAt(at, limit), (run) => {
    const compressed = run.kind === "data" && run.compressed;
    return { action: decide(run, traits, policy), kind: run.kind, compressed, start: at, end: run.end };
  });
}

async function unitAt(source: GuestReader, traits: WriterTraits, policy: Policy, at: number): Promise<Step> {
  const first = await runStepAt(source, traits, policy, at);
  const whole = first.end === source.size ? first.end : alignDown(first.end, traits.clusterSize);
  if (whole > at) return { ...first, end: whole };
  const end = Math.min(at + traits.clusterSize, source.size);
  let oneFate = true;
  for (let from = first.end; from < end;) {
    const part = await runStepAt(source, traits, policy, from);
    oneFate &&= part.action === first.action;
    from = part.end;
  }
  return oneFate ? { ...first, end } : { action: "copy", kind: "data", compressed: first.compressed, start: at, end };
}

/** Counts the whole job. `checkpoint` is awaited between steps, so that the caller can stop the walk and let others run. */
export async function countTotals(
  source: GuestReader,
  traits: WriterTraits,
  policy: Policy,
  checkpoint: () => Promise<void>,
): Promise<Totals> {
  const totals = { data: 0, zero: 0, skip: 0 };
  for await (const { action, start, end } of stepsOf(source, traits, policy)) {
    totals[action === "copy" ? "data" : action] += end - start;
    await checkpoint();
  }
  return totals;
}
