import assert from "node:assert/strict";
import { MemoryStorage, type Storage } from "../../../formats/mod.ts";
import { vhdx } from "../../../formats/vhdx/mod.ts";
import { inlineCodecs } from "../../support/codecs.ts";
import { assertBytes, readAll, withFileOffset } from "../../support/model.ts";
import { canStart, digestOfDisk, extentLines, filled, openBytes, pathOpened } from "./support.ts";
import { guestBytes, hasQemu, qemuImgOk, qemuIo, rng, scratch, seed } from "../../support/qemu.ts";
import { AT, build, GUID, MIB, putHeader, putRegions, setBat } from "./build.ts";

Deno.test({
  name: "reads the image that Hyper-V made",
  ignore: !await canStart("bunzip2", "it decompresses tests/samples/*.bz2"),
  async fn() {
    await using folder = await scratch();
    const path = folder.file("sample.vhdx");
    const compressed = new URL("../../samples/iotest-dynamic-1G.vhdx.bz2", import.meta.url);
    const { stdout } = await new Deno.Command("bunzip2", { args: ["-c", compressed.pathname] }).output();
    await Deno.writeFile(path, stdout);
    await using disk = await pathOpened(path);
    assert.equal(disk.size, 1 << 30);
    assert.equal(disk.clusterSize, 32 << 20);
    assert.equal(disk.id, "d247cbb2-15b6-404b-9133-790733d694c0");
    assert.equal(disk.info["creator"], "Microsoft Windows 6.2.9200.16384");
    assert.equal(await digestOfDisk(disk), "d3d112d8dab7fd360609f7d5a7b769904b7a2a7d7b6b8c535f65a23293c05478");
    assert.equal((await extentLines(disk)).at(-1), "zero 98304-1048576", "the table alone says so");
  },
});

for (const options of ["subformat=dynamic,block_size=1M", "subformat=fixed", "block_state_zero=off,log_size=2M", ""]) {
  Deno.test({
    name: `reads what qemu-img made with ${options || "its own options"}`,
    ignore: !hasQemu,
    async fn() {
      await using folder = await scratch();
      const random = rng(seed());
      const path = folder.file("a.vhdx");
      const list = options ? ["-o", options] : [];
      await qemuImgOk("create", "-q", "-f", "vhdx", ...list, path, `${random.int(3, 40) * MIB + 512}`);
      const size = JSON.parse(await qemuImgOk("info", "--output=json", path))["virtual-size"];
      const writes = [...Array(20).keys()].map((nth) => {
        const start = random.int(size / 512) * 512;
        return `write -P ${nth + 1} ${start} ${Math.min(size - start, random.int(1, 3000) * 512)}`;
      });
      await qemuIo(["-f", "vhdx", path], ...writes);
      await using disk = await pathOpened(path);
      assertBytes(await readAll(disk), await guestBytes(path, "vhdx"));
    },
  });
}

Deno.test("every state of a block shows as it must", async () => {
  const blocks = { 1: { state: 1 }, 2: { state: 2 }, 3: { state: 3 }, 4: { state: 6, content: filled(4) } };
  for (const fixed of [false, true]) {
    const disk = await openBytes(build({ size: 6 * MIB + 512, fixed, blocks }));
    assert.deepEqual(await extentLines(disk), ["hole 0-1024", "zero 1024-4096", "data 4096-5120", "hole 5120-6144.5"]);
    assert.equal(disk.info["subformat"], fixed ? "fixed" : "dynamic");
    const bytes = await readAll(disk);
    assert.deepEqual([bytes[4 * MIB - 1], bytes[4 * MIB], bytes[5 * MIB - 1], bytes[5 * MIB]], [0, 4, 4, 0]);
  }
});

Deno.test("blocks side by side in the file are one extent; a read goes across others, too", async () => {
  const block = (value: number) => ({ state: 6, content: filled(value) });
  const bytes = build({ size: 4 * MIB, blocks: { 0: block(1), 1: block(2), 2: block(3) } });
  const view = new DataView(bytes.buffer);
  const disk = await openBytes(bytes);
  const common = { start: 5, kind: "data", compressed: false };
  assert.deepEqual(withFileOffset(await disk.extentAt(5, 4 * MIB)), {
    ...common,
    end: 3 * MIB,
    fileOffset: AT.blocks + 5,
  });
  setBat(view, 0, 6, AT.blocks + 2 * MIB);
  setBat(view, 2, 6, AT.blocks);
  const swapped = await openBytes(bytes);
  assert.deepEqual(withFileOffset(await swapped.extentAt(5, 4 * MIB)), {
    ...common,
    end: MIB,
    fileOffset: AT.blocks + 2 * MIB + 5,
  });
  const into = new Uint8Array(MIB + 4);
  await swapped.read(into, MIB - 2);
  assert.deepEqual([into[0], into[1], into[2], into[MIB + 1], into[MIB + 2]], [3, 3, 2, 2, 1]);
});

