/**
 * Repair of an image: refcounts become the computed ones, and "copied" flags follow. All in one transaction.
 *
 * @module
 */
import { l2TableOffset } from "./mapping/l2_entry.ts";
import { readL1 } from "./mapping/mapping.ts";
import { type CheckContext, type RepairScope, stageContext } from "../maintenance.ts";
import type { WritableStorage } from "../storage/types.ts";
import { checkCopiedFlags, checkQcow2, compareRefcounts, type RefcountComparison } from "./check.ts";
import { computeRefcounts } from "./refcounts/compute_refcounts.ts";
import { ImageError } from "../errors.ts";
import { type Header, NO_BITS, readHeader } from "./header/header.ts";
import { beginTransaction, type Transaction, writeHeader } from "./transaction/transaction.ts";
import { updateCopiedFlags, writeL1 } from "./transaction/l1_tables.ts";

/**
 * Repairs the image in `storage`: its leaks, or everything that can be repaired without guessing. Clears the dirty and
 * corrupt bits where a check then finds no error.
 *
 * @throws ImageError where the image does not open
 */
export async function repairQcow2(storage: WritableStorage, what: RepairScope, context: CheckContext): Promise<void> {
  const header = await readHeader(storage);
  const comparison = await compareRefcounts(storage, header, stageContext(context, 0, 0.4));
  refuseUnknownReferences(storage, header, comparison);
  const repairing = stageContext(context, 0.4, 0.8);
  const wrongCounts = comparison.rebuild || comparison.unreliable;
  if (what === "leaks") {
    if (comparison.walk.findings.leaks > 0 && !comparison.rebuild) {
      await freeLeaks(storage, header, comparison, repairing);
    }
  } else if (wrongCounts) {
    await rebuildRefcounts(storage, header, repairing);
  } else {
    const wrong = await checkCopiedFlags(comparison, repairing, {
      peek: comparison.walk.refcounts.get,
      get: (cluster) => Promise.resolve(comparison.walk.refcounts.get(cluster)),
    });
    if (comparison.walk.findings.leaks > 0 || wrong.length > 0) {
      await repairInPlace(storage, header, comparison, repairing);
    }
  }
  await clearMarks(storage, stageContext(context, 0.8, 1));
}

/**
 * Refuses to free clusters of an image with unknown header extensions: they may refer to these clusters.
 *
 * @throws ImageError `unsupported`
 */
function refuseUnknownReferences({ label }: WritableStorage, header: Header, { walk }: RefcountComparison): void {
  const [extension] = header.unknownExtensions;
  if (extension === undefined || walk.findings.leaks === 0) return;
  const message =
    `Cannot repair "${label}": ${walk.findings.leaks} clusters that no known table refers to would be freed, ` +
    `and its header extension 0x${extension.type.toString(16)}, which is unknown here, may refer to them`;
  throw new ImageError("unsupported", message, { path: label });
}

/** Frees clusters without references. Refcounts that are too low stay. */
async function freeLeaks(
  storage: WritableStorage,
  header: Header,
  comparison: RefcountComparison,
  context: CheckContext,
): Promise<void> {
  // A cluster whose last other reference is released needs its "copied" flag, so the flags are repaired too.
  if (!comparison.unreliable) return await repairInPlace(storage, header, comparison, context);
  // The remaining refcounts are unreliable, both for finding free clusters and for flags.
  const refcounts = await cappedRefcounts(storage, header, comparison, context);
  await (await beginTransaction(storage, header, context, { refcounts })).commit({});
}

/** Returns the lower of on-disk and computed refcount of each cluster, without the refcount structure. */
async function cappedRefcounts(
  storage: WritableStorage,
  header: Header,
  { onDisk }: RefcountComparison,
  context: CheckContext,
): Promise<{ get(cluster: number): number; skipTo(cluster: number): number }> {
  const { refcounts } = await computeRefcounts(storage, header, context);
  const inFile = Math.ceil(storage.size / header.clusterSize);
  const capped = new Map<number, number>();
  for (let cluster = refcounts.skipTo(0); cluster !== Infinity; cluster = refcounts.skipTo(cluster + 1)) {
    const needed = refcounts.get(cluster);
    // New tables lie past the end of the file, where the references of damaged tables count in full.
    if (needed > 0) capped.set(cluster, cluster < inFile ? Math.min(needed, await onDisk.get(cluster)) : needed);
  }
  return { get: (cluster) => capped.get(cluster) ?? 0, skipTo: refcounts.skipTo };
}

/**
 * Counts the clusters past the end of the file that tables name: the file of the repaired image is longer, and they read
 * as zeroes there. No new table may lie in them.
 */
async function countPastEnd(transaction: Transaction, { walk, onDisk }: RefcountComparison): Promise<void> {
  const { storage, geometry: { clusterSize } } = transaction;
  const first = walk.refcounts.skipTo(Math.ceil(storage.size / clusterSize));
  for (let cluster = first; cluster !== Infinity; cluster = walk.refcounts.skipTo(cluster + 1)) {
    const missing = walk.refcounts.get(cluster) - await onDisk.get(cluster);
    if (missing > 0) await transaction.adjustRefcount(cluster, missing);
  }
}

async function releaseLeaks(transaction: Transaction, { walk, onDisk }: RefcountComparison): Promise<void> {
  // Includes clusters past the end of the file, because the file will grow.
  for (const { index } of onDisk.blocks) {
    for (let cluster = index * onDisk.clustersPerBlock; cluster < (index + 1) * onDisk.clustersPerBlock; cluster++) {
      const surplus = await onDisk.get(cluster) - walk.refcounts.get(cluster);
      if (surplus > 0) await transaction.adjustRefcount(cluster, -surplus);
    }
  }
}

/** Repairs leaks and flags. */
async function repairInPlace(
  storage: WritableStorage,
  header: Header,
  comparison: RefcountComparison,
  context: CheckContext,
): Promise<void> {
  const transaction = await beginTransaction(storage, header, context, { compared: true });
  await releaseLeaks(transaction, comparison);
  await countPastEnd(transaction, comparison);
  await finishWithFlags(transaction, header);
}

/** Builds a new refcount structure from the computed refcounts. */
async function rebuildRefcounts(storage: WritableStorage, header: Header, context: CheckContext): Promise<void> {
  const { refcounts } = await computeRefcounts(storage, header, context);
  await finishWithFlags(await beginTransaction(storage, header, context, { refcounts }), header);
}

async function finishWithFlags(transaction: Transaction, header: Header): Promise<void> {
  const { storage, geometry: { clusterSize } } = transaction;
  const l1 = await readL1(storage, header.l1);
  for (let index = 0; index < header.l1.entries; index++) {
    const fileOffset = l2TableOffset(l1, index);
    // An L2 table that cannot be read must not prevent the repair of refcounts.
    if (fileOffset % clusterSize !== 0 || fileOffset + clusterSize > storage.size) return await transaction.commit({});
  }
  await updateCopiedFlags(transaction, l1);
  await transaction.release(header.l1.fileOffset, header.l1.entries * 8);
  await transaction.commit({ l1: { ...await writeL1(transaction, l1), entries: header.l1.entries } });
}

/** Clears the dirty and corrupt bits of an image without errors. */
async function clearMarks(storage: WritableStorage, context: CheckContext): Promise<void> {
  const header = await readHeader(storage);
  if (!header.dirty && !header.corrupt) return;
  const { corruptions, checkErrors } = await checkQcow2(storage, context);
  if (corruptions === 0 && checkErrors === 0) {
    await writeHeader(storage, { ...header, dirty: false, corrupt: false, unknownAutoclear: NO_BITS });
  }
}
