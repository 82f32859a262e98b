/**
 * Whether a disk may boot at a destination: what firmware finds on it against the firmware that machines have there. Pure.
 *
 * @module
 */
import type { DiskContents } from "../../mod.ts";
import type { Preset } from "./table.ts";

/** The contents of a disk, as far as booting depends on them. `boot` is a text where they cannot be read: the reason. */
export interface BootView {
  readonly table: DiskContents["table"];
  readonly boot: DiskContents["boot"] | string;
}

const NAMES = { uefi: "UEFI", bios: "BIOS" } as const;

function kindsOf({ firmware }: Preset): readonly ("uefi" | "bios")[] {
  return firmware === undefined ? ["uefi", "bios"] : [firmware];
}

/** Returns the kinds of firmware of a destination that find a boot loader; empty where none does. */
export function firmwareThatBoots(preset: Preset, { table, boot }: BootView): readonly string[] {
  if (typeof boot === "string" || (preset.needsGpt && table !== "gpt")) return [];
  return kindsOf(preset).filter((kind) => boot[kind].boots).map((kind) => NAMES[kind]);
}

/** Returns why a disk may not boot at a destination; `undefined` where firmware there finds a boot loader. */
export function mayNotBoot(preset: Preset, view: BootView): string | undefined {
  const { table, boot } = view;
  if (typeof boot === "string") return `its contents cannot be read (${boot})`;
  if (preset.needsGpt && table !== "gpt") {
    return `it has ${table === "mbr" ? "an MBR" : "no partition table"}, and machines there boot only from a GPT`;
  }
  if (firmwareThatBoots(preset, view).length > 0) return undefined;
  const reasons = kindsOf(preset).map((kind) => [NAMES[kind], boot[kind].boots ? "" : boot[kind].why] as const);
  const [first] = reasons;
  if (reasons.every(([, why]) => why === first![1])) return first![1];
  return reasons.map(([kind, why]) => `${why} (${kind})`).join(" and ");
}

/** Returns which firmware to choose, where the user chooses it and only one kind finds a boot loader. */
export function firmwareHint(preset: Preset, { boot }: BootView): string | undefined {
  if (preset.firmware !== undefined || typeof boot === "string" || boot.uefi.boots === boot.bios.boots) {
    return undefined;
  }
  const [has, lacks] = boot.uefi.boots ? ["uefi", "bios"] as const : ["bios", "uefi"] as const;
  const answer = boot[lacks];
  return `Give the machine ${NAMES[has]} firmware: for ${NAMES[lacks]}, ${answer.boots ? "" : answer.why}`;
}

const SYSTEMS = { linux: "Linux", windows: "Windows", macos: "macOS" } as const;

/** Returns the operating systems whose file systems a disk has: `Linux (ext4, XFS)`. A file system that several use is none. */
export function systemsOf({ partitions, fileSystem }: DiskContents): string[] {
  const all = [...partitions.map((one) => one.fileSystem), fileSystem].filter((one) => one !== undefined);
  return Object.entries(SYSTEMS).flatMap(([system, title]) => {
    const names = [...new Set(all.filter((one) => one.system === system).map(({ name }) => name))];
    return names.length === 0 ? [] : [`${title} (${names.join(", ")})`];
  });
}

const TABLES = { gpt: "GPT", mbr: "MBR", damaged: "damaged GPT", none: "no partition table" } as const;

/** Returns the contents of a disk in one line. */
export function contentsText(contents: DiskContents): string {
  const { table, partitions, fileSystem, boot } = contents;
  const count = `${partitions.length} ${partitions.length === 1 ? "partition" : "partitions"}`;
  const systems = systemsOf(contents);
  const loaders = (["uefi", "bios"] as const).filter((kind) => boot[kind].boots).map((kind) => NAMES[kind]);
  return [
    table === "none" ? fileSystem?.name ?? TABLES.none : `${TABLES[table]}, ${count}`,
    ...(table === "none" ? [] : systems),
    loaders.length === 0 ? "no boot loader" : `boot loader for ${loaders.join(" and ")}`,
  ].join(", ");
}
