/**
 * Changes of an image in one step. Everything new is written where nothing is: tables, refcount blocks, the refcount
 * table. The header, which names them all in its first sector, is written last. Before that the image is the old one to
 * the byte, after it the new one; there is nothing between, not even a leak.
 *
 * @module
 */
import { setU64, viewOf } from "../../bytes.ts";
import { ImageError } from "../../errors.ts";
import type { CheckContext } from "../../maintenance.ts";
import type { WritableStorage } from "../../storage/types.ts";
import { readBitmapDirectory } from "../bitmaps/read.ts";
import { encodeHeader, type Header, NO_BITS } from "../header/header.ts";
import { REFCOUNT_TABLE_BYTES_MAX } from "../header/types.ts";
import { giveBack } from "../image.ts";
import { type Geometry, geometryOf, tableAt } from "../mapping/l2_entry.ts";
import { metadataPlaces, type MetadataRanges } from "../metadata_overlap.ts";
import { type CountsSource, renewedCounts } from "./refcount_update.ts";
import { readPadded } from "../clusters/read.ts";
import { type StoredCounts, storedCounts } from "../refcounts/on_disk_refcounts.ts";
import { mustRepair, requireCounted } from "../refuse_corrupt.ts";

/** A change being prepared. Clusters are numbered from the start of the file. */
export interface Transaction {
  readonly storage: WritableStorage;
  /** The header as it is in the file. */
  readonly header: Header;
  readonly geometry: Geometry;
  readonly context: CheckContext;
  /** The refcount of `cluster` after the change. */
  get(cluster: number): Promise<number> | number;
  /** Adds `by` references. Returns nothing where that needed no waiting. */
  add(cluster: number, by: number): Promise<void> | void;
  /**
   * Adds `by` references to what an entry of a table points at.
   *
   * @throws ImageError `corrupt` where the entry cannot be: it leads into another table, or to what is free
   */
  refer(fileOffset: number, by: number, as: Referred): Promise<void> | void;
  /** Gives out `count` neighbouring clusters that are free before and after the change; `atEnd`: past the file's end. */
  allocate(count: number, atEnd?: boolean): Promise<number>;
  /** Puts `bytes` into new clusters; returns their file offset. */
  place(bytes: Uint8Array): Promise<number>;
  /** Takes a reference from each cluster of `[fileOffset, fileOffset + length)`. */
  drop(fileOffset: number, length: number): Promise<void>;
  /** Whether the cluster at `fileOffset` came from {@linkcode allocate}: it may be written. */
  isNew(fileOffset: number): boolean;
  /** Writes the refcounts, then the header with these changes: now the change is made. */
  finish(changes: Partial<Header>): Promise<void>;
}

/** What an entry of a table points at. */
export type Referred = "data" | "an L2 table" | "bits of a bitmap";

/** From where the refcounts of a {@linkcode Transaction} come. */
export interface RenewalSource extends CountsSource {
  /** Whether the counts have been held against all references. Else what would free a table is refused. */
  readonly examined?: boolean;
}

/**
 * Begins a change of the image in `storage`, of which `header` is the header.
 *
 * @throws ImageError `corrupt` where the refcounts cannot be relied upon
 */
