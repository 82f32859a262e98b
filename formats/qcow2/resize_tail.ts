/**
 * The last cluster of a disk that grows: bytes past the old end must read as zeroes.
 *
 * @module
 */
import { alignDown } from "../bytes.ts";
import { inlineDecompressor } from "../codec/decompress.ts";
import type { GuestReader } from "../guest_reader.ts";
import type { WritableStorage } from "../storage/types.ts";
import { openQcow2 } from "./open.ts";
import {
  CLUSTER,
  clusterStatus,
  hostOffsetOf,
  l1IndexOf,
  l2IndexOf,
  l2TableOffset,
  setEntry,
  setSubclusters,
} from "./mapping/l2_entry.ts";
import type { Transaction } from "./transaction/transaction.ts";
import { readPadded } from "./file_reads.ts";
import { addEntryReferences, readL2, writeL2 } from "./transaction/l1_tables.ts";

/**
 * Makes the bytes of the last cluster past the end of the disk zero, before the disk grows over them.
 *
 * @param external the data file, where the image has one
 */
export async function zeroTail(
  transaction: Transaction,
  l1: DataView,
  external: WritableStorage | null,
  backing: GuestReader | null,
): Promise<void> {
  const { header, geometry, storage } = transaction;
  const cluster = alignDown(header.size, geometry.clusterSize);
  if (cluster === header.size) return;
  const index = l1IndexOf(geometry, cluster);
  const fileOffset = l2TableOffset(l1, index);
  const l2 = fileOffset === 0
    ? new DataView(new ArrayBuffer(geometry.clusterSize))
    : await readL2(transaction, fileOffset);
  const at = l2IndexOf(geometry, cluster) * geometry.l2EntryBytes;
  const [high, low] = [l2.getUint32(at), l2.getUint32(at + 4)];
  const status = clusterStatus(high, low, geometry.extended, header.externalData);
  if (status === CLUSTER.zero || status === CLUSTER.zeroAllocated) return;
  const unallocated = (high | low) === 0 &&
    !(geometry.extended && (l2.getUint32(at + 8) | l2.getUint32(at + 12)) !== 0);
  if (unallocated && (backing === null || backing.size <= header.size)) return;
  const data = external ?? storage;
  const host = hostOffsetOf(high, low);
  const past = header.size - cluster;
  if (status === CLUSTER.data) {
    const rest = new Uint8Array(geometry.clusterSize - past);
    await readPadded(data, rest, host + past);
    if (rest.every((byte) => byte === 0)) return;
    if (external) return await data.writeAt(rest.fill(0), host + past);
    await transaction.addReferences(host, 0, "data");
    if (await transaction.refcount(host / geometry.clusterSize) === 1) {
      return await data.writeAt(rest.fill(0), host + past);
    }
  }
  const bytes = await readLastCluster(transaction, cluster, data, backing);
  await addEntryReferences(transaction, l2, at, -1);
  const offset = external ? cluster : await transaction.allocate(1) * geometry.clusterSize;
  await data.writeAt(bytes, offset);
  setEntry(l2, at, offset, true);
  if (geometry.extended) setSubclusters(l2, at, 0, 0xffffffff);
  await writeL2(transaction, l1, index, l2);
}

/** Returns the guest bytes of the last cluster, with zeroes past the end of the disk. */
async function readLastCluster(
  { header, storage, geometry }: Transaction,
  cluster: number,
  data: WritableStorage,
  backing: GuestReader | null,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(geometry.clusterSize);
  const disk = await openQcow2(storage, { decompressor: inlineDecompressor, openNamed: () => Promise.resolve(data) });
  for (let guest = cluster; guest < header.size;) {
    const extent = await disk.extentAt(guest, header.size);
    const part = bytes.subarray(guest - cluster, extent.end - cluster);
    if (extent.kind === "data") await disk.read(part, guest);
    else if (extent.kind === "hole" && backing !== null) {
      const there = Math.max(0, Math.min(part.length, backing.size - guest));
      if (there > 0) await backing.read(part.subarray(0, there), guest);
    }
    guest = extent.end;
  }
  return bytes;
}
