/**
 * The cluster in which a disk ends that is going to be longer: what lies in it past the end must become zeroes.
 *
 * @module
 */
import { alignDown } from "../bytes.ts";
import type { GuestReader } from "../contract.ts";
import type { WritableStorage } from "../storage/types.ts";
import { openQcow2 } from "./open.ts";
import {
  CLUSTER,
  clusterStatus,
  hostOffsetOf,
  l1IndexOf,
  l2IndexOf,
  setEntry,
  setSubclusters,
  tableAt,
} from "./mapping/l2_entry.ts";
import type { Transaction } from "./transaction/transaction.ts";
import { readPadded } from "./clusters/read.ts";
import { addEntry, putL2, readL2 } from "./transaction/l1_tables.ts";

/**
 * Makes the rest of the last cluster read as zeroes once the disk is longer; today nobody sees it.
 *
 * @param external the data file, where the image has one
 */
export async function clearTail(
  renewal: Transaction,
  l1: DataView,
  external: WritableStorage | null,
  below: GuestReader | null,
): Promise<void> {
  const { header, geometry, storage } = renewal;
  const cluster = alignDown(header.size, geometry.clusterSize);
  if (cluster === header.size) return;
  const index = l1IndexOf(geometry, cluster);
  const fileOffset = tableAt(l1, index);
  const l2 = fileOffset === 0 ? new DataView(new ArrayBuffer(geometry.clusterSize)) : await readL2(renewal, fileOffset);
  const at = l2IndexOf(geometry, cluster) * geometry.l2EntryBytes;
  const [high, low] = [l2.getUint32(at), l2.getUint32(at + 4)];
  const status = clusterStatus(high, low, geometry.extended, header.externalData);
  if (status === CLUSTER.zero || status === CLUSTER.zeroAllocated) return;
  const silent = (high | low) === 0 && !(geometry.extended && (l2.getUint32(at + 8) | l2.getUint32(at + 12)) !== 0);
  if (silent && (below === null || below.size <= header.size)) return;
  const data = external ?? storage;
  const host = hostOffsetOf(high, low);
  const past = header.size - cluster;
  if (status === CLUSTER.data) {
    const rest = new Uint8Array(geometry.clusterSize - past);
    await readPadded(data, rest, host + past);
    if (rest.every((byte) => byte === 0)) return;
    if (external) return await data.writeAt(rest.fill(0), host + past);
    await renewal.refer(host, 0, "data");
    if (await renewal.get(host / geometry.clusterSize) === 1) return await data.writeAt(rest.fill(0), host + past);
  }
  const bytes = await lastBytes(renewal, cluster, data, below);
  await addEntry(renewal, l2, at, -1);
  const place = external ? cluster : await renewal.allocate(1) * geometry.clusterSize;
  await data.writeAt(bytes, place);
  setEntry(l2, at, place, true);
  if (geometry.extended) setSubclusters(l2, at, 0, 0xffffffff);
  await putL2(renewal, l1, index, l2);
}

/** The last cluster as the guest sees it, with zeroes past its end. */
async function lastBytes(
  { header, storage, geometry }: Transaction,
  cluster: number,
  data: WritableStorage,
  below: GuestReader | null,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(geometry.clusterSize);
  await using disk = await openQcow2(storage, { openNamed: () => Promise.resolve(data) });
  for (let guest = cluster; guest < header.size;) {
    const run = await disk.extentAt(guest, header.size);
    const part = bytes.subarray(guest - cluster, run.end - cluster);
    if (run.kind === "data") await disk.read(part, guest);
    else if (run.kind === "hole" && below !== null) {
      const there = Math.max(0, Math.min(part.length, below.size - guest));
      if (there > 0) await below.read(part.subarray(0, there), guest);
    }
    guest = run.end;
  }
  return bytes;
}
