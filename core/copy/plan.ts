/**
 * Finding the next step, the first of the three parts of a copy. The same walk first counts the work, then drives the
 * copy.
 *
 * @module
 */
import {
  alignDown,
  andThen,
  clipExtent,
  corrupt,
  type Extent,
  type ExtentKind,
  type GuestReader,
  isContiguous,
  joinExtents,
  type Location,
  type MaybePromise,
  missingIn,
  missingText,
  sameStatus,
  type WriterTraits,
} from "../../formats/mod.ts";
import type { Totals } from "../events.ts";

/** The action on guest bytes: read and written, written as zeroes, or neither. */
export type Action = "copy" | "zero" | "skip";

/** Guest bytes `[start, end)` of one status, with one action. Immutable. */
export interface Step {
  readonly action: Action;
  readonly kind: ExtentKind;
  /** Whether the source holds them compressed. */
  readonly compressed: boolean;
  readonly start: number;
  readonly end: number;
  /** The extents that the step was made of: they cover it without gaps, in order. */
  readonly extents: readonly Extent[];
}

/** Settings of a job by which {@linkcode decide} chooses an action. */
export interface Policy {
  /** Whether holes of the source show the backing file of the target. */
  readonly keepsBacking: boolean;
  /** From this guest byte on the target has no backing file; `Infinity` where that is not known. */
  readonly backingEnd: number;
  /** Whether zeroes are written like data (`-S 0`). */
  readonly writesZeroes: boolean;
  /**
   * Zeroes after data that are shorter than so many bytes, and shorter than a cluster of the target, are copied with the
   * data, as zero detection does. Without this an image whose sectors alternate has a step for each. Absent: 0.
   */
  readonly leastZeroes?: number;
}

/** {@linkcode Policy.leastZeroes} of jobs without a setting for it. */
export const LEAST_ZEROES = 4096;

/**
 * A step ends after this many look-ups, so that a walk over millions of extents reports progress and can be cancelled.
 */
const LOOKUPS_PER_STEP = 512;

/**
 * A step of data ends after this many bytes: long enough for large writes, short enough for the first to begin soon.
 */
const BYTES_PER_STEP = 64 << 20;

/**
 * Returns the action for an extent. Pure.
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
export function decide(extent: Extent, traits: WriterTraits, policy: Policy): Action {
  if (extent.kind === "data") return "copy";
  if (policy.keepsBacking) {
    if (extent.kind === "hole" || extent.start >= policy.backingEnd) return "skip";
  }
  if (policy.writesZeroes) return "copy";
  return traits.startsZeroed ? "skip" : "zero";
}

/**
 * Yields the steps of a whole disk in order, each as long as status and action stay the same. Asks for each extent
 * once.
 *
 * A target that compresses takes whole clusters: a cluster with more than one action is copied whole, as data.
 */
export async function* stepsOf(source: GuestReader, traits: WriterTraits, policy: Policy): AsyncGenerator<Step> {
  const next = traits.compress ? clusterStepAt : extentStepAt;
  const short = shortZeroes(traits, policy);
  let following: Step | null = null;
  for (let at = 0; at < source.size;) {
    const first: Step = following ?? await next(source, traits, policy, at);
    following = null;
    const extents = [...first.extents];
    let { end } = first;
    for (let lookups = 1; lookups < LOOKUPS_PER_STEP && end < source.size; lookups++) {
      if (first.action === "copy" && end - at >= BYTES_PER_STEP) break;
      const found: MaybePromise<Step> = next(source, traits, policy, end);
      const step = found instanceof Promise ? await found : found;
      if (!continues(first, step, short)) {
        following = step;
        break;
      }
      for (const extent of step.extents) append(extents, extent);
      end = step.end;
    }
    yield { ...first, end, extents };
    at = end;
  }
}

/** Returns the length from which on stated zeroes are a step of their own; see {@linkcode Policy.leastZeroes}. */
function shortZeroes({ clusterSize }: WriterTraits, { leastZeroes = 0 }: Policy): number {
  return clusterSize > 1 ? Math.min(leastZeroes, clusterSize) : leastZeroes;
}

/** Returns whether `step` is part of the step that begins with `first`. */
function continues(first: Step, step: Step, short: number): boolean {
  if (step.kind === "zero" && first.kind === "data" && step.end - step.start < short) {
    return first.action === "copy" && !first.compressed;
  }
  return step.action === first.action && step.kind === first.kind && step.compressed === first.compressed;
}

