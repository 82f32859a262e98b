/**
 * What firmware finds on a disk: boot code for BIOS, and loaders under the names that UEFI starts on a machine that has no
 * entry for them. Pure.
 *
 * @module
 */
import { BIOS_BOOT, EFI_SYSTEM, MBR_EFI_SYSTEM, mbrTypeId } from "./partition_types.ts";
import type { Partition } from "./partitions.ts";

/** Whether one kind of firmware finds something to start. */
export type BootAnswer =
  /** `by`: the boot code or the loaders, in words. */
  | { readonly boots: true; readonly by: string }
  /** `why`: the reason, a sentence about the disk (`it has no boot code`). */
  | { readonly boots: false; readonly why: string };

/** The answers for both kinds of firmware. That the loader then starts a system was not tried. */
export interface BootSupport {
  /** Legacy BIOS. */
  readonly bios: BootAnswer;
  /** UEFI without entries of its own, as on a new machine. */
  readonly uefi: BootAnswer;
}

/** The content of one EFI system partition. */
export interface LoaderFolder {
  /** Number of its partition; 0: the file system fills the disk. */
  readonly partition: number;
  /** Whether it is a FAT file system, which UEFI requires. */
  readonly isFat: boolean;
  /** Names of the files in \EFI\BOOT, in capitals, with content. */
  readonly fallback: readonly string[];
  /** Names of the other folders of \EFI: their loaders need an entry in the memory of the firmware. */
  readonly others: readonly string[];
}

/** The facts that the answers follow from. */
export interface BootFacts {
  readonly table: "gpt" | "mbr" | "damaged" | "none";
  /** The first sector. */
  readonly sector: Uint8Array;
  readonly partitions: readonly Partition[];
  /** Numbers of active partitions whose first sector ends with the signature of boot sectors. */
  readonly bootSectors: readonly number[];
  readonly loaders: readonly LoaderFolder[];
}

/** Bytes of boot code in an MBR: the disk signature follows. */
const CODE = 440;

/** Loaders that UEFI starts without an entry, UEFI Specification 2.10, 3.5.1.1, and their processors. */
const FALLBACK: { readonly [name: string]: string } = {
  "BOOTX64.EFI": "x86-64",
  "BOOTAA64.EFI": "ARM64",
  "BOOTIA32.EFI": "x86",
  "BOOTARM.EFI": "ARM",
  "BOOTRISCV64.EFI": "RISC-V 64",
  // The short name of BOOTRISCV64.EFI, which has more than eight letters.
  "BOOTRI~1.EFI": "RISC-V 64",
};

/** Returns whether BIOS and UEFI find something to start. */
export function bootSupport(facts: BootFacts): BootSupport {
  return { bios: biosAnswer(facts), uefi: uefiAnswer(facts) };
}

function biosAnswer({ table, sector, partitions, bootSectors }: BootFacts): BootAnswer {
  if (sector.length < 512 || sector[510] !== 0x55 || sector[511] !== 0xaa) {
    return no("its first sector has no boot code");
  }
  if (table === "none") return no("it has no partition table");
  if (table === "damaged") return no("its partition table is damaged");
  const code = sector.subarray(0, CODE);
  if (code.every((byte) => byte === 0)) return no("its first sector has no boot code");
  // The code of GRUB has the place of its next stage in itself, other code looks for a marked partition.
  const isGrub = latin1(code).includes("GRUB");
  if (table === "gpt") {
    if (partitions.some(({ typeId }) => typeId === BIOS_BOOT)) return yes("boot code and a BIOS boot partition");
    if (!isGrub && partitions.some(({ active }) => active)) return yes("boot code and a partition marked bootable");
    return no("its GPT has no BIOS boot partition");
  }
  if (isGrub) return yes("the boot code of GRUB");
  const active = partitions.filter((one) => one.active);
  if (active.length === 0) return no("no partition is active");
  return active.some(({ number }) => bootSectors.includes(number))
    ? yes("boot code and an active partition")
    : no("its active partition has no boot sector");
}

function uefiAnswer({ table, loaders, partitions }: BootFacts): BootAnswer {
  if (table === "damaged") return no("its partition table is damaged");
  const found = [
    ...new Set(loaders.flatMap(({ fallback }) => fallback.filter((name) => FALLBACK[name] !== undefined))),
  ];
  if (found.length > 0) return yes(found.map((name) => `\\EFI\\BOOT\\${name} (${FALLBACK[name]})`).join(", "));
  const system = partitions.filter(isEfiSystem);
  if (system.length === 0) {
    return no(table === "none" ? "it has no partition table" : "it has no EFI system partition");
  }
  if (!loaders.some(({ isFat }) => isFat)) return no("its EFI system partition has no FAT file system");
  const others = [...new Set(loaders.flatMap((one) => one.others))];
  const hint = others.length > 0
    ? `, only loaders that a new machine does not start (\\EFI\\${others.join(", \\EFI\\")})`
    : "";
  return no(`its EFI system partition has no \\EFI\\BOOT\\BOOTX64.EFI or BOOTAA64.EFI${hint}`);
}

/** Returns whether the table marks a partition as that of UEFI. */
export function isEfiSystem({ typeId }: Partition): boolean {
  return typeId === EFI_SYSTEM || typeId === mbrTypeId(MBR_EFI_SYSTEM);
}

function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

function yes(by: string): BootAnswer {
  return { boots: true, by };
}

function no(why: string): BootAnswer {
  return { boots: false, why };
}
