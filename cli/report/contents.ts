/**
 * The contents of a disk as text and as JSON. Pure.
 *
 * @module
 */
import type { BootAnswer, DiskContents, Partition } from "../../mod.ts";
import { bytesText } from "../../tui/human.ts";
import { visible } from "./report.ts";

const TABLES = { gpt: "GPT", mbr: "MBR", damaged: "GPT, damaged", none: "none" } as const;

/** Returns the contents as lines for people, below those of `info`. */
export function contentsLines({ table, sectorSize, partitions, fileSystem, boot }: DiskContents): string[] {
  const sectors = table === "none" || sectorSize === 512 ? "" : `, sectors of ${sectorSize} bytes`;
  return [
    "Contents:",
    `    partition table: ${TABLES[table]}${sectors}`,
    ...partitions.map((one) => `    partition ${one.number}: ${partitionText(one)}`),
    ...(fileSystem === undefined ? [] : [`    file system: ${fileSystem.name}`]),
    `    boot loader for UEFI: ${bootText(boot.uefi)}`,
    `    boot loader for BIOS: ${bootText(boot.bios)}`,
  ].map(visible);
}

function partitionText({ start, size, type, name, active, fileSystem }: Partition): string {
  return [
    type,
    ...(name === undefined ? [] : [`"${name}"`]),
    ...(active ? ["active"] : []),
    `${bytesText(size)} at ${bytesText(start)}`,
    ...(fileSystem === undefined ? [] : [fileSystem.name]),
  ].join(", ");
}

function bootText(answer: BootAnswer): string {
  return answer.boots ? answer.by : `none, ${answer.why}`;
}

/** Returns the contents as the value of `contents` in the JSON of `info`. */
export function contentsJson({ table, sectorSize, partitions, fileSystem, boot }: DiskContents): unknown {
  return {
    "partition-table": table,
    "sector-size": sectorSize,
    "partitions": partitions.map(({ number, start, size, type, typeId, name, active, fileSystem }) => ({
      number,
      start,
      size,
      type,
      "type-id": typeId,
      ...(name !== undefined && { name }),
      ...(active && { active }),
      ...(fileSystem && { "file-system": fileSystem.name }),
    })),
    ...(fileSystem && { "file-system": fileSystem.name }),
    boot,
  };
}
