/**
 * Errors of truncated files, with the number of guest bytes that are missing.
 *
 * @module
 */
import { type Disk, ImageError, type Missing, missingBytesOf, missingText } from "../../formats/mod.ts";

/** Matches messages that have the number already. */
const STATES_MISSING = / bytes of the disk are missing in all/;

/** Results by layer: a job that reads on after an error meets many of them. */
const counted = new WeakMap<Disk, Promise<Missing>>();

/** Returns `error`, thrown by a read of `disk`, with the number of all bytes that the file of the layer lacks. */
export async function withMissingBytes(error: unknown, disk: Disk): Promise<unknown> {
  if (!(error instanceof ImageError && error.kind === "corrupt")) return error;
  if (STATES_MISSING.test(error.message)) return error;
  let missing = counted.get(disk);
  if (missing === undefined) counted.set(disk, missing = missingBytesOf(disk));
  const { bytes, isComplete } = await missing;
  if (bytes === 0) return error;
  const { message, path, offset, prefix } = error;
  return new ImageError("corrupt", `${message}; ${missingText(bytes, isComplete)}`, {
    path,
    offset,
    prefix,
    cause: error,
  });
}
