/**
 * Computed refcounts: a walk over all references to host clusters (specification, "Host cluster management", "Cluster
 * mapping", "Snapshots", "Bitmaps"), which also reports invalid entries.
 *
 * @module
 */
import { viewOf } from "../../bytes.ts";
import { type CheckContext, type CheckReport, MAX_PROBLEMS, type Problem } from "../../maintenance.ts";
import type { Storage } from "../../storage/types.ts";
import { bitmapTableReservedSet, readBitmapDirectory } from "../bitmaps/read.ts";
import type { Header } from "../header/header.ts";
import { L1_BYTES_MAX } from "../header/types.ts";
import {
  decodeCompressed,
  type Geometry,
  geometryOf,
  hostOffsetOf,
  isCompressed,
  isCopied,
  isZeroFlagged,
  l1ReservedSet,
  l2ReservedSet,
} from "../mapping/l2_entry.ts";
import { type RefcountMap, refcountMap } from "./refcount_map.ts";
import { readPadded } from "../file_reads.ts";
import { readSnapshots } from "../snapshots/read.ts";

/** Collects the problems of an image. */
export interface Findings {
  readonly problems: Problem[];
  corruptions: number;
  leaks: number;
  checkErrors: number;
  note(kind: Problem["kind"], message: string, fileOffset?: number, times?: number): void;
}

/** Returns an empty list of findings. */
export function noFindings(): Findings {
  return {
    problems: [],
    corruptions: 0,
    leaks: 0,
    checkErrors: 0,
    note(kind, message, fileOffset, times = 1) {
      if (kind === "corruption") this.corruptions += times;
      else if (kind === "leak") this.leaks += times;
      else this.checkErrors += times;
      if (this.problems.length >= MAX_PROBLEMS) return;
      this.problems.push({ kind, message, ...(fileOffset !== undefined && { fileOffset }) });
    },
  };
}

/** References are counted up to this many clusters past the end of the file, which bounds the memory for damaged tables. */
const PAST_END = 1 << 24;

/** The state and the results of a walk over an image. */
export interface Walk {
  readonly storage: Storage;
  readonly header: Header;
  readonly geometry: Geometry;
  /** The references to each cluster of the file, and to those of the {@linkcode PAST_END} clusters after it. */
  readonly refcounts: RefcountMap;
  readonly findings: Findings;
  readonly context: CheckContext;
  /** Whether every entry of the active tables points at a cluster and has its "copied" flag (bit 63). */
  allCopied: boolean;
  /** Whether the file ends inside a data cluster. */
  hasTruncatedData: boolean;
  /** Buffer for one L2 table. */
  readonly table: Uint8Array;
  /** Counts of the active clusters, for the report. */
  readonly clusters: { -readonly [name in keyof NonNullable<CheckReport["clusters"]>]: number };
}

/**
 * Computes the refcount of every cluster of an image. The caller adds the references to the refcount structure itself.
 */
export async function computeRefcounts(storage: Storage, header: Header, context: CheckContext): Promise<Walk> {
  const walk: Walk = {
    storage,
    header,
    geometry: geometryOf(header),
    refcounts: refcountMap(),
    findings: noFindings(),
    context,
    allCopied: true,
    hasTruncatedData: false,
    table: new Uint8Array(header.clusterSize),
    clusters: { total: Math.ceil(header.size / header.clusterSize), allocated: 0, fragmented: 0, compressed: 0 },
  };
  addReference(walk, 0, header.clusterSize, "header");
  /** L2 tables by file offset: their number of references, and whether the active L1 table refers to them. */
  const tables = new Map<number, { times: number; active: boolean }>();
  await walkL1(walk, header.l1, "active L1 table", tables, true);
  await walkSnapshots(walk, tables);
  let done = 0;
  for (const [fileOffset, use] of tables) {
    await walkL2(walk, fileOffset, use.times, use.active);
    await context.checkpoint(++done / tables.size);
  }
  await walkBitmaps(walk);
  return walk;
}

/**
 * Adds references to the clusters of the file bytes `[fileOffset, fileOffset + length)`. Clusters past the end of the file
 * are named, too: nothing else may be allocated there.
 */
export function addReference(walk: Walk, fileOffset: number, length: number, what: string, times = 1): void {
  if (length <= 0) return;
  const { storage, geometry: { clusterSize }, refcounts, findings } = walk;
  const end = fileOffset + length;
  // The last cluster of a file may be incomplete.
  if (fileOffset > storage.size || end - storage.size >= clusterSize) {
    findings.note(
      "corruption",
      `The ${what} at byte ${fileOffset} ends at ${end}, past the end of the file`,
      fileOffset,
      times,
    );
  }
  const countedEnd = Math.ceil(storage.size / clusterSize) + PAST_END;
  const clustersEnd = Math.min(Math.ceil(end / clusterSize), countedEnd);
  for (let cluster = Math.floor(fileOffset / clusterSize); cluster < clustersEnd; cluster++) {
    refcounts.add(cluster, times);
  }
}

