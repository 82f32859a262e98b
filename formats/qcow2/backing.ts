/**
 * The backing file of an image: its name in the header, and deallocation of clusters so that it shows.
 *
 * @module
 */
import { alignDown, alignUp } from "../bytes.ts";
import type { NamedFile } from "../guest_reader.ts";
import { ImageError } from "../errors.ts";
import type { ChangeContext } from "../maintenance.ts";
import type { WritableStorage } from "../storage/types.ts";
import { NO_BITS, readHeader } from "./header/header.ts";
import { l1IndexOf, l2IndexOf, l2TableOffset, setEntry, setSubclusters } from "./mapping/l2_entry.ts";
import { readL1 } from "./mapping/mapping.ts";
import { beginTransaction, type Transaction, writeHeader } from "./transaction/transaction.ts";
import { addEntryReferences, readL2, releaseL1, writeL1, writeL2 } from "./transaction/l1_tables.ts";
import { refuseCorrupt } from "./refuse_corrupt.ts";

/**
 * Writes the name of the backing file into the header, or removes it. Nothing else changes.
 *
 * @throws ImageError `usage` for a name that does not fit or has no format
 */
export async function setQcow2Backing(storage: WritableStorage, backing: NamedFile | null): Promise<void> {
  const header = await readHeader(storage);
  refuseCorrupt(storage, header);
  const path = storage.label;
  if (backing !== null && (backing.format === undefined || backing.format === "")) {
    throw new ImageError(
      "usage",
      `Cannot use "${backing.name}" as the backing file of "${path}": its format must be stated`,
      {
        path,
      },
    );
  }
  if (backing !== null && header.rawExternalData) {
    throw new ImageError("unsupported", `Cannot set a backing file of "${path}": its data file by itself is the disk`, {
      path,
    });
  }
  await writeHeader(storage, { ...header, backing, unknownAutoclear: NO_BITS });
}

/** Deallocates all clusters of the active L1 table. Snapshots and bitmaps stay. */
export async function emptyQcow2(storage: WritableStorage, context: ChangeContext): Promise<void> {
  const header = await readHeader(storage);
  refuseCorrupt(storage, header);
  if (header.rawExternalData) {
    const message = `Cannot empty "${storage.label}": its data file by itself is the disk`;
    throw new ImageError("unsupported", message, { path: storage.label });
  }
  const transaction = await beginTransaction(storage, header, context);
  await releaseL1(transaction, header.l1);
  const l1 = new DataView(new ArrayBuffer(header.l1.entries * 8));
  await transaction.commit({ l1: await writeL1(transaction, l1) });
}

/** Deallocates the clusters inside these ranges of guest bytes, which are in ascending order. */
export async function deallocateQcow2(
  storage: WritableStorage,
  ranges: readonly { readonly start: number; readonly end: number }[],
  context: ChangeContext,
): Promise<void> {
  const header = await readHeader(storage);
  refuseCorrupt(storage, header);
  if (header.rawExternalData || ranges.length === 0) return;
  const transaction = await beginTransaction(storage, header, context);
  const { clusterSize, l2Reach } = transaction.geometry;
  const l1 = await readL1(storage, header.l1);
  let loaded: { readonly index: number; readonly l2: DataView } | undefined;
  let done = 0;
  for (const { start, end } of ranges) {
    const last = end === header.size ? alignUp(end, clusterSize) : alignDown(end, clusterSize);
    for (let guest = alignUp(start, clusterSize); guest < last; guest += clusterSize) {
      const index = l1IndexOf(transaction.geometry, guest);
      if (l2TableOffset(l1, index) === 0) {
        guest = (index + 1) * l2Reach - clusterSize;
        continue;
      }
      if (loaded?.index !== index) {
        if (loaded) await writeL2(transaction, l1, loaded.index, loaded.l2);
        loaded = { index, l2: await readL2(transaction, l2TableOffset(l1, index)) };
        await context.checkpoint(done / ranges.length);
      }
      await deallocateEntry(transaction, loaded.l2, guest);
    }
    done++;
  }
  if (loaded) await writeL2(transaction, l1, loaded.index, loaded.l2);
  await transaction.release(header.l1.fileOffset, header.l1.entries * 8);
  await transaction.commit({ l1: await writeL1(transaction, l1) });
}

async function deallocateEntry(transaction: Transaction, l2: DataView, guest: number): Promise<void> {
  const { geometry } = transaction;
  const at = l2IndexOf(geometry, guest) * geometry.l2EntryBytes;
  await addEntryReferences(transaction, l2, at, -1);
  setEntry(l2, at, 0, false);
  if (geometry.extended) setSubclusters(l2, at, 0, 0);
}
