/**
 * Mending an image: refcounts become what is referred to, flags become true. In one step, as every change.
 *
 * @module
 */
import { tableAt } from "./mapping/l2_entry.ts";
import { type CheckContext, partOf, type RepairKind } from "../maintenance.ts";
import type { WritableStorage } from "../storage/types.ts";
import { checkFlags, checkQcow2, examine, type Examined } from "./check.ts";
import { countReferences } from "./refcounts/compute_refcounts.ts";
import type { Header } from "./header/header.ts";
import { readHeader } from "./header/read.ts";
import { replaceHeader, type Transaction, transactionOf } from "./transaction/transaction.ts";
import { putL1, readL1, renewFlags } from "./transaction/l1_tables.ts";

/**
 * Mends the image in `storage`: leaks, or everything that can be mended without guessing. Marks that say that something
 * is wrong go when nothing is any more.
 *
 * @throws ImageError where it does not open
 */
export async function repairQcow2(storage: WritableStorage, what: RepairKind, context: CheckContext): Promise<void> {
  const header = await readHeader(storage);
  const examined = await examine(storage, header, partOf(context, 0, 0.4));
  const mending = partOf(context, 0.4, 0.8);
  const wrongCounts = examined.rebuild || examined.tooLow;
  if (what === "leaks") {
    if (examined.walk.findings.leaks > 0 && !examined.rebuild) await freeLeaks(storage, header, examined, mending);
  } else if (wrongCounts) {
    await countAnew(storage, header, mending);
  } else {
    const wrong = await checkFlags(examined, mending, {
      peek: examined.walk.counts.get,
      get: (cluster) => Promise.resolve(examined.walk.counts.get(cluster)),
    });
    if (examined.walk.findings.leaks > 0 || wrong.length > 0) await mendInPlace(storage, header, examined, mending);
  }
  await unmark(storage, partOf(context, 0.8, 1));
}

/** Takes away what nobody refers to. Counts that are too low stay as they are. */
async function freeLeaks(
  storage: WritableStorage,
  header: Header,
  examined: Examined,
  context: CheckContext,
): Promise<void> {
  // What nobody else refers to any more must be marked so, or it would be the next thing found wrong.
  if (!examined.tooLow) return await mendInPlace(storage, header, examined, context);
  // The counts that are left are not to be relied upon, neither for finding free clusters nor for marks.
  const counts = await cappedCounts(storage, header, examined, context);
  await (await transactionOf(storage, header, context, { counts })).finish({});
}

/** The lower of what is stated and what is needed, without the refcount structure. */
async function cappedCounts(
  storage: WritableStorage,
  header: Header,
  { stored }: Examined,
  context: CheckContext,
): Promise<{ get(cluster: number): number; skipTo(cluster: number): number }> {
  const { counts } = await countReferences(storage, header, context);
  const capped = new Map<number, number>();
  for (let cluster = counts.skipTo(0); cluster !== Infinity; cluster = counts.skipTo(cluster + 1)) {
    const needed = counts.get(cluster);
    if (needed > 0) capped.set(cluster, Math.min(needed, await stored.get(cluster)));
  }
  return { get: (cluster) => capped.get(cluster) ?? 0, skipTo: counts.skipTo };
}

async function dropLeaks(renewal: Transaction, { walk, stored }: Examined): Promise<void> {
  // Also past the end of the file, which is going to be longer.
  for (const { index } of stored.blocks) {
    for (let cluster = index * stored.reach; cluster < (index + 1) * stored.reach; cluster++) {
      const surplus = await stored.get(cluster) - walk.counts.get(cluster);
      if (surplus > 0) await renewal.add(cluster, -surplus);
    }
  }
}

/** Leaks and flags. */
async function mendInPlace(
  storage: WritableStorage,
  header: Header,
  examined: Examined,
  context: CheckContext,
): Promise<void> {
  const renewal = await transactionOf(storage, header, context, { examined: true });
  await dropLeaks(renewal, examined);
  await finishWithFlags(renewal, header);
}

/** A new refcount structure from what is referred to. */
async function countAnew(storage: WritableStorage, header: Header, context: CheckContext): Promise<void> {
  const { counts } = await countReferences(storage, header, context);
  await finishWithFlags(await transactionOf(storage, header, context, { counts }), header);
}

async function finishWithFlags(renewal: Transaction, header: Header): Promise<void> {
  const { storage, geometry: { clusterSize } } = renewal;
  const l1 = await readL1(storage, header.l1);
  for (let index = 0; index < header.l1.entries; index++) {
    const fileOffset = tableAt(l1, index);
    // What is beyond help must not stand in the way of the rest.
    if (fileOffset % clusterSize !== 0 || fileOffset + clusterSize > storage.size) return await renewal.finish({});
  }
  await renewFlags(renewal, l1);
  await renewal.drop(header.l1.fileOffset, header.l1.entries * 8);
  await renewal.finish({ l1: { ...await putL1(renewal, l1), entries: header.l1.entries } });
}

/** Takes the marks away when the image is sound. */
async function unmark(storage: WritableStorage, context: CheckContext): Promise<void> {
  const header = await readHeader(storage);
  if (!header.dirty && !header.corrupt) return;
  const { corruptions, checkErrors } = await checkQcow2(storage, context);
  if (corruptions === 0 && checkErrors === 0) {
    await replaceHeader(storage, { ...header, dirty: false, corrupt: false });
  }
}
