/**
 * Runs: guest bytes of one status. Pure helpers to clip and merge them, in one place, so that no format and no layer
 * above needs arithmetic of its own.
 *
 * @module
 */

/**
 * Guest bytes `[start, end)` of one disk layer that read one way.
 *
 * - `data`: the layer holds them, read them; `compressed` when they lie compressed
 * - `zero`: the layer states that they are zero
 * - `hole`: the layer states nothing, whatever is beneath shows; zero where nothing is beneath
 */
export type Extent =
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
    | { readonly kind: "data"; readonly compressed: boolean }
    /** `unfilled`: the layer has data here, in a place that the host shows as a hole. */
    | { readonly kind: "zero"; readonly unfilled?: true }
    | { readonly kind: "hole" }
  );

/** The status of a run. */
export type ExtentKind = Extent["kind"];

/** A data run; `fileStart` where it is known. */
export function dataExtent(start: number, end: number, compressed = false, fileStart?: number): Extent {
  return fileStart === undefined
    ? { start, end, kind: "data", compressed }
    : { start, end, kind: "data", compressed, fileStart };
}

/** A run of stated zeroes; `fileStart` where a place is kept for it. */
export function zeroExtent(start: number, end: number, fileStart?: number): Extent {
  return fileStart === undefined ? { start, end, kind: "zero" } : { start, end, kind: "zero", fileStart };
}

/** A run that the layer says nothing about; `fileStart` where a place is kept for it. */
export function holeExtent(start: number, end: number, fileStart?: number): Extent {
  return fileStart === undefined ? { start, end, kind: "hole" } : { start, end, kind: "hole", fileStart };
}

/**
 * The part of `run` inside `[start, end)`; both must overlap.
 *
 * @example
 * ```ts
 * import { clipExtent, zeroExtent } from "./extent.ts";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual(clipExtent(zeroExtent(0, 100), 10, 20), zeroExtent(10, 20));
 * ```
 */
export function clipExtent(run: Extent, start: number, end: number): Extent {
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

/** Whether two runs have one status, compressing included. */
export function sameStatus(a: Extent, b: Extent): boolean {
  return a.kind === b.kind && (a.kind !== "data" || b.kind !== "data" || a.compressed === b.compressed);
}

/** Two runs of one status, the second where the first ends, as one; its place is known where both are in one piece. */
export function joinExtents(a: Extent, b: Extent): Extent {
  const { fileStart: _place, ...rest } = a;
  const whole = a.fileStart !== undefined && b.fileStart === a.fileStart + (a.end - a.start);
  return { ...(whole ? a : rest), end: b.end };
}
