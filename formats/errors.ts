/**
 * The one error class. Every failure that bad input, the host or the user can cause is an {@linkcode ImageError};
 * anything else that is thrown is a bug.
 *
 * @module
 */

/**
 * What went wrong, as far as a caller must tell failures apart:
 *
 * - `usage`: options that contradict each other, or a value out of its limits
 * - `missing`: a file or snapshot that is not there
 * - `permission`: Deno or the operating system does not allow it
 * - `refused`: allowed, but not safe: a target that is also a source, a locked file, a file named by an image outside its folder
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

/** Where a failure happened and what caused it. */
export interface ErrorDetails {
  /** The file the failure is about. */
  readonly path?: string | undefined;
  /** File offset in bytes, where one place of the file is at fault. */
  readonly offset?: number | undefined;
  /** The error beneath this one. */
  readonly cause?: unknown;
}

/**
 * A failure with its kind, file, place and cause. The message says what was being done, what was found and what must
 * be; it has no final stop.
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
  /** The same for all failures; {@linkcode kind} tells them apart. */
  override readonly name = "ImageError";
  /** Which sort of failure this is. */
  readonly kind: ErrorKind;
  /** The file the failure is about. */
  readonly path: string | undefined;
  /** File offset in bytes. */
  readonly offset: number | undefined;

  /** `message` says what was being done, what was found, and what can be done about it. */
  constructor(kind: ErrorKind, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.kind = kind;
    this.path = details.path;
    this.offset = details.offset;
  }
}

/** An image that contradicts its specification. Shorthand for the most frequent failure of a format. */
export function corrupt(message: string, path?: string, offset?: number): ImageError {
  return new ImageError("corrupt", message, { path, offset });
}

/** Throws `cancelled` if the signal has been raised. */
export function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new ImageError("cancelled", "Cancelled", { cause: signal.reason });
}
