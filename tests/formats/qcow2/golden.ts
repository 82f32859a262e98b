/**
 * Small qcow2 images assembled cluster by cluster, so that tests can modify known offsets.
 *
 * @module
 */
import { deflateRawSync } from "node:zlib";
import { setU64, viewOf } from "../../../formats/bytes.ts";
import { encodeHeader, FEATURE_NAMES, type Header, NO_BITS } from "../../../formats/qcow2/header/header.ts";
import { setCompressed, setEntry, setSubclusters } from "../../../formats/qcow2/mapping/l2_entry.ts";

/** File offsets of the structures of a golden image. Its disk has 24 MiB, with at least two L1 entries. */
export const CLUSTER = 16384;
export const AT = {
  refcountTable: 1 * CLUSTER,
  refcountBlock: 2 * CLUSTER,
  l1: 3 * CLUSTER,
  l2: 4 * CLUSTER,
  data: 5 * CLUSTER,
  moreData: 6 * CLUSTER,
  compressed: 7 * CLUSTER + 100,
  snapshots: 8 * CLUSTER,
  snapshotL1: 9 * CLUSTER,
  bitmapDirectory: 10 * CLUSTER,
  bitmapTable: 11 * CLUSTER,
  bitmapData: 12 * CLUSTER,
  end: 13 * CLUSTER,
} as const;
const GUEST_SIZE = 40 << 20;

/** `plain` has every structure; `external` an external data file; `extended` extended L2 entries. */
export type Golden = "plain" | "v2" | "extended" | "external";

function headerOf(kind: Golden): Header {
  const plain = kind === "plain";
  const snapshots = plain || kind === "v2" ? { fileOffset: AT.snapshots, count: 1 } : { fileOffset: 0, count: 0 };
  return {
    version: kind === "v2" ? 2 : 3,
    clusterBits: 14,
    clusterSize: CLUSTER,
    size: GUEST_SIZE,
    backing: plain ? { name: "base.qcow2", format: "qcow2" } : null,
    l1: { fileOffset: AT.l1, entries: kind === "extended" ? 3 : 2 },
    refcountTable: { fileOffset: AT.refcountTable, clusters: 1 },
    refcountOrder: 4,
    snapshots,
    headerLength: kind === "v2" ? 72 : 112,
    dirty: false,
    corrupt: false,
    externalData: kind === "external",
    compressionType: "zlib",
    extendedL2: kind === "extended",
    lazyRefcounts: false,
    bitmapsConsistent: plain,
    rawExternalData: false,
    unknownCompatible: NO_BITS,
    unknownAutoclear: NO_BITS,
    dataFileName: kind === "external" ? "data.raw" : null,
    bitmaps: plain ? { count: 1, directorySize: 32, directoryFileOffset: AT.bitmapDirectory } : null,
    featureNames: kind === "v2" ? [] : FEATURE_NAMES,
    unknownExtensions: [],
    unknownFields: new Uint8Array(0),
  };
}

/**
 * Returns a golden image: guest clusters 0 and 2 hold data, 1 is zero (a hole in version 2), 3 is compressed, or holds
 * data.
 */
export function golden(kind: Golden): Uint8Array {
  const bytes = new Uint8Array(AT.end);
  const view = viewOf(bytes);
  bytes.set(encodeHeader(headerOf(kind)));
  setU64(view, AT.refcountTable, AT.refcountBlock);
  for (let index = 0; index < 13; index++) view.setUint16(AT.refcountBlock + index * 2, 1);
  setEntry(view, AT.l1, AT.l2, true);
  setEntry(view, AT.snapshotL1, AT.l2, false);
  if (kind === "extended") writeExtended(view);
  else if (kind === "external") {
    for (const index of [0, 2]) {
      setEntry(view, AT.l2 + index * 8, index * CLUSTER, true);
    }
  } else writePlain(view, kind);
  bytes.fill(0xd1, AT.data, AT.data + CLUSTER);
  bytes.fill(0xd2, AT.moreData, AT.moreData + CLUSTER);
  bytes.set(deflateRawSync(new Uint8Array(CLUSTER).fill(0xcc)), AT.compressed);
  if (kind === "plain" || kind === "v2") writeSnapshot(bytes);
  if (kind === "plain") writeBitmap(bytes);
  return bytes;
}

function writePlain(view: DataView, kind: Golden): void {
  setEntry(view, AT.l2, AT.data, true);
  if (kind !== "v2") setEntry(view, AT.l2 + 8, 0, false, true);
  setEntry(view, AT.l2 + 16, AT.moreData, true);
  setCompressed(view, AT.l2 + 24, 14, AT.compressed, 600);
}

function writeExtended(view: DataView): void {
  setEntry(view, AT.l2, AT.data, true);
  setSubclusters(view, AT.l2, 0xffff0000, 0x0000000f);
  setSubclusters(view, AT.l2 + 16, 0xffffffff, 0);
  setEntry(view, AT.l2 + 32, AT.moreData, true);
  setSubclusters(view, AT.l2 + 32, 0, 0xffffffff);
  setCompressed(view, AT.l2 + 48, 14, AT.compressed, 600);
}

function writeSnapshot(bytes: Uint8Array): void {
  const view = viewOf(bytes.subarray(AT.snapshots));
  setU64(view, 0, AT.snapshotL1);
  view.setUint32(8, 2);
  view.setUint16(12, 1);
  view.setUint16(14, 4);
  view.setUint32(36, 16);
  setU64(view, 48, GUEST_SIZE);
  bytes.set(new TextEncoder().encode("1snap"), AT.snapshots + 56);
}

function writeBitmap(bytes: Uint8Array): void {
  const view = viewOf(bytes.subarray(AT.bitmapDirectory));
  setU64(view, 0, AT.bitmapTable);
  view.setUint32(8, 1);
  view.setUint32(12, 2);
  view.setUint8(16, 1);
  view.setUint8(17, 16);
  view.setUint16(18, 4);
  bytes.set(new TextEncoder().encode("bits"), AT.bitmapDirectory + 24);
  setU64(viewOf(bytes), AT.bitmapTable, AT.bitmapData);
  bytes[AT.bitmapData] = 0x0d;
}
