/**
 * Mending an image: the copies of the grain tables are made to say the same, and the end of a file that nothing is in
 * is cut off. What a reader sees stays as it is; only entries that cannot be are taken from the other copy. Guest bytes
 * are never guessed at.
 *
 * @module
 */
import { alignUp, SECTOR, viewOf } from "../bytes.ts";
import type { ChangeContext, RepairScope } from "../maintenance.ts";
import type { WritableStorage } from "../storage/types.ts";
import { checkVmdk, leakedGrains } from "./check.ts";
import { UNCLEAN_AT } from "./header.ts";
import { tableBytesOf } from "./hosted_sparse.ts";
import { readLayout } from "./extent_files.ts";
import { type SparseExtent, sparseExtents } from "./sparse_extents.ts";
import { eachGrain, isPossible, type TableFault, tableFaults, usedEnd } from "./grain_table_copies.ts";

type Extent = SparseExtent<WritableStorage>;

/** At most so many entries are taken from the other copy in one run. */
const MAX_TAKEN = 1 << 20;

/**
 * Mends the image in `storage`: leaks, or everything that can be mended. That it was not closed is forgotten when nothing
 * is wrong any more.
 *
 * @throws ImageError where it does not open
 */
export async function repairVmdk(storage: WritableStorage, what: RepairScope, context: ChangeContext): Promise<void> {
  const layout = await readLayout(storage, (file) => context.openNamed(file));
  if (what === "all") {
    for (const extent of await sparseExtents(layout)) await mendTables(extent, context);
  }
  const { corruptions } = await checkVmdk(storage, context);
  if (corruptions > 0) return;
  // Directories may have changed.
  for (const extent of await sparseExtents(layout)) {
    if (await leakedGrains(extent, context) > 0) {
      await extent.storage.truncate(alignUp(await usedEnd(extent, context), SECTOR));
    }
    if (what === "all" && extent.sparse.header.unclean) await extent.storage.writeAt(new Uint8Array([0]), UNCLEAN_AT);
    await extent.storage.sync();
  }
}

async function mendTables(extent: Extent, context: ChangeContext): Promise<void> {
  const trusted = await grainsToTake(extent, context);
  for await (const fault of tableFaults(extent, context)) await mendTable(extent, fault, trusted);
}

/** What a table is to say: its first copy, with the entries of the second where the first cannot be. */
function merged(extent: Extent, { first, second }: TableFault, mayTake: (entry: number) => boolean): Uint8Array {
  const table = first?.slice() ?? new Uint8Array(tableBytesOf(extent.sparse.header));
  if (second === null) return table;
  const [into, from] = [viewOf(table), viewOf(second)];
  for (let at = 0; at < table.length; at += 4) {
    if (first !== null && isPossible(extent, into.getUint32(at, true))) continue;
    const entry = from.getUint32(at, true);
    if (entry <= 1 ? isPossible(extent, entry) : mayTake(entry)) into.setUint32(at, entry, true);
  }
  return table;
}

/** Grains that only second copies know, each of them once. */
async function grainsToTake(extent: Extent, context: ChangeContext): Promise<ReadonlySet<number>> {
  const wanted = new Set<number>();
  const twice = new Set<number>();
  for await (const fault of tableFaults(extent, context)) {
    merged(extent, fault, (entry) => {
      const isGrain = isPossible(extent, entry) && entry * SECTOR >= extent.sparse.header.overhead;
      if (!isGrain || wanted.size >= MAX_TAKEN) return false;
      (wanted.has(entry) ? twice : wanted).add(entry);
      return false;
    });
  }
  for (const entry of twice) wanted.delete(entry);
  if (wanted.size === 0) return wanted;
  await eachGrain(extent, context, (grain) => void wanted.delete(grain / SECTOR));
  return wanted;
}

async function mendTable(extent: Extent, fault: TableFault, trusted: ReadonlySet<number>): Promise<void> {
  const { storage, sparse: { header, directory }, redundant } = extent;
  const table = merged(extent, fault, (entry) => trusted.has(entry));
  const copies = [
    { bytes: fault.first, view: directory, directoryAt: header.directory! },
    { bytes: fault.second, view: viewOf(redundant!), directoryAt: header.redundantDirectory },
  ];
  for (const { bytes, view, directoryAt } of copies) {
    if (bytes !== null) {
      await storage.writeAt(table, view.getUint32(fault.index * 4, true) * SECTOR);
      await storage.sync();
      continue;
    }
    const place = alignUp(storage.size, SECTOR);
    await storage.writeAt(table, place);
    await storage.sync();
    view.setUint32(fault.index * 4, place / SECTOR, true);
    await storage.writeAt(
      new Uint8Array(view.buffer, view.byteOffset + fault.index * 4, 4),
      directoryAt + fault.index * 4,
    );
    await storage.sync();
  }
}
