/**
 * The core of an image being written, new or old: its tables, its clusters, and the order in which they reach the file.
 *
 * @module
 */
import { alignDown } from "../bytes.ts";
import type { GuestReader } from "../contract.ts";
import { ImageError } from "../errors.ts";
import type { WritableStorage } from "../storage/types.ts";
import { encodeHeader, type Header } from "./header/header.ts";
import { type Geometry, geometryOf } from "./mapping/l2_entry.ts";
import { extentAt, type Mapping } from "./mapping/mapping.ts";
import { readGuest, type Source } from "./clusters/read.ts";
import type { MetadataRanges } from "./metadata_overlap.ts";
import { type Refcounts, refcountsOf, type TablePlace } from "./refcounts/refcounts.ts";
import { type Tables, tablesOf } from "./mapping/tables_write.ts";

/** How much of an image is held in memory. */
export interface Limits {
  /** Bytes of L2 tables. */
  readonly l2Bytes: number;
  /** Bytes of refcount blocks. */
  readonly refcountBytes: number;
  /** References that wait to be taken away, before the image is written out. */
  readonly releases: number;
}

/** Enough for 128 GiB of disk and 4 TiB of file, with clusters of 64 KiB. */
export const USUAL_LIMITS: Limits = { l2Bytes: 16 << 20, refcountBytes: 4 << 20, releases: 1 << 16 };

/** A new image is written from front to end: few tables are at hand at a time. */
export const NEW_LIMITS: Limits = { ...USUAL_LIMITS, l2Bytes: 4 << 20 };

/** An image being written. */
export interface Image {
  /** As it will be written next. */
  header: Header;
  readonly geometry: Geometry;
  readonly storage: WritableStorage;
  /** Where uncompressed clusters lie: the image file, or the external data file. */
  readonly data: WritableStorage;
  readonly refcounts: Refcounts;
  readonly tables: Tables;
  /** Where tables lie, which guest data must keep out of; absent for a new image, whose entries are all its own. */
  readonly places?: MetadataRanges | undefined;
  /** Whether this is a new image. */
  readonly fresh: boolean;
  /** Whether zeroed clusters keep their place in the file. */
  readonly keepsPlaces: boolean;
  /** From this offset of {@linkcode data} on, what was never written reads as zeroes. */
  readonly zeroedFrom: number;
  /** What shows where this image states nothing; null where it has no backing file. */
  below(): Promise<GuestReader | null>;
  /** Fills `into` with this layer's guest bytes; where it states nothing, with zeroes. */
  readOwn(into: Uint8Array, guestStart: number): Promise<void>;
  readonly mapping: Mapping;
  /** Takes away a reference to `cluster` later, when nothing on disk points at it any more. */
  release(cluster: number): void;
  /** Whether it is time for {@linkcode commit}. */
  readonly crowded: boolean;
  /** How often references were taken away; what was free before may be in use after. */
  readonly releases: number;
  /** Writes everything in an order that never leaves a pointer to what is not there. */
  commit(): Promise<void>;
}

/** What {@linkcode imageOf} needs. */
export interface ImageSetup {
  readonly header: Header;
  readonly storage: WritableStorage;
  readonly data: WritableStorage;
  /** The active L1 table as on disk. */
  readonly l1: Uint8Array;
  /** The refcount table; see `RefcountsSetup`. */
  readonly refcountTable: Float64Array;
  /** The cluster after the last one in use that the file has. */
  readonly end: number;
  /** See {@linkcode Image}. */
  readonly places?: MetadataRanges | undefined;
  readonly fresh: boolean;
  readonly keepsPlaces: boolean;
  readonly limits: Limits;
  below(): Promise<GuestReader | null>;
}

