import assert from "node:assert/strict";
import { convert, openDisk } from "../../../mod.ts";
import { vhdx } from "../../../formats/vhdx/mod.ts";
import { inlineCodecs } from "../../support/codecs.ts";
import { assertBytes, readAll, withFileOffset } from "../../support/model.ts";
import { diskcast } from "../../support/diskcast.ts";
import { rng, type Scratch, scratch, seed } from "../../support/qemu.ts";
import { AT, build, GUID, itemsFor, locator, MIB, putMetadata, setBat, type Spec } from "./build.ts";
import { extentLines, filled, openBytes } from "./support.ts";

const LINKAGE = "83ed0ec3-24c8-49a6-a959-5e4bf1288bfb";
const parent = { parent_linkage: `{${LINKAGE.toUpperCase()}}`, relative_path: ".\\parent.vhdx" };

Deno.test("names its parent by all paths, in the order of the specification, and by its GUID", async () => {
  const paths = {
    absolute_win32_path: "\\\\?\\d:\\disks\\parent.vhdx",
    parent_linkage2: `{${GUID.none}}`,
    "of another program": "unknown",
    volume_path: "\\\\?\\Volume{26A21BDA-A627-11D7-9931-806E6F6E6963}\\disks\\parent.vhdx",
    relative_path: "..\\disks\\parent.vhdx",
    parent_linkage: `{${LINKAGE}}`,
  };
  const disk = await openBytes(build({ size: MIB, parent: paths }));
  assert.deepEqual(disk.backing, {
    name: paths.relative_path,
    others: [paths.volume_path, paths.absolute_win32_path],
    format: "vhdx",
    id: LINKAGE,
  });
  assert.equal(disk.info["subformat"], "differencing");
  assert.equal(disk.info["parent-linkage2"], undefined);
  const one = await openBytes(build({ size: MIB, parent: { ...parent, parent_linkage2: GUID.data } }));
  assert.equal(one.info["parent-linkage2"], GUID.data);
});

Deno.test("a parent without a path is named by its GUID alone", async () => {
  const disk = await openBytes(build({ size: MIB, parent: { parent_linkage: LINKAGE } }));
  assert.deepEqual(disk.backing, { name: "", format: "vhdx", id: LINKAGE });
});

Deno.test("every state of a block shows as it must over a parent", async () => {
  const bits = new Uint8Array(256);
  bits.set([0b0000_0110, 0xff, 0x01], 0); // Sectors 1, 2 and 8 to 16.
  bits[255] = 0x80; // Sector 2047.
  const disk = await openBytes(build({
    size: 7 * MIB,
    parent,
    blocks: {
      1: { state: 1 },
      2: { state: 2 },
      3: { state: 3 },
      4: { state: 6, content: filled(4) },
      5: { state: 7, content: filled(5), bits },
    },
  }));
  assert.deepEqual(await extentLines(disk), [
    "hole 0-1024",
    "zero 1024-4096",
    "data 4096-5120",
    "hole 5120-5120.5",
    "data 5120.5-5121.5",
    "hole 5121.5-5124",
    "data 5124-5128.5",
    "hole 5128.5-6143.5",
    "data 6143.5-6144",
    "hole 6144-7168",
  ]);
  assert.deepEqual(withFileOffset(await disk.extentAt(5 * MIB + 700, 5 * MIB + 800)), {
    start: 5 * MIB + 700,
    end: 5 * MIB + 800,
    kind: "data",
    compressed: false,
    fileOffset: AT.blocks + MIB + 700,
  });
});

Deno.test("sector bitmaps of sectors of 4096 bytes, and of later chunks", async () => {
  // 2^23 sectors of 4096 bytes are 32 GiB: block 128 of 256 MiB begins the second chunk.
  const bits = new Uint8Array(8192);
  bits[1] = 0x01;
  const spec: Spec = { size: 40 * 2 ** 30, blockSize: 256 * MIB, sector: 4096, parent };
  const block = { state: 7, content: filled(5, 256 * MIB), bits };
  const disk = await openBytes(build({ ...spec, blocks: { 129: block } }));
  const start = 129 * 256 * MIB;
  assert.deepEqual((await extentLines(disk)).slice(0, 2), [
    `hole 0-${start / 1024 + 32}`,
    `data ${start / 1024 + 32}-${start / 1024 + 36}`,
  ]);
});

