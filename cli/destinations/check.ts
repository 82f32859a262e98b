/**
 * Checks a finished file for its destination: reads it again and applies the rules.
 *
 * @module
 */
import { openDisk, partitionTable } from "../../mod.ts";
import type { ConvertSummary, DiskContents } from "../../mod.ts";
import { bytesText } from "../../tui/human.ts";
import { firmwareHint, systemsOf } from "./boot.ts";
import { contentsOf } from "./contents.ts";
import { nextCommands } from "./recipes.ts";
import { type FinishedFile, type Verdict, verdictOf, verdictText } from "./rules.ts";
import type { Preset, Recipe } from "./table.ts";

/** A destination and the recipe that is chosen for it. */
export interface Destination {
  readonly preset: Preset;
  readonly recipe: Recipe;
}

/**
 * Reads the information of a finished file, or of the image on a block device.
 *
 * @param size guest bytes of the image, where a raw image may be shorter than its device
 * @throws ImageError where it cannot be read
 */
export async function finishedFile(path: string, format: string, size?: number): Promise<FinishedFile> {
  const { isBlockDevice, size: fileSize } = await Deno.stat(path);
  const part = isBlockDevice === true && format === "raw" && size !== undefined ? { size } : {};
  await using disk = await openDisk({ path, format, ...part });
  const { logicalSectorSize = 512 } = disk.layers[0]!.disk;
  const table = await partitionTable(disk, logicalSectorSize);
  return {
    path,
    // The host states no size for a device.
    fileSize: isBlockDevice ? disk.size : fileSize,
    isDevice: isBlockDevice === true,
    size: disk.size,
    format: disk.layers[0]!.disk.format,
    layers: disk.layers.length,
    info: disk.layers[0]!.disk.info,
    table: table.kind,
    sectorSize: logicalSectorSize,
    tableSectorSize: table.kind === "gpt" ? table.gpt.sector : logicalSectorSize,
    backupAtEnd: table.kind === "gpt" && table.gpt.backupAtEnd,
    ...bootOf(await contentsOf(disk, logicalSectorSize)),
  };
}

function bootOf(contents: DiskContents | string): Pick<FinishedFile, "boot" | "systems"> {
  if (typeof contents === "string") return { boot: contents, systems: [] };
  return { boot: contents.boot, systems: systemsOf(contents) };
}

/** Whether a destination takes a finished file, and the lines that report it. */
export interface DestinationCheck {
  readonly verdict: Verdict;
  readonly lines: readonly string[];
}

/** Checks the target of a finished conversion. */
export async function checkForDestination(
  { preset, recipe }: Destination,
  summary: ConvertSummary,
  windows: boolean,
): Promise<DestinationCheck> {
  const file = await finishedFile(summary.path, summary.format, summary.size);
  const verdict = verdictOf(preset, recipe, file);
  const hint = firmwareHint(preset, file);
  const next = verdict.ok && !file.isDevice ? nextCommands(preset, file, windows) : [];
  return {
    verdict,
    lines: [
      ...sizeLines(summary),
      verdictText(preset, verdict),
      ...(hint === undefined || !verdict.ok ? [] : [hint]),
      ...(file.isDevice && file.table === "gpt" ? [gptOfDevice(summary.path)] : []),
      ...(next.length > 0 ? ["Next:", ...next.map((line) => `  ${line}`)] : []),
    ],
  };
}

/** Returns the hint for a GPT on a device: the device may be larger than the image, which has the backup at its end. */
function gptOfDevice(path: string): string {
  return `The backup of its GPT is at the end of the image; where the device is larger, sgdisk -e ${path} moves it`;
}

/** Returns how the disk was lengthened; empty where it was not. */
export function sizeLines({ added, gpt, size }: Pick<ConvertSummary, "added" | "gpt" | "size">): string[] {
  if (added === undefined) return [];
  const moved = gpt === "moved" ? "; the backup of its partition table is at the new end" : "";
  return [`${bytesText(added)} of zeroes were added at the end of the disk, to ${size} bytes${moved}`];
}
