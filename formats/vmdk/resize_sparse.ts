/**
 * Changes the capacity of a sparse extent file with uncompressed grains. Writes only where no structure points; the
 * change takes effect when the caller writes the header. Guest bytes count from the start of the extent file.
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
import { type SparseHeader, tableCount } from "./header.ts";
import { type HostedSparse, readRedundant, tableBytesOf } from "./hosted_sparse.ts";
import { directoryBytes } from "./extent_create.ts";
import { punchHoles, tablesIn } from "./sparse_extent_files.ts";
import { allocateAtEnd, checkAddressable, type FileEnd, type GrainTables, grainTables } from "./grain_tables.ts";
import { grainWriter } from "./grain_writer.ts";

/** Grains that are zeroed between two checkpoints. */
const ZEROED_GRAINS = 256;
/** Grain tables that are cleared and synced before holes are punched for their grains. */
const TABLES_PER_SYNC = 64;

/** A new capacity for an extent file. */
export interface SparseChange {
  readonly storage: WritableStorage;
  readonly sparse: HostedSparse;
  /** The new guest bytes. */
  readonly size: number;
  /** The guest bytes before, where they are fewer than the header states: the descriptor decides. */
  readonly oldSize?: number;
  /** The backing file from the start of the extent file on; null if there is none. */
  readonly backing: GuestReader | null;
  readonly growth: Preallocation;
  readonly context: Pick<ChangeContext, "checkpoint">;
}

/**
 * Throws if the grain directory or the file would become too large.
 *
 * @throws ImageError `unsupported`
 */
export function checkGrowth({ storage, sparse: { header }, size, growth }: Omit<SparseChange, "backing">): void {
  const tables = tableCount({ ...header, capacity: size });
  if (tables > MAX_DIRECTORY_ENTRIES) {
    const message = `Cannot resize "${storage.label}" to ${size} bytes: its grain directory would have ${tables} ` +
      `entries, at most ${MAX_DIRECTORY_ENTRIES} are read`;
    throw new ImageError("unsupported", message, { path: storage.label });
  }
  const added = (tables - tableCount(header)) * tableBytesOf(header);
  const grains = growth === "off"
    ? 0
    : alignUp(size, header.grainBytes) - alignDown(header.capacity, header.grainBytes);
  checkAddressable(storage, alignUp(storage.size, header.grainBytes) + 2 * (tables * 4 + added) + grains);
}

/** Prepares tables and grains for more guest bytes, which read as zeroes. Returns the header fields to change. */
export async function growSparse(change: SparseChange): Promise<HeaderChange> {
  const { storage, sparse, size, backing, growth, context } = change;
  const old = sparse.header;
  const oldSize = oldSizeOf(change);
  if (oldSize < old.capacity) await cutSparse({ ...change, size: oldSize });
  const tail = await tailEnd(change);
  const end: FileEnd = { next: alignUp(Math.max(storage.size, tail), old.grainBytes) };
  const grown = await moveDirectories(change, end);
  // New bytes of the file read as zeroes: new tables are empty, and so is the missing end of a cut last grain.
  await storage.truncate(end.next);
  const { header, directory, redundant } = grown;
  for (const [bytes, fileOffset] of [[directory, header.directory], [redundant, header.redundantDirectory]] as const) {
    if (bytes && fileOffset && header !== old) await storage.writeAt(bytes, fileOffset);
  }
  const tables = grainTables({
    storage,
    header: { ...header, capacity: size },
    directory,
    redundant,
    isNew: false,
    allocate: (length) => Promise.resolve(allocateAtEnd(storage, end, length, SECTOR)),
  });
  await clearEntries(tables, old, oldSize);
  const writer = grainWriter({
    storage,
    header: { ...header, capacity: size },
    tables,
    end,
    zeroedFrom: storage.size,
    backing,
  });
  const flush = async () => {
    if (storage.size < end.next) await storage.truncate(end.next);
    await storage.sync();
    await tables.flush();
    await tables.flushDirectories();
    await storage.sync();
  };
  // The last grain of the old size holds old guest bytes: only its rest becomes zero.
  const grainEnd = Math.min(size, alignUp(oldSize, old.grainBytes));
  await writer.zero(oldSize, grainEnd);
  await allocateGrains({ ...change, size: grainEnd, header, tables, end }, alignDown(oldSize, old.grainBytes));
  await flush();
  await truncateOnFailure(storage, async () => {
    // Without preallocation, the new part must hide a longer backing file; allocated grains hide it anyway.
    const zeroedEnd = growth === "off" ? Math.min(size, alignUp(backing?.size ?? 0, old.grainBytes)) : 0;
    for (let at = grainEnd; at < zeroedEnd; at += ZEROED_GRAINS * old.grainBytes) {
      await writer.zero(at, Math.min(zeroedEnd, at + ZEROED_GRAINS * old.grainBytes));
      await context.checkpoint();
    }
    await allocateGrains({ ...change, header, tables, end }, grainEnd);
  });
  await flush();
  if (header === old) return { capacity: size };
  return { capacity: size, directory: header.directory ?? 0, redundantDirectory: header.redundantDirectory };
}

