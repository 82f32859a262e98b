/**
 * Changes of an image in one atomic step. New tables, refcount blocks and the refcount table go into free clusters. The
 * header, which names them in its first sector, is written last. Before that write the image is the old one to the
 * byte, after it the new one; an interruption does not even leak clusters.
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
import { punchHoles } from "../image.ts";
import { type Geometry, geometryOf, l2TableOffset } from "../mapping/l2_entry.ts";
import { readL1 } from "../mapping/mapping.ts";
import { type MetadataRanges, readMetadataRanges } from "../metadata_overlap.ts";
import { type RefcountSource, refcountUpdate } from "./refcount_update.ts";
import { readPadded } from "../file_reads.ts";
import { computeRefcounts, type Walk } from "../refcounts/compute_refcounts.ts";
import { type OnDiskRefcounts, readOnDiskRefcounts } from "../refcounts/on_disk_refcounts.ts";
import { checkMetadataRefcounts, corruptImage } from "../refuse_corrupt.ts";

/** A transaction in preparation. Clusters are numbered from the start of the file. */
export interface Transaction {
  readonly storage: WritableStorage;
  /** The header in the file. */
  readonly header: Header;
  readonly geometry: Geometry;
  readonly context: CheckContext;
  /** Returns the refcount of `cluster` after the transaction. */
  refcount(cluster: number): Promise<number> | number;
  /** Adds `by` references. Returns nothing if the refcount block was in memory. */
  adjustRefcount(cluster: number, by: number): Promise<void> | void;
  /**
   * Adds `by` references to the target of a table entry.
   *
   * @throws ImageError `corrupt` for an entry that points at other metadata or at a free cluster
   */
  addReferences(fileOffset: number, by: number, target: ReferenceTarget): Promise<void> | void;
  /**
   * Allocates `count` consecutive clusters that are free before and after the transaction; with `atEnd`, past the end
   * of the file.
   */
  allocate(count: number, atEnd?: boolean): Promise<number>;
  /** Writes `bytes` into new clusters. Returns their file offset. */
  write(bytes: Uint8Array): Promise<number>;
  /** Releases a reference to each cluster of `[fileOffset, fileOffset + length)`. */
  release(fileOffset: number, length: number): Promise<void>;
  /** Whether {@linkcode allocate} returned the cluster at `fileOffset`, so that it may be overwritten. */
  isNew(fileOffset: number): boolean;
  /**
   * Writes the refcounts, then the header with these changes, which completes the transaction. Then deallocates free
   * clusters.
   */
  commit(changes: Partial<Header>): Promise<void>;
}

/** The target of a table entry. */
export type ReferenceTarget = "data" | "an L2 table" | "bits of a bitmap";

/** Options of {@linkcode beginTransaction}. */
export interface TransactionOptions extends RefcountSource {
  /**
   * Whether the on-disk refcounts have been compared with the computed ones. If not, the release of metadata is
   * refused, and so is the allocation of a cluster to which a table refers, though its refcount is 0.
   */
  readonly compared?: boolean;
}

/**
 * Begins a transaction on the image in `storage` with this `header`.
 *
 * @throws ImageError `corrupt` where the refcounts are unreliable
 */
