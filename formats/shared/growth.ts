/**
 * Changes of the disk size: checks of the new size, and zeroes for the new end of the disk.
 *
 * @module
 */
import { alignDown, alignUp, SECTOR } from "../bytes.ts";
import type { DiskWriter } from "../contract.ts";
import type { GuestReader } from "../guest_reader.ts";
import { ImageError } from "../errors.ts";
import { writeZeroes } from "./uninitialised_blocks.ts";
import type { CheckContext, Preallocation } from "../maintenance.ts";
import type { WritableStorage } from "../storage/types.ts";

/** Bytes that are filled between two checkpoints. */
const STEP = 32 << 20;

/** How a file stores zeroes: as `holes` where the host can, as `reserved` space that reads as zeroes, or `written`. */
export type ZeroMethod = "holes" | "reserved" | "written";

/** Returns how to store the zeroes of new space; a file without holes stays without. */
export function zeroMethodFor(growth: Preallocation, isSparse: boolean): ZeroMethod {
  if (growth === "falloc") return "reserved";
  return growth === "full" || !isSparse ? "written" : "holes";
}

/**
 * Makes the file bytes `[start, end)` read as zeroes, and extends a file that ends before.
 *
 * @param used file offset after the last byte that may be other than zero; default: the end of the file
 */
export async function fillWithZeroes(
  storage: WritableStorage,
  start: number,
  end: number,
  filling: ZeroMethod,
  checkpoint: CheckContext["checkpoint"],
  used: number = storage.size,
): Promise<void> {
  const dirty = Math.min(end, used);
  if (start < dirty && filling !== "written") await storage.zeroAt(start, dirty);
  if (filling === "holes" && storage.size < end) await storage.truncate(end);
  for (let at = start; filling !== "holes" && at < end; at += STEP) {
    await checkpoint((at - start) / (end - start));
    const stepEnd = Math.min(end, at + STEP);
    if (filling === "written") await writeZeroes(storage, at, stepEnd);
    else await storage.reserve(at, stepEnd, false);
  }
}

/** Runs `work`, which extends the file; truncates the file to its old size if that fails or is cancelled. */
export async function truncateOnFailure(storage: WritableStorage, work: () => Promise<void>): Promise<void> {
  const { size } = storage;
  try {
    await work();
  } catch (error) {
    // The first failure is reported; a file that stays longer is still valid.
    await storage.truncate(size).catch(() => {});
    throw error;
  }
}

/**
 * Throws `usage` for a size that a disk of the format cannot have.
 *
 * @param size guest bytes
 * @param most the largest size in bytes, and as the message shows it
 */
export function checkNewSize(
  { label }: WritableStorage,
  size: number,
  most: { readonly bytes: number; readonly text: string },
): void {
  const refuse = (why: string) => {
    throw new ImageError("usage", `Cannot resize "${label}" to ${size} bytes: ${why}`, { path: label });
  };
  if (size % SECTOR !== 0) refuse(`its disk has whole sectors, so it must be a multiple of ${SECTOR}`);
  if (size > most.bytes) refuse(`the format ends at ${most.bytes} (${most.text})`);
}

/** Throws `usage` for preallocation of metadata in an image that allocates every guest byte anyway. */
export function refuseMetadataPreallocation({ label }: WritableStorage, growth: Preallocation): void {
  if (growth !== "metadata") return;
  const message = `Cannot preallocate metadata of "${label}": every guest byte is allocated anyway; ` +
    `falloc and full take the space`;
  throw new ImageError("usage", message, { path: label });
}

/**
 * Zeroes the new end of a disk of blocks where other bytes would show: the rest of the old last block, and the range that
 * the backing file covers.
 *
 * @param writer the writer of the grown disk
 * @param oldSize guest bytes before
 * @param flush runs after the rest of the old last block was zeroed
 */
export async function zeroNewEnd(
  writer: DiskWriter,
  oldSize: number,
  backing: GuestReader | null,
  flush: () => Promise<void>,
  { checkpoint }: Pick<CheckContext, "checkpoint">,
): Promise<void> {
  const { size, clusterSize } = writer.traits;
  const end = Math.min(size, Math.max(alignUp(oldSize, clusterSize), backing?.size ?? 0));
  for (let at = oldSize; at < end;) {
    const blockEnd = Math.min(end, alignDown(at, clusterSize) + clusterSize);
    await writer.zero(at, blockEnd);
    // The first block is also a part of the disk before it grows.
    if (at === oldSize) await flush();
    at = blockEnd;
    await checkpoint();
  }
}
