/**
 * The input of a copy, and what its movers share.
 *
 * @module
 */
import type { DiskWriter, GuestReader, WriterTraits } from "../../formats/mod.ts";
import type { ConvertEvent } from "../events.ts";
import type { Throttle } from "../throttle.ts";
import type { Pipeline } from "./pipeline.ts";
import type { Policy, Step } from "./plan.ts";
import type { StageTimes } from "./stage_times.ts";

/** A copy of guest bytes from a reader to a writer. */
export interface CopyJob {
  readonly source: GuestReader;
  readonly writer: DiskWriter;
  /** The traits of `writer`; the caller may change them, such as `startsZeroed` with `--target-is-zero`. */
  readonly traits: WriterTraits;
  readonly policy: Policy;
  /** The shortest zeroes inside data that become a hole, in bytes; 0: none do. */
  readonly sparseSize: number;
  readonly throttle: Throttle;
  /** Movers in the order in which each step is offered to them; then {@linkcode inlineCopy}, which takes every step. */
  readonly movers: readonly MoverOf[];
  /** The most pieces in flight where clusters are compressed or decompressed, or where workers copy. */
  readonly width: number;
  /** Seconds spent on compression and decompression so far, all threads together. */
  readonly codecSeconds: () => { readonly compress: number; readonly decompress: number };
  readonly onEvent: (event: ConvertEvent) => void;
  /** Hashes all guest bytes, in order; those that stay in a backing file are read for it. */
  readonly hash?: Hasher;
}

/** Computes a digest of guest bytes. Calls come in the order of the disk. */
export interface Hasher {
  /** Hashes `bytes`. */
  data(bytes: Uint8Array): void;
  /** Hashes `length` zero bytes. */
  zeroes(length: number): void;
  /** Returns the digest of all bytes, in hex. Must be the last call. */
  hex(): string;
}

/** A digest that is computed from the digests of blocks. */
export interface BlocksHasher extends Hasher {
  /** Adds the digests of the blocks of the next `length` bytes, which begin with a block. Only the last block may be short. */
  blocks(digests: Uint8Array, length: number): void;
}

/**
 * One way for data to go from the source to the target.
 *
 * @returns the guest byte after the last that was taken, a part of `step` from `start` on; null: another mover must take it
 */
export type Mover = (step: Step, start: number) => Promise<number | null>;

/** Makes a mover for a copy. */
export type MoverOf = (copy: Copy) => Mover;

/** Where movers put guest bytes. Calls come in the order of the disk. */
export interface CopyTarget {
  /** Writes data; returns how many of its bytes were found to be zero. */
  write(bytes: Uint8Array, start: number): Promise<number>;
  /** Makes `[start, end)` read as zeroes, which the source states or a mover has found inside data. */
  zero(start: number, end: number): Promise<void>;
}

/** A copy under way. */
export interface Copy {
  readonly job: CopyJob;
  readonly target: CopyTarget;
  readonly pipeline: Pipeline;
  readonly times: StageTimes;
  /** Bytes of a piece of uncompressed and of compressed data. */
  readonly pieces: { readonly plain: number; readonly compressed: number };
}
