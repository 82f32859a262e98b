/**
 * L1 and L2 entries (specification, "Cluster mapping" and "Extended L2 Entries"). An entry is handled as two unsigned
 * 32-bit halves, because its flags in bits 62 and 63 exceed the exact integers of a `number`. Pure.
 *
 * @module
 */

/** Sizes of clusters and tables of an image. Sizes in bytes. */
export interface Geometry {
  readonly clusterBits: number;
  readonly clusterSize: number;
  /** 8, or 16 with extended L2 entries. */
  readonly l2EntryBytes: number;
  /** Entries of one L2 table. */
  readonly l2Entries: number;
  /** Guest bytes that one L2 table (one L1 entry) covers. */
  readonly l2Reach: number;
  /** Whether L2 entries are extended. */
  readonly extended: boolean;
  /** 32 with extended L2 entries, else 1. */
  readonly subclusters: number;
  readonly subclusterSize: number;
}

/** Returns the geometry of an image with these header fields. */
export function geometryOf(header: { readonly clusterBits: number; readonly extendedL2: boolean }): Geometry {
  const clusterSize = 2 ** header.clusterBits;
  const l2EntryBytes = header.extendedL2 ? 16 : 8;
  const l2Entries = clusterSize / l2EntryBytes;
  const subclusters = header.extendedL2 ? 32 : 1;
  return {
    clusterBits: header.clusterBits,
    clusterSize,
    l2EntryBytes,
    l2Entries,
    l2Reach: clusterSize * l2Entries,
    extended: header.extendedL2,
    subclusters,
    subclusterSize: clusterSize / subclusters,
  };
}

/** Returns how many L1 entries `size` guest bytes need. */
export function l1EntriesFor(geometry: Geometry, size: number): number {
  return Math.ceil(size / geometry.l2Reach);
}

/** Returns the index of the L1 entry that covers `guestOffset`. */
export function l1IndexOf(geometry: Geometry, guestOffset: number): number {
  return Math.floor(guestOffset / geometry.l2Reach);
}

/** Returns the index in its L2 table of the entry that covers `guestOffset`. */
export function l2IndexOf(geometry: Geometry, guestOffset: number): number {
  return Math.floor((guestOffset % geometry.l2Reach) / geometry.clusterSize);
}

/** Returns the index in its cluster of the subcluster that holds `guestOffset`; 0 without extended L2 entries. */
export function subclusterOf(geometry: Geometry, guestOffset: number): number {
  return Math.floor((guestOffset % geometry.clusterSize) / geometry.subclusterSize);
}

/**
 * Returns bits 9 to 55: the file offset in an L1 entry, in a standard L2 entry, or in a bitmap or refcount table entry.
 */
export function hostOffsetOf(high: number, low: number): number {
  return (high & 0x00ffffff) * 2 ** 32 + ((low & 0xfffffe00) >>> 0);
}

/** Returns the file offset of the L2 table of L1 entry `index`; 0 for none. */
export function l2TableOffset(l1: DataView, index: number): number {
  return hostOffsetOf(l1.getUint32(index * 8), l1.getUint32(index * 8 + 4));
}

/** Returns bit 63: the refcount of the cluster that the entry points at is exactly one. */
export function isCopied(high: number): boolean {
  return high >>> 31 === 1;
}

/** Returns bit 62 of an L2 entry. */
export function isCompressed(high: number): boolean {
  return (high & 0x40000000) !== 0;
}

/** Returns bit 0 of a standard L2 entry without subclusters. */
export function isZeroFlagged(low: number): boolean {
  return (low & 1) !== 0;
}

/** Whether reserved bits of an L1 entry are set. */
export function l1ReservedSet(high: number, low: number): boolean {
  return (high & 0x7f000000) !== 0 || (low & 0x1ff) !== 0;
}

/** Whether reserved bits of a standard L2 entry are set. With extended entries bit 0 is reserved, too. */
export function l2ReservedSet(high: number, low: number, extended: boolean): boolean {
  return (high & 0x3f000000) !== 0 || (low & (extended ? 0x1ff : 0x1fe)) !== 0;
}

/** The status of a cluster in its L2 entry. */
export const CLUSTER = {
  /** Unallocated: the backing file shows. */
  unallocated: 0,
  /** Zeroes without a host cluster. */
  zero: 1,
  /** Zeroes with a host cluster that stays allocated. */
  zeroAllocated: 2,
  /** Data in a host cluster. */
  data: 3,
  /** Compressed data. */
  compressed: 4,
  /** Extended entry: each subcluster has a status of its own. */
  subclusters: 5,
} as const;
/** One of {@linkcode CLUSTER}. */
export type ClusterStatus = (typeof CLUSTER)[keyof typeof CLUSTER];

