/** Whole disks: tables, file systems and loaders together, and how much is read for them. */
import assert from "node:assert/strict";
import { diskContents, openDisk } from "../../mod.ts";
import { makeFat } from "../support/fat.ts";
import { putGpt } from "../support/gpt.ts";
import { isInstalled, rng, rounds, run, scratch, seed } from "../support/qemu.ts";
import { diskOf, putMbr, putText } from "./contents/disk.ts";

const MIB = 1 << 20;
const ESP = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";
const LINUX = "0fc63daf-8483-4772-8e79-3d69d8477de4";
const BIOS_BOOT = "21686148-6449-6e6f-744e-656564454649";
const LOADER = { "EFI/BOOT/BOOTX64.EFI": new Uint8Array(600).fill(1) };

/** Writes the super block of an ext4 file system. */
function putExt4(disk: Uint8Array, at: number): void {
  const view = new DataView(disk.buffer, disk.byteOffset + at + 1024);
  view.setUint32(4, 1000, true); // Blocks.
  view.setUint32(24, 2, true); // Blocks of 4 KiB.
  view.setUint16(56, 0xef53, true);
  view.setUint32(0x60, 0x40, true); // Extents.
}

for (const sector of [512, 4096]) {
  Deno.test(`a GPT in sectors of ${sector} bytes with both boot loaders and three kinds of volumes`, async () => {
    const disk = new Uint8Array(12 * MIB);
    const lba = (bytes: number) => bytes / sector;
    const system = makeFat(12, LOADER).bytes;
    putGpt(disk, sector, [
      { type: BIOS_BOOT, first: lba(MIB), last: lba(2 * MIB) - 1 },
      { type: ESP, first: lba(2 * MIB), last: lba(4 * MIB) - 1, name: "EFI" },
      { type: LINUX, first: lba(4 * MIB), last: lba(8 * MIB) - 1, name: "root" },
      { type: LINUX, first: lba(8 * MIB), last: lba(10 * MIB) - 1 },
      { type: LINUX, first: lba(10 * MIB), last: lba(10 * MIB) },
    ]);
    putText(disk, 0, "\xeb\x63GRUB");
    disk.set(system, 2 * MIB);
    putExt4(disk, 4 * MIB);
    putText(disk, 8 * MIB + 0x10040, "_BHRfS_M");
    const reader = diskOf(disk);
    const { table, sectorSize, partitions, boot } = await diskContents(reader);
    assert.deepEqual([table, sectorSize], ["gpt", sector]);
    assert.deepEqual(
      partitions.map(({ type, fileSystem }) => [type, fileSystem?.name]),
      [
        ["BIOS boot", undefined],
        ["EFI system", "FAT12"],
        ["Linux file system", "ext4"],
        ["Linux file system", "btrfs"],
        [
          "Linux file system",
          undefined,
        ],
      ],
    );
    assert.deepEqual(boot, {
      bios: { boots: true, by: "boot code and a BIOS boot partition" },
      uefi: { boots: true, by: "\\EFI\\BOOT\\BOOTX64.EFI (x86-64)" },
    });
    assert.ok(reader.bytesRead < 128 << 10, `${reader.bytesRead} bytes were read`);
  });
}

Deno.test("an MBR with an active partition whose file system has a boot sector, and in sectors of 4096 bytes", async () => {
  const disk = new Uint8Array(4 * MIB);
  putMbr(disk, [{ type: 0x0e, first: 2048, sectors: 4096, active: true }]);
  putText(disk, 0, "code");
  disk.set(makeFat(12, LOADER).bytes, MIB);
  const { table, partitions, boot } = await diskContents(diskOf(disk));
  assert.deepEqual([table, partitions[0]!.fileSystem?.name, boot.bios.boots, boot.uefi.boots], [
    "mbr",
    "FAT12",
    true,
    false,
  ]);
  putMbr(disk, [{ type: 0xef, first: 256, sectors: 512 }]);
  const large = await diskContents(diskOf(disk), 4096);
  assert.deepEqual([large.sectorSize, large.partitions[0]!.start, large.boot.uefi.boots], [4096, MIB, true]);
});

