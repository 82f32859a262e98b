/**
 * Recognises the contents of a file that has no image format, from its first and last bytes. A file of another kind that
 * is taken for a raw disk becomes a disk that no machine can read.
 *
 * @module
 */
import { type Peek, viewOf } from "../../formats/mod.ts";
import { fileSystemOf, hasSignature, opticalOf, type Signature, tableOf, tarNames } from "./signatures.ts";

/** The contents of a file without an image format. */
export interface Contents {
  /**
   * - `disk`: a disk with a partition table or boot sector; `volume`: a file system without a table; `optical`: a CD or
   *   DVD. Each is a valid raw image.
   * - `archive`: a container that may hold images; `compressed`: one compressed file; `image`: an image of a format that
   *   this program does not read; `memory`: the memory or state of a machine; `text`: text; `other`: documents. None of
   *   them is a raw image.
   */
  readonly kind: "disk" | "volume" | "optical" | "archive" | "compressed" | "image" | "memory" | "text" | "other";
  /** The contents in words, with an article where one is needed. */
  readonly name: string;
  /** The program and its arguments that extract a disk image; `FILE` stands for the path. Absent where there is none. */
  readonly extract?: readonly string[];
}

/** Returns whether the contents are those of a raw disk image. */
export function isRawDisk({ kind }: Contents): boolean {
  return kind === "disk" || kind === "volume" || kind === "optical";
}

type Known = Contents & Signature;

/** Containers and compressed files. The marks of tar are in {@linkcode tarOf}. */
const PACKAGES: readonly Known[] = [
  compressed("gzip-compressed data", 0, "\x1f\x8b\x08", ["gunzip", "-k", "FILE"]),
  compressed("xz-compressed data", 0, "\xfd7zXZ\0", ["xz", "-dk", "FILE"]),
  compressed("zstd-compressed data", 0, "\x28\xb5\x2f\xfd", ["zstd", "-d", "FILE"]),
  compressed("lz4-compressed data", 0, "\x04\x22\x4d\x18", ["lz4", "-dk", "FILE"]),
  compressed("lzip-compressed data", 0, "LZIP\x01", ["lzip", "-dk", "FILE"]),
  compressed("lzop-compressed data", 0, "\x89LZO\0\r\n\x1a\n", ["lzop", "-d", "FILE"]),
  archive("a zip archive", "PK\x03\x04", ["unzip", "FILE"]),
  archive("an empty zip archive", "PK\x05\x06"),
  archive("a 7z archive", "7z\xbc\xaf\x27\x1c", ["7z", "x", "FILE"]),
  archive("a RAR archive", "Rar!\x1a\x07", ["unrar", "x", "FILE"]),
  archive("a cabinet archive", "MSCF\0\0\0\0", ["cabextract", "FILE"]),
  archive("a cpio archive", "070701", ["cpio", "-idv", "-F", "FILE"]),
  archive("a package of ar (Debian, static library)", "!<arch>\n", ["ar", "x", "FILE"]),
  archive("a Windows Imaging file (WIM)", "MSWIM\0\0\0", ["7z", "x", "FILE"]),
  archive("a Proxmox backup archive (VMA)", "VMA\0\0\0\0\x01", ["vma", "extract", "FILE", "extracted"]),
];

