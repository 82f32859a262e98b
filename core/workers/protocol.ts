/**
 * Messages between this thread and its workers. Types alone.
 *
 * @module
 */
import type { Codec, CompressedCluster, DecompressCodec, Origin } from "../../formats/mod.ts";
import type { BufferSpan, ZeroRule } from "../zeroes.ts";

/** Where bytes begin in a file that workers can open. */
export interface FileRange extends Pick<Origin, "path" | "identity"> {
  /** File offset of the first byte. */
  readonly offset: number;
}

/** Bytes of one length in two files. */
export interface CompareRequest {
  readonly one: FileRange;
  readonly other: FileRange;
  readonly length: number;
}

/** Guest bytes to be written, except zeroes. */
interface WriteRequest {
  readonly to: FileRange;
  /** Guest offset of the first byte: zero detection works on a grid of guest offsets. */
  readonly guestStart: number;
  /** Which zeroes are not written; null: all bytes are. */
  readonly rule: ZeroRule | null;
}

/** Bytes to be copied. */
export interface CopyRequest extends WriteRequest {
  /** Their file ranges, in the order of the guest bytes. */
  readonly from: readonly (FileRange & { readonly length: number })[];
}

/** Compressed clusters to be decompressed and written, one after the other. */
export interface DecompressIntoRequest extends WriteRequest {
  readonly clusters: readonly CompressedCluster[];
}

/** Bytes whose blocks are hashed. */
export interface HashRequest {
  /** Their file ranges, in the order of the guest bytes. */
  readonly from: CopyRequest["from"];
}

/** The digests of blocks. */
export interface Hashed extends Pick<Copied, "read" | "decompress" | "write"> {
  /** One after the other. */
  readonly digests: Uint8Array;
}

/** The result of writing. */
export interface Copied {
  /** Guest bytes that were found to be zero and not written. */
  readonly zeroes: readonly BufferSpan[];
  /** Seconds spent on reading, decompressing and writing. */
  readonly read: number;
  readonly decompress: number;
  readonly write: number;
}

/** A task of a worker. The views are of shared memory: messages copy no byte. */
export type WorkerTask =
  | { readonly verb: "compress"; readonly codec: Codec; readonly bytes: Uint8Array; readonly into: Uint8Array }
  | {
    readonly verb: "decompress";
    readonly codec: DecompressCodec;
    readonly bytes: Uint8Array;
    readonly into: Uint8Array;
  }
  | { readonly verb: "copy"; readonly request: CopyRequest }
  | { readonly verb: "decompressInto"; readonly request: DecompressIntoRequest }
  | { readonly verb: "compare"; readonly request: CompareRequest }
  | { readonly verb: "hash"; readonly request: HashRequest };

/** A batch of tasks for a worker; `slot` is its number. */
export interface WorkerRequest {
  readonly slot: number;
  readonly tasks: readonly WorkerTask[];
}

/** The results of a batch, in the order of its tasks. */
export interface WorkerResponse {
  readonly slot: number;
  readonly results: readonly TaskResult[];
}

/** The result of a task. */
export interface TaskResult {
  /**
   * Of `compress`, the length of the result, -1 where there is none; of `decompress`, whether it gave the wanted
   * length; of `compare`, the first byte that differs, -1 where none does. Null where the task failed.
   */
  readonly value: number | boolean | Copied | Hashed | null;
  readonly seconds: number;
  /** Why the task failed. */
  readonly problem?: string;
}