Deno.test("holes that the host finds in blocks are zeroes", async () => {
  const bytes = build({
    size: 2 * MIB,
    fixed: true,
    blocks: { 0: { state: 6, content: filled(1) }, 1: { state: 6, content: filled(2) } },
  });
  const hole = { start: AT.blocks + 4096, end: AT.blocks + MIB + 8192 };
  bytes.fill(0, hole.start, hole.end);
  const storage: Storage = new MemoryStorage(bytes);
  storage.holeAt = (at, limit) => {
    const inside = at >= hole.start && at < hole.end;
    const end = inside ? hole.end : at < hole.start ? hole.start : limit;
    return Promise.resolve({ hole: inside, end: Math.min(end, limit) });
  };
  const disk = await vhdx.open(storage, { ...inlineCodecs, openNamed: () => Promise.reject(new Error("no")) });
  assert.deepEqual(await extentLines(disk), ["data 0-4", "zero 4-1032", "data 1032-2048"]);
  assert.deepEqual(withFileOffset(await disk.extentAt(8192, MIB)), {
    kind: "zero",
    start: 8192,
    end: MIB,
    fileOffset: AT.blocks + 8192,
    unwritten: true,
  });
});

Deno.test("the entries of sector bitmaps stand between those of blocks, in every image", async () => {
  // Chunks of 4 GiB: block 16 of 256 MiB comes after the first bitmap's entry.
  const bytes = build({ size: 5 * 2 ** 30, blockSize: 256 * MIB, blocks: { 16: { state: 2 } } });
  const view = new DataView(bytes.buffer);
  assert.equal(view.getUint32(AT.bat + 17 * 8, true), 2);
  setBat(view, 16, 7, 0x5000_0000); // No block is there.
  assert.deepEqual(await extentLines(await openBytes(bytes)), [
    "hole 0-4194304",
    "zero 4194304-4456448",
    "hole 4456448-5242880",
  ]);
});

Deno.test("reads disks with logical sectors of 4096 bytes", async () => {
  const disk = await openBytes(
    build({ size: 3 * MIB + 4096, sector: 4096, blocks: { 3: { state: 6, content: filled(9) } } }),
  );
  assert.equal(disk.info["logical-sector-size"], 4096);
  assert.deepEqual(await extentLines(disk), ["hole 0-3072", "data 3072-3076"]);
});

Deno.test("a last block that ends with the guest's last byte is read", async () => {
  const bytes = build({ size: MIB + 512, blocks: { 1: { state: 6, content: filled(9) } } });
  const disk = await openBytes(bytes.slice(0, AT.blocks + 512));
  assert.equal((await readAll(disk))[MIB + 511], 9);
});

Deno.test("the newer header counts; a damaged one is made up for by the other", async () => {
  const bytes = build({ size: MIB });
  putHeader(bytes, AT.header1, { sequence: 9, dataWriteGuid: "aaaaaaaa-0000-0000-0000-000000000001" });
  assert.equal((await openBytes(bytes)).id, "aaaaaaaa-0000-0000-0000-000000000001");
  bytes[AT.header1 + 100] ^= 1;
  assert.equal((await openBytes(bytes)).id, GUID.data);
  bytes[AT.header2 + 100] ^= 1;
  await assert.rejects(openBytes(bytes), { kind: "corrupt" });
});

Deno.test("a damaged region table is made up for by the other", async () => {
  const bytes = build({ size: MIB });
  bytes[AT.regions1 + 20] ^= 1;
  await openBytes(bytes);
  bytes[AT.regions2 + 20] ^= 1;
  await assert.rejects(openBytes(bytes), { kind: "corrupt" });
});

Deno.test("an unknown region that is not required is left alone, and no block may lie in it", async () => {
  const bytes = build({
    size: 2 * MIB,
    blocks: { 0: { state: 6, content: filled(1) }, 1: { state: 6, content: filled(2) } },
  });
  const known = [[GUID.bat, AT.bat, MIB, 1], [GUID.metadata, AT.metadata, MIB, 1]] as const;
  putRegions(bytes, [...known, [GUID.log, AT.blocks + MIB, MIB, 0]]);
  const disk = await openBytes(bytes);
  await assert.rejects(async () => await disk.extentAt(0, 2 * MIB), { kind: "corrupt" });
  putRegions(bytes, [...known, [GUID.log, AT.blocks + MIB, MIB, 1]]);
  await assert.rejects(openBytes(bytes), { kind: "unsupported" });
});