/** Images of formats that this program does not read. */
const IMAGES: readonly Known[] = [
  image("a qcow image of version 1", 0, "QFI\xfb\0\0\0\x01", ["qemu-img", "convert", "FILE", "disk.qcow2"]),
  image("a QED image", 0, "QED\0", ["qemu-img", "convert", "FILE", "disk.qcow2"]),
  image("a Parallels image", 0, "WithoutFreeSpace", ["qemu-img", "convert", "FILE", "disk.qcow2"]),
  image("a Parallels image", 0, "WithouFreSpacExt", ["qemu-img", "convert", "FILE", "disk.qcow2"]),
  image("a Bochs image", 0, "Bochs Virtual HD Image\0", ["qemu-img", "convert", "FILE", "disk.qcow2"]),
  image("a cloop image", 0, "#!/bin/sh\n#V2.0 Format\n", ["qemu-img", "convert", "FILE", "disk.qcow2"]),
  image("an Android sparse image", 0, "\x3a\xff\x26\xed\x01\0", ["simg2img", "FILE", "disk.raw"]),
  image("an EnCase image (EWF)", 0, "EVF\x09\x0d\x0a\xff\0", ["ewfexport", "FILE"]),
  image("an EnCase image (EWF 2)", 0, "EVF2\x0d\x0a\x81\0", ["ewfexport", "FILE"]),
  image("a partclone image", 0, "partclone-image\0", ["partclone.restore", "-s", "FILE", "-O", "disk.raw"]),
];

/** Memory and states of machines. */
const MEMORY: readonly Known[] = [
  memory("a Windows memory dump", "PAGEDUMP"),
  memory("a Windows memory dump", "PAGEDU64"),
  memory("a Windows minidump", "MDMP\x93\xa7"),
  memory("a Linux kernel dump (kdump)", "KDUMP   "),
  memory("a memory dump of LiME", "EMiL\x01\0\0\0"),
  memory("the saved state of a QEMU machine", "QEVM\0\0\0\x03"),
  memory("the saved state of a libvirt machine", "LibvirtQemudSave"),
  memory("the saved state of a VirtualBox machine", "\x7fVirtualBox SavedState"),
  ...["\xd0\xbe", "\xd1\xba", "\xd2\xbe", "\xd3\xbe"].map((bytes) =>
    memory("the saved state of a VMware machine", `${bytes}\xd2\xbe`)
  ),
];

const OTHERS: readonly Known[] = [
  { kind: "other", name: "a PDF document", at: 0, bytes: "%PDF-" },
  { kind: "other", name: "a PNG picture", at: 0, bytes: "\x89PNG\r\n\x1a\n" },
  { kind: "other", name: "a JPEG picture", at: 0, bytes: "\xff\xd8\xff" },
];

const KNOWN: readonly Known[] = [...PACKAGES, ...IMAGES, ...MEMORY, ...OTHERS];

function compressed(name: string, at: number, bytes: string, extract: readonly string[]): Known {
  return { kind: "compressed", name, at, bytes, extract };
}

function archive(name: string, bytes: string, extract?: readonly string[]): Known {
  return { kind: "archive", name, at: 0, bytes, ...(extract && { extract }) };
}

function image(name: string, at: number, bytes: string, extract: readonly string[]): Known {
  return { kind: "image", name, at, bytes, extract };
}

function memory(name: string, bytes: string): Known {
  return { kind: "memory", name, at: 0, bytes };
}

/**
 * Returns the contents of a file; `null` where no signature is found. Pure.
 *
 * @param peek the ends of the file. File systems need the first 68 KiB, as {@linkcode VOLUME_HEAD} says.
 */
export function recognise(peek: Peek): Contents | null {
  const { head } = peek;
  const known = KNOWN.find((one) => hasSignature(head, one));
  if (known) return { kind: known.kind, name: known.name, ...(known.extract && { extract: known.extract }) };
  return tarOf(head) ?? bzip2Of(head) ?? coreOf(head) ?? diskOf(head) ?? dmgOf(peek) ?? textOf(peek);
}

function tarOf(head: Uint8Array): Contents | null {
  const names = tarNames(head);
  if (names === null) return null;
  // DMTF DSP0243, 5.3: an OVA is a tar archive whose first file is the OVF descriptor.
  const ova = names.some((name) => /\.ovf$/i.test(name));
  return {
    kind: "archive",
    name: ova ? "an OVA, a tar archive of a virtual machine" : "a tar archive",
    extract: ["tar", "-xf", "FILE"],
  };
}

