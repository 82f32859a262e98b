/**
 * The functions of the library that look into a disk. Each loads its code when it is called.
 *
 * @module
 */
import type { GuestReader } from "../formats/mod.ts";
import type { DiskContents } from "./disk_contents.ts";
import type { PartitionTable } from "./target/gpt.ts";

/**
 * Returns the partition table of a disk. Reads the first sectors and, for a GPT, its entries and its backup.
 *
 * @param sectorSize bytes of a logical sector of the disk, if known (`Disk.logicalSectorSize`). A GPT of another sector size
 * is found, too: compare it with `gpt.sector`
 * @throws ImageError where the disk cannot be read
 *
 * @example
 * ```ts
 * import { openDisk, partitionTable } from "../mod.ts";
 * import assert from "node:assert/strict";
 *
 * await using disk = await openDisk("tests/samples/sample.qcow2");
 * assert.equal((await partitionTable(disk)).kind, "mbr");
 * ```
 */
export async function partitionTable(disk: GuestReader, sectorSize?: number): Promise<PartitionTable> {
  return await (await import("./target/gpt.ts")).partitionTable(disk, sectorSize);
}

/**
 * Returns the contents of a disk: partitions with their file systems by signature, and what BIOS and UEFI find to start.
 * Reads a few sectors of each partition, and the folders of boot loaders.
 *
 * @param sectorSize bytes of a logical sector of the disk, if known (`Disk.logicalSectorSize`)
 * @throws ImageError where the disk cannot be read
 *
 * @example
 * ```ts
 * import { diskContents, openDisk } from "../mod.ts";
 * import assert from "node:assert/strict";
 *
 * await using disk = await openDisk("tests/samples/sample.qcow2");
 * const { table, partitions, boot } = await diskContents(disk);
 * assert.deepEqual([table, partitions[0]!.fileSystem?.name, boot.uefi.boots], ["mbr", "FAT16", false]);
 * ```
 */
export async function diskContents(disk: GuestReader, sectorSize?: number): Promise<DiskContents> {
  return await (await import("./disk_contents.ts")).diskContents(disk, sectorSize);
}