/** Returns adjoining extents, joined where two lie in one piece of a file. */
export function joinContiguous(extents: readonly Extent[]): Extent[] {
  const joined: Extent[] = [];
  for (const extent of extents) append(joined, extent);
  return joined;
}

/** Adds an extent behind the others, joined with the last one where both lie in one piece of a file. */
function append(extents: Extent[], extent: Extent): void {
  const last = extents.at(-1);
  if (last && isContiguous(last, extent) && sameStatus(last, extent)) {
    extents[extents.length - 1] = joinExtents(last, extent);
  } else extents.push(extent);
}

function extentStepAt(source: GuestReader, traits: WriterTraits, policy: Policy, at: number): MaybePromise<Step> {
  // An extent also ends where the backing file of the target does, if that is shorter.
  const limit = at < policy.backingEnd ? Math.min(source.size, policy.backingEnd) : source.size;
  return andThen(source.extentAt(at, limit), (extent) => ({
    action: decide(extent, traits, policy),
    kind: extent.kind,
    compressed: extent.kind === "data" && extent.compressed,
    start: at,
    end: extent.end,
    extents: [extent],
  }));
}

async function clusterStepAt(source: GuestReader, traits: WriterTraits, policy: Policy, at: number): Promise<Step> {
  const first = await extentStepAt(source, traits, policy, at);
  const whole = first.end === source.size ? first.end : alignDown(first.end, traits.clusterSize);
  if (whole > at) return { ...first, end: whole, extents: [clipExtent(first.extents[0], at, whole)] };
  const end = Math.min(at + traits.clusterSize, source.size);
  const extents = [...first.extents];
  let oneAction = true;
  for (let from = first.end; from < end;) {
    const part = await extentStepAt(source, traits, policy, from);
    oneAction &&= part.action === first.action;
    extents.push(clipExtent(part.extents[0], from, Math.min(part.end, end)));
    from = part.end;
  }
  if (oneAction) return { ...first, end, extents };
  return { action: "copy", kind: "data", compressed: first.compressed, start: at, end, extents };
}

/** Returns the extent of `step` that holds the guest byte `at`. */
export function extentIn(step: Pick<Step, "extents">, at: number): Extent {
  return step.extents[extentIndexIn(step, at)];
}

/** Returns the index of the extent of `step` that holds the guest byte `at`. */
export function extentIndexIn({ extents }: Pick<Step, "extents">, at: number): number {
  let [low, high] = [0, extents.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (extents[middle].end > at) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * Returns the guest byte up to which an extent lies inside its file; its start where it has no location or is not data.
 * Guest bytes past the end of a truncated file must be read through the layer.
 */
export function locatedEnd({ kind, start, end, location }: Extent): number {
  if (kind !== "data" || !location) return start;
  return Math.min(end, start + Math.max(0, location.storage.size - location.offset));
}

/** Counts the guest bytes that the files of a source lack, because they are cut off. */
export interface MissingBytes {
  /** Adds those of a step. */
  add(step: Step): void;
  /** Throws `corrupt` where some were added. */
  check(): void;
}

/** Returns a counter of missing bytes. */
export function missingBytes(): MissingBytes {
  let missing = 0;
  let truncated: Location | undefined;
  return {
    add({ action, extents }) {
      for (const extent of action === "copy" ? extents : []) {
        const bytes = missingIn(extent);
        if (bytes > 0) truncated ??= extent.location;
        missing += bytes;
      }
    },
    check() {
      if (!truncated) return;
      const { label, size } = truncated.storage;
      const message = `Cannot read all of "${label}": it is cut off at byte ${size}, and ${missingText(missing)}`;
      throw corrupt(message, label, size);
    },
  };
}

/**
 * Counts the whole job; `checkpoint` is awaited between steps.
 *
 * @throws ImageError `corrupt` where a truncated file lacks data of the source
 */
export async function countTotals(
  source: GuestReader,
  traits: WriterTraits,
  policy: Policy,
  checkpoint: () => Promise<void>,
): Promise<Totals> {
  const totals = { data: 0, zero: 0, skip: 0 };
  const missing = missingBytes();
  for await (const step of stepsOf(source, traits, policy)) {
    totals[step.action === "copy" ? "data" : step.action] += step.end - step.start;
    missing.add(step);
    await checkpoint();
  }
  missing.check();
  return totals;
}
