/**
 * Another capacity for a sparse extent of uncompressed grains. Everything is written where no structure points; the change
 * is true once the caller has written the header. Guest positions count from the start of the extent.
 *
 * @module
 */
import { alignDown, alignUp, SECTOR, viewOf } from "../bytes.ts";
import type { GuestReader } from "../guest_reader.ts";
import { ImageError } from "../errors.ts";
import { truncateOnFailure } from "../shared/growth.ts";
import type { ChangeContext, Preallocation } from "../maintenance.ts";
import type { WritableStorage } from "../storage/types.ts";
import type { HeaderChange } from "./descriptor_write.ts";
import { MAX_DIRECTORY_ENTRIES } from "./grain_directory.ts";
import { type SparseHeader, tablesOf } from "./header.ts";
import { type HostedSparse, readRedundant, tableBytesOf } from "./hosted_sparse.ts";
import { directoryBytes } from "./extent_create.ts";
import { punchHoles, tablesIn } from "./sparse_extents.ts";
import { allocateAt, checkReach, type FileEnd, type Tables, tablesFor } from "./grain_tables.ts";
import { grainWriter } from "./grain_writer.ts";

/** Grains that are made zero before the caller may end the job. */
const HIDDEN_STEP = 256;
/** Grain tables that are cut and synced before holes are punched for their grains. */
const CUT_TABLES = 64;

/** An extent that is to change. */
export interface SparseChange {
  readonly storage: WritableStorage;
  readonly sparse: HostedSparse;
  /** Guest bytes that it shall have. */
  readonly size: number;
  /** What shows through its holes; null where that is nothing. */
  readonly backing: GuestReader | null;
  readonly growth: Preallocation;
  readonly context: Pick<ChangeContext, "checkpoint">;
}

/**
 * Throws where the extent cannot have that size.
 *
 * @throws ImageError `unsupported`
 */
export function checkGrowth({ storage, sparse: { header }, size, growth }: Omit<SparseChange, "backing">): void {
  const tables = tablesOf({ ...header, capacity: size });
  if (tables > MAX_DIRECTORY_ENTRIES) {
    const message = `Cannot resize "${storage.label}" to ${size} bytes: its grain directory would have ${tables} ` +
      `entries, at most ${MAX_DIRECTORY_ENTRIES} are read`;
    throw new ImageError("unsupported", message, { path: storage.label });
  }
  const added = (tables - tablesOf(header)) * tableBytesOf(header);
  const grains = growth === "off"
    ? 0
    : alignUp(size, header.grainBytes) - alignDown(header.capacity, header.grainBytes);
  checkReach(storage, alignUp(storage.size, header.grainBytes) + 2 * (tables * 4 + added) + grains);
}

/** Makes the extent ready for more guest bytes, which read as zeroes. Returns what must change in its header. */
export async function growSparse(change: SparseChange): Promise<HeaderChange> {
  const { storage, sparse, size, backing, growth, context } = change;
  const old = sparse.header;
  const tail = await tailEnd(change);
  const end: FileEnd = { next: alignUp(Math.max(storage.size, tail), old.grainBytes) };
  const grown = await moveDirectories(change, end);
  // What is new in the file reads as zeroes: empty tables, and whatever of the last grain the file did not hold.
  await storage.truncate(end.next);
  const { header, directory, redundant } = grown;
  for (const [bytes, place] of [[directory, header.directory], [redundant, header.redundantDirectory]] as const) {
    if (bytes && place && header !== old) await storage.writeAt(bytes, place);
  }
  const tables = tablesFor({
    storage,
    header: { ...header, capacity: size },
    directory,
    redundant,
    fresh: false,
    place: (length) => Promise.resolve(allocateAt(storage, end, length, SECTOR)),
  });
  await forgetFrom(tables, old, old.capacity);
  const writer = grainWriter({
    storage,
    header: { ...header, capacity: size },
    tables,
    end,
    zeroedFrom: storage.size,
    backing,
  });
  const settle = async () => {
    if (storage.size < end.next) await storage.truncate(end.next);
    await storage.sync();
    await tables.flush();
    await tables.flushDirectories();
    await storage.sync();
  };
  // The disk of today has a part of this grain.
  const grainEnd = Math.min(size, alignUp(old.capacity, old.grainBytes));
  await writer.zero(old.capacity, grainEnd);
  await allocateGrains({ ...change, size: grainEnd, header, tables, end }, alignDown(old.capacity, old.grainBytes));
  await settle();
  await truncateOnFailure(storage, async () => {
    // Where every grain gets a place, all of them say zeroes.
    const hidden = growth === "off" ? Math.min(size, alignUp(backing?.size ?? 0, old.grainBytes)) : 0;
    for (let at = grainEnd; at < hidden; at += HIDDEN_STEP * old.grainBytes) {
      await writer.zero(at, Math.min(hidden, at + HIDDEN_STEP * old.grainBytes));
      await context.checkpoint();
    }
    await allocateGrains({ ...change, header, tables, end }, grainEnd);
  });
  await settle();
  if (header === old) return { capacity: size };
  return { capacity: size, directory: header.directory ?? 0, redundantDirectory: header.redundantDirectory };
}

