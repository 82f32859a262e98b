/** Directories of FAT12, FAT16 and FAT32, and volumes that lie about themselves. */
import assert from "node:assert/strict";
import { openFat } from "../../../core/contents/fat.ts";
import { makeFat } from "../../support/fat.ts";
import { rng } from "../../support/qemu.ts";
import { diskOf } from "./disk.ts";

const FILES = {
  "README.TXT": new Uint8Array(10).fill(1),
  "EFI/UBUNTU/SHIMX64.EFI": new Uint8Array(700).fill(2),
  "EFI/BOOT/BOOTX64.EFI": new Uint8Array(2000).fill(3),
  "EFI/BOOT/EMPTY.EFI": new Uint8Array(),
};

for (const bits of [12, 16, 32] as const) {
  Deno.test(`FAT${bits}: folders of several clusters are listed by their short names`, async () => {
    // A root directory of FAT12 and FAT16 has 64 entries here.
    const { bytes } = makeFat(bits, FILES, 20);
    const disk = diskOf(bytes, 3 << 20);
    const fat = (await openFat(disk, 3 << 20, bytes.length))!;
    const names = async (...path: string[]) => (await fat.list(path))?.map(({ name, size }) => `${name} ${size}`);
    assert.deepEqual(await names(), ["README.TXT 10", "EFI 0"]);
    assert.deepEqual(await names("efi"), ["UBUNTU 0", "BOOT 0"]);
    assert.deepEqual(await names("EFI", "Boot"), ["BOOTX64.EFI 2000", "EMPTY.EFI 0"]);
    assert.equal(await names("EFI", "NONE"), undefined);
    assert.equal(await names("README.TXT"), undefined, "a file is no folder");
    assert.ok(disk.bytesRead < 40_000, `${disk.bytesRead} bytes were read`);
  });

  Deno.test(`FAT${bits}: a chain of clusters that is a loop, or leaves the volume, ends`, async () => {
    for (const next of [0, 1, 2, bits === 12 ? 0xff0 : bits === 16 ? 0xfff0 : 0x0fff_fff0, "itself"] as const) {
      const made = makeFat(bits, FILES, 20);
      const first = made.clusters.get("EFI/BOOT")!;
      // The first cluster of the folder has deleted entries only, and so no end.
      made.link(first, next === "itself" ? first : next);
      const disk = diskOf(made.bytes);
      const listed = await (await openFat(disk, 0, made.bytes.length))!.list(["EFI", "BOOT"]);
      assert.ok(Array.isArray(listed) && !listed.some(({ name }) => name === "BOOTX64.EFI"));
      assert.ok(disk.bytesRead < 2 << 20, `${disk.bytesRead} bytes were read`);
    }
  });
}

/** A field of the boot sector, its offset and bytes, and a value that no volume may have. */
const lies: readonly (readonly [name: string, at: number, length: 1 | 2 | 4, value: number])[] = [
  ["no bytes in a sector", 11, 2, 0],
  ["sectors of 500 bytes", 11, 2, 500],
  ["sectors of 32768 bytes", 11, 2, 0x8000],
  ["no sectors in a cluster", 13, 1, 0],
  ["3 sectors in a cluster", 13, 1, 3],
  ["no reserved sectors", 14, 2, 0],
  ["no FATs", 16, 1, 0],
  ["255 FATs", 16, 1, 255],
  ["more sectors than the volume has", 19, 2, 0xffff],
  ["no sectors", 19, 2, 0],
  ["no FAT sectors", 22, 2, 0],
  ["more FAT sectors than the volume has", 22, 2, 0xffff],
  ["no signature", 510, 2, 0],
];

for (const [name, at, length, value] of lies) {
  Deno.test(`FAT: a boot sector that states ${name} is none`, async () => {
    const { bytes } = makeFat(16, FILES);
    const view = new DataView(bytes.buffer);
    if (length === 1) view.setUint8(at, value);
    else view.setUint16(at, value, true);
    assert.equal(await openFat(diskOf(bytes), 0, bytes.length), null);
  });
}

Deno.test("FAT: a volume that is cut off is none, and so are a few bytes", async () => {
  const { bytes } = makeFat(12, FILES);
  for (const length of [0, 100, 511, 512, bytes.length - 1]) {
    assert.equal(await openFat(diskOf(bytes.subarray(0, length)), 0, length), null, `${length} bytes`);
    assert.equal(await openFat(diskOf(bytes.subarray(0, length)), 0, bytes.length), null, `${length} of the disk`);
  }
});

Deno.test("FAT: damaged volumes neither fail nor read without end", async () => {
  const random = rng(5);
  for (const bits of [12, 16] as const) {
    const made = makeFat(bits, FILES, 20);
    for (let round = 0; round < 200; round++) {
      const bytes = made.bytes.slice();
      for (let change = 0; change < 8; change++) {
        const [from, to] = [[11, 40], [made.fat, made.fat + 100], [made.data - 2048, made.data + 6000]][random.int(3)]!;
        bytes[from! + random.int(to! - from!)] = random.int(256);
      }
      const disk = diskOf(bytes);
      const fat = await openFat(disk, 0, bytes.length);
      await fat?.list(["EFI", "BOOT"]);
      assert.ok(disk.bytesRead < 2 << 20, `${disk.bytesRead} bytes were read`);
    }
  }
});