Deno.test("volumes without a table: FAT with a loader, ISO 9660, ext4, an empty disk, a few bytes", async () => {
  const fat = await diskContents(diskOf(makeFat(16, LOADER).bytes));
  assert.deepEqual([fat.table, fat.fileSystem?.name, fat.boot.uefi.boots, fat.boot.bios.boots], [
    "none",
    "FAT16",
    true,
    false,
  ]);
  const iso = new Uint8Array(MIB);
  putText(iso, 0x8001, "CD001");
  assert.equal((await diskContents(diskOf(iso))).fileSystem?.name, "ISO 9660");
  const ext4 = new Uint8Array(MIB);
  putExt4(ext4, 0);
  assert.equal((await diskContents(diskOf(ext4))).fileSystem?.name, "ext4");
  for (const size of [0, 7, 511, 512, 5000, MIB]) {
    const { table, partitions, fileSystem } = await diskContents(diskOf(new Uint8Array(size)));
    assert.deepEqual([table, partitions, fileSystem], ["none", [], undefined]);
  }
});

Deno.test("a damaged GPT, and partitions that lie outside the disk", async () => {
  const disk = new Uint8Array(4 * MIB);
  putGpt(disk, 512, [{ type: LINUX, first: 2048, last: 2 ** 40 }, { type: ESP, first: 2 ** 50, last: 2 ** 50 + 1 }]);
  const { partitions, boot } = await diskContents(diskOf(disk));
  assert.deepEqual(partitions.map(({ fileSystem }) => fileSystem), [undefined, undefined]);
  assert.equal(boot.uefi.boots, false);
  disk[512 + 60] ^= 1;
  assert.equal((await diskContents(diskOf(disk))).table, "damaged");
});

Deno.test("damaged disks neither fail nor read much", async () => {
  const random = rng(seed());
  const fat = makeFat(12, LOADER, 10).bytes;
  const mbr = new Uint8Array(4 * MIB);
  putMbr(mbr, [{ type: 0xef, first: 2048, sectors: 2048, active: true }, { type: 5, first: 4096, sectors: 1000 }]);
  putMbr(mbr, [{ type: 0x83, first: 1, sectors: 9 }, { type: 5, first: 20, sectors: 9 }], 2 * MIB);
  mbr.set(fat, MIB);
  const gpt = new Uint8Array(4 * MIB);
  putGpt(gpt, 512, Array.from({ length: 128 }, (_, index) => ({ type: ESP, first: 2048 - index, last: 4095 })));
  gpt.set(fat, MIB);
  for (let round = 0; round < rounds(60, 600); round++) {
    const disk = random.pick([mbr, gpt]).slice(0, random.chance(0.2) ? random.int(4 * MIB) : 4 * MIB);
    for (let change = 0; change < random.int(12); change++) {
      const [from, to] = random.pick([[0, 1536], [MIB, MIB + 600], [MIB + 32 * 512, MIB + 40 * 512], [
        2 * MIB,
        2 * MIB + 512,
      ]]);
      disk[random.int(from!, to!)] = random.int(256);
    }
    const reader = diskOf(disk);
    await diskContents(reader, random.pick([512, 4096]));
    assert.ok(reader.bytesRead < 4 * MIB, `${reader.bytesRead} bytes were read`);
  }
});

Deno.test("file systems of the tools of Linux are recognised", async (t) => {
  for (
    const [tool, args, name] of [
      ["mkfs.ext4", ["-q", "-F"], "ext4"],
      ["mkfs.ext3", ["-q", "-F"], "ext3"],
      ["mkfs.ext2", ["-q", "-F"], "ext2"],
      ["mkfs.xfs", ["-q", "-f"], "XFS"],
      ["mkfs.btrfs", ["-q", "-f"], "btrfs"],
      ["mkfs.vfat", [], "FAT16"],
      ["mkfs.ntfs", ["-q", "-F", "-Q"], "NTFS"],
      ["mkfs.exfat", [], "exFAT"],
      ["mkswap", [], "Linux swap"],
    ] as const
  ) {
    await t.step({
      name,
      ignore: !isInstalled(tool),
      async fn() {
        await using folder = await scratch();
        await Deno.writeFile(folder.file("a"), new Uint8Array());
        await Deno.truncate(folder.file("a"), 320 * MIB);
        const made = await run(tool, [...args, folder.file("a")]);
        assert.equal(made.code, 0, made.stderr);
        await using disk = await openDisk({ path: folder.file("a"), format: "raw" });
        const { fileSystem, table } = await diskContents(disk);
        assert.deepEqual([table, fileSystem?.name], ["none", name === "FAT16" ? fileSystem?.name : name]);
      },
    });
  }
});
