/**
 * An image being written, new or existing: its tables, its clusters, and the order in which they reach the file.
 *
 * @module
 */
import { inlineDecompressor } from "../codec/decompress.ts";
import { alignDown } from "../bytes.ts";
import type { GuestReader } from "../guest_reader.ts";
import { ImageError } from "../errors.ts";
import type { WritableStorage } from "../storage/types.ts";
import { encodeHeader, type Header } from "./header/header.ts";
import { readPadded } from "./file_reads.ts";
import { type Geometry, geometryOf } from "./mapping/l2_entry.ts";
import { extentAt, type Mapping } from "./mapping/mapping.ts";
import { readGuest } from "./clusters/read.ts";
import type { ClusterSource } from "./clusters/source.ts";
import type { RefcountMap } from "./refcounts/refcount_map.ts";
import type { MetadataRanges } from "./metadata_overlap.ts";
import { type Allocator, allocatorOf, type RefcountTableLocation } from "./refcounts/allocator.ts";
import { type Tables, tablesOf } from "./mapping/write_tables.ts";

/** Bounds of the memory that an image being written takes. */
export interface Limits {
  /** Bytes of L2 tables in the cache. */
  readonly l2Bytes: number;
  /** Bytes of refcount blocks in the cache. */
  readonly refcountBytes: number;
  /** References that wait for {@linkcode Image.release} to take effect; when there are more, a commit is due. */
  readonly pendingReleases: number;
}

/** Enough for 128 GiB of disk and 4 TiB of file, with clusters of 64 KiB. */
export const EDIT_LIMITS: Limits = { l2Bytes: 16 << 20, refcountBytes: 4 << 20, pendingReleases: 1 << 16 };

/** A new image is written from front to end, so it needs few tables at a time. */
export const CREATE_LIMITS: Limits = { ...EDIT_LIMITS, l2Bytes: 4 << 20 };

/** An image being written. */
export interface Image {
  /** The header that is written next. */
  header: Header;
  readonly geometry: Geometry;
  readonly storage: WritableStorage;
  /** Storage of uncompressed clusters: the image file, or the external data file. */
  readonly data: WritableStorage;
  readonly allocator: Allocator;
  readonly tables: Tables;
  /**
   * Clusters with metadata, which guest data must not overwrite; absent for a new image, whose entries are all written
   * by this program.
   */
  readonly metadata?: MetadataRanges | undefined;
  /** Whether the image is being created. */
  readonly isNew: boolean;
  /** Whether zeroed clusters keep their host cluster. */
  readonly keepsAllocations: boolean;
  /** Bytes of {@linkcode data} from this offset on read as zeroes until they are written. */
  readonly zeroedFrom: number;
  /** Opens the backing file, whose contents show in unallocated clusters; null where there is none. */
  openBacking(): Promise<GuestReader | null>;
  /** Fills `into` with guest bytes of this layer alone; unallocated clusters read as zeroes. */
  readLayer(into: Uint8Array, guestStart: number): Promise<void>;
  readonly mapping: Mapping;
  /** Releases a reference to `cluster` with the next commit, after no pointer to it is left on disk. */
  release(cluster: number): void;
  /** Whether {@linkcode commit} must be called. */
  readonly commitDue: boolean;
  /** How many times references were released. Clusters that were in use at an earlier number may be free now. */
  readonly releases: number;
  /** Writes all tables, in an order in which no pointer on disk precedes its target. */
  commit(): Promise<void>;
}

/** Parameters of {@linkcode imageOf}. */
export interface ImageSetup {
  readonly header: Header;
  readonly storage: WritableStorage;
  readonly data: WritableStorage;
  /** The active L1 table as on disk. */
  readonly l1: DataView;
  /** The refcount table; see `AllocatorSetup`. */
  readonly refcountTable: Float64Array;
  /** The cluster after the last one in use inside the file. */
  readonly end: number;
  /** See {@linkcode Image}. */
  readonly metadata?: MetadataRanges | undefined;
  /** The references to each cluster when the image was opened; absent for a new image. */
  readonly references?: RefcountMap | undefined;
  readonly isNew: boolean;
  readonly keepsAllocations: boolean;
  readonly limits: Limits;
  openBacking(): Promise<GuestReader | null>;
}

