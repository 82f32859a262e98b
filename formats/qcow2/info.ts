/**
 * The format information of a qcow2 image, with the names of `qemu-img info --output=json`.
 *
 * @module
 */
import type { FormatInfo, InfoValue } from "../contract.ts";
import type { Bitmap } from "../bitmaps.ts";
import type { Header } from "./header/header.ts";
import type { Snapshot } from "./snapshots/read.ts";

/**
 * Returns the information about an image: the names of QEMU's `ImageInfoSpecificQCow2`, then cluster size, dirty flag
 * and snapshots.
 */
export function infoOf(header: Header, snapshots: readonly Snapshot[], bitmaps: readonly Bitmap[]): FormatInfo {
  return {
    "compat": header.version === 2 ? "0.10" : "1.1",
    "compression-type": header.compressionType,
    ...(header.version === 3 && { "lazy-refcounts": header.lazyRefcounts }),
    "refcount-bits": 1 << header.refcountOrder,
    ...(header.version === 3 && { "corrupt": header.corrupt, "extended-l2": header.extendedL2 }),
    ...(header.dataFileName !== null && { "data-file": header.dataFileName }),
    ...(header.externalData && { "data-file-raw": header.rawExternalData }),
    ...(bitmaps.length > 0 && { "bitmaps": bitmaps.map(bitmapInfo) }),
    "cluster-size": header.clusterSize,
    "dirty-flag": header.dirty,
    ...(snapshots.length > 0 && { "snapshots": snapshots.map((snapshot) => snapshotInfo(snapshot, header.size)) }),
  };
}

function bitmapInfo(bitmap: Bitmap): InfoValue {
  const flags: string[] = [];
  if (bitmap.inconsistent) flags.push("in-use");
  if (bitmap.enabled) flags.push("auto");
  return { "name": bitmap.name, "granularity": bitmap.granularity, "flags": flags };
}

const SECOND = 1_000_000_000n;

function snapshotInfo(snapshot: Snapshot, size: number): InfoValue {
  return {
    "id": snapshot.id,
    "name": snapshot.name,
    "vm-state-size": snapshot.vmStateSize,
    "date-sec": snapshot.dateSeconds,
    "date-nsec": snapshot.dateNanoseconds,
    "vm-clock-sec": Number(snapshot.clockNanoseconds / SECOND),
    "vm-clock-nsec": Number(snapshot.clockNanoseconds % SECOND),
    ...(snapshot.instructions !== null && { "icount": Number(snapshot.instructions) }),
    "disk-size": snapshot.diskSize ?? size,
  };
}