export async function transactionOf(
  storage: WritableStorage,
  header: Header,
  context: CheckContext,
  source: RenewalSource = {},
): Promise<Transaction> {
  const geometry = geometryOf(header);
  const { clusterSize } = geometry;
  const stored = await storedCounts(storage, header);
  if (source.counts === undefined) await requireUsable(storage, header, stored);
  const places = source.counts || source.examined ? null : await placesOf(storage, header, stored);
  const counts = await renewedCounts(storage, header, stored, source, context);
  const { anew, order, reach, blocks, get, add } = counts;
  const oldBlocks = new Map(stored.blocks.map(({ index, fileOffset }) => [index, fileOffset]));
  const fresh = new Set<number>();
  let end = Math.ceil(storage.size / clusterSize);

  function refer(fileOffset: number, by: number, as: Referred): Promise<void> | void {
    const cluster = fileOffset / clusterSize;
    if (!Number.isInteger(cluster)) {
      throw mustRepair(
        storage,
        `a table says that ${as} begins at byte ${fileOffset}, which is no cluster`,
        fileOffset,
      );
    }
    // What a change has put into a free cluster must not be taken for the guest's.
    const holding = places?.at(cluster) ?? (as === "data" && fresh.has(cluster) ? "a new table" : null);
    if (holding !== null && holding !== as && !(as === "an L2 table" && holding === "an L2 table of a snapshot")) {
      const problem = `an entry of a table points at cluster ${cluster}, which holds ${holding}, must hold ${as}`;
      throw mustRepair(storage, problem, fileOffset);
    }
    return add(cluster, by, 1);
  }

  async function allocate(count: number, atEnd = false): Promise<number> {
    let first = atEnd ? -1 : await counts.findFree(count);
    if (first < 0) {
      first = await counts.findRoom(end, count);
      end = first + count;
    }
    for (let nth = 0; nth < count; nth++) {
      const holding = places?.at(first + nth) ?? null;
      if (holding !== null) {
        const problem = `the refcount of cluster ${first + nth}, which holds ${holding}, is 0`;
        throw mustRepair(storage, problem, (first + nth) * clusterSize);
      }
      await add(first + nth, 1);
      fresh.add(first + nth);
    }
    return first;
  }

  async function drop(fileOffset: number, length: number): Promise<void> {
    for (let at = fileOffset; at < fileOffset + length; at += clusterSize) await add(at / clusterSize, -1);
  }

  async function place(bytes: Uint8Array): Promise<number> {
    const count = Math.max(1, Math.ceil(bytes.length / clusterSize));
    const fileOffset = await allocate(count) * clusterSize;
    const whole = bytes.length === count * clusterSize ? bytes : new Uint8Array(count * clusterSize);
    if (whole !== bytes) whole.set(bytes);
    await storage.writeAt(whole, fileOffset);
    return fileOffset;
  }

  /** Gives every changed block a place, until none changes any more by that; and the table. Cluster of each block. */
  async function settle(): Promise<{ places: Map<number, number>; table: number; clusters: number }> {
    const places = new Map<number, number>();
    if (source.counts === undefined) {
      await drop(header.refcountTable.fileOffset, header.refcountTable.clusters * clusterSize);
      if (anew) { for (const { fileOffset } of stored.blocks) await add(fileOffset / clusterSize, -1); }
    }
    let table = -1;
    let clusters = 0;
    while (true) {
      const open = [...blocks.keys()].filter((index) => !places.has(index));
      for (const index of open) {
        places.set(index, await allocate(1));
        const old = anew ? undefined : oldBlocks.get(index);
        if (old !== undefined) await add(old / clusterSize, -1);
      }
      const needed = Math.ceil(tableEntries(places) * 8 / clusterSize);
      if (needed > clusters) {
        if (needed * clusterSize > REFCOUNT_TABLE_BYTES_MAX) throw tableTooLong(storage);
        if (table >= 0) await drop(table * clusterSize, clusters * clusterSize);
        clusters = needed;
        table = await allocate(clusters);
      } else if (places.size === blocks.size) return { places, table, clusters };
    }
  }

  function tableEntries(places: ReadonlyMap<number, number>): number {
    let entries = anew ? 1 : Math.max(1, (stored.blocks.at(-1)?.index ?? -1) + 1);
    for (const index of places.keys()) entries = Math.max(entries, index + 1);
    return entries;
  }

  async function finish(changes: Partial<Header>): Promise<void> {
    const { places, table, clusters } = await settle();
    const bytes = new Uint8Array(clusters * clusterSize);
    const view = viewOf(bytes);
    if (!anew) { for (const { index, fileOffset } of stored.blocks) setU64(view, index * 8, fileOffset); }
    for (const [index, cluster] of places) {
      setU64(view, index * 8, cluster * clusterSize);
      await storage.writeAt(blocks.get(index)!, cluster * clusterSize);
    }
    await storage.writeAt(bytes, table * clusterSize);
    if (storage.size < end * clusterSize) await storage.truncate(end * clusterSize);
    await storage.sync();
    const refcountTable = { fileOffset: table * clusterSize, clusters };
    await replaceHeader(storage, {
      ...header,
      unknownAutoclear: NO_BITS,
      ...changes,
      refcountOrder: order,
      refcountTable,
    });
    await tidy();
  }

  /** Gives back to the host what nobody needs any more. */
  async function tidy(): Promise<void> {
    const unused: number[] = [];
    for (const cluster of new Set(counts.freed)) if (await get(cluster) === 0) unused.push(cluster);
    let last = Math.max(end, Math.ceil(storage.size / clusterSize));
    while (last > 0) {
      const index = Math.floor((last - 1) / reach);
      // A file may be long and hold next to nothing.
      if (!blocks.has(index) && (anew || !oldBlocks.has(index))) last = index * reach;
      else if (await get(last - 1) === 0) last--;
      else break;
    }
    await giveBack(storage, unused.filter((cluster) => cluster < last), clusterSize);
    if (last * clusterSize < storage.size) await storage.truncate(last * clusterSize);
    await storage.sync();
  }

  return {
    storage,
    header,
    geometry,
    context,
    get,
    add,
    refer,
    allocate,
    place,
    drop,
    isNew: (fileOffset) => fresh.has(fileOffset / clusterSize),
    finish,
  };
}

