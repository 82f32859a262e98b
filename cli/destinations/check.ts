/**
 * Checks a finished file for its destination: reads it again and applies the rules.
 *
 * @module
 */
import { diskContents, ImageError, openDisk, partitionTable } from "../../mod.ts";
import type { ConvertSummary, DiskContents, OpenedDisk } from "../../mod.ts";
import { bytesText } from "../../tui/human.ts";
import { nextCommands } from "./recipes.ts";
import { type FinishedFile, type Verdict, verdictOf, verdictText } from "./rules.ts";
import type { Preset, Recipe } from "./table.ts";

/** A destination and the recipe that is chosen for it. */
export interface Destination {
  readonly preset: Preset;
  readonly recipe: Recipe;
}

/**
 * Reads the information of a finished file.
 *
 * @throws ImageError where it cannot be read
 */
export async function finishedFile(path: string, format: string): Promise<FinishedFile> {
  await using disk = await openDisk({ path, format });
  const { logicalSectorSize = 512 } = disk.layers[0]!.disk;
  const table = await partitionTable(disk, logicalSectorSize);
  return {
    path,
    fileSize: (await Deno.stat(path)).size,
    size: disk.size,
    format: disk.layers[0]!.disk.format,
    layers: disk.layers.length,
    info: disk.layers[0]!.disk.info,
    table: table.kind,
    sectorSize: logicalSectorSize,
    tableSectorSize: table.kind === "gpt" ? table.gpt.sector : logicalSectorSize,
    backupAtEnd: table.kind === "gpt" && table.gpt.backupAtEnd,
    boot: await bootOf(disk, logicalSectorSize),
  };
}

/** Returns what firmware finds to start; a text: why it cannot be read. */
async function bootOf(disk: OpenedDisk, sectorSize: number): Promise<DiskContents["boot"] | string> {
  try {
    return (await diskContents(disk, sectorSize)).boot;
  } catch (error) {
    if (error instanceof ImageError) return error.message;
    throw error;
  }
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
  const file = await finishedFile(summary.path, summary.format);
  const verdict = verdictOf(preset, recipe, file);
  const next = verdict.ok ? nextCommands(preset, file, windows) : [];
  return {
    verdict,
    lines: [
      ...sizeLines(summary),
      verdictText(preset, verdict),
      ...(next.length > 0 ? ["Next:", ...next.map((line) => `  ${line}`)] : []),
    ],
  };
}

/** Returns how the disk was lengthened; empty where it was not. */
export function sizeLines({ added, gpt, size }: Pick<ConvertSummary, "added" | "gpt" | "size">): string[] {
  if (added === undefined) return [];
  const moved = gpt === "moved" ? "; the backup of its partition table is at the new end" : "";
  return [`${bytesText(added)} of zeroes were added at the end of the disk, to ${size} bytes${moved}`];
}
