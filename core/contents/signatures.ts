/**
 * Signatures: bytes at a fixed offset by which software recognises what a file or a partition holds.
 *
 * @module
 */
import { asciiText, viewOf } from "../../formats/mod.ts";

/** Bytes at an offset; a text stands for its Latin-1 bytes. */
export interface Signature {
  readonly at: number;
  readonly bytes: string;
}

/** Returns whether `head` has these bytes at this offset; `false` where it is shorter. */
export function hasSignature(head: Uint8Array, { at, bytes }: Signature): boolean {
  if (head.length < at + bytes.length) return false;
  for (let index = 0; index < bytes.length; index++) if (head[at + index] !== bytes.charCodeAt(index)) return false;
  return true;
}

/** Bytes of the start of a volume that {@linkcode fileSystemOf} looks at. */
export const VOLUME_HEAD = 68 << 10;

/** A file system, or another use of a whole volume. */
export interface FileSystem {
  /** A short name: `ext4`, `NTFS`, `LVM2 physical volume`. */
  readonly name: string;
  /** The operating system that runs from it, where it is used by one kind alone. */
  readonly system?: "linux" | "windows" | "macos";
}

type FileSystemTest = FileSystem & { readonly any: readonly Signature[] };

/** In the order of the test: what stands at byte 0 first, since it cannot be left over from an older file system. */
const FILE_SYSTEMS: readonly FileSystemTest[] = [
  { name: "BitLocker", system: "windows", any: [{ at: 3, bytes: "-FVE-FS-" }] },
  { name: "NTFS", system: "windows", any: [{ at: 3, bytes: "NTFS    " }] },
  { name: "exFAT", any: [{ at: 3, bytes: "EXFAT   " }] },
  { name: "ReFS", system: "windows", any: [{ at: 3, bytes: "ReFS\0\0\0\0" }] },
  { name: "FAT32", any: [{ at: 82, bytes: "FAT32   " }] },
  { name: "FAT16", any: [{ at: 54, bytes: "FAT16   " }] },
  { name: "FAT12", any: [{ at: 54, bytes: "FAT12   " }] },
  { name: "FAT", any: [{ at: 54, bytes: "FAT     " }] },
  { name: "LUKS", system: "linux", any: [{ at: 0, bytes: "LUKS\xba\xbe" }, { at: 0x4000, bytes: "SKUL\xba\xbe" }] },
  { name: "XFS", system: "linux", any: [{ at: 0, bytes: "XFSB" }] },
  { name: "squashfs", system: "linux", any: [{ at: 0, bytes: "hsqs" }, { at: 0, bytes: "sqsh" }] },
  { name: "LVM2 physical volume", system: "linux", any: [0, 512, 1024, 1536].map((at) => ({ at, bytes: "LABELONE" })) },
  { name: "Apple File System", system: "macos", any: [{ at: 32, bytes: "NXSB" }] },
  { name: "HFS+", system: "macos", any: [{ at: 1024, bytes: "H+\0\x04" }, { at: 1024, bytes: "HX\0\x05" }] },
  { name: "F2FS", system: "linux", any: [{ at: 1024, bytes: "\x10\x20\xf5\xf2" }] },
  { name: "EROFS", system: "linux", any: [{ at: 1024, bytes: "\xe2\xe1\xf5\xe0" }] },
  { name: "Linux RAID member", system: "linux", any: [0, 4096].map((at) => ({ at, bytes: "\xfc\x4e\x2b\xa9" })) },
  { name: "bcache", system: "linux", any: [{ at: 4120, bytes: "\xc6\x85\x73\xf6\x4e\x1a\x45\xca" }] },
  {
    name: "Linux swap",
    system: "linux",
    // At the end of the first page, which has 4 KiB to 64 KiB.
    any: [4, 8, 16, 32, 64].map((kib) => ({ at: (kib << 10) - 10, bytes: "SWAPSPACE2" })),
  },
  { name: "btrfs", system: "linux", any: [{ at: 0x10040, bytes: "_BHRfS_M" }] },
];

const EXT_SUPER_BLOCK = 1024;
/** Magic number of ext2, ext3 and ext4, at offset 56 of the super block. */
const EXT_MAGIC: Signature = { at: EXT_SUPER_BLOCK + 56, bytes: "\x53\xef" };
const EXT_HAS_JOURNAL = 0x4;
/** Incompatible features that ext3 lacks: extents, 64 bit, flexible block groups. */
const EXT4_FEATURES = 0x40 | 0x80 | 0x200;