export async function beginTransaction(
  storage: WritableStorage,
  header: Header,
  context: CheckContext,
  options: TransactionOptions = {},
): Promise<Transaction> {
  const geometry = geometryOf(header);
  const { clusterSize } = geometry;
  const onDisk = await readOnDiskRefcounts(storage, header);
  if (options.refcounts === undefined) await checkRefcountStructure(storage, header, onDisk);
  const isCompared = options.refcounts !== undefined || options.compared === true;
  const metadata = isCompared ? null : await checkedMetadataRanges(storage, header, onDisk);
  const update = await refcountUpdate(storage, header, onDisk, options, context);
  const { rebuilds, order, clustersPerBlock, blocks, refcount, adjust } = update;
  const oldBlocks = new Map(onDisk.blocks.map(({ index, fileOffset }) => [index, fileOffset]));
  const newClusters = new Set<number>();
  let end = Math.ceil(storage.size / clusterSize);
  let walk: Promise<Walk> | undefined;
  /** Returns the references to each cluster, as the tables on disk have them until the commit. */
  const computed = () =>
    walk ??= computeRefcounts(storage, header, { ...context, checkpoint: () => context.checkpoint() });

  function addReferences(fileOffset: number, by: number, target: ReferenceTarget): Promise<void> | void {
    const cluster = fileOffset / clusterSize;
    if (!Number.isInteger(cluster)) {
      throw corruptImage(
        storage,
        `a table says that ${target} begins at byte ${fileOffset}, which is no cluster`,
        fileOffset,
      );
    }
    // A table that the transaction wrote into a free cluster must not count as guest data.
    const structure = metadata?.at(cluster) ?? (target === "data" && newClusters.has(cluster) ? "a new table" : null);
    if (
      structure !== null && structure !== target &&
      !(target === "an L2 table" && structure === "an L2 table of a snapshot")
    ) {
      const problem = `an entry of a table points at cluster ${cluster}, which holds ${structure}, must hold ${target}`;
      throw corruptImage(storage, problem, fileOffset);
    }
    return adjust(cluster, by, 1);
  }

  async function allocate(count: number, atEnd = false): Promise<number> {
    let first = atEnd ? -1 : await update.findFree(count);
    if (first < 0) {
      first = await update.findPastEnd(end, count);
      end = first + count;
    }
    const references = isCompared ? undefined : (await computed()).refcounts;
    for (let nth = 0; nth < count; nth++) {
      const structure = metadata?.at(first + nth) ?? (references?.get(first + nth) ? "data" : null);
      if (structure !== null) {
        const problem = `the refcount of cluster ${first + nth}, which holds ${structure}, is 0`;
        throw corruptImage(storage, problem, (first + nth) * clusterSize);
      }
      await adjust(first + nth, 1);
      newClusters.add(first + nth);
    }
    return first;
  }

  async function release(fileOffset: number, length: number): Promise<void> {
    for (let at = fileOffset; at < fileOffset + length; at += clusterSize) await adjust(at / clusterSize, -1);
  }

  async function write(bytes: Uint8Array): Promise<number> {
    const count = Math.max(1, Math.ceil(bytes.length / clusterSize));
    const fileOffset = await allocate(count) * clusterSize;
    const whole = bytes.length === count * clusterSize ? bytes : new Uint8Array(count * clusterSize);
    if (whole !== bytes) whole.set(bytes);
    await storage.writeAt(whole, fileOffset);
    return fileOffset;
  }

  /**
   * Allocates the changed blocks, until the allocation changes no further block, and the refcount table. Returns the
   * cluster of each block.
   */
  async function allocateRefcountStructure(): Promise<
    { blockClusters: Map<number, number>; table: number; clusters: number }
  > {
    const blockClusters = new Map<number, number>();
    if (options.refcounts === undefined) {
      await release(header.refcountTable.fileOffset, header.refcountTable.clusters * clusterSize);
      if (rebuilds) { for (const { fileOffset } of onDisk.blocks) await adjust(fileOffset / clusterSize, -1); }
    }
    let table = -1;
    let clusters = 0;
    while (true) {
      const open = [...blocks.keys()].filter((index) => !blockClusters.has(index));
      for (const index of open) {
        blockClusters.set(index, await allocate(1));
        const old = rebuilds ? undefined : oldBlocks.get(index);
        if (old !== undefined) await adjust(old / clusterSize, -1);
      }
      const needed = Math.ceil(tableEntries(blockClusters) * 8 / clusterSize);
      if (needed > clusters) {
        if (needed * clusterSize > REFCOUNT_TABLE_BYTES_MAX) throw refcountTableTooLong(storage);
        if (table >= 0) await release(table * clusterSize, clusters * clusterSize);
        clusters = needed;
        table = await allocate(clusters);
      } else if (blockClusters.size === blocks.size) return { blockClusters, table, clusters };
    }
  }

  function tableEntries(blockClusters: ReadonlyMap<number, number>): number {
    let entries = rebuilds ? 1 : Math.max(1, (onDisk.blocks.at(-1)?.index ?? -1) + 1);
    for (const index of blockClusters.keys()) entries = Math.max(entries, index + 1);
    return entries;
  }

  async function commit(changes: Partial<Header>): Promise<void> {
    const { blockClusters, table, clusters } = await allocateRefcountStructure();
    const bytes = new Uint8Array(clusters * clusterSize);
    const view = viewOf(bytes);
    if (!rebuilds) { for (const { index, fileOffset } of onDisk.blocks) setU64(view, index * 8, fileOffset); }
    for (const [index, cluster] of blockClusters) {
      setU64(view, index * 8, cluster * clusterSize);
      await storage.writeAt(blocks.get(index)!, cluster * clusterSize);
    }
    await storage.writeAt(bytes, table * clusterSize);
    if (storage.size < end * clusterSize) await storage.truncate(end * clusterSize);
    await storage.sync();
    const refcountTable = { fileOffset: table * clusterSize, clusters };
    await writeHeader(storage, {
      ...header,
      unknownAutoclear: NO_BITS,
      ...changes,
      refcountOrder: order,
      refcountTable,
    });
    await deallocate();
  }

  /** Punches holes for free clusters and truncates the file after the last one in use. */
  async function deallocate(): Promise<void> {
    const unused: number[] = [];
    for (const cluster of new Set(update.freed)) if (await refcount(cluster) === 0) unused.push(cluster);
    let last = Math.max(end, Math.ceil(storage.size / clusterSize));
    while (last > 0) {
      const index = Math.floor((last - 1) / clustersPerBlock);
      // A long file may be nearly empty.
      if (!blocks.has(index) && (rebuilds || !oldBlocks.has(index))) last = index * clustersPerBlock;
      else if (await refcount(last - 1) === 0) last--;
      else break;
    }
    await punchHoles(storage, unused.filter((cluster) => cluster < last), clusterSize);
    if (last * clusterSize < storage.size) await storage.truncate(last * clusterSize);
    await storage.sync();
  }

  return {
    storage,
    header,
    geometry,
    context,
    refcount,
    adjustRefcount: adjust,
    addReferences,
    allocate,
    write,
    release,
    isNew: (fileOffset) => newClusters.has(fileOffset / clusterSize),
    commit,
  };
}

