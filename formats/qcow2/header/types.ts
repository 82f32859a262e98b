/**
 * The fields of a qcow2 header, and the constants of the specification.
 *
 * @module
 */
import type { NamedFile } from "../../guest_reader.ts";

/** `QFI\xfb`, the first four bytes, big-endian. */
export const MAGIC = 0x514649fb;
/** Length of a version 2 header, in bytes. */
export const HEADER_LENGTH_V2 = 72;
/** Minimum length of a version 3 header, in bytes. */
export const HEADER_LENGTH_V3 = 104;
/** Length of a version 3 header with the compression type and its padding, in bytes. */
export const HEADER_LENGTH_CURRENT = 112;

/** Cluster bits: the minimum of the specification, and the maximum that QEMU reads. */
export const CLUSTER_BITS = { min: 9, max: 21 } as const;
/** Extended L2 entries need clusters of at least 16 KiB. */
export const EXTENDED_L2_MIN_CLUSTER_BITS = 14;
/** Maximum length of an L1 table, in bytes. */
export const L1_BYTES_MAX = 32 << 20;
/** Maximum length of a refcount table, in bytes. */
export const REFCOUNT_TABLE_BYTES_MAX = 8 << 20;
/** Maximum length of a backing file name, in bytes. */
export const BACKING_NAME_BYTES_MAX = 1023;
/** Maximum length of a backing format name, in bytes: QEMU accepts no longer one. */
export const BACKING_FORMAT_BYTES_MAX = 15;
/** Fixed part of a snapshot table entry, in bytes. */
export const SNAPSHOT_ENTRY_BYTES = 40;
/** Maximum number of internal snapshots. */
export const SNAPSHOTS_MAX = 65536;
/** Fixed part of a bitmap directory entry, in bytes. */
export const BITMAP_ENTRY_BYTES = 24;
/** Maximum length of a bitmap's name, in bytes. */
export const BITMAP_NAME_BYTES_MAX = 1023;
/** Maximum number of persistent bitmaps. */
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

/** A 64-bit mask as two unsigned 32-bit halves, because JavaScript's bit operators work on 32 bits. */
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
  /** The field: 0 incompatible, 1 compatible, 2 autoclear. Rows for other fields are kept. */
  readonly field: number;
  /** Bit number in the field, 0 to 63. */
  readonly bit: number;
  /** At most 46 bytes. */
  readonly name: string;
}

/** The feature name table of a new image: every bit known to this program. */
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

/** Location and size of the bitmap directory. */
export interface BitmapsExtension {
  readonly count: number;
  /** Length of the directory in bytes. */
  readonly directorySize: number;
  readonly directoryFileOffset: number;
}

/** A header extension that is not interpreted, and written back unchanged. */
export interface UnknownExtension {
  readonly type: number;
  readonly data: Uint8Array;
}

/** Compression method of compressed clusters. */
export type CompressionType = "zlib" | "zstd";

/** The contents of the first cluster. Sizes in bytes, offsets in file bytes. */
export interface Header {
  readonly version: 2 | 3;
  readonly clusterBits: number;
  /** `2 ** clusterBits`. */
  readonly clusterSize: number;
  /** Size of the disk, in guest bytes. */
  readonly size: number;
  readonly backing: NamedFile | null;
  readonly l1: { readonly fileOffset: number; readonly entries: number };
  readonly refcountTable: { readonly fileOffset: number; readonly clusters: number };
  /** A refcount has `1 << refcountOrder` bits; 0 to 6. */
  readonly refcountOrder: number;
  readonly snapshots: { readonly fileOffset: number; readonly count: number };
  /** 72 for version 2; for version 3 at least 104 and a multiple of 8. */
  readonly headerLength: number;

  /** Refcounts may be wrong (incompatible bit 0). */
  readonly dirty: boolean;
  /** Any structure may be wrong (incompatible bit 1): the image must not be written. */
  readonly corrupt: boolean;
  /** Guest clusters lie in an external data file (incompatible bit 2). */
  readonly externalData: boolean;
  readonly compressionType: CompressionType;
  /** L2 entries have 128 bits and subclusters (incompatible bit 4). */
  readonly extendedL2: boolean;
  readonly lazyRefcounts: boolean;
  /** Whether the bitmaps extension is consistent with the image (autoclear bit 0). */
  readonly bitmapsConsistent: boolean;
  /** The data file alone is a raw image of the disk (autoclear bit 1). */
  readonly rawExternalData: boolean;
  /** Compatible features unknown to this program; written back unchanged. */
  readonly unknownCompatible: Halves;
  /** Autoclear features unknown to this program; a writer must clear them. */
  readonly unknownAutoclear: Halves;

  /** Bytes of the names of backing file and data file that are not UTF-8; written back unchanged. */
  readonly nameBytes?: readonly Uint8Array[];
  /** Name of the external data file, as the image states it. */
  readonly dataFileName: string | null;
  readonly bitmaps: BitmapsExtension | null;
  readonly featureNames: readonly FeatureName[];
  /** Extensions unknown to this program, in their order; written back unchanged. */
  readonly unknownExtensions: readonly UnknownExtension[];
  /** Header bytes from 112 on, of fields unknown to this program; written back unchanged. */
  readonly unknownFields: Uint8Array;
}