function extOf(head: Uint8Array): FileSystem | null {
  if (!hasSignature(head, EXT_MAGIC) || head.length < EXT_SUPER_BLOCK + 0x64) return null;
  const view = viewOf(head);
  // A block has 1 KiB << this; without the test, two bytes alone would make a file system.
  if (view.getUint32(EXT_SUPER_BLOCK + 24, true) > 6 || view.getUint32(EXT_SUPER_BLOCK + 4, true) === 0) return null;
  const journal = (view.getUint32(EXT_SUPER_BLOCK + 0x5c, true) & EXT_HAS_JOURNAL) !== 0;
  const extents = (view.getUint32(EXT_SUPER_BLOCK + 0x60, true) & EXT4_FEATURES) !== 0;
  return { name: extents ? "ext4" : journal ? "ext3" : "ext2", system: "linux" };
}

/**
 * Returns the file system of a volume; `null` where no signature is found. Reads nothing else than its first
 * {@linkcode VOLUME_HEAD} bytes, of which `head` may hold fewer.
 */
export function fileSystemOf(head: Uint8Array): FileSystem | null {
  const found = FILE_SYSTEMS.find(({ any }) => any.some((signature) => hasSignature(head, signature)));
  if (found === undefined) return extOf(head);
  return { name: found.name, ...(found.system !== undefined && { system: found.system }) };
}

/** Volume descriptors of ISO 9660 (ECMA-119, 8.1) begin in sector 16 of 2048 bytes, those of UDF beside them. */
const OPTICAL: readonly (Signature & { readonly name: string })[] = [
  { name: "ISO 9660", at: 0x8001, bytes: "CD001" },
  { name: "UDF", at: 0x8001, bytes: "BEA01" },
];

/** Returns the standard of an optical disc; `null` for anything else. */
export function opticalOf(head: Uint8Array): string | null {
  return OPTICAL.find((one) => hasSignature(head, one))?.name ?? null;
}

/** Offset and length of the partition records of a master boot record. */
const MBR_RECORDS = 446;
const MBR_RECORD = 16;

/** Returns the partition table at the start of a disk, by its signature alone; `null` without one. */
export function tableOf(head: Uint8Array): "gpt" | "mbr" | "apm" | "boot sector" | null {
  if ([512, 4096].some((at) => hasSignature(head, { at, bytes: "EFI PART" }))) return "gpt";
  if (hasSignature(head, { at: 0, bytes: "ER" }) && hasSignature(head, { at: 512, bytes: "PM" })) return "apm";
  if (!hasSignature(head, { at: 510, bytes: "\x55\xaa" })) return null;
  const records = [0, 1, 2, 3].map((index) => head.subarray(MBR_RECORDS + MBR_RECORD * index).subarray(0, MBR_RECORD));
  const valid = records.every(([status]) => status === 0 || status === 0x80);
  if (valid && records.some((record) => record[4] !== 0)) return "mbr";
  return head[0] === 0 ? null : "boot sector";
}

/** Length of the text fields of a tar header: its name. */
const TAR_NAME = 100;
const TAR_BLOCK = 512;
/** Offset and length of the checksum, an octal number: POSIX.1, "ustar Interchange Format". */
const TAR_SUM = { at: 148, length: 8 } as const;
const TAR_SIZE = { at: 124, length: 12 } as const;

/** Returns the names in the headers of a tar archive, as far as `head` goes; `null` where it is none. */
export function tarNames(head: Uint8Array): string[] | null {
  const names: string[] = [];
  for (let at = 0; at + TAR_BLOCK <= head.length;) {
    const header = head.subarray(at, at + TAR_BLOCK);
    if (!isTarHeader(header)) break;
    names.push(asciiText(header.subarray(0, TAR_NAME)));
    const size = octal(header, TAR_SIZE);
    if (size === null) break;
    at += TAR_BLOCK * (1 + Math.ceil(size / TAR_BLOCK));
  }
  return names.length > 0 ? names : null;
}

function isTarHeader(header: Uint8Array): boolean {
  if (header[0] === 0) return false;
  let sum = 0;
  for (let at = 0; at < TAR_BLOCK; at++) {
    sum += at >= TAR_SUM.at && at < TAR_SUM.at + TAR_SUM.length ? 0x20 : header[at]!;
  }
  return octal(header, TAR_SUM) === sum;
}

function octal(header: Uint8Array, { at, length }: { readonly at: number; readonly length: number }): number | null {
  const text = asciiText(header.subarray(at, at + length)).trim();
  return /^[0-7]+$/.test(text) ? parseInt(text, 8) : null;
}