/** Writes the changed bytes of the first cluster, and syncs. */
export async function writeHeader(storage: WritableStorage, header: Header): Promise<void> {
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

function refcountTableTooLong(storage: WritableStorage): ImageError {
  const message = `Cannot change "${storage.label}": its refcount table would be longer than ` +
    `${REFCOUNT_TABLE_BYTES_MAX} bytes; use larger clusters or fewer refcount bits`;
  return new ImageError("unsupported", message, { path: storage.label });
}

/** Checks that the refcount blocks are valid, and that they and the tables in the header have refcounts. */
async function checkRefcountStructure(
  storage: WritableStorage,
  header: Header,
  onDisk: OnDiskRefcounts,
): Promise<void> {
  const bad = onDisk.blocks.find(({ problem }) => problem !== null);
  if (bad) throw corruptImage(storage, `entry ${bad.index} of its refcount table ${bad.problem}`, bad.at);
  await checkMetadataRefcounts(storage, header, onDisk.blocks.map(({ fileOffset }) => fileOffset), onDisk.get);
}

/**
 * Returns the clusters with metadata. Each structure must have clusters of its own; an L2 table shared with a snapshot
 * must have a refcount that says so.
 */
async function checkedMetadataRanges(
  storage: WritableStorage,
  header: Header,
  onDisk: OnDiskRefcounts,
): Promise<MetadataRanges> {
  const l1 = await readL1(storage, header.l1);
  const refcountTable = Float64Array.from(onDisk.blocks, ({ fileOffset }) => fileOffset);
  // Another program may have reused the clusters of inconsistent bitmaps.
  const bitmaps = header.bitmapsConsistent ? await readBitmapDirectory(storage, header) : [];
  const metadata = await readMetadataRanges({ storage, header, l1, refcountTable, bitmaps });
  for (let index = 0; index < header.l1.entries; index++) {
    const fileOffset = l2TableOffset(l1, index);
    if (fileOffset === 0 || metadata.at(fileOffset / header.clusterSize) !== "an L2 table of a snapshot") continue;
    if (await onDisk.get(fileOffset / header.clusterSize) > 1) continue;
    throw corruptImage(
      storage,
      `a snapshot has its L2 table of L1 entry ${index}, too, which is counted once`,
      fileOffset,
    );
  }
  return metadata;
}
