/**
 * Conversions to another logical sector size. Partition tables and some file systems count in sectors, and a guest looks for
 * them by the sectors of its disk.
 *
 * @module
 */
import { asciiText, equalBytes, type GuestReader, ImageError, zeroes } from "../../formats/mod.ts";
import type { OpenedSources } from "../open/source.ts";
import type { WarningListener } from "../events.ts";
import type { TargetSpec } from "../job.ts";

/** Logical sector sizes that disks have, in bytes. */
export const SECTOR_SIZES = [512, 4096] as const;

/** The creation option of formats that can have several sizes. */
export const SECTOR_SIZE_OPTION = "logical_sector_size";

/** The sector size where a format states none: the one that QEMU gives to a guest by default. */
const DEFAULT_SECTOR_SIZE = 512;

/** A disk without partition table and file system is zero up to here: the superblock of btrfs begins at 64 KiB. */
const BLANK_BYTES = 68 << 10;

/** The logical sector sizes of sources, in bytes. */
export interface SourceSectors {
  /** As the formats of the sources state them; empty where none does. */
  readonly stated: readonly number[];
  /** Returns that in which the GPT of the disk counts; `null` for a disk without one. Reads the first sectors once. */
  table(): Promise<number | null>;
}

/** Returns the sector sizes of `sources`; `reader` reads their guest bytes. */
export function sourceSectorsOf(sources: OpenedSources, reader: () => GuestReader): SourceSectors {
  const found = sources.images.map(({ layers }) => layers[0].disk.logicalSectorSize);
  let table: Promise<number | null> | undefined;
  return {
    stated: [...new Set(found.filter((size) => size !== undefined))],
    table: () => table ??= gptSectorSize(reader()),
  };
}

/** Returns the sector size of a new disk, if its format has several to choose from; `undefined`: that of the format. */
export async function inheritedSectorSize({ stated, table }: SourceSectors): Promise<number | undefined> {
  return stated.length > 0 ? stated[0] : await table() ?? undefined;
}

/** Returns by which sectors the guest finds a GPT in `reader`: its primary header is in sector 1. */
async function gptSectorSize(reader: GuestReader): Promise<number | null> {
  const head = new Uint8Array(Math.min(reader.size, 2 * Math.max(...SECTOR_SIZES)));
  try {
    await reader.read(head, 0);
  } catch (error) {
    // The copy meets the read error itself.
    if (error instanceof ImageError) return null;
    throw error;
  }
  return SECTOR_SIZES.find((size) => asciiText(head.subarray(size, size + 8)) === "EFI PART") ?? null;
}

/** The settings of a job for a change of the sector size. */
export interface SectorSizePolicy {
  /** Whether the size may change although something in the disk counts by it. */
  readonly allowed: boolean;
  /** Whether the GPT is written anew for the sectors of the target. */
  readonly convertGpt: boolean;
}

/** The target of a conversion, by which its sector size is judged. */
export interface TargetSectors {
  readonly spec: TargetSpec;
  /** Title of its format. */
  readonly title: string;
  /** Bytes of a logical sector; absent where the format has none. */
  readonly sectorSize: number | undefined;
}

/**
 * Compares the sector sizes of a conversion. Returns the sector size for which the GPT must be written anew, where
 * `policy` states that and the GPT counts in another size; otherwise `null`.
 *
 * Nothing in a disk depends on its sector size where all its first bytes are zero, or its GPT counts by the size that the
 * target has.
 *
 * @throws ImageError `refused` where the guest would no longer find what is in the disk
 */
export async function checkSectorSize(
  sectors: SourceSectors,
  target: TargetSectors,
  reader: GuestReader,
  policy: SectorSizePolicy,
  onWarning: WarningListener,
): Promise<number | null> {
  const { stated } = sectors;
  const wanted = target.sectorSize ?? DEFAULT_SECTOR_SIZE;
  const isUnstated = stated.length === 0 && target.sectorSize === undefined;
  if (!policy.convertGpt && (isUnstated || stated.every((size) => size === wanted) && stated.length > 0)) return null;
  const table = await sectors.table();
  if (policy.convertGpt && table !== null) return table === wanted ? null : wanted;
  const source = table ?? stated.find((size) => size !== wanted) ?? stated[0] ?? DEFAULT_SECTOR_SIZE;
  if (source === wanted) return null;
  if (target.sectorSize === undefined) {
    if (await isBlank(reader)) return null;
    onWarning(
      `the disk has logical sectors of ${source} bytes, which ${target.title} does not state; ` +
        `give it such sectors again where it runs (QEMU: logical_block_size=${source} of the device)`,
      true,
    );
    return null;
  }
  const change = `the disk has logical sectors of ${source} bytes, and ${target.title} gives it sectors of ${wanted}`;
  if (await isBlank(reader)) {
    onWarning(change, true);
    return null;
  }
  if (policy.allowed) {
    onWarning(`${change}; its partition table and file systems stay as they are`);
    return null;
  }
  throw refusal(change, table, target);
}

function refusal(change: string, table: number | null, { spec }: TargetSectors): ImageError {
  const why = table === null
    ? "its partition table and file systems may count by them"
    : "the guest would not find its partition table (GPT), which counts by them";
  const ways = [
    spec.options?.[SECTOR_SIZE_OPTION] === undefined
      ? '"-O vhdx" keeps the size of the sectors'
      : `leave out ${SECTOR_SIZE_OPTION}`,
    ...(table === null ? [] : ["--convert-gpt writes the table anew"]),
    "--allow-sector-size-change converts nevertheless",
  ];
  const message = `Cannot convert to "${spec.path}": ${change}; ${why}; ${ways.join(", ")}`;
  return new ImageError("refused", message, { path: spec.path });
}

/** Returns whether the disk has no partition table and no file system at its start. */
async function isBlank(reader: GuestReader): Promise<boolean> {
  const head = new Uint8Array(Math.min(reader.size, BLANK_BYTES));
  await reader.read(head, 0);
  return equalBytes(head, zeroes(head.length));
}