/** Returns an image being written. */
export function imageOf(setup: ImageSetup): Image {
  const { storage, data, isNew, limits, metadata } = setup;
  const geometry = geometryOf(setup.header);
  let header = setup.header;
  let pending: number[] = [];
  let releases = 0;
  const release = (cluster: number) => void pending.push(cluster);

  const allocator = allocatorOf({
    storage,
    clusterSize: geometry.clusterSize,
    refcountOrder: header.refcountOrder,
    tableLocation: header.refcountTable,
    table: setup.refcountTable,
    end: setup.end,
    metadata,
    references: setup.references,
    isNew,
    cacheBytes: limits.refcountBytes,
    async onTableMoved(old: readonly RefcountTableLocation[]) {
      header = { ...header, refcountTable: allocator.tableLocation };
      if (!isNew) await storage.writeAt(encodeHeader(header), 0);
      for (const { fileOffset, clusters } of old) {
        metadata?.remove(fileOffset / geometry.clusterSize, clusters);
        for (let nth = 0; nth < clusters; nth++) release(fileOffset / geometry.clusterSize + nth);
      }
    },
  });

  async function syncReferenced(): Promise<void> {
    await allocator.flush();
    if (isNew) return;
    if (data !== storage) await data.sync();
    await storage.sync();
  }

  const tables = tablesOf({
    storage,
    clusterSize: geometry.clusterSize,
    l1: setup.l1,
    l1FileOffset: header.l1.fileOffset,
    allocator,
    metadata,
    isNew,
    cacheBytes: limits.l2Bytes,
    syncReferenced,
    release,
  });

  async function commit(): Promise<void> {
    while (true) {
      await syncReferenced();
      await tables.flushL2();
      if (!isNew) await storage.sync();
      await tables.flushL1();
      if (pending.length === 0) break;
      if (!isNew) await storage.sync();
      const now = pending;
      pending = [];
      const freed: number[] = [];
      for (const cluster of now) if (await allocator.decrement(cluster) === 0) freed.push(cluster);
      await punchHoles(storage, freed, geometry.clusterSize);
      releases++;
    }
    await allocator.flush();
  }

  const mapping: Mapping = {
    geometry,
    version: header.version,
    externalData: header.externalData,
    label: storage.label,
    get fileSize() {
      return Math.max(storage.size, allocator.end * geometry.clusterSize);
    },
    l1: tables.l1,
    tables: tables.cache,
    data,
  };
  // Decompressed clusters are not cached: they may be overwritten.
  const decompressed = { get: () => undefined, set: () => {} };
  const source: ClusterSource = {
    mapping,
    storage,
    data,
    // Of a cluster that is being written, the file may hold the first bytes only.
    readData: readPadded,
    compressionType: header.compressionType,
    decompressed,
    decompress: inlineDecompressor,
  };

  return {
    get header() {
      return header;
    },
    set header(value) {
      header = value;
    },
    geometry,
    storage,
    data,
    allocator,
    tables,
    metadata,
    isNew,
    keepsAllocations: setup.keepsAllocations,
    zeroedFrom: isNew && data.startsZeroed ? 0 : data.size,
    openBacking: setup.openBacking,
    readLayer: (into, guestStart) => readGuest(source, into, guestStart),
    mapping,
    release,
    get commitDue() {
      return !isNew && (tables.nearlyFull || pending.length >= limits.pendingReleases);
    },
    get releases() {
      return releases;
    },
    commit,
  };
}

/** Punches holes for the freed `clusters`, where the host can zero cheaply. */
export async function punchHoles(storage: WritableStorage, clusters: number[], clusterSize: number): Promise<void> {
  if (!storage.zeroesCheaply) return;
  clusters.sort((a, b) => a - b);
  for (let from = 0; from < clusters.length;) {
    let to = from + 1;
    while (to < clusters.length && clusters[to] === clusters[to - 1]! + 1) to++;
    const end = Math.min((clusters[to - 1]! + 1) * clusterSize, storage.size);
    const start = clusters[from]! * clusterSize;
    if (end > start) await storage.zeroAt(start, end);
    from = to;
  }
}

/**
 * Returns the backing file, or null where the header names none.
 *
 * @throws ImageError `unsupported` where the header names one that is not open
 */
export async function openedBacking(image: Image): Promise<GuestReader | null> {
  if (image.header.backing === null) return null;
  const backing = await image.openBacking();
  if (backing !== null) return backing;
  throw new ImageError(
    "unsupported",
    `Cannot change a part of a cluster of "${image.storage.label}": the rest must come from its backing file ` +
      `"${image.header.backing.name}", which is not open`,
    { path: image.storage.label },
  );
}

/** Whether the tables of all layers say that the guest bytes `[from, to)` read as zeroes; reads no data. */
export async function knownZero(image: Image, from: number, to: number): Promise<boolean> {
  const end = Math.min(to, image.header.size);
  for (let at = from; at < end;) {
    const extent = await extentAt(image.mapping, at, end);
    if (extent.kind === "data") return false;
    if (extent.kind === "hole" && !await backingReadsZero(image, at, extent.end)) return false;
    at = extent.end;
  }
  return true;
}

async function backingReadsZero(image: Image, from: number, to: number): Promise<boolean> {
  const backing = await openedBacking(image);
  if (backing === null) return true;
  const end = Math.min(to, backing.size);
  for (let at = from; at < end;) {
    const extent = await backing.extentAt(at, end);
    if (extent.kind === "data") return false;
    at = extent.end;
  }
  return true;
}

/** Fills `into` with guest bytes from `from` on, backing file included; zeroes past the end of the disk. */
export async function readWithBacking(image: Image, into: Uint8Array, from: number): Promise<void> {
  const end = Math.min(from + into.length, image.header.size);
  into.fill(0, Math.max(0, end - from));
  for (let at = from; at < end;) {
    const extent = await extentAt(image.mapping, at, end);
    const part = into.subarray(at - from, extent.end - from);
    if (extent.kind === "data") await image.readLayer(part, at);
    else if (extent.kind === "zero") part.fill(0);
    else await readBacking(image, part, at);
    at = extent.end;
  }
}

async function readBacking(image: Image, into: Uint8Array, from: number): Promise<void> {
  const backing = await openedBacking(image);
  const there = backing === null ? 0 : Math.max(0, Math.min(into.length, backing.size - from));
  into.fill(0, there);
  if (there > 0) await backing!.read(into.subarray(0, there), from);
}

/** Returns the guest offset of the start of the cluster that holds `guestOffset`. */
export function clusterStart(image: Image, guestOffset: number): number {
  return alignDown(guestOffset, image.geometry.clusterSize);
}
