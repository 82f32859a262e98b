import assert from "node:assert/strict";
import type { DiskWriter } from "../../../formats/contract.ts";
import type { WritableStorage } from "../../../formats/storage/types.ts";
import { openFileStorage } from "../../../formats/storage/file.ts";
import { MemoryStorage } from "../../../formats/storage/memory.ts";
import { vmdk } from "../../../formats/vmdk/mod.ts";
import { inlineCodecs } from "../../support/codecs.ts";
import { assertBytes, readerOf, workAtRandom } from "../../support/model.ts";
import { guestBytes, hasQemu, qemuImgOk, qemuIo, rng, scratch, seed } from "../../support/qemu.ts";
import { cowd, descriptor, encode, SECTOR, seSparse, sparse } from "./build.ts";
import { bytesOf, type Files, openFiles, openPath } from "./support.ts";

/** Opens the image at `path` for changes, does `work`, and closes everything. */
async function editPath(
  path: string,
  backingBytes: Uint8Array | null,
  work: (writer: DiskWriter) => Promise<void>,
): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const open = async (name: string) => stack.use(await openFileStorage(name, { write: true }));
  const folder = path.slice(0, path.lastIndexOf("/") + 1);
  const writer = await vmdk.edit!(await open(path), {
    ...inlineCodecs,
    compress: false,
    openNamed: ({ name }) => open(folder + name),
    openBacking: () => Promise.resolve(readerOf(backingBytes ?? new Uint8Array(0))),
  });
  await work(writer);
  await writer.finish();
}

for (
  const options of [
    "subformat=monolithicSparse",
    "subformat=monolithicSparse,zeroed_grain=on",
    "subformat=monolithicFlat",
    "subformat=twoGbMaxExtentSparse",
    "subformat=twoGbMaxExtentFlat",
    "subformat=streamOptimized",
  ]
) {
  Deno.test({
    name: `changes an image of qemu-img: ${options}`,
    ignore: !hasQemu,
    async fn() {
      const random = rng(seed());
      for (let round = 0; round < 3; round++) {
        await using folder = await scratch();
        const [path, source] = [folder.file("a.vmdk"), folder.file("a.raw")];
        const size = random.int(100, 9000) * 512;
        const raw = new Uint8Array(size);
        raw.set(random.bytes(Math.min(size, 70_000)), random.int(Math.max(1, size - 70_000)));
        await Deno.writeFile(source, raw);
        await qemuImgOk("convert", "-f", "raw", "-O", "vmdk", "-o", options, source, path);
        const before = await idOf(path);
        const model = raw.slice();
        await editPath(path, null, async (writer) => {
          assert.equal(writer.traits.compress, options.includes("stream"));
          await workAtRandom(writer, model, random, 20);
        });
        assertBytes(await guestBytes(path, "vmdk"), model);
        if (!options.includes("Flat")) await qemuImgOk("check", "-q", "-f", "vmdk", path);
        await using disk = await openPath(path);
        assertBytes(await bytesOf(disk), model);
        assert.notEqual(disk.id, before, "a changed image has another content ID");
      }
    },
  });
}

Deno.test({
  name: "both copies of the tables agree after a change",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    const path = folder.file("a.vmdk");
    await qemuImgOk("create", "-q", "-f", "vmdk", path, "100M");
    await editPath(path, null, (writer) => writer.write(new Uint8Array(200_000).fill(3), 33 << 20));
    const image = await Deno.readFile(path);
    const view = new DataView(image.buffer);
    const [redundant, primary] = [48, 56].map((at) => Number(view.getBigUint64(at, true)) * SECTOR);
    for (let index = 0; index < 4; index++) {
      const tables = [redundant, primary].map((at) => view.getUint32(at + index * 4, true) * SECTOR);
      assertBytes(image.slice(tables[0], tables[0] + 2048), image.slice(tables[1], tables[1] + 2048));
    }
    assert.equal(image[72], 0, "it is closed");
  },
});