/** Writes what differs of the first cluster, and waits until it is on stable storage. */
export async function replaceHeader(storage: WritableStorage, header: Header): Promise<void> {
  const next = encodeHeader(header);
  const old = new Uint8Array(next.length);
  await readPadded(storage, old, 0);
  let from = 0;
  while (from < next.length && next[from] === old[from]) from++;
  let to = next.length;
  while (to > from && next[to - 1] === old[to - 1]) to--;
  if (to > from) await storage.writeAt(next.subarray(from, to), from);
  await storage.sync();
}

function tableTooLong(storage: WritableStorage): ImageError {
  const message = `Cannot change "${storage.label}": its refcount table would be longer than ` +
    `${REFCOUNT_TABLE_BYTES_MAX} bytes; use larger clusters or fewer refcount bits`;
  return new ImageError("unsupported", message, { path: storage.label });
}

/** The blocks and what the header names must be counted. */
async function requireUsable(storage: WritableStorage, header: Header, stored: StoredCounts): Promise<void> {
  const bad = stored.blocks.find(({ problem }) => problem !== null);
  if (bad) throw mustRepair(storage, `entry ${bad.index} of its refcount table ${bad.problem}`, bad.at);
  await requireCounted(storage, header, stored.blocks.map(({ fileOffset }) => fileOffset), stored.get);
}

/** Where tables lie, of an image whose tables are each in a place of their own and known to be shared where they are. */
async function placesOf(storage: WritableStorage, header: Header, stored: StoredCounts): Promise<MetadataRanges> {
  const l1 = new Uint8Array(header.l1.entries * 8);
  if (l1.length > 0) await storage.readAt(l1, header.l1.fileOffset);
  const refcountTable = Float64Array.from(stored.blocks, ({ fileOffset }) => fileOffset);
  // Bitmaps that are not consistent count for nothing: their place may have been used for something else.
  const bitmaps = header.bitmapsConsistent ? await readBitmapDirectory(storage, header) : [];
  const places = await metadataPlaces({ storage, header, l1, refcountTable, bitmaps });
  for (let index = 0; index < header.l1.entries; index++) {
    const fileOffset = tableAt(viewOf(l1), index);
    if (fileOffset === 0 || places.at(fileOffset / header.clusterSize) !== "an L2 table of a snapshot") continue;
    if (await stored.get(fileOffset / header.clusterSize) > 1) continue;
    throw mustRepair(
      storage,
      `a snapshot has its L2 table of L1 entry ${index}, too, which is counted once`,
      fileOffset,
    );
  }
  return places;
}