Deno.test("blocks present in part, more of them than a piece of their bitmap describes", async () => {
  // 256 blocks of 1 MiB have 64 KiB of bits.
  const count = 300;
  const image = build({
    size: count * MIB,
    parent,
    blocks: { 0: { state: 7, content: filled(1), bits: filled(255, 256) } },
  });
  const view = new DataView(image.buffer);
  image.fill(255, AT.blocks + MIB, AT.blocks + MIB + 298 * 256);
  image.fill(0, AT.blocks + MIB + 200 * 256, AT.blocks + MIB + 256 * 256);
  const blocksAt = AT.blocks + 2 * MIB;
  for (let block = 0; block < count; block++) setBat(view, block, 7, blocksAt + block * MIB);
  const disk = await vhdx.open({
    label: "long.vhdx",
    size: blocksAt + count * MIB,
    readAt(into, fileOffset) {
      into.set(image.subarray(fileOffset, fileOffset + into.length));
      return Promise.resolve();
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }, { ...inlineCodecs, openNamed: () => Promise.reject(new Error("no")) });
  assert.deepEqual(await extentLines(disk), [
    "data 0-204800",
    "hole 204800-262144",
    "data 262144-305152",
    "hole 305152-307200",
  ]);
  const run = { start: 5 * MIB, end: 200 * MIB, kind: "data", compressed: false };
  assert.deepEqual(withFileOffset(await disk.extentAt(5 * MIB, count * MIB)), {
    ...run,
    fileOffset: blocksAt + 5 * MIB,
  });
});

Deno.test("a block that is present in part needs a sector bitmap, which must lie in the file", async () => {
  const block = { state: 7, content: filled(5), bits: filled(255, 256) };
  const bytes = build({ size: MIB, parent, blocks: { 0: block } });
  const view = new DataView(bytes.buffer);
  const bitmap = 4096; // 2^23 sectors of 512 bytes in blocks of 1 MiB.
  for (const [state, at] of [[0, 0], [6, 0], [6, AT.bat], [6, bytes.length], [7, AT.blocks + MIB], [5, 0]]) {
    setBat(view, bitmap, state, at);
    const disk = await openBytes(bytes);
    await assert.rejects(async () => await disk.extentAt(0, MIB), { kind: "corrupt" }, `${state} ${at}`);
  }
  setBat(view, bitmap, 6, AT.blocks + MIB);
  assert.deepEqual(await extentLines(await openBytes(bytes)), ["data 0-1024"]);
});

Deno.test("a locator of another type is refused", async () => {
  const bytes = build({ size: MIB, parent });
  const items = itemsFor(MIB, MIB, 512, { parent });
  putMetadata(bytes, items.with(-1, { ...items.at(-1)!, content: locator(parent, GUID.data) }));
  await assert.rejects(openBytes(bytes), { kind: "unsupported" });
});

/** A random chain in `folder`; returns what its top reads as. Each image names its parent as Windows does. */
async function chain(folder: Scratch, depth: number): Promise<{ top: string; model: Uint8Array }> {
  const random = rng(seed());
  const size = random.int(3, 9) * MIB + 4096;
  const model = new Uint8Array(size);
  const guidOf = (level: number) => `${level}`.repeat(8) + "-1111-2222-3333-444444444444";
  for (let level = 0; level < depth; level++) {
    const blocks: { [block: number]: { state: number; content?: Uint8Array; bits?: Uint8Array } } = {};
    for (let block = 0; block * MIB < size; block++) {
      const state = random.pick(level === 0 ? [0, 2, 6] : [0, 0, 2, 6, 7, 7]);
      const content = random.bytes(MIB);
      const bits = random.pick([filled(0x55, 256), filled(0, 256), random.bytes(256), filled(255, 256)]);
      blocks[block] = { state, ...(state >= 6 && { content }), ...(state === 7 && { bits }) };
      for (let sector = 0; sector < 2048; sector++) {
        const start = block * MIB + sector * 512;
        if (start >= size || state === 0) break;
        if (state === 7 && (bits[sector >> 3] >> (sector & 7) & 1) === 0) continue;
        if (state === 2) model.fill(0, start, start + 512);
        else model.set(content.subarray(sector * 512, sector * 512 + 512), start);
      }
    }
    const name = level === depth - 1 ? "top.avhdx" : `level${level}.vhdx`;
    const parent = { parent_linkage: `{${guidOf(level - 1)}}`, relative_path: `.\\level${level - 1}.vhdx` };
    const spec: Spec = { size, blocks, dataWriteGuid: guidOf(level), ...(level > 0 && { parent }) };
    await Deno.writeFile(folder.file(name), build(spec));
  }
  return { top: folder.file("top.avhdx"), model };
}

Deno.test("converts a chain of differencing images, by the library and by the program", async () => {
  await using folder = await scratch();
  const { top, model } = await chain(folder, 3);
  {
    await using disk = await openDisk(top);
    assert.equal(disk.layers.length, 3);
  }
  await convert({ sources: [{ path: top }], target: { path: folder.file("a.raw"), format: "raw" } });
  assertBytes(await Deno.readFile(folder.file("a.raw")), model);
  const args = ["convert", "-O", "vhdx", top, folder.file("b.vhdx")];
  const outcome = await diskcast(...args);
  assert.equal(outcome.code, 0, outcome.stderr);
  assertBytes(await readAll(await openBytes(await Deno.readFile(folder.file("b.vhdx")))), model);
});

Deno.test("refuses a parent that was changed, and one outside the folder", async () => {
  await using folder = await scratch();
  const spec = { size: MIB, dataWriteGuid: LINKAGE };
  const child = (path: string) => build({ size: MIB, parent: { ...parent, relative_path: path } });
  const open = async () => await (await openDisk(folder.file("child.vhdx")))[Symbol.asyncDispose]();
  await Deno.writeFile(folder.file("child.vhdx"), child("parent.vhdx"));
  await assert.rejects(open, { kind: "missing" });
  await Deno.writeFile(folder.file("parent.vhdx"), build(spec));
  await open();
  await Deno.writeFile(folder.file("parent.vhdx"), build({ ...spec, dataWriteGuid: GUID.data }));
  await assert.rejects(open, { kind: "corrupt" });
  await Deno.writeFile(folder.file("child.vhdx"), child("..\\..\\etc\\passwd"));
  await assert.rejects(open, (error: { kind?: string }) => error.kind === "refused" || error.kind === "missing");
});