Deno.test({
  name: "changes a top image over its parent",
  ignore: !hasQemu,
  async fn() {
    const random = rng(seed());
    for (const options of ["zeroed_grain=on", "zeroed_grain=off", "subformat=streamOptimized"]) {
      await using folder = await scratch();
      const [base, top] = [folder.file("base.vmdk"), folder.file("top.vmdk")];
      const size = 900 * 512;
      await qemuImgOk("create", "-q", "-f", "vmdk", base, `${size}`);
      await qemuIo(["-f", "vmdk", base], `write -P 9 0 ${size}`);
      const backing = ["-b", "base.vmdk", "-F", "vmdk"];
      await qemuImgOk("create", "-q", "-f", "vmdk", "-o", options, ...backing, top, `${size}`);
      const backingBytes = new Uint8Array(size).fill(9);
      const model = backingBytes.slice();
      await editPath(top, backingBytes, (writer) => workAtRandom(writer, model, random, 12));
      assertBytes(await guestBytes(top, "vmdk"), model);
    }
  },
});

async function idOf(path: string): Promise<string | undefined> {
  await using disk = await openPath(path);
  return disk.id;
}

/** Edits files in memory; returns the storages to look at. */
async function editFiles(files: Files): Promise<{ writer: DiskWriter; storages: Map<string, MemoryStorage> }> {
  const storages = new Map(Object.entries(files).map(([name, bytes]) => [name, new MemoryStorage(bytes, name)]));
  const [first] = storages.values();
  const writer = await vmdk.edit!(first, {
    ...inlineCodecs,
    compress: false,
    openNamed: ({ name }): Promise<WritableStorage> => Promise.resolve(storages.get(name)!),
    openBacking: () => Promise.reject(new Error("There is no parent")),
  });
  return { writer, storages };
}

const files = (storages: Map<string, MemoryStorage>): Files => {
  return Object.fromEntries([...storages].map(([name, storage]) => [name, storage.bytes()]));
};

Deno.test("a descriptor keeps every byte but its content IDs", async () => {
  const text = descriptor("monolithicFlat", ['RW 8 FLAT "a-flat.vmdk" 0'], [
    "# Gr\u00fc\u00dfe, CID=ffff0000 in a comment",
    'ddb.longContentID = "0123456789abcdef012345671a2b3c4d"',
  ]);
  const latin = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  const { writer, storages } = await editFiles({ "a.vmdk": latin, "a-flat.vmdk": new Uint8Array(4096) });
  await writer.write(new Uint8Array(512).fill(1), 512);
  await writer.finish();
  const after = String.fromCharCode(...storages.get("a.vmdk")!.bytes());
  const cid = /^CID=([0-9a-f]{8})$/m.exec(after)![1];
  assert.notEqual(cid, "1a2b3c4d");
  const long = /longContentID = "([0-9a-f]{32})"/.exec(after)![1];
  assert.ok(long.endsWith(cid));
  assert.equal(after.replace(cid, "1a2b3c4d").replace(long, "0123456789abcdef012345671a2b3c4d"), text);
});

Deno.test("an image that is opened and not changed stays as it is", async () => {
  for (const image of [sparse([1, null]).bytes, sparse([1, null], { compressed: "stream", version: 3 }).bytes]) {
    const { writer, storages } = await editFiles({ "a.vmdk": image });
    await writer.finish();
    assertBytes(storages.get("a.vmdk")!.bytes(), image);
  }
});

Deno.test("a changed stream is still a stream: newer grains behind older ones, one end", async () => {
  const text = descriptor("streamOptimized", ['RDONLY 384 SPARSE "x.vmdk"']);
  const { bytes } = sparse([1, null, 3], { compressed: "stream", version: 3, grain: 128, descriptor: text });
  const { writer, storages } = await editFiles({ "a.vmdk": bytes });
  await writer.write(new Uint8Array(65536).fill(8), 65536);
  await writer.zero(0, 65536);
  await writer.finish();
  const image = storages.get("a.vmdk")!.bytes();
  const view = new DataView(image.buffer, 0, image.length);
  const type = (fromEnd: number) => view.getUint32(image.length - fromEnd * SECTOR + 12, true);
  assert.deepEqual([type(3), type(1)], [3, 0]);
  const disk = await openFiles(files(storages));
  const expected = new Uint8Array(3 * 65536).fill(8, 65536, 131072).fill(3, 131072);
  assertBytes(await bytesOf(disk), expected);
  assert.deepEqual(await disk.extentAt(0, disk.size), { start: 0, end: 3 * 65536, kind: "data", compressed: true });
});

