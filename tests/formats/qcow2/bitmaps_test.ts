import assert from "node:assert/strict";
import type { Bitmap } from "../../../formats/bitmaps.ts";
import { hasQemu, qemuImgOk, qemuIo, scratch } from "../../support/qemu.ts";
import { openPath } from "./support.ts";

/** Returns the guest ranges of set bits, merged. */
async function marked(bitmap: Bitmap, size: number): Promise<[number, number][]> {
  const ranges: [number, number][] = [];
  let last = -1;
  for await (const { offset, bits } of bitmap.pieces()) {
    assert.ok(offset > last, "pieces must come in order");
    last = offset;
    bits.forEach((byte, index) => {
      for (let bit = 0; bit < 8; bit++) {
        if ((byte >> bit & 1) === 0) continue;
        const start = ((offset + index) * 8 + bit) * bitmap.granularity;
        const end = Math.min(size, start + bitmap.granularity);
        assert.ok(start < size, "a bit past the end");
        const previous = ranges.at(-1);
        if (previous !== undefined && previous[1] === start) previous[1] = end;
        else ranges.push([start, end]);
      }
    });
  }
  return ranges;
}

Deno.test("qcow2 bitmaps are read as qemu wrote them", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  const path = folder.file("a.qcow2");
  const size = (1 << 30) + 512;
  await qemuImgOk("create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", path, String(size));
  await qemuImgOk("bitmap", "--add", "-g", "4k", path, "fine");
  await qemuImgOk("bitmap", "--add", "-g", "64k", path, "coarse");
  await qemuImgOk("bitmap", "--add", "-g", "64k", path, "off", "--disable");
  await qemuIo(path, "write -P 1 0 4k", "write -P 1 100k 4k", "write -P 1 700M 68k", "write -P 1 1G 512");
  await using disk = await openPath(path);
  const bitmaps = disk.bitmaps!;
  assert.deepEqual(
    bitmaps.map(({ name, granularity, enabled, inconsistent }) => ({ name, granularity, enabled, inconsistent })),
    [
      { name: "fine", granularity: 4096, enabled: true, inconsistent: false },
      { name: "coarse", granularity: 65536, enabled: true, inconsistent: false },
      { name: "off", granularity: 65536, enabled: false, inconsistent: false },
    ],
  );
  const far = 700 << 20;
  const last: [number, number] = [1 << 30, size];
  assert.deepEqual(await marked(bitmaps[0]!, size), [[0, 4096], [102400, 106496], [far, far + 69632], last]);
  assert.deepEqual(await marked(bitmaps[1]!, size), [[0, 131072], [far, far + 131072], last]);
  assert.deepEqual(await marked(bitmaps[2]!, size), []);
});

Deno.test("qcow2 bitmaps without their autoclear bit are inconsistent", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  const path = folder.file("a.qcow2");
  await qemuImgOk("create", "-q", "-f", "qcow2", path, "1M");
  await qemuImgOk("bitmap", "--add", path, "one");
  const bytes = await Deno.readFile(path);
  assert.equal(bytes[95], 1);
  bytes[95] = 0;
  await Deno.writeFile(path, bytes);
  await using disk = await openPath(path);
  assert.deepEqual(disk.bitmaps!.map(({ name, inconsistent }) => [name, inconsistent]), [["one", true]]);
});

Deno.test("all-ones entries of a qcow2 bitmap end with the disk", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  const path = folder.file("a.qcow2");
  const size = (10 << 20) + 512;
  await qemuImgOk("create", "-q", "-f", "qcow2", path, String(size));
  await qemuImgOk("bitmap", "--add", path, "one");
  const bytes = await Deno.readFile(path);
  const view = new DataView(bytes.buffer);
  // The bitmaps extension, which follows the feature names, holds the directory's file offset.
  const extension = bytes.indexOf(0x23, 0x200 - 16);
  assert.equal(view.getUint32(extension), 0x23852875);
  const directory = Number(view.getBigUint64(extension + 24));
  const table = Number(view.getBigUint64(directory));
  view.setBigUint64(table, 1n);
  await Deno.writeFile(path, bytes);
  await using disk = await openPath(path);
  assert.deepEqual(await marked(disk.bitmaps![0]!, size), [[0, size]]);
});