/** Allocates every grain of a new, empty extent file. */
export async function allocateAll(change: SparseChange): Promise<void> {
  const { storage, sparse: { header, directory } } = change;
  const end: FileEnd = { next: alignUp(storage.size, header.grainBytes) };
  const tables = grainTables({
    storage,
    header,
    directory: new Uint8Array(directory.buffer),
    redundant: await readRedundant(storage, header),
    isNew: false,
    allocate: (length) => Promise.resolve(allocateAtEnd(storage, end, length, SECTOR)),
  });
  await allocateGrains({ ...change, header, tables, end }, 0);
  await tables.flush();
}

/**
 * Allocates the missing grains from guest byte `start` on, contiguously. With growth `metadata` they are holes of the
 * file, else the host reserves their space.
 */
async function allocateGrains(
  { storage, header, size, growth, tables, end, context }: SparseChange & {
    readonly header: SparseHeader;
    readonly tables: GrainTables;
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
      view.setUint32(entryAt, allocateAtEnd(storage, end, grainBytes, grainBytes) / SECTOR, true);
    }
    tables.changed(index);
    await context.checkpoint();
  }
  await storage.truncate(end.next);
  if (growth !== "metadata") await storage.reserve(first, end.next, growth === "full");
  await storage.sync();
}

/**
 * Deallocates the grains between the new capacity `size` and the old one: clears their entries, and punches holes if
 * the storage can. The header in the file must have the new capacity already, that in `sparse` still has the old one.
 */
export async function cutSparse(
  { storage, sparse, size, context }: SparseChange,
): Promise<void> {
  const { header } = sparse;
  const tables = tablesIn({ storage, sparse, redundant: await readRedundant(storage, header) });
  const coverage = header.grainBytes * header.entriesPerTable;
  for (let at = size; at < header.capacity;) {
    const freed: number[] = [];
    for (let count = 0; count < TABLES_PER_SYNC && at < header.capacity; count++) {
      await clearEntries(tables, header, at, freed);
      at = alignDown(at, coverage) + coverage;
    }
    await tables.flush();
    await storage.sync();
    await punchHoles(storage, header, freed);
    await context.checkpoint();
  }
}

/** Clears the entries of the grains from guest byte `start` on in the table that covers `start`. */
async function clearEntries(
  tables: GrainTables,
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

/** Returns the guest bytes before the change. */
function oldSizeOf({ oldSize, sparse }: SparseChange): number {
  return Math.min(oldSize ?? Infinity, sparse.header.capacity);
}

/** Returns the file offset at which a partly used last grain ends, else 0. The file may be shorter. */
async function tailEnd(change: SparseChange): Promise<number> {
  const { header, map } = change.sparse;
  const { grainBytes } = header;
  const capacity = oldSizeOf(change);
  if (capacity % grainBytes === 0) return 0;
  const index = Math.floor(capacity / map.tableCoverage);
  const tableOffset = map.tableAt(index);
  if (tableOffset < 0) return 0;
  const { view } = await map.tables.get(index, tableOffset);
  const grain = map.grainAt(view, Math.floor(capacity / grainBytes) % header.entriesPerTable);
  return grain < 0 ? 0 : grain + grainBytes;
}

/** Returns both directories for the new size; if they need more entries, allocated anew at the end of the file. */
async function moveDirectories(
  { storage, sparse: { header, directory }, size }: SparseChange,
  end: FileEnd,
): Promise<{ readonly header: SparseHeader; readonly directory: Uint8Array; readonly redundant: Uint8Array | null }> {
  const grown = { ...header, capacity: size };
  const before = new Uint8Array(directory.buffer);
  const redundant = await readRedundant(storage, header);
  const added = tableCount(grown) - tableCount(header);
  if (added <= 0) return { header, directory: before, redundant };
  const enlarge = (old: Uint8Array) => {
    const bytes = new Uint8Array(tableCount(grown) * 4);
    bytes.set(old);
    const fileOffset = allocateAtEnd(storage, end, directoryBytes(grown), SECTOR);
    for (let at = old.length; at < bytes.length; at += 4) {
      viewOf(bytes).setUint32(at, allocateAtEnd(storage, end, tableBytesOf(header), SECTOR) / SECTOR, true);
    }
    return { bytes, fileOffset };
  };
  const second = redundant && enlarge(redundant);
  const first = enlarge(before);
  return {
    header: { ...header, directory: first.fileOffset, redundantDirectory: second?.fileOffset ?? 0 },
    directory: first.bytes,
    redundant: second?.bytes ?? null,
  };
}
