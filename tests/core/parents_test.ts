/** Parents that an image does not name by a usable path: by ID alone, or by a name from Windows. */
import assert from "node:assert/strict";
import { openDisk } from "../../core/open_disk.ts";
import { buildVdi, FREE } from "../formats/vdi/build.ts";
import { scratch } from "../support/qemu.ts";

const MIB = 1 << 20;
const DIFFERENCING = 4;
const id = (fill: number) => new Uint8Array(16).fill(fill);

Deno.test("a VDI finds its parent by UUID among the images beside it, and refuses clearly where there is none", async () => {
  await using folder = await scratch();
  const base = buildVdi({ type: 1, size: 2 * MIB, uuid: id(1), blocks: [new Uint8Array(MIB).fill(7)], map: [0] });
  const stranger = buildVdi({ type: 1, size: 2 * MIB, uuid: id(9), blocks: [new Uint8Array(MIB).fill(8)], map: [0] });
  const child = buildVdi({
    type: DIFFERENCING,
    size: 2 * MIB,
    uuid: id(2),
    parent: id(1),
    blocks: [new Uint8Array(MIB).fill(5)],
    map: [FREE, 0],
  });
  await Deno.writeFile(folder.file("child.vdi"), child);
  await Deno.writeFile(folder.file("a-stranger.vdi"), stranger);
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
