/**
 * Runs: guest bytes of one status. Pure helpers to clip and merge them, in one place, so that no format and no layer
 * above needs arithmetic of its own.
 *
 * @module
 */

/**
 * Guest bytes `[start, end)` of one disk layer that read one way.
 *
 * - `data`: the layer holds them, read them; `packed` when they lie compressed
 * - `zero`: the layer states that they are zero
 * - `hole`: the layer states nothing, whatever is beneath shows; zero where nothing is beneath
 */
export type Run =
  & {
    /** First guest byte. */
    readonly start: number;
    /** First guest byte after the run. */
    readonly end: number;
  }
  & (
    | { readonly kind: "data"; readonly packed: boolean }
    | { readonly kind: "zero" }
    | { readonly kind: "hole" }
  );

/** The status of a run. */
export type RunKind = Run["kind"];

/** A data run. */
export function dataRun(start: number, end: number, packed = false): Run {
  return { start, end, kind: "data", packed };
}

/** A run of stated zeroes. */
export function zeroRun(start: number, end: number): Run {
  return { start, end, kind: "zero" };
}

/** A run that the layer says nothing about. */
export function holeRun(start: number, end: number): Run {
  return { start, end, kind: "hole" };
}

/**
 * The part of `run` inside `[start, end)`; both must overlap.
 *
 * @example
 * ```ts
 * import { clipRun, zeroRun } from "./run.ts";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual(clipRun(zeroRun(0, 100), 10, 20), zeroRun(10, 20));
 * ```
 */
export function clipRun(run: Run, start: number, end: number): Run {
  if (run.start >= start && run.end <= end) return run;
  return { ...run, start: Math.max(run.start, start), end: Math.min(run.end, end) };
}

/** Whether two runs have one status, packing included. */
export function sameStatus(a: Run, b: Run): boolean {
  return a.kind === b.kind && (a.kind !== "data" || b.kind !== "data" || a.packed === b.packed);
}