/** `BZh`, the block size as a digit, and the magic number of the first block or of the end. */
function bzip2Of(head: Uint8Array): Contents | null {
  const [digit = 0] = head.subarray(3);
  if (!hasSignature(head, { at: 0, bytes: "BZh" }) || digit < 0x31 || digit > 0x39) return null;
  const block = ["1AY&SY", "\x17\x72\x45\x38\x50\x90"].some((bytes) => hasSignature(head, { at: 4, bytes }));
  return block ? { kind: "compressed", name: "bzip2-compressed data", extract: ["bzip2", "-dk", "FILE"] } : null;
}

/** An ELF file of the type `ET_CORE`, 4: a dump of the memory of a machine or process. */
function coreOf(head: Uint8Array): Contents | null {
  if (!hasSignature(head, { at: 0, bytes: "\x7fELF" }) || head.length < 20) return null;
  const littleEndian = head[5] === 1;
  const type = viewOf(head).getUint16(16, littleEndian);
  return type === 4
    ? { kind: "memory", name: "a memory dump (ELF core)" }
    : { kind: "other", name: "a program or library (ELF)" };
}

const TABLES = {
  gpt: "a disk with a GPT",
  mbr: "a disk with an MBR",
  apm: "a disk with an Apple partition map",
  "boot sector": "a disk with a boot sector, but without partitions",
} as const;

function diskOf(head: Uint8Array): Contents | null {
  const optical = opticalOf(head);
  if (optical !== null) return { kind: "optical", name: `a CD or DVD (${optical})` };
  const volume = fileSystemOf(head);
  const table = tableOf(head);
  // A file system in its first sector leaves no room for a table; others may be left over in front of a partition.
  if (table !== null && (volume === null || table === "gpt" || table === "mbr" && !startsAtBootSector(volume.name))) {
    return { kind: "disk", name: TABLES[table] };
  }
  return volume === null ? null : { kind: "volume", name: `a volume without a partition table (${volume.name})` };
}

function startsAtBootSector(fileSystem: string): boolean {
  return /^(BitLocker|NTFS|exFAT|ReFS|FAT)/.test(fileSystem);
}

/** An Apple disk image ends with a block of 512 bytes that begins with `koly`. */
function dmgOf({ tail }: Peek): Contents | null {
  const koly = tail.length >= 512 && hasSignature(tail.subarray(tail.length - 512), { at: 0, bytes: "koly\0\0\0\x04" });
  return koly
    ? { kind: "image", name: "an Apple disk image (DMG)", extract: ["qemu-img", "convert", "FILE", "disk.qcow2"] }
    : null;
}

/** Texts of descriptors, by the name of an element or key. */
const DESCRIPTORS: readonly (readonly [pattern: RegExp, name: string])[] = [
  [/<(\w+:)?Envelope\b/, "an OVF descriptor, the text that describes a virtual machine"],
  [/<VirtualBox\b/, "a VirtualBox machine description"],
  [/<domain\b/, "a libvirt machine description"],
  [/^\s*\.encoding\s*=|^config\.version\s*=/m, "a VMware machine description"],
];

/** Text: UTF-8 without control characters at both ends of the file, in more than one line or with a mark of its kind. */
function textOf({ head, tail }: Peek): Contents | null {
  if (head.length === 0 || !isText(tail)) return null;
  const text = decoded(head);
  if (text === null || !(/[\r\n]/.test(text) || /^\s*[<{[#]/.test(text))) return null;
  const descriptor = DESCRIPTORS.find(([pattern]) => pattern.test(text))?.[1];
  return { kind: "text", name: descriptor ?? "a text file" };
}

/** Returns the text of bytes that are UTF-8 without control characters, where the last character may be cut off. */
function decoded(bytes: Uint8Array): string | null {
  if (!isText(bytes)) return null;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: true });
  } catch {
    return null;
  }
}

/** Returns whether no byte is a control character other than tab, line feed, form feed and carriage return. */
function isText(bytes: Uint8Array): boolean {
  return bytes.every((byte) =>
    byte >= 0x20 && byte !== 0x7f || byte === 9 || byte === 10 || byte === 12 || byte === 13
  );
}
