/**
 * What a copy is told.
 *
 * @module
 */
import type { DiskWriter, GuestReader, WriterTraits } from "../../formats/mod.ts";
import type { ConvertEvent } from "../events.ts";
import type { WorkerIo } from "../workers/worker_io.ts";
import type { Offloader } from "./offload.ts";
import type { Throttle } from "../throttle.ts";
import type { Policy } from "./plan.ts";

/** What a copy needs to know. */
export interface CopyJob {
  readonly source: GuestReader;
  readonly writer: DiskWriter;
  /** The writer's traits, with what the user knows better. */
  readonly traits: WriterTraits;
  readonly policy: Policy;
  /** Least length of zeroes that become a hole, in bytes; 0: none do. */
  readonly sparseSize: number;
  readonly pace: Throttle;
  /** Lets the host copy what it can without its passing through this program, zeroes and all. */
  readonly offload?: Offloader;
  /** Copies by itself what lies plainly in the source and has its place in the target. */
  readonly crew?: WorkerIo;
  /** How many pieces may be under way at once where units are compressed or decompressed. */
  readonly width: number;
  /** How long compressing and decompressing have taken so far, in seconds, all cores together. */
  readonly busy: () => { readonly compress: number; readonly decompress: number };
  readonly onEvent: (event: ConvertEvent) => void;
  /** Hears of all guest bytes, in order. What is left to a backing file is read for it. */
  readonly digest?: {
    data(bytes: Uint8Array): void;
    zeroes(length: number): void;
  };
}
