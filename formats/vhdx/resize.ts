/**
 * Changes of the disk size. New blocks and BAT entries are written first, where no reader uses them; then one commit of the
 * log changes the size, together with the location of the BAT where that has moved.
 *
 * @module
 */
import { alignUp, MIB, setU64, viewOf } from "../bytes.ts";
import { ImageError } from "../errors.ts";
import { hasNoHoles, writeZeroes } from "../shared/uninitialised_blocks.ts";
import { truncateOnFailure } from "../shared/growth.ts";
import type { ChangeContext, Preallocation } from "../maintenance.ts";
import type { WritableStorage } from "../storage/types.ts";
import { blockAt, PAGE_BYTES, PAGE_ENTRIES, setEntry, STATE } from "./bat.ts";
import { type Geometry, geometryOf } from "./bat_layout.ts";
import { headersOf } from "./header.ts";
import { type Image, readImage } from "./structures.ts";
import { MAX_SIZE } from "./options.ts";
import { CLOSE_HINT } from "./log.ts";
import { loggedStorage } from "./log_write.ts";
import { sizeFieldOffset } from "./metadata.ts";
import { usedEnd } from "./file_allocation.ts";
import { type Area, REGION_TABLES_AT, withMovedBat } from "./regions.ts";

/** A change of the size. */
interface Resizing {
  readonly storage: WritableStorage;
  readonly image: Image;
  /** The geometry after the change. */
  readonly next: Geometry;
  readonly growth: Preallocation;
  /** Whether the file has no holes, and must get none. */
  readonly noHoles: boolean;
  readonly context: Pick<ChangeContext, "checkpoint">;
}

/**
 * Changes the size of the disk to `size` guest bytes. New bytes read as zeroes.
 *
 * @throws ImageError `usage` for an impossible size or preallocation; `unsupported` for differencing images, and for an
 * image whose log is in use
 */
export async function resizeVhdx(
  storage: WritableStorage,
  size: number,
  growth: Preallocation,
  context: Pick<ChangeContext, "checkpoint" | "beforeNewId">,
): Promise<void> {
  const image = await readImage(storage);
  const next = geometryOf({ ...image.metadata, size });
  checkSize(storage, image, size, growth);
  const end = Math.max(await usedEnd(image.bat, context.checkpoint), alignUp(storage.size, MIB));
  if (size === image.geometry.size) return;
  const headers = headersOf(storage, image.header);
  const logged = loggedStorage(storage, headers);
  await context.beforeNewId?.();
  await headers.updateBoth({ fileWriteGuid: crypto.randomUUID(), dataWriteGuid: crypto.randomUUID() });
  const work = { storage, image, next, growth, noHoles: await hasNoHoles(storage), context };
  let bat = image.bat.region;
  if (size > image.geometry.size) await truncateOnFailure(storage, async () => void (bat = await grow(work, end)));
  if (bat !== image.bat.region) {
    const table = await withMovedBat(storage, bat);
    for (const tableAt of REGION_TABLES_AT) await logged.writeAt(table, tableAt);
  }
  const bytes = new Uint8Array(8);
  setU64(viewOf(bytes), 0, size, true);
  await logged.writeAt(bytes, await sizeFieldOffset(storage, image.regions.metadata));
  await logged.commit();
  if (size < image.geometry.size) await shrink(work);
  await storage.sync();
}

function checkSize({ label }: WritableStorage, { dirty, metadata }: Image, size: number, growth: Preallocation): void {
  const refuse = (kind: "usage" | "unsupported", why: string) => {
    throw new ImageError(kind, `Cannot resize "${label}" to ${size} bytes: ${why}`, { path: label });
  };
  const { logicalSector, parent, leavesAllocated } = metadata;
  if (dirty) refuse("unsupported", `it was not closed, and its log is in use; ${CLOSE_HINT}`);
  if (parent) refuse("unsupported", "it is a differencing image, whose size its parent determines");
  if (size % logicalSector !== 0) {
    refuse("usage", `its sectors have ${logicalSector} bytes, and it must have whole ones`);
  }
  if (size > MAX_SIZE) refuse("usage", `VHDX disks have at most ${MAX_SIZE} (64 TiB)`);
  if (growth === "metadata" && leavesAllocated) {
    refuse("usage", "it is fixed: its blocks have places in any case, so preallocate falloc, full or nothing");
  }
}