/** The image that `setup` describes. */
export function imageOf(setup: ImageSetup): Image {
  const { storage, data, fresh, limits, places } = setup;
  const geometry = geometryOf(setup.header);
  let header = setup.header;
  let pending: number[] = [];
  let releases = 0;
  const release = (cluster: number) => void pending.push(cluster);

  const refcounts = refcountsOf({
    storage,
    clusterSize: geometry.clusterSize,
    refcountOrder: header.refcountOrder,
    place: header.refcountTable,
    table: setup.refcountTable,
    end: setup.end,
    places,
    fresh,
    cacheBytes: limits.refcountBytes,
    async moved(old: readonly TablePlace[]) {
      header = { ...header, refcountTable: refcounts.place };
      if (!fresh) await storage.writeAt(encodeHeader(header), 0);
      for (const { fileOffset, clusters } of old) {
        places?.remove(fileOffset / geometry.clusterSize, clusters);
        for (let nth = 0; nth < clusters; nth++) release(fileOffset / geometry.clusterSize + nth);
      }
    },
  });

  async function settle(): Promise<void> {
    await refcounts.flush();
    if (fresh) return;
    if (data !== storage) await data.sync();
    await storage.sync();
  }

  const tables = tablesOf({
    storage,
    clusterSize: geometry.clusterSize,
    l1: setup.l1,
    l1FileOffset: header.l1.fileOffset,
    refcounts,
    places,
    fresh,
    cacheBytes: limits.l2Bytes,
    settle,
    release,
  });

  async function commit(): Promise<void> {
    while (true) {
      await settle();
      await tables.flushL2();
      if (!fresh) await storage.sync();
      await tables.flushL1();
      if (pending.length === 0) break;
      if (!fresh) await storage.sync();
      const now = pending;
      pending = [];
      const freed: number[] = [];
      for (const cluster of now) if (await refcounts.decrement(cluster) === 0) freed.push(cluster);
      await giveBack(storage, freed, geometry.clusterSize);
      releases++;
    }
    await refcounts.flush();
  }

  const mapping: Mapping = {
    geometry,
    version: header.version,
    externalData: header.externalData,
    label: storage.label,
    get fileSize() {
      return Math.max(storage.size, refcounts.end * geometry.clusterSize);
    },
    l1: tables.l1,
    tables: tables.cache,
    data,
  };
  // Decompressed clusters are not kept: they may be written over.
  const decompressed = { get: () => undefined, set: () => {} };
  const source: Source = { mapping, storage, data, compressionType: header.compressionType, decompressed };

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
    refcounts,
    tables,
    places,
    fresh,
    keepsPlaces: setup.keepsPlaces,
    zeroedFrom: fresh && data.startsZeroed ? 0 : data.size,
    below: setup.below,
    readOwn: (into, guestStart) => readGuest(source, into, guestStart),
    mapping,
    release,
    get crowded() {
      return !fresh && (tables.crowded || pending.length >= limits.releases);
    },
    get releases() {
      return releases;
    },
    commit,
  };
}

/** Gives the space of freed clusters back to the host. */
export async function giveBack(storage: WritableStorage, clusters: number[], clusterSize: number): Promise<void> {
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

/** What shows beneath an image that states nothing at a place, which it must be possible to read. */
export async function belowOf(image: Image): Promise<GuestReader | null> {
  if (image.header.backing === null) return null;
  const below = await image.below();
  if (below !== null) return below;
  throw new ImageError(
    "unsupported",
    `Cannot change a part of a cluster of "${image.storage.label}": the rest must come from its backing file ` +
      `"${image.header.backing.name}", which is not open`,
    { path: image.storage.label },
  );
}

/** Whether all of `[from, to)` is known to read as zeroes without reading data. */
export async function knownZero(image: Image, from: number, to: number): Promise<boolean> {
  const end = Math.min(to, image.header.size);
  for (let at = from; at < end;) {
    const run = await extentAt(image.mapping, at, end);
    if (run.kind === "data") return false;
    if (run.kind === "hole" && !await zeroBelow(image, at, run.end)) return false;
    at = run.end;
  }
  return true;
}

async function zeroBelow(image: Image, from: number, to: number): Promise<boolean> {
  const below = await belowOf(image);
  if (below === null) return true;
  const end = Math.min(to, below.size);
  for (let at = from; at < end;) {
    const run = await below.extentAt(at, end);
    if (run.kind === "data") return false;
    at = run.end;
  }
  return true;
}

/** Fills `into` with guest bytes from `from` on as a reader sees them; zeroes past the end of the disk. */
export async function readThrough(image: Image, into: Uint8Array, from: number): Promise<void> {
  const end = Math.min(from + into.length, image.header.size);
  into.fill(0, Math.max(0, end - from));
  for (let at = from; at < end;) {
    const run = await extentAt(image.mapping, at, end);
    const part = into.subarray(at - from, run.end - from);
    if (run.kind === "data") await image.readOwn(part, at);
    else if (run.kind === "zero") part.fill(0);
    else await readBelow(image, part, at);
    at = run.end;
  }
}

async function readBelow(image: Image, into: Uint8Array, from: number): Promise<void> {
  const below = await belowOf(image);
  const there = below === null ? 0 : Math.max(0, Math.min(into.length, below.size - from));
  into.fill(0, there);
  if (there > 0) await below!.read(into.subarray(0, there), from);
}

/** The guest offset where the cluster of `guestOffset` begins. */
export function clusterStart(image: Image, guestOffset: number): number {
  return alignDown(guestOffset, image.geometry.clusterSize);
}
