import assert from "node:assert/strict";
import { type BootFacts, bootSupport } from "../../../core/contents/boot.ts";
import { BIOS_BOOT, EFI_SYSTEM } from "../../../core/contents/partition_types.ts";
import type { Partition } from "../../../core/contents/partitions.ts";
import { putText } from "./disk.ts";

/** A first sector with the signature, and boot code where it is given. */
function sector(code = ""): Uint8Array {
  const bytes = new Uint8Array(512);
  putText(bytes, 0, code);
  bytes.set([0x55, 0xaa], 510);
  return bytes;
}

function partition(number: number, typeId: string, active = false): Partition {
  return { number, start: number << 20, size: 1 << 20, type: "", typeId, ...(active && { active }) };
}

const CODE = "\xeb\x63code";
const GRUB = "\xeb\x63\x90...GRUB \0Geom\0";
const esp = { partition: 1, isFat: true, fallback: [], others: [] };

const cases: readonly (readonly [name: string, facts: Partial<BootFacts>, bios: RegExp, uefi: RegExp])[] = [
  [
    "an empty disk",
    { table: "none", sector: new Uint8Array(512) },
    /^no: .* no boot code/,
    /^no: it has no partition table/,
  ],
  ["a disk of a few bytes", { table: "none", sector: new Uint8Array(7) }, /^no: .* no boot code/, /^no: /],
  [
    "an MBR without code",
    { partitions: [partition(1, "0x83", true)] },
    /^no: .* no boot code/,
    /^no: .* no EFI system/,
  ],
  [
    "an MBR without an active partition",
    { sector: sector(CODE), partitions: [partition(1, "0x83")] },
    /^no: no partition is active/,
    /^no/,
  ],
  [
    "an MBR whose active partition has no boot sector",
    { sector: sector(CODE), partitions: [partition(1, "0x07", true)] },
    /^no: its active partition has no boot sector/,
    /^no/,
  ],
  [
    "an MBR with an active partition",
    { sector: sector(CODE), partitions: [partition(1, "0x07", true)], bootSectors: [1] },
    /^boot code and an active partition/,
    /^no/,
  ],
  ["GRUB in an MBR", { sector: sector(GRUB), partitions: [partition(1, "0x83")] }, /^the boot code of GRUB/, /^no/],
  [
    "a GPT without a BIOS boot partition",
    { table: "gpt", sector: sector(GRUB), partitions: [partition(1, EFI_SYSTEM)], loaders: [esp] },
    /^no: its GPT has no BIOS boot partition/,
    /^no: its EFI system partition has no \\EFI\\BOOT\\BOOTX64.EFI or BOOTAA64.EFI$/,
  ],
  [
    "a GPT for both kinds of firmware",
    {
      table: "gpt",
      sector: sector(GRUB),
      partitions: [partition(1, EFI_SYSTEM), partition(2, BIOS_BOOT)],
      loaders: [{ ...esp, fallback: ["BOOTX64.EFI", "FBX64.EFI"] }],
    },
    /^boot code and a BIOS boot partition/,
    /^\\EFI\\BOOT\\BOOTX64.EFI \(x86-64\)$/,
  ],
  [
    "a BIOS boot partition without boot code",
    { table: "gpt", sector: sector(), partitions: [partition(2, BIOS_BOOT)] },
    /^no: its first sector has no boot code/,
    /^no: it has no EFI system partition/,
  ],
  [
    "a GPT with a partition that is marked bootable",
    { table: "gpt", sector: sector(CODE), partitions: [partition(1, "linux", true)] },
    /^boot code and a partition marked bootable/,
    /^no/,
  ],
  [
    "loaders that need an entry of the firmware",
    { table: "gpt", partitions: [partition(1, EFI_SYSTEM)], loaders: [{ ...esp, others: ["UBUNTU", "MICROS~1"] }] },
    /^no/,
    /^no: .*, only loaders that a new machine does not start \(\\EFI\\UBUNTU, \\EFI\\MICROS~1\)/,
  ],
  [
    "an EFI system partition without FAT",
    { table: "gpt", partitions: [partition(1, EFI_SYSTEM)], loaders: [{ ...esp, isFat: false }] },
    /^no/,
    /^no: its EFI system partition has no FAT/,
  ],
  [
    "a loader for ARM64 in an MBR",
    { partitions: [partition(1, "0xef")], loaders: [{ ...esp, fallback: ["BOOTAA64.EFI"] }] },
    /^no/,
    /^\\EFI\\BOOT\\BOOTAA64.EFI \(ARM64\)$/,
  ],
  [
    "a damaged GPT",
    { table: "damaged", sector: sector(CODE) },
    /^no: its partition table is damaged/,
    /^no: .* damaged/,
  ],
];

for (const [name, facts, bios, uefi] of cases) {
  Deno.test(`what firmware finds: ${name}`, () => {
    const support = bootSupport({
      table: "mbr",
      sector: sector(),
      partitions: [],
      bootSectors: [],
      loaders: [],
      ...facts,
    });
    const text = (answer: typeof support.bios) => answer.boots ? answer.by : `no: ${answer.why}`;
    assert.match(text(support.bios), bios);
    assert.match(text(support.uefi), uefi);
  });
}