async function walkL1(
  walk: Walk,
  l1: { readonly fileOffset: number; readonly entries: number },
  what: string,
  tables: Map<number, { times: number; active: boolean }>,
  active: boolean,
  times = 1,
): Promise<void> {
  const { storage, geometry: { clusterSize }, findings } = walk;
  addReference(walk, l1.fileOffset, l1.entries * 8, what, times);
  const bytes = new Uint8Array(l1.entries * 8);
  await readPadded(storage, bytes, l1.fileOffset);
  const view = viewOf(bytes);
  for (let at = 0; at < bytes.length; at += 8) {
    const [high, low] = [view.getUint32(at), view.getUint32(at + 4)];
    if (high === 0 && low === 0) continue;
    const entryOffset = l1.fileOffset + at;
    if (l1ReservedSet(high, low)) {
      findings.note("corruption", `Entry ${at / 8} of the ${what} has reserved bits set`, entryOffset, times);
    }
    if (active && !isCopied(high)) walk.allCopied = false;
    const fileOffset = hostOffsetOf(high, low);
    addReference(walk, fileOffset, clusterSize, `L2 table of entry ${at / 8} of the ${what}`, times);
    if (fileOffset % clusterSize !== 0) {
      findings.note("corruption", `Entry ${at / 8} of the ${what} does not point at a cluster`, entryOffset, times);
      continue;
    }
    if (fileOffset >= storage.size) continue;
    const use = tables.get(fileOffset) ?? { times: 0, active: false };
    tables.set(fileOffset, { times: use.times + times, active: use.active || active });
  }
}

async function walkSnapshots(walk: Walk, tables: Map<number, { times: number; active: boolean }>): Promise<void> {
  const { storage, header, geometry: { clusterSize }, findings } = walk;
  const snapshots = await readSnapshots(storage, header);
  let end = header.snapshots.fileOffset;
  /** L1 tables by file offset and length. A hostile image gives one large table to thousands of snapshots. */
  const l1Tables = new Map<string, { readonly l1: Header["l1"]; readonly what: string; times: number }>();
  for (const snapshot of snapshots) {
    const { l1, id, name, extra, bytes } = snapshot;
    end += bytes;
    const what = `L1 table of snapshot "${id}" ("${name}")`;
    if (header.version === 3 && extra.length < 16) {
      findings.note("corruption", `The entry of snapshot "${id}" ("${name}") is not complete`);
    }
    if (l1.fileOffset % clusterSize !== 0) {
      findings.note("corruption", `The ${what} is not at a cluster`, l1.fileOffset);
    } else if (l1.entries * 8 > L1_BYTES_MAX) {
      findings.note("corruption", `The ${what} is too long`, l1.fileOffset);
    } else {
      const key = `${l1.fileOffset} ${l1.entries}`;
      const table = l1Tables.get(key);
      if (table) table.times++;
      else l1Tables.set(key, { l1, what, times: 1 });
    }
  }
  for (const { l1, what, times } of l1Tables.values()) {
    await walkL1(walk, l1, what, tables, false, times);
    await walk.context.checkpoint();
  }
  addReference(walk, header.snapshots.fileOffset, end - header.snapshots.fileOffset, "snapshot table");
}

async function walkL2(walk: Walk, fileOffset: number, times: number, active: boolean): Promise<void> {
  const { geometry, table } = walk;
  await readPadded(walk.storage, table, fileOffset);
  const view = viewOf(table);
  const position = { next: 0, active, at: 0 };
  const wrong = (problem: string) => {
    const entryOffset = fileOffset + position.at;
    walk.findings.note("corruption", `The L2 entry at byte ${entryOffset} ${problem}`, entryOffset, times);
  };
  eachEntry(table, geometry.l2EntryBytes, (at) => {
    position.at = at;
    const bits = geometry.extended ? { zero: view.getUint32(at + 8), used: view.getUint32(at + 12) } : NO_BITS;
    walkEntry(walk, { high: view.getUint32(at), low: view.getUint32(at + 4), ...bits }, times, position, wrong);
  });
}

const NO_BITS = { zero: 0, used: 0 };

