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
    /**
     * File offset of the place of the run, where the layer keeps one for it, plain and in one piece; in the file that
     * holds the layer's data. Zeroes and holes may have a place, too. It may be left out: then `map` does not tell it, and the host and workers cannot copy the run by themselves.
     */
    readonly fileStart?: number;
  }
  & (
    | { readonly kind: "data"; readonly packed: boolean }
    /** `unfilled`: the layer has data here, in a place that the host shows as a hole. */
    | { readonly kind: "zero"; readonly unfilled?: true }
    | { readonly kind: "hole" }
  );

/** The status of a run. */
export type RunKind = Run["kind"];

/** A data run; `fileStart` where it is known. */
export function dataRun(start: number, end: number, packed = false, fileStart?: number): Run {
  return fileStart === undefined
    ? { start, end, kind: "data", packed }
    : { start, end, kind: "data", packed, fileStart };
}

/** A run of stated zeroes; `fileStart` where a place is kept for it. */
export function zeroRun(start: number, end: number, fileStart?: number): Run {
  return fileStart === undefined ? { start, end, kind: "zero" } : { start, end, kind: "zero", fileStart };
}

/** A run that the layer says nothing about; `fileStart` where a place is kept for it. */
export function holeRun(start: number, end: number, fileStart?: number): Run {
  return fileStart === undefined ? { start, end, kind: "hole" } : { start, end, kind: "hole", fileStart };
}

/**
 * The part of `run` inside `[start, end)`; both must overlap.
 *
 * @example
 * ```ts
 * import { clipRun, zeroRun } from "./extent.ts";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual(clipRun(zeroRun(0, 100), 10, 20), zeroRun(10, 20));
 * ```
 */
export function clipRun(run: Run, start: number, end: number): Run {
  if (run.start >= start && run.end <= end) return run;
  const from = Math.max(run.start, start);
  const { fileStart } = run;
  return {
    ...run,
    start: from,
    end: Math.min(run.end, end),
    ...(fileStart !== undefined && { fileStart: fileStart + (from - run.start) }),
  };
}

/** Whether two runs have one status, packing included. */
export function sameStatus(a: Run, b: Run): boolean {
  return a.kind === b.kind && (a.kind !== "data" || b.kind !== "data" || a.packed === b.packed);
}

/** Two runs of one status, the second where the first ends, as one; its place is known where both are in one piece. */
export function joinRuns(a: Run, b: Run): Run {
  const { fileStart: _place, ...rest } = a;
  const whole = a.fileStart !== undefined && b.fileStart === a.fileStart + (a.end - a.start);
  return { ...(whole ? a : rest), end: b.end };
}
