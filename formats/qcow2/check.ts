/**
 * Check of an image: on-disk refcounts against computed refcounts, and the "copied" flags (bit 63) of L1 and L2
 * entries.
 *
 * @module
 */
import { inlineDecompressor } from "../codec/decompress.ts";
import { missingBytesOf } from "../extent.ts";
import { openQcow2 } from "./open.ts";
import { viewOf } from "../bytes.ts";
import { type CheckContext, type CheckReport, stageContext } from "../maintenance.ts";
import type { Storage } from "../storage/types.ts";
import { addReference, computeRefcounts, eachEntry, type Findings, type Walk } from "./refcounts/compute_refcounts.ts";
import { type Header, readHeader } from "./header/header.ts";
import { hostOffsetOf, isCompressed, isCopied } from "./mapping/l2_entry.ts";
import { readPadded } from "./file_reads.ts";
import { type OnDiskRefcounts, readOnDiskRefcounts, refcountOrInfinity } from "./refcounts/on_disk_refcounts.ts";

/**
 * Checks the image in `storage`.
 *
 * @throws ImageError where the image does not open
 *
 * @example
 * ```ts
 * import { checkQcow2 } from "./check.ts";
 * import { createQcow2 } from "./create.ts";
 * import { inlineCompressor as compressor } from "../codec/compress.ts";
 * import { MemoryStorage } from "../storage/memory.ts";
 * import assert from "node:assert/strict";
 *
 * const storage = new MemoryStorage();
 * const plan = { size: 1 << 20, options: {}, backing: null, compress: false };
 * const createNamed = () => Promise.reject();
 * await (await createQcow2(storage, plan, { createNamed, backing: null, compressor })).finish();
 * const context = { checkpoint: () => Promise.resolve(), openNamed: () => Promise.reject() };
 * const report = await checkQcow2(storage, context);
 * assert.deepEqual([report.corruptions, report.leaks, report.imageEnd], [0, 0, 4 * 65536]);
 * ```
 */
export async function checkQcow2(storage: Storage, context: CheckContext): Promise<CheckReport> {
  const header = await readHeader(storage);
  const comparison = await compareRefcounts(storage, header, stageContext(context, 0, 0.7));
  const { onDisk } = comparison;
  // Where every flag is set and every refcount is 1, all flags are right, and the tables need not be read again.
  if (!comparison.allOnes || !comparison.walk.allCopied) {
    await checkCopiedFlags(comparison, stageContext(context, 0.7, 1), onDisk);
  }
  const { findings, clusters, hasTruncatedData } = comparison.walk;
  if (hasTruncatedData && findings.corruptions === 0) await checkLastCluster(storage, context, findings);
  const { problems, corruptions, leaks, checkErrors } = findings;
  return {
    problems,
    corruptions,
    leaks,
    checkErrors,
    imageEnd: (comparison.highest + 1) * header.clusterSize,
    clusters,
  };
}

/**
 * Notes the bytes that the file lacks of its last cluster. Those past the end of the disk, and subclusters that are not
 * allocated, need not be there.
 */
async function checkLastCluster(storage: Storage, { openNamed }: CheckContext, findings: Findings): Promise<void> {
  const disk = await openQcow2(storage, { decompressor: inlineDecompressor, openNamed });
  const { bytes } = await missingBytesOf(disk);
  if (bytes === 0) return;
  const message = `The file ends at byte ${storage.size}, inside a data cluster: ${bytes} bytes are missing`;
  findings.note("corruption", message, storage.size);
}

/** The computed and the on-disk refcounts of an image, compared. */
export interface RefcountComparison {
  readonly walk: Walk;
  readonly onDisk: OnDiskRefcounts;
  /** The last cluster in use. */
  readonly highest: number;
  /** Whether refcount blocks or their table are damaged, so that they must be rebuilt. */
  readonly rebuild: boolean;
  /** Whether a refcount is too low, or above any possible value. */
  readonly unreliable: boolean;
  /** Whether every cluster with references has the refcount 1. */
  readonly allOnes: boolean;
}

/** Computes the refcounts of an image and compares the on-disk ones with them. */
export async function compareRefcounts(
  storage: Storage,
  header: Header,
  context: CheckContext,
): Promise<RefcountComparison> {
  const walk = await computeRefcounts(storage, header, stageContext(context, 0, 0.7));
  const onDisk = await readOnDiskRefcounts(storage, header);
  const { clusterSize, refcountTable } = header;
  addReference(walk, refcountTable.fileOffset, refcountTable.clusters * clusterSize, "refcount table");
  let rebuild = false;
  for (const { index, at, fileOffset, problem } of onDisk.blocks) {
    if (problem !== null) {
      walk.findings.note("corruption", `Entry ${index} of the refcount table ${problem}`, at);
      rebuild = true;
      continue;
    }
    addReference(walk, fileOffset, clusterSize, `refcount block ${index}`);
    const cluster = fileOffset / clusterSize;
    if (walk.refcounts.get(cluster) === 1) continue;
    const times = walk.refcounts.get(cluster);
    walk.findings.note("corruption", `The refcount block ${index} is referred to ${times} times`, at);
    rebuild = true;
  }
  return { walk, onDisk, ...await compareBlocks(walk, onDisk, rebuild, stageContext(context, 0.7, 1)) };
}