/** Calls `visit` with the byte offset of every entry of an L2 table that is not all zero; in large tables most are. */
export function eachEntry(table: Uint8Array, entryBytes: number, visit: (at: number) => void): void {
  const words = new Uint32Array(table.buffer, table.byteOffset, table.length / 4);
  const step = entryBytes / 4;
  for (let word = 0; word < words.length; word += 8) {
    // The shortest table has 512 bytes, a multiple of eight words.
    const some = words[word]! | words[word + 1]! | words[word + 2]! | words[word + 3]! | words[word + 4]! |
      words[word + 5]! | words[word + 6]! | words[word + 7]!;
    if (some === 0) continue;
    for (let entry = word; entry < word + 8; entry += step) {
      const used = step === 2 ? 0 : words[entry + 2]! | words[entry + 3]!;
      if ((words[entry]! | words[entry + 1]! | used) !== 0) visit(entry * 4);
    }
  }
}

/** The position of the walk in an L2 table, and the end of the last host cluster, which shows fragmentation. */
interface Position {
  next: number;
  /** Byte offset of the current entry in its table. */
  at: number;
  readonly active: boolean;
}

function walkEntry(
  walk: Walk,
  { high, low, zero, used }: { high: number; low: number; zero: number; used: number },
  times: number,
  position: Position,
  wrong: (problem: string) => void,
): void {
  const { geometry, header, clusters } = walk;
  if (isCompressed(high)) return walkCompressed(walk, high, low, (zero | used) !== 0, times, position, wrong);
  if (l2ReservedSet(high, low, geometry.extended)) wrong("has reserved bits set");
  const host = hostOffsetOf(high, low);
  if (host === 0 && !(header.externalData && isCopied(high))) {
    if (used !== 0) wrong("has data in subclusters, but no cluster");
    return;
  }
  if (position.active && (!isCopied(high) || host % geometry.clusterSize !== 0)) walk.allCopied = false;
  if ((zero & used) !== 0) wrong("has a subcluster that is both zero and data");
  if (host % geometry.clusterSize !== 0) {
    const holds = geometry.extended ? used !== 0 : !isZeroFlagged(low);
    return wrong(`points at byte ${host}, which is no cluster${holds ? "" : ", though only zeroes are kept there"}`);
  }
  if (position.active) {
    clusters.allocated++;
    if (position.next !== 0 && host !== position.next) clusters.fragmented++;
    position.next = host + geometry.clusterSize;
  }
  if (header.externalData) return;
  addReference(walk, host, geometry.clusterSize, "data cluster", times);
  if (host + geometry.clusterSize > walk.storage.size) walk.hasTruncatedData = true;
}

function walkCompressed(
  walk: Walk,
  high: number,
  low: number,
  hasBits: boolean,
  times: number,
  position: Position,
  wrong: (problem: string) => void,
): void {
  const { header, clusters } = walk;
  if (isCopied(high)) wrong("is compressed, but has its copied flag (bit 63) set");
  if (header.externalData) return wrong("is compressed, which an image with external data cannot have");
  if (hasBits) return wrong("is compressed and has subclusters");
  const { fileOffset, length } = decodeCompressed(header.clusterBits, high & 0x7fffffff, low);
  addReference(walk, fileOffset, length, "compressed data", times);
  if (!position.active) return;
  clusters.allocated++;
  clusters.compressed++;
  clusters.fragmented++;
}

async function walkBitmaps(walk: Walk): Promise<void> {
  const { storage, header, geometry: { clusterSize }, findings } = walk;
  if (header.bitmaps === null || !header.bitmapsConsistent) return;
  addReference(walk, header.bitmaps.directoryFileOffset, header.bitmaps.directorySize, "bitmap directory");
  for (const { name, table } of await readBitmapDirectory(storage, header)) {
    addReference(walk, table.fileOffset, table.entries * 8, `table of bitmap "${name}"`);
    const bytes = new Uint8Array(table.entries * 8);
    await readPadded(storage, bytes, table.fileOffset);
    const view = viewOf(bytes);
    for (let at = 0; at < bytes.length; at += 8) {
      const [high, low] = [view.getUint32(at), view.getUint32(at + 4)];
      const fileOffset = hostOffsetOf(high, low);
      if (bitmapTableReservedSet(high, low) || fileOffset % clusterSize !== 0) {
        findings.note(
          "corruption",
          `Entry ${at / 8} of the table of bitmap "${name}" is not valid`,
          table.fileOffset + at,
        );
      } else if (fileOffset !== 0) {
        addReference(walk, fileOffset, clusterSize, `cluster of bitmap "${name}"`);
      }
    }
    await walk.context.checkpoint();
  }
}
