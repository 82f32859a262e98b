/**
 * What a qcow2 header holds, as values, and the numbers that the specification gives to it.
 *
 * @module
 */
import type { NamedFile } from "../../contract.ts";

/** `QFI\xfb`, the first four bytes, big-endian. */
export const MAGIC = 0x514649fb;
/** Length of a version 2 header, in bytes. */
export const HEADER_LENGTH_V2 = 72;
/** Least length of a version 3 header, in bytes. */
export const HEADER_LENGTH_V3 = 104;
/** Length of a version 3 header with the compression type and its padding, in bytes. */
export const HEADER_LENGTH_NOW = 112;

/** Cluster bits: the least that the specification allows, and the greatest that any program reads. */
export const CLUSTER_BITS = { min: 9, max: 21 } as const;
/** Extended L2 entries need clusters of at least 16 KiB. */
export const EXTENDED_L2_MIN_CLUSTER_BITS = 14;
/** Greatest L1 table, in bytes. */
export const L1_BYTES_MAX = 32 << 20;
/** Greatest refcount table, in bytes. */
export const REFCOUNT_TABLE_BYTES_MAX = 8 << 20;
/** Greatest length of a backing file name, in bytes. */
export const BACKING_NAME_BYTES_MAX = 1023;
/** Greatest length of a backing format name, in bytes: QEMU takes no longer one. */
export const BACKING_FORMAT_BYTES_MAX = 15;
/** Fixed part of a snapshot table entry, in bytes. */
export const SNAPSHOT_ENTRY_BYTES = 40;
/** Greatest number of internal snapshots. */
export const SNAPSHOTS_MAX = 65536;
/** Fixed part of a bitmap directory entry, in bytes. */
export const BITMAP_ENTRY_BYTES = 24;
/** Greatest length of a bitmap's name, in bytes. */
export const BITMAP_NAME_BYTES_MAX = 1023;
/** Greatest number of persistent bitmaps. */
export const BITMAPS_MAX = 65535;

/** Incompatible feature bits (low half). */
export const INCOMPATIBLE = {
  dirty: 1 << 0,
  corrupt: 1 << 1,
  externalData: 1 << 2,
  compressionType: 1 << 3,
  extendedL2: 1 << 4,
} as const;
/** Compatible feature bits (low half). */
export const COMPATIBLE = { lazyRefcounts: 1 << 0 } as const;
/** Autoclear feature bits (low half). */
export const AUTOCLEAR = { bitmaps: 1 << 0, rawExternalData: 1 << 1 } as const;

/** Header extension types. */
export const EXTENSION = {
  end: 0,
  backingFormat: 0xe2792aca,
  featureNames: 0x6803f857,
  bitmaps: 0x23852875,
  encryption: 0x0537be77,
  dataFileName: 0x44415441,
} as const;

/** A 64-bit mask by halves, because JavaScript's bit operators end at 32 bits. Both unsigned. */
export interface Halves {
  readonly high: number;
  readonly low: number;
}

/** No bits. */
export const NO_BITS: Halves = { high: 0, low: 0 };

/** Returns an unsigned 64-bit field as a number; rounded above 2^53, where every check against a limit fails anyway. */
export function roundedU64(view: DataView, at: number): number {
  return view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4);
}

/** One row of the feature name table. */
export interface FeatureName {
  /** Which field: 0 incompatible, 1 compatible, 2 autoclear; others are kept as they are. */
  readonly field: number;
  /** Bit number in the field, 0 to 63. */
  readonly bit: number;
  /** At most 46 bytes. */
  readonly name: string;
}

/** The feature names that a new image states: every bit known here. */
export const FEATURE_NAMES: readonly FeatureName[] = [
  { field: 0, bit: 0, name: "dirty bit" },
  { field: 0, bit: 1, name: "corrupt bit" },
  { field: 0, bit: 2, name: "external data file" },
  { field: 0, bit: 3, name: "compression type" },
  { field: 0, bit: 4, name: "extended L2 entries" },
  { field: 1, bit: 0, name: "lazy refcounts" },
  { field: 2, bit: 0, name: "bitmaps" },
  { field: 2, bit: 1, name: "raw external data" },
];

/** Where the bitmap directory lies. */
export interface BitmapsExtension {
  readonly count: number;
  /** Length of the directory in bytes. */
  readonly directorySize: number;
  readonly directoryFileOffset: number;
}

/** A header extension that is only kept. */
export interface UnknownExtension {
  readonly type: number;
  readonly data: Uint8Array;
}

/** How compressed clusters are compressed. */
export type CompressionType = "zlib" | "zstd";

/** All that stands in the first cluster. Sizes in bytes, offsets in file bytes. */
export interface Header {
  readonly version: 2 | 3;
  readonly clusterBits: number;
  /** `2 ** clusterBits`. */
  readonly clusterSize: number;
  /** Guest bytes. */
  readonly size: number;
  readonly backing: NamedFile | null;
  readonly l1: { readonly fileOffset: number; readonly entries: number };
  readonly refcountTable: { readonly fileOffset: number; readonly clusters: number };
  /** A refcount has `1 << refcountOrder` bits; 0 to 6. */
  readonly refcountOrder: number;
  readonly snapshots: { readonly fileOffset: number; readonly count: number };
  /** 72 for version 2, else at least 104 and a multiple of 8. */
  readonly headerLength: number;

  /** Refcounts may be wrong. */
  readonly dirty: boolean;
  /** Any structure may be wrong; never write. */
  readonly corrupt: boolean;
  /** Guest clusters lie in another file. */
  readonly externalData: boolean;
  readonly compressionType: CompressionType;
  /** L2 entries of 128 bits, with subclusters. */
  readonly extendedL2: boolean;
  readonly lazyRefcounts: boolean;
  /** Whether the bitmaps extension can be trusted (autoclear bit 0). */
  readonly bitmapsConsistent: boolean;
  /** The data file is a raw image of the disk by itself (autoclear bit 1). */
  readonly rawExternalData: boolean;
  /** Compatible features not known here: kept. */
  readonly unknownCompatible: Halves;
  /** Autoclear features not known here: a writer must clear them. */
  readonly unknownAutoclear: Halves;

  /** The external data file as the image names it. */
  readonly dataFileName: string | null;
  readonly bitmaps: BitmapsExtension | null;
  readonly featureNames: readonly FeatureName[];
  /** Kept in their order, to be written again. */
  readonly unknownExtensions: readonly UnknownExtension[];
  /** Header bytes from 112 on, of fields not known here: kept. */
  readonly unknownFields: Uint8Array;
}