Deno.test("a stream with bytes after its end is changed behind them", async () => {
  const { bytes } = sparse([1, null, 3], { compressed: "stream", version: 3, grain: 128 });
  const longer = new Uint8Array(bytes.length + 1500).fill(9);
  longer.set(bytes);
  const { writer, storages } = await editFiles({ "a.vmdk": longer });
  await writer.write(new Uint8Array(65536).fill(8), 65536);
  await writer.finish();
  const rest = storages.get("a.vmdk")!.bytes().subarray(bytes.length, longer.length);
  assertBytes(rest, longer.subarray(bytes.length));
  const warnings: string[] = [];
  const disk = await openFiles(files(storages), (message) => warnings.push(message));
  assertBytes(
    await bytesOf(disk),
    new Uint8Array(3 * 65536).fill(1, 0, 65536).fill(8, 65536, 131072).fill(3, 131072),
  );
  assert.deepEqual(warnings, []);
});

Deno.test("an extent without a grain table gets one", async () => {
  const { bytes, directory } = sparse([null, null, null], { grain: 128 });
  bytes.fill(0, directory, directory + 4);
  const { writer, storages } = await editFiles({ "a.vmdk": bytes });
  await writer.write(new Uint8Array(512).fill(4), 65536);
  await writer.finish();
  const disk = await openFiles(files(storages));
  const expected = new Uint8Array(3 * 65536).fill(4, 65536, 65536 + 512);
  assertBytes(await bytesOf(disk), expected);
});

Deno.test("what cannot be written says so", async () => {
  const edit = (image: Uint8Array, more: Files = {}) => editFiles({ "a.vmdk": image, ...more });
  const text = (...lines: string[]) => encode(descriptor("custom", lines));
  await assert.rejects(edit(cowd([1])), { kind: "unsupported" });
  await assert.rejects(edit(text('RW 8 SESPARSE "s"'), { s: seSparse([1]) }), { kind: "unsupported" });
  await assert.rejects(edit(sparse([1], { version: 3 }).bytes), { kind: "unsupported" });
  const tracked = descriptor("monolithicSparse", ['RW 16 SPARSE "a"'], ['changeTrackPath="a-ctk.vmdk"']);
  await assert.rejects(edit(sparse([1], { descriptor: tracked }).bytes), { kind: "unsupported" });
  const lines = ["RW 1 ZERO", 'RDONLY 1 FLAT "b" 0', 'RW 1 FLAT "b" 1'];
  const { writer } = await edit(text(...lines), { b: new Uint8Array(1024) });
  await writer.write(new Uint8Array(512), 0);
  await writer.zero(0, 512);
  await writer.write(new Uint8Array(512).fill(1), 1024);
  await assert.rejects(writer.write(new Uint8Array(512).fill(1), 0), { kind: "unsupported" });
  await assert.rejects(writer.write(new Uint8Array(512), 512), { kind: "refused" });
});

Deno.test("hostile tables are not written to", async () => {
  const bad: readonly [number, number][] = [[2 ** 32 - 1, 0], [1, 0], [0, 2 ** 32 - 1]];
  for (const [table, grain] of bad) {
    const { bytes, directory, table: tableAt } = sparse([5, null]);
    const view = new DataView(bytes.buffer);
    if (table) view.setUint32(directory, table, true);
    if (grain) view.setUint32(tableAt, grain, true);
    const writer = async () => (await editFiles({ "a.vmdk": bytes })).writer;
    await assert.rejects(async () => await (await writer()).write(new Uint8Array(512), 0), { kind: "corrupt" });
    await assert.rejects(async () => await (await writer()).zero(0, 512), { kind: "corrupt" });
  }
});
