/**
 * Looks into a disk as firmware and an operating system do: partition table, partitions, file systems, boot loaders.
 *
 * @module
 */
import { type GuestReader, viewOf } from "../formats/mod.ts";
import { type BootSupport, bootSupport, isEfiSystem, type LoaderFolder } from "./contents/boot.ts";
import { openFat } from "./contents/fat.ts";
import { gptPartitions, hasMbr, mbrPartitions, type Partition } from "./contents/partitions.ts";
import { type FileSystem, fileSystemOf, opticalOf, tableOf, VOLUME_HEAD } from "./contents/signatures.ts";
import type { PartitionTable } from "./target/gpt.ts";

/** The contents of a disk. */
export interface DiskContents {
  /** The kind of its partition table; `damaged`: a GPT that is corrupt. */
  readonly table: "gpt" | "mbr" | "damaged" | "none";
  /** Bytes of the sectors in which the table counts. */
  readonly sectorSize: number;
  /** In the order of the table. */
  readonly partitions: readonly Partition[];
  /** Of a disk without a partition table: the file system that fills it. */
  readonly fileSystem?: FileSystem;
  /** What BIOS and UEFI find to start. */
  readonly boot: BootSupport;
}

/** Bytes of the largest logical sector. */
const MAX_SECTOR = 4096;

/** Most partitions whose file systems are looked for. */
const MAX_VOLUMES = 64;

/** Offset of the bytes of an entry in the header of a GPT. */
const GPT_ENTRY_SIZE = 84;

/** Implements `diskContents` of `disk.ts`. */
export async function diskContents(disk: GuestReader, sectorSize = 512): Promise<DiskContents> {
  const head = await bytesAt(disk, 0, 2 * MAX_SECTOR);
  const first = head.subarray(0, 512);
  const found = await tableAt(disk, head, sectorSize);
  const table = found.kind === "mbr" && !hasMbr(first) ? "none" : found.kind;
  const sector = found.kind === "gpt" ? found.gpt.sector : sectorSize;
  const listed = found.kind === "gpt"
    ? gptPartitions(found.gpt.entries, viewOf(found.gpt.header).getUint32(GPT_ENTRY_SIZE, true), sector)
    : table === "mbr"
    ? await mbrPartitions(disk, first, sector)
    : [];
  const partitions: Partition[] = [];
  const bootSectors: number[] = [];
  for (const [index, one] of listed.entries()) {
    const head = index < MAX_VOLUMES ? await volumeHead(disk, one.start, one.size) : new Uint8Array();
    const fileSystem = fileSystemOf(head);
    partitions.push({ ...one, ...(fileSystem && { fileSystem }) });
    if (one.active && head[510] === 0x55 && head[511] === 0xaa) bootSectors.push(one.number);
  }
  const whole = table === "none" ? wholeVolume(await volumeHead(disk, 0, disk.size)) : null;
  const loaders = await loaderFolders(disk, whole === null ? partitions.filter(isEfiSystem) : [wholeDisk(disk)]);
  return {
    table,
    sectorSize: sector,
    partitions,
    ...(whole && { fileSystem: whole }),
    boot: bootSupport({ table, sector: first, partitions, bootSectors, loaders }),
  };
}

/** Offsets of the types of the four records of an MBR, and the type of the one that protects a GPT. */
const MBR_TYPES = [450, 466, 482, 498];
const PROTECTIVE = 0xee;

/** Returns the partition table. The code for a GPT, which loads modules of Node, is loaded where there may be one. */
async function tableAt(disk: GuestReader, head: Uint8Array, sectorSize: number): Promise<PartitionTable> {
  if (tableOf(head) !== "gpt" && !MBR_TYPES.some((at) => head[at] === PROTECTIVE)) {
    return { kind: head[510] === 0x55 && head[511] === 0xaa ? "mbr" : "none" };
  }
  return await (await import("./target/gpt.ts")).partitionTable(disk, sectorSize);
}

/** Returns the file system of a disk without a partition table. */
function wholeVolume(head: Uint8Array): FileSystem | null {
  const optical = opticalOf(head);
  return optical === null ? fileSystemOf(head) : { name: optical };
}

function wholeDisk({ size }: GuestReader): Pick<Partition, "number" | "start" | "size"> {
  return { number: 0, start: 0, size };
}

/** Most EFI system partitions that are read. */
const MAX_LOADER_FOLDERS = 4;

async function loaderFolders(
  disk: GuestReader,
  volumes: readonly Pick<Partition, "number" | "start" | "size">[],
): Promise<LoaderFolder[]> {
  const found: LoaderFolder[] = [];
  for (const { number, start, size } of volumes.slice(0, MAX_LOADER_FOLDERS)) {
    const fat = await openFat(disk, start, size);
    const boot = await fat?.list(["EFI", "BOOT"]) ?? [];
    const folders = await fat?.list(["EFI"]) ?? [];
    found.push({
      partition: number,
      isFat: fat !== null,
      fallback: boot.filter((one) => !one.isDirectory && one.size > 0).map(({ name }) => name),
      others: folders.filter(({ name, isDirectory }) => isDirectory && !/^(\.+|BOOT)$/.test(name)).map(({ name }) =>
        name
      ),
    });
  }
  return found;
}

/**
 * Sectors of 512 bytes at the start of a volume that hold the signatures of `fileSystemOf` and `opticalOf`: first and number. The
 * sectors between them are not read.
 */
const SIGNATURE_SECTORS: readonly (readonly [first: number, count: number])[] = [
  [0, 9],
  [15, 1],
  [31, 2],
  [63, 2],
  [127, 2],
];

/** Returns the start of a volume with zeroes in place of what no signature needs; shorter where the disk ends before. */
async function volumeHead(disk: GuestReader, start: number, size: number): Promise<Uint8Array> {
  const length = Math.max(0, Math.min(size, disk.size - start, VOLUME_HEAD));
  const head = new Uint8Array(length);
  for (const [first, count] of SIGNATURE_SECTORS) {
    const part = head.subarray(first * 512, (first + count) * 512);
    if (part.length > 0) await disk.read(part, start + first * 512);
  }
  return head;
}

async function bytesAt(disk: GuestReader, start: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(Math.max(0, Math.min(length, disk.size - start)));
  if (bytes.length > 0) await disk.read(bytes, start);
  return bytes;
}
