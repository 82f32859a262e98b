/**
 * The one error class. Every failure caused by bad input, the host or the user is an {@linkcode ImageError}; any other
 * exception is a bug.
 *
 * @module
 */

/**
 * The kinds of failures that callers treat differently:
 *
 * - `usage`: options that contradict each other, or a value outside its limits
 * - `missing`: a file or snapshot that does not exist
 * - `permission`: Deno or the operating system denies access
 * - `refused`: possible, but not safe: a target that is also a source, a locked file, a file outside the folder of the
 *   image that names it
 * - `corrupt`: the image contradicts its own specification
 * - `unsupported`: a valid image or request that this program cannot serve
 * - `io`: reading, writing or syncing failed
 * - `cancelled`: the caller's signal ended the job
 */
export type ErrorKind =
  | "usage"
  | "missing"
  | "permission"
  | "refused"
  | "corrupt"
  | "unsupported"
  | "io"
  | "cancelled";

/** The location and the cause of a failure. */
export interface ErrorDetails {
  /** Path of the file. */
  readonly path?: string | undefined;
  /** File offset of the wrong bytes. */
  readonly offset?: number | undefined;
  /** The underlying error. */
  readonly cause?: unknown;
  /** The first guest bytes of a compressed cluster of which the file lacks the end. */
  readonly prefix?: GuestPrefix | undefined;
}

/** Guest bytes that could be read of a cluster. */
export interface GuestPrefix {
  /** Guest offset of the first. */
  readonly start: number;
  /** The bytes from there on. */
  readonly bytes: Uint8Array;
}

/**
 * A failure with its kind, file, file offset and cause. The message states the action, what was found and what must be,
 * without a final stop.
 *
 * @example
 * ```ts
 * import { ImageError } from "./errors.ts";
 * import assert from "node:assert/strict";
 *
 * const error = new ImageError("corrupt", "Cannot read the L1 table: it ends past the end of the file", {
 *   path: "disk.qcow2",
 *   offset: 40,
 * });
 * assert.equal(error.kind, "corrupt");
 * assert.equal(error.offset, 40);
 * ```
 */
export class ImageError extends Error {
  /** The same for all failures; see {@linkcode kind}. */
  override readonly name = "ImageError";
  /** The kind of failure. */
  readonly kind: ErrorKind;
  /** Path of the file. */
  readonly path: string | undefined;
  /** File offset in bytes. */
  readonly offset: number | undefined;
  /** As in {@linkcode ErrorDetails}. */
  readonly prefix: GuestPrefix | undefined;

  /** `message` states the action, what was found, what must be, and what the user can do. */
  constructor(kind: ErrorKind, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.kind = kind;
    this.path = details.path;
    this.offset = details.offset;
    this.prefix = details.prefix;
  }
}

/** Returns the error for an image that contradicts its specification, the most frequent failure of a format. */
export function corrupt(message: string, path?: string, offset?: number): ImageError {
  return new ImageError("corrupt", message, { path, offset });
}

/** Throws `cancelled` if the signal is aborted. */
export function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new ImageError("cancelled", "Cancelled", { cause: signal.reason });
}