async function compareBlocks(
  walk: Walk,
  onDisk: OnDiskRefcounts,
  damaged: boolean,
  context: CheckContext,
): Promise<Pick<RefcountComparison, "highest" | "rebuild" | "unreliable" | "allOnes">> {
  const { refcounts, findings, header } = walk;
  const { clusterSize, refcountOrder: order } = header;
  const clusters = Math.ceil(walk.storage.size / clusterSize);
  const { clustersPerBlock } = onDisk;
  let rebuild = damaged;
  let unreliable = false;
  let allOnes = true;
  let highest = 0;
  for (let index = 0; index * clustersPerBlock < clusters; index++) {
    const block = await onDisk.blockAt(index);
    const end = Math.min(clusters, (index + 1) * clustersPerBlock);
    // Without a block all on-disk refcounts are 0, so only clusters with references can differ.
    let cluster = block === null ? refcounts.skipTo(index * clustersPerBlock) : index * clustersPerBlock;
    for (; cluster < end; cluster++) {
      const has = block === null ? 0 : refcountOrInfinity(block, order, cluster - index * clustersPerBlock);
      const needs = refcounts.get(cluster);
      if (has > 0 || needs > 0) highest = cluster;
      if (needs > 0 && has !== 1) allOnes = false;
      if (has === needs) continue;
      const message = `Cluster ${cluster} has the refcount ${has}, and ${needs} references`;
      findings.note(has < needs ? "corruption" : "leak", message, cluster * clusterSize);
      unreliable ||= has < needs || has === Infinity;
      rebuild ||= block === null;
    }
    // A gap in a sparse file may span many blocks.
    if (block === null && cluster >= end) {
      index = Math.max(index, Math.floor(Math.min(cluster, clusters) / clustersPerBlock) - 1);
    }
    await context.checkpoint(Math.min(1, (index + 1) * clustersPerBlock / clusters));
  }
  return { highest, rebuild, unreliable, allOnes };
}

/** A wrong "copied" flag (bit 63) in the active tables. */
export interface WrongFlag {
  /** File offsets of the table and of the entry in it. */
  readonly table: number;
  readonly at: number;
  readonly copied: boolean;
}

/**
 * Compares bit 63 of every entry of the active L1 and L2 tables with the refcount of the cluster that the entry points
 * at.
 *
 * @returns the entries whose flag is wrong
 */
export async function checkCopiedFlags(
  { walk }: RefcountComparison,
  context: CheckContext,
  refcounts: Pick<OnDiskRefcounts, "peek" | "get">,
): Promise<WrongFlag[]> {
  const { storage, header, geometry, findings } = walk;
  const { clusterSize } = header;
  const wrong: WrongFlag[] = [];
  const checkFlag = (high: number, table: number, at: number, what: string, found: number) => {
    if ((found === 1) === isCopied(high)) return;
    wrong.push({ table, at, copied: found === 1 });
    findings.note("corruption", `The ${what} entry at byte ${at} is marked wrongly: the refcount is ${found}`, at);
  };
  const l1 = new Uint8Array(header.l1.entries * 8);
  await readPadded(storage, l1, header.l1.fileOffset);
  const l1View = viewOf(l1);
  const l2 = new Uint8Array(clusterSize);
  const l2View = viewOf(l2);
  for (let at = 0; at < l1.length; at += 8) {
    const high = l1View.getUint32(at);
    const table = hostOffsetOf(high, l1View.getUint32(at + 4));
    if (table === 0) continue;
    const entryOffset = header.l1.fileOffset + at;
    checkFlag(high, header.l1.fileOffset, entryOffset, "L1", await refcounts.get(Math.floor(table / clusterSize)));
    if (table % clusterSize !== 0) continue;
    await readPadded(storage, l2, table);
    const later: { readonly high: number; readonly nth: number; readonly cluster: number }[] = [];
    eachEntry(l2, geometry.l2EntryBytes, (nth) => {
      const high = l2View.getUint32(nth);
      const host = hostOffsetOf(high, l2View.getUint32(nth + 4));
      if (isCompressed(high) || (host === 0 && !(header.externalData && isCopied(high)))) return;
      const cluster = Math.floor(host / clusterSize);
      const count = header.externalData ? 1 : refcounts.peek(cluster);
      if (count !== undefined) checkFlag(high, table, table + nth, "L2", count);
      else later.push({ high, nth, cluster });
    });
    for (const { high, nth, cluster } of later) {
      checkFlag(high, table, table + nth, "L2", refcounts.peek(cluster) ?? await refcounts.get(cluster));
    }
    await context.checkpoint(at / l1.length);
  }
  return wrong;
}