/** Writes new blocks and BAT entries, from the file offset `end` on. Returns the new area of the BAT. */
async function grow({ storage, image, next, growth, noHoles, context }: Resizing, end: number): Promise<Area> {
  const { geometry, bat: { region }, metadata } = image;
  const fits = next.entries * 8 <= region.end - region.start;
  const bat = fits ? region : { ...region, start: end, end: end + alignUp(next.entries * 8, MIB) };
  let fileEnd = fits ? end : bat.end;
  await zeroTail(storage, image, noHoles);
  if (storage.size < fileEnd) {
    await (noHoles ? storage.reserve(storage.size, fileEnd, true) : storage.truncate(fileEnd));
  }
  if (!fits) await copyBat(storage, region, bat, geometry, context);
  const first = fileEnd;
  const placed = metadata.leavesAllocated || growth !== "off";
  await eachPage(geometry, next, async (index, page) => {
    const view = viewOf(page);
    for (let at = 0; at * 8 < page.length; at++) {
      if ((index + at) % (next.chunkRatio + 1) === next.chunkRatio) continue;
      setEntry(view, at, placed ? STATE.fullyPresent : STATE.zero, placed ? fileEnd : 0);
      if (placed) fileEnd += next.blockSize;
    }
    await storage.writeAt(page, bat.start + index * 8);
    await context.checkpoint();
  });
  if (fileEnd > first) {
    await storage.truncate(fileEnd);
    const written = growth === "full" || noHoles;
    if (written || growth === "falloc") await storage.reserve(first, fileEnd, written);
  }
  return bat;
}

/** Calls `fill` with zeroed pages for the entries that `next` adds to `geometry`. Neither has sector bitmaps. */
async function eachPage(
  geometry: Geometry,
  next: Geometry,
  fill: (index: number, page: Uint8Array) => Promise<void>,
): Promise<void> {
  for (let index = geometry.entries; index < next.entries;) {
    const pageEnd = Math.min(next.entries, index - index % PAGE_ENTRIES + PAGE_ENTRIES);
    await fill(index, new Uint8Array((pageEnd - index) * 8));
    index = pageEnd;
  }
}

/** Zeroes the bytes of the last block past the end of the disk, which become visible. */
async function zeroTail(storage: WritableStorage, { geometry, bat }: Image, noHoles: boolean): Promise<void> {
  const { size, blockSize, blocks } = geometry;
  if (size % blockSize === 0) return;
  const { fileOffset } = await blockAt(bat, blocks - 1);
  if (fileOffset === 0) return;
  const [start, end] = [fileOffset + size % blockSize, fileOffset + blockSize];
  await (noHoles ? writeZeroes(storage, start, end) : storage.zeroAt(start, end));
}

/** Copies the existing entries; the bytes after them are zero in the new area. */
async function copyBat(
  storage: WritableStorage,
  from: Area,
  to: Area,
  { entries }: Geometry,
  { checkpoint }: Pick<ChangeContext, "checkpoint">,
): Promise<void> {
  for (let at = 0; at < entries * 8; at += PAGE_BYTES) {
    const piece = new Uint8Array(Math.min(PAGE_BYTES, entries * 8 - at));
    await storage.readAt(piece, from.start + at);
    await storage.writeAt(piece, to.start + at);
    await checkpoint();
  }
}

/** Clears the BAT entries past the new end, which readers no longer use, and deallocates their blocks. */
async function shrink({ storage, image, next, noHoles, context }: Resizing): Promise<void> {
  const { bat, geometry } = image;
  const freed: number[] = [];
  for (let block = next.blocks; block < geometry.blocks; block++) {
    const { fileOffset } = await blockAt(bat, block);
    if (fileOffset !== 0) freed.push(fileOffset);
  }
  await eachPage(next, geometry, async (index, page) => {
    await storage.writeAt(page, bat.region.start + index * 8);
    await context.checkpoint();
  });
  await storage.sync();
  const end = await usedEnd((await readImage(storage)).bat, context.checkpoint);
  for (const fileOffset of freed) {
    const blockEnd = Math.min(fileOffset + geometry.blockSize, end);
    if (fileOffset < blockEnd && storage.zeroesCheaply && !noHoles) await storage.zeroAt(fileOffset, blockEnd);
  }
  if (end < storage.size) await storage.truncate(end);
}
