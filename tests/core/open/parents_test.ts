/** Parents that an image does not name by a usable path: by ID alone, or by a name from Windows. */
import assert from "node:assert/strict";
import { convert } from "../../../core/convert.ts";
import { openDisk } from "../../../core/open/open_disk.ts";
import { resize } from "../../../core/resize.ts";
import { buildVdi, FREE } from "../../formats/vdi/build.ts";
import { buildVhd } from "../../formats/vpc/build.ts";
import { scratch } from "../../support/qemu.ts";

const MIB = 1 << 20;
const DIFFERENCING = 4;
const id = (fill: number) => new Uint8Array(16).fill(fill);

Deno.test("a VDI finds its parent by UUID among the images beside it, and refuses clearly where there is none", async () => {
  await using folder = await scratch();
  const base = buildVdi({ type: 1, size: 2 * MIB, uuid: id(1), blocks: [new Uint8Array(MIB).fill(7)], map: [0] });
  const other = buildVdi({ type: 1, size: 2 * MIB, uuid: id(9), blocks: [new Uint8Array(MIB).fill(8)], map: [0] });
  const child = buildVdi({
    type: DIFFERENCING,
    size: 2 * MIB,
    uuid: id(2),
    parent: id(1),
    blocks: [new Uint8Array(MIB).fill(5)],
    map: [FREE, 0],
  });
  await Deno.writeFile(folder.file("child.vdi"), child);
  await Deno.writeFile(folder.file("a-other.vdi"), other);
  await Deno.writeTextFile(folder.file("broken.vdi"), "not an image");
  await assert.rejects(openDisk(folder.file("child.vdi")), (error: { kind: string; message: string }) => {
    assert.equal(error.kind, "missing");
    assert.match(error.message, /must have the ID "01010101-0101-0101-0101-010101010101"/);
    assert.match(error.message, /backing\.file\.filename/);
    return true;
  });

  await Deno.writeFile(folder.file("whatever it is called.vdi"), base);
  {
    await using disk = await openDisk(folder.file("child.vdi"));
    const bytes = new Uint8Array(2 * MIB);
    await disk.read(bytes, 0);
    assert.deepEqual([bytes[0], bytes[MIB - 1], bytes[MIB], disk.layers.length], [7, 7, 5, 2]);
    assert.equal(disk.layers[1].path, folder.file("whatever it is called.vdi"));
  }
  // Stated by the user, a parent may lie anywhere.
  await Deno.mkdir(folder.file("elsewhere"));
  await Deno.rename(folder.file("whatever it is called.vdi"), folder.file("elsewhere/base.vdi"));
  const backing = { path: folder.file("elsewhere/base.vdi"), format: "vdi" };
  await using stated = await openDisk({ path: folder.file("child.vdi"), backing });
  assert.equal(stated.layers.length, 2);
});

Deno.test("an image that is changed shows through the parent that it names by ID, and through no other", async () => {
  await using folder = await scratch();
  const path = folder.file("child.vdi");
  const base = { type: 1, size: 4 * MIB, blocks: [new Uint8Array(MIB).fill(7)], map: [0, 0, 0, 0] } as const;
  await Deno.writeFile(folder.file("base.vdi"), buildVdi({ ...base, uuid: id(1) }));
  const parent = id(1);
  await Deno.writeFile(path, buildVdi({ type: DIFFERENCING, size: 1.5 * MIB, uuid: id(2), parent, map: [FREE, FREE] }));
  await resize({ path }, 3 * MIB);
  await Deno.writeFile(folder.file("sector.raw"), new Uint8Array(512).fill(5));
  const source = { path: folder.file("sector.raw"), format: "raw" };
  await convert({ sources: [source], target: { path, format: "vdi", create: false } });
  const bytes = new Uint8Array(3 * MIB);
  {
    await using disk = await openDisk(path);
    await disk.read(bytes, 0);
  }
  const model = new Uint8Array(3 * MIB).fill(7, 0, 1.5 * MIB).fill(5, 0, 512);
  assert.deepEqual(bytes, model);
  await Deno.writeFile(folder.file("base.vdi"), buildVdi({ ...base, uuid: id(9) }));
  await assert.rejects(resize({ path }, 4 * MIB), { kind: "missing" });
});

Deno.test("an image is not changed over a parent that is another one by its ID", async () => {
  await using folder = await scratch();
  const path = folder.file("child.vhd");
  const parent = { uuid: id(1), name: "base.vhd" };
  await Deno.writeFile(folder.file("base.vhd"), buildVhd({ type: 3, size: 4 * MIB, uuid: id(9) }));
  await Deno.writeFile(path, buildVhd({ type: 4, size: 2 * MIB, uuid: id(2), parent }));
  const before = await Deno.readFile(path);
  await assert.rejects(resize({ path }, 4 * MIB), { kind: "corrupt", message: /its ID is/ });
  assert.deepEqual(await Deno.readFile(path), before);
});
