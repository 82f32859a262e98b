/**
 * Guest bytes that a truncated file lacks: data extents whose location lies past the end of the file.
 *
 * @module
 */
import { alignDown, type Disk, type Extent, ImageError } from "../../formats/mod.ts";

/** Guest bytes that count as missing where the look-up of an extent fails, at least. */
const UNKNOWN_BYTES = 64 << 10;
/** After so many look-ups that fail, missing bytes are no longer counted. */
const MOST_FAILURES = 10_000;

/** Returns the number of bytes at the end of `extent` that its file lacks. */
export function missingIn({ kind, start, end, location }: Extent): number {
  if (kind !== "data" || !location) return 0;
  return Math.max(0, end - start - Math.max(0, location.storage.size - location.offset));
}

/** Guest bytes of a layer that its file lacks. */
interface Missing {
  readonly bytes: number;
  /** Whether all of them were counted. */
  readonly isComplete: boolean;
}

/** Counts the guest bytes of a layer that its file lacks, or that its tables do not locate. */
export async function missingBytesOf(disk: Disk): Promise<Missing> {
  const step = Math.max(UNKNOWN_BYTES, disk.clusterSize);
  let bytes = 0;
  let failures = 0;
  for (let at = 0; at < disk.size;) {
    try {
      const extent = await disk.extentAt(at, disk.size);
      bytes += missingIn(extent);
      at = extent.end;
    } catch (error) {
      if (!(error instanceof ImageError && error.kind === "corrupt")) throw error;
      if (++failures > MOST_FAILURES) return { bytes, isComplete: false };
      const end = Math.min(alignDown(at, step) + step, disk.size);
      bytes += end - at;
      at = end;
    }
  }
  return { bytes, isComplete: true };
}

/** Results by layer: a job that reads on after an error meets many of them. */
const counted = new WeakMap<Disk, Promise<Missing>>();

/** Returns `error`, thrown by a read of `disk`, with the number of all bytes that the file of the layer lacks. */
export async function withMissingBytes(error: unknown, disk: Disk): Promise<unknown> {
  if (!(error instanceof ImageError && error.kind === "corrupt")) return error;
  let missing = counted.get(disk);
  if (missing === undefined) counted.set(disk, missing = missingBytesOf(disk));
  const { bytes, isComplete } = await missing;
  if (bytes === 0) return error;
  const { message, path, offset } = error;
  return new ImageError("corrupt", `${message}; ${missingText(bytes, isComplete)}`, { path, offset, cause: error });
}

/** Formats the number of missing bytes and how to copy the others. */
export function missingText(bytes: number, isComplete = true): string {
  return `${isComplete ? "" : "at least "}${bytes} bytes of the disk are missing in all; ` +
    `"convert --salvage" copies the others, with zeroes in their place`;
}
