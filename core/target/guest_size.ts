/**
 * Lengthens a disk beyond its sources, and moves the backup of its partition table.
 *
 * @module
 */
import { alignUp, type GuestReader, ImageError, type WriterTraits } from "../../formats/mod.ts";
import { pad } from "../open/readers.ts";
import type { GptAction, WarningListener } from "../events.ts";
import type { PartitionTable } from "./gpt.ts";
import type { TargetSpec } from "../job.ts";

/**
 * Returns the guest bytes of a target whose sources have `size`. Pure.
 *
 * @throws ImageError `usage` where the sources are longer than the rule allows
 *
 * @example
 * ```ts
 * import { guestSizeOf } from "./guest_size.ts";
 * import assert from "node:assert/strict";
 *
 * const target = { path: "a.vhd", format: "vpc", guestSize: { multipleOf: 1 << 20 } };
 * assert.equal(guestSizeOf(target, 1000), 1 << 20);
 * ```
 */
export function guestSizeOf(target: TargetSpec, size: number): number {
  const { guestSize: wanted = size, path } = target;
  if (typeof wanted === "number") {
    if (wanted >= size) return wanted;
    const message = `Cannot make "${path}" with ${wanted} bytes: its sources have ${size}, and nothing is cut off`;
    throw new ImageError("usage", message, { path });
  }
  const { multipleOf = 1, least = 0, most = Number.MAX_SAFE_INTEGER } = wanted;
  const whole = alignUp(Math.max(size, least), Math.max(1, multipleOf));
  if (whole <= most) return whole;
  const message = `Cannot make "${path}": the disk would have ${whole} bytes, and there it may have ${most} at most`;
  throw new ImageError("usage", message, { path });
}

/** Warns where a format rounds the size of a new disk up from `wanted`. */
export function warnOfRounding(
  format: string,
  { size, sector }: Pick<WriterTraits, "size" | "sector">,
  wanted: number,
  onWarning: WarningListener,
): void {
  if (size <= wanted) return;
  const bytes = size - wanted === 1 ? "1 byte" : `${size - wanted} bytes`;
  onWarning(
    `the disk gets ${size} bytes, ${bytes} of zeroes at its end: ${format} disks have whole sectors of ${sector}`,
    true,
  );
}

/** A disk of the size that the job states. */
export interface Lengthened {
  readonly reader: GuestReader;
  readonly gpt?: GptAction;
}

/**
 * Returns `reader` with zeroes up to `size`, and the backup of a valid GUID partition table at the new end. A corrupt table
 * stays as it is, with a warning.
 */
export async function lengthened(
  reader: GuestReader,
  size: number,
  onWarning: (message: string) => void,
): Promise<Lengthened> {
  const long = pad(reader, size);
  const { movedGpt } = await import("./gpt.ts");
  const { patched } = await import("../open/patched.ts");
  const table = await tableOf(reader);
  if (table.kind === "mbr" || table.kind === "none") return { reader: long };
  const patches = table.kind === "damaged" ? table.why : movedGpt(table.gpt, await firstSector(reader), size);
  if (typeof patches !== "string") return { reader: patched(long, patches), gpt: "moved" };
  onWarning(`the partition table of the disk is corrupt (${patches}); it is left as it is, its backup is not moved`);
  return { reader: long, gpt: "left" };
}

/** Returns the table of a disk. One that cannot be read counts as corrupt: the copy meets the read error itself. */
async function tableOf(reader: GuestReader): Promise<PartitionTable> {
  const { partitionTable } = await import("./gpt.ts");
  try {
    return await partitionTable(reader);
  } catch (error) {
    if (error instanceof ImageError) return { kind: "damaged", why: error.message };
    throw error;
  }
}

async function firstSector(reader: GuestReader): Promise<Uint8Array> {
  const bytes = new Uint8Array(512);
  await reader.read(bytes, 0);
  return bytes;
}
