/**
 * What formats share when a disk changes its size: which sizes there are, and how its new end comes to read as zeroes.
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

/** Bytes that are filled between two pauses. */
const STEP = 32 << 20;

/**
 * How the host keeps zeroes: as `holes` where it can, as `reserved` space that reads as zeroes, or `written` like any
 * other bytes.
 */
export type Filling = "holes" | "reserved" | "written";

/** How new places are to be filled; a file without holes gets none by itself. */
export function fillingOf(growth: Preallocation, isSparse: boolean): Filling {
  if (growth === "falloc") return "reserved";
  return growth === "full" || !isSparse ? "written" : "holes";
}

/**
 * Makes the file bytes `[start, end)` read as zeroes; the file grows where it ends before.
 *
 * @param used file offset up to which there may be other bytes: the end of the file, if not less
 */
export async function fillNew(
  storage: WritableStorage,
  start: number,
  end: number,
  filling: Filling,
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

/**
 * Does `work` at the end of the file; where it fails (a full disk, for instance) or is cancelled, the file ends where it
 * did before.
 */
export async function orCutBack(storage: WritableStorage, work: () => Promise<void>): Promise<void> {
  const { size } = storage;
  try {
    await work();
  } catch (error) {
    // What went wrong first is told; a longer file harms nobody.
    await storage.truncate(size).catch(() => {});
    throw error;
  }
}

/**
 * Throws `usage` for a size that a disk of the format cannot have.
 *
 * @param size guest bytes
 * @param most the largest, and how people call it
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

/** Throws `usage` where `metadata` is asked for and every guest byte has its place anyway. */
export function refuseMetadata({ label }: WritableStorage, growth: Preallocation): void {
  if (growth !== "metadata") return;
  const message = `Cannot preallocate metadata of "${label}": every byte of its disk has a place in the file anyway; ` +
    `falloc and full take the space`;
  throw new ImageError("usage", message, { path: label });
}

/**
 * Hides what would show in the new end of a disk of blocks: the rest of its last block, after which `settle` is called,
 * and what is beneath.
 *
 * @param writer of the grown disk
 * @param oldSize guest bytes before
 */
export async function clearNewEnd(
  writer: DiskWriter,
  oldSize: number,
  below: GuestReader | null,
  settle: () => Promise<void>,
  { checkpoint }: Pick<CheckContext, "checkpoint">,
): Promise<void> {
  const { size, clusterSize: unit } = writer.traits;
  const end = Math.min(size, Math.max(alignUp(oldSize, unit), below?.size ?? 0));
  for (let at = oldSize; at < end;) {
    const partEnd = Math.min(end, alignDown(at, unit) + unit);
    await writer.zero(at, partEnd);
    // The disk of today has a part of this block.
    if (at === oldSize) await settle();
    at = partEnd;
    await checkpoint();
  }
}