/** Gives every grain of a new extent, which says nothing yet, a place. */
export async function allocateAll(change: SparseChange): Promise<void> {
  const { storage, sparse: { header, directory } } = change;
  const end: FileEnd = { next: alignUp(storage.size, header.grainBytes) };
  const tables = tablesFor({
    storage,
    header,
    directory: new Uint8Array(directory.buffer),
    redundant: await readRedundant(storage, header),
    fresh: false,
    place: (length) => Promise.resolve(allocateAt(storage, end, length, SECTOR)),
  });
  await allocateGrains({ ...change, header, tables, end }, 0);
  await tables.flush();
}

/**
 * Gives the grains from `start` on that have no place one each, side by side. Where the host is to reserve nothing, the
 * places are holes.
 */
async function allocateGrains(
  { storage, header, size, growth, tables, end, context }: SparseChange & {
    readonly header: SparseHeader;
    readonly tables: Tables;
    readonly end: FileEnd;
  },
  start: number,
): Promise<void> {
  if (growth === "off") return;
  const { grainBytes, entriesPerTable } = header;
  const first = alignUp(end.next, grainBytes);
  for (let at = start; at < size;) {
    const index = Math.floor(at / (grainBytes * entriesPerTable));
    const view = viewOf(await tables.forChange(index));
    const last = Math.min(size, (index + 1) * grainBytes * entriesPerTable);
    for (; at < last; at += grainBytes) {
      const entryAt = at / grainBytes % entriesPerTable * 4;
      if (view.getUint32(entryAt, true) > 1) continue;
      view.setUint32(entryAt, allocateAt(storage, end, grainBytes, grainBytes) / SECTOR, true);
    }
    tables.changed(index);
    await context.checkpoint();
  }
  await storage.truncate(end.next);
  if (growth !== "metadata") await storage.reserve(first, end.next, growth === "full");
  await storage.sync();
}

/**
 * Cuts off what lies from guest byte `sparse.header.capacity` on, which the header on the file no longer holds: its
 * entries are taken out of the tables, and the host gets its space back where that costs nothing.
 *
 * @param change with the header of before
 */
export async function cutSparse(
  { storage, sparse, size, context }: SparseChange,
): Promise<void> {
  const { header } = sparse;
  const tables = tablesIn({ storage, sparse, redundant: await readRedundant(storage, header) });
  const reach = header.grainBytes * header.entriesPerTable;
  for (let at = size; at < header.capacity;) {
    const freed: number[] = [];
    for (let count = 0; count < CUT_TABLES && at < header.capacity; count++) {
      await forgetFrom(tables, header, at, freed);
      at = alignDown(at, reach) + reach;
    }
    await tables.flush();
    await storage.sync();
    await punchHoles(storage, header, freed);
    await context.checkpoint();
  }
}

/** Takes the grains that begin at guest byte `start` or later out of the table that `start` lies in. */
async function forgetFrom(
  tables: Tables,
  { grainBytes, entriesPerTable }: SparseHeader,
  start: number,
  freed: number[] = [],
): Promise<void> {
  const index = Math.floor(start / (grainBytes * entriesPerTable));
  const first = Math.ceil(start / grainBytes) - index * entriesPerTable;
  if (index * 4 >= tables.directory.byteLength || first >= entriesPerTable) return;
  const table = await tables.find(index);
  if (table === null) return;
  const view = viewOf(table);
  let changed = false;
  for (let nth = first; nth < entriesPerTable; nth++) {
    const entry = view.getUint32(nth * 4, true);
    if (entry === 0) continue;
    view.setUint32(nth * 4, 0, true);
    changed = true;
    if (entry > 1) freed.push(entry * SECTOR);
  }
  if (changed) tables.changed(index);
}

/** Where the last grain ends in the file, if the disk ends inside it: the file may be shorter. 0 where it does not. */
async function tailEnd({ sparse: { header, map } }: SparseChange): Promise<number> {
  const { capacity, grainBytes } = header;
  if (capacity % grainBytes === 0) return 0;
  const index = Math.floor(capacity / map.tableReach);
  const place = map.tableAt(index);
  if (place < 0) return 0;
  const { view } = await map.tables.get(index, place);
  const grain = map.grainAt(view, Math.floor(capacity / grainBytes) % header.entriesPerTable);
  return grain < 0 ? 0 : grain + grainBytes;
}

/** Both directories with as many entries as the new size needs; where that is more, at the end of the file. */
async function moveDirectories(
  { storage, sparse: { header, directory }, size }: SparseChange,
  end: FileEnd,
): Promise<{ readonly header: SparseHeader; readonly directory: Uint8Array; readonly redundant: Uint8Array | null }> {
  const grown = { ...header, capacity: size };
  const before = new Uint8Array(directory.buffer);
  const redundant = await readRedundant(storage, header);
  const added = tablesOf(grown) - tablesOf(header);
  if (added <= 0) return { header, directory: before, redundant };
  const place = (old: Uint8Array) => {
    const bytes = new Uint8Array(tablesOf(grown) * 4);
    bytes.set(old);
    const fileOffset = allocateAt(storage, end, directoryBytes(grown), SECTOR);
    for (let at = old.length; at < bytes.length; at += 4) {
      viewOf(bytes).setUint32(at, allocateAt(storage, end, tableBytesOf(header), SECTOR) / SECTOR, true);
    }
    return { bytes, fileOffset };
  };
  const second = redundant && place(redundant);
  const first = place(before);
  return {
    header: { ...header, directory: first.fileOffset, redundantDirectory: second?.fileOffset ?? 0 },
    directory: first.bytes,
    redundant: second?.bytes ?? null,
  };
}