/**
 * Returns the status of the entry with these halves. With `externalData`, host offset 0 is an allocation where bit 63
 * is set.
 */
export function clusterStatus(high: number, low: number, extended: boolean, externalData: boolean): ClusterStatus {
  if (isCompressed(high)) return CLUSTER.compressed;
  if (extended) return CLUSTER.subclusters;
  const allocated = hostOffsetOf(high, low) !== 0 || (externalData && isCopied(high));
  if (isZeroFlagged(low)) return allocated ? CLUSTER.zeroAllocated : CLUSTER.zero;
  return allocated ? CLUSTER.data : CLUSTER.unallocated;
}

/**
 * Returns the status of a subcluster, from the halves of the subcluster bitmap (zero bits high, allocation bits low).
 */
export function subclusterStatus(zeroBits: number, allocatedBits: number, index: number): ClusterStatus {
  if ((zeroBits >>> index & 1) !== 0) return CLUSTER.zero;
  return (allocatedBits >>> index & 1) !== 0 ? CLUSTER.data : CLUSTER.unallocated;
}

/** The file range of compressed data: `[fileOffset, fileOffset + length)`; the stream may end before. */
export interface CompressedSpan {
  readonly fileOffset: number;
  readonly length: number;
}

/**
 * Returns how many bits of the high half belong to the offset of a compressed cluster: `x - 32` of the specification.
 */
function compressedHighBits(clusterBits: number): number {
  return 62 - (clusterBits - 8) - 32;
}

/**
 * Returns the file offset below which compressed data must begin: `2 ** x`, and at most 2 ** 56, because bits of the
 * field above 55 must be zero.
 */
export function compressedOffsetLimit(clusterBits: number): number {
  return 2 ** Math.min(56, 32 + compressedHighBits(clusterBits));
}

/** Returns the file range of the compressed data of an entry. */
export function decodeCompressed(clusterBits: number, high: number, low: number): CompressedSpan {
  const highBits = compressedHighBits(clusterBits);
  const fileOffset = (high & ((1 << highBits) - 1)) * 2 ** 32 + (low >>> 0);
  const moreSectors = (high & 0x3fffffff) >>> highBits;
  return { fileOffset, length: (moreSectors + 1) * 512 - (low & 511) };
}

/** Returns the first and the last host cluster of the compressed data of an entry. */
export function compressedHostClusters(
  { clusterBits, clusterSize }: Geometry,
  high: number,
  low: number,
): { readonly first: number; readonly last: number } {
  const { fileOffset, length } = decodeCompressed(clusterBits, high, low);
  return { first: Math.floor(fileOffset / clusterSize), last: Math.floor((fileOffset + length - 1) / clusterSize) };
}

/**
 * Writes the L2 entry of a compressed cluster (its first 8 bytes). `length` is the length of the compressed bytes.
 * `fileOffset` must be below {@linkcode compressedOffsetLimit}.
 */
export function setCompressed(
  view: DataView,
  at: number,
  clusterBits: number,
  fileOffset: number,
  length: number,
): void {
  const moreSectors = Math.floor((fileOffset % 512 + length - 1) / 512);
  const offsetHigh = Math.floor(fileOffset / 2 ** 32);
  view.setUint32(at, (0x40000000 | moreSectors << compressedHighBits(clusterBits) | offsetHigh) >>> 0);
  view.setUint32(at + 4, fileOffset >>> 0);
}

/** Writes an L1 entry, or the first 8 bytes of a standard L2 entry; `fileOffset` is a multiple of 512. */
export function setEntry(view: DataView, at: number, fileOffset: number, copied: boolean, zero = false): void {
  view.setUint32(at, (Math.floor(fileOffset / 2 ** 32) | (copied ? 0x80000000 : 0)) >>> 0);
  view.setUint32(at + 4, ((fileOffset >>> 0) | (zero ? 1 : 0)) >>> 0);
}

/** Writes the subcluster bitmap, the last 8 bytes of an extended L2 entry that begins at `at`. */
export function setSubclusters(view: DataView, at: number, zeroBits: number, allocatedBits: number): void {
  view.setUint32(at + 8, zeroBits >>> 0);
  view.setUint32(at + 12, allocatedBits >>> 0);
}
