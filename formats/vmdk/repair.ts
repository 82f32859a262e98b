/**
 * Repairs an image: makes the two copies of each grain table equal, and truncates the unused end of extent files.
 * Readers see the same guest bytes as before, except where an invalid entry of the first copy is replaced by that of
 * the second.
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
import { type SparseExtentFile, sparseExtentFiles } from "./sparse_extent_files.ts";
import { findMetadataFaults, metadataError, structureOver } from "./metadata_overlap.ts";
import { forEachGrain, isValidEntry, type TableFault, tableFaults, usedEnd } from "./grain_table_copies.ts";

type WritableExtentFile = SparseExtentFile<WritableStorage>;

/** The most entries that one repair recovers from second copies: a bound on memory. */
const MAX_RECOVERED = 1 << 20;

/**
 * Repairs leaks, or with scope `all` everything that can be repaired. Clears the unclean mark once a check finds no
 * corruption.
 *
 * @throws ImageError if the image does not open
 */
export async function repairVmdk(storage: WritableStorage, scope: RepairScope, context: ChangeContext): Promise<void> {
  const layout = await readLayout(storage, (file) => context.openNamed(file));
  if (scope === "all") {
    const repairs: (() => Promise<void>)[] = [];
    for (const extent of await sparseExtentFiles(layout)) repairs.push(await tableRepair(extent, context));
    for (const repair of repairs) await repair();
  }
  const { corruptions } = await checkVmdk(storage, context);
  if (corruptions > 0) return;
  // Opened again, because the directories may have changed.
  for (const extent of await sparseExtentFiles(layout)) {
    if (await leakedGrains(extent, context) > 0) {
      await extent.storage.truncate(alignUp(await usedEnd(extent, context), SECTOR));
    }
    if (scope === "all" && extent.sparse.header.unclean) await extent.storage.writeAt(new Uint8Array([0]), UNCLEAN_AT);
    await extent.storage.sync();
  }
}

/**
 * Returns the indices of second copies of tables with a wrong location, which are written anew.
 *
 * @throws ImageError `corrupt` for any other structure with a wrong location
 */
async function misplacedCopies(extent: WritableExtentFile, context: ChangeContext): Promise<ReadonlySet<number>> {
  const faults = await findMetadataFaults(extent, context);
  const other = faults.find(({ replaceable }) => replaceable === null);
  if (other !== undefined) throw metadataError(extent.storage.label, other);
  return new Set(
    faults.filter(({ replaceable }) => replaceable!.copy === "second").map((fault) => fault.replaceable!.index),
  );
}

/**
 * Returns the repair of the tables of an extent file. Nothing is written before it is called.
 *
 * @throws ImageError `corrupt` for structures with wrong locations that cannot be replaced
 */
async function tableRepair(extent: WritableExtentFile, context: ChangeContext): Promise<() => Promise<void>> {
  const misplaced = await misplacedCopies(extent, context);
  const trusted = await recoverableEntries(extent, misplaced, context);
  const over = structureOver(extent, [...trusted].map((entry) => entry * SECTOR));
  if (over !== null) throw metadataError(extent.storage.label, over);
  return async () => {
    for await (const fault of tableFaults(extent, context, misplaced)) await repairTable(extent, fault, trusted);
    for (const index of misplaced) await dropCopyWithoutTable(extent, index);
  };
}

/** Clears the entry of a second copy whose table is not allocated. */
async function dropCopyWithoutTable(
  { storage, sparse: { header, directory }, redundant }: WritableExtentFile,
  index: number,
): Promise<void> {
  if (directory.getUint32(index * 4, true) !== 0) return;
  viewOf(redundant!).setUint32(index * 4, 0, true);
  await storage.writeAt(new Uint8Array(4), header.redundantDirectory + index * 4);
  await storage.sync();
}

/** Returns the first copy of a table, with entries of the second in place of invalid ones if `mayRecover` allows. */
function mergedTable(
  extent: WritableExtentFile,
  { first, second }: TableFault,
  mayRecover: (entry: number) => boolean,
): Uint8Array {
  const table = first?.slice() ?? new Uint8Array(tableBytesOf(extent.sparse.header));
  if (second === null) return table;
  const [into, from] = [viewOf(table), viewOf(second)];
  for (let at = 0; at < table.length; at += 4) {
    if (first !== null && isValidEntry(extent, into.getUint32(at, true))) continue;
    const entry = from.getUint32(at, true);
    if (entry <= 1 ? isValidEntry(extent, entry) : mayRecover(entry)) into.setUint32(at, entry, true);
  }
  return table;
}

/** Returns the entries of second copies whose grain no first copy and no other entry points at. */
async function recoverableEntries(
  extent: WritableExtentFile,
  misplaced: ReadonlySet<number>,
  context: ChangeContext,
): Promise<ReadonlySet<number>> {
  const found = new Set<number>();
  const repeated = new Set<number>();
  for await (const fault of tableFaults(extent, context, misplaced)) {
    mergedTable(extent, fault, (entry) => {
      const isGrain = isValidEntry(extent, entry) && entry * SECTOR >= extent.sparse.header.overhead;
      if (!isGrain || found.size >= MAX_RECOVERED) return false;
      (found.has(entry) ? repeated : found).add(entry);
      return false;
    });
  }
  for (const entry of repeated) found.delete(entry);
  if (found.size === 0) return found;
  await forEachGrain(extent, context, (grain) => void found.delete(grain / SECTOR));
  return found;
}

async function repairTable(extent: WritableExtentFile, fault: TableFault, trusted: ReadonlySet<number>): Promise<void> {
  const { storage, sparse: { header, directory }, redundant } = extent;
  const table = mergedTable(extent, fault, (entry) => trusted.has(entry));
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
    const fileOffset = alignUp(storage.size, SECTOR);
    await storage.writeAt(table, fileOffset);
    await storage.sync();
    view.setUint32(fault.index * 4, fileOffset / SECTOR, true);
    await storage.writeAt(
      new Uint8Array(view.buffer, view.byteOffset + fault.index * 4, 4),
      directoryAt + fault.index * 4,
    );
    await storage.sync();
  }
}
