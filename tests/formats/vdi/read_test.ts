import assert from "node:assert/strict";
import { convert } from "../../../mod.ts";
import type { OpenContext } from "../../../formats/contract.ts";
import { MemoryStorage } from "../../../formats/storage/memory.ts";
import { vdi } from "../../../formats/vdi/mod.ts";
import { inlineCodecs } from "../../support/codecs.ts";
import { assertBytes, peekOf, readAll } from "../../support/model.ts";
import { guestBytes, hasQemu, qemuImgOk, qemuIo, rng, scratch, seed } from "../../support/qemu.ts";
import { AT, buildVdi, DISCARDED, FREE, UUID } from "./build.ts";

const context: OpenContext = {
  ...inlineCodecs,
  openNamed: () => Promise.reject(new Error("VDI names no further files")),
};
const open = (bytes: Uint8Array) => vdi.open(new MemoryStorage(bytes, "a.vdi"), context);
const runSeed = seed();
const BLOCK = 4096;

async function extentLines(bytes: Uint8Array): Promise<string[]> {
  const disk = await open(bytes);
  const lines = [];
  for (let at = 0; at < disk.size;) {
    const extent = await disk.extentAt(at, disk.size);
    lines.push(`${extent.kind} ${extent.start / BLOCK}-${extent.end / BLOCK}`);
    at = extent.end;
  }
  return lines;
}

Deno.test("free blocks are holes, discarded ones are zeroes, the others are data", async () => {
  const blocks = [1, 2, 3].map((value) => new Uint8Array(BLOCK).fill(value));
  const map = [2, FREE, FREE, DISCARDED, DISCARDED, 0, 1, FREE];
  const bytes = buildVdi({ type: 1, size: 8 * BLOCK, blockSize: BLOCK, map, blocks });
  assert.deepEqual(await extentLines(bytes), ["data 0-1", "hole 1-3", "zero 3-5", "data 5-7", "hole 7-8"]);
  const model = new Uint8Array(8 * BLOCK);
  model.fill(3, 0, BLOCK);
  model.fill(1, 5 * BLOCK, 6 * BLOCK);
  model.fill(2, 6 * BLOCK, 7 * BLOCK);
  const disk = await open(bytes);
  assertBytes(await readAll(disk), model);
});

Deno.test("a differencing image names its parent by UUID alone", async () => {
  const parent = Uint8Array.from({ length: 16 }, (_, index) => 0xa0 + index);
  for (const type of [4, 3, 1] as const) {
    const disk = await open(buildVdi({ type, size: BLOCK, blockSize: BLOCK, parent }));
    assert.equal(disk.id, "13121110-1514-1716-1819-1a1b1c1d1e1f");
    assert.deepEqual(disk.backing, { name: "", format: "vdi", id: "a3a2a1a0-a5a4-a7a6-a8a9-aaabacadaeaf" });
  }
  const orphan = buildVdi({ type: 4, size: BLOCK, blockSize: BLOCK });
  await assert.rejects(open(orphan), { kind: "corrupt", message: /names no parent/ });
});

Deno.test("blocks of every legal size, with and without extra bytes, in any order", async () => {
  const random = rng(runSeed);
  for (const blockSize of [512, 4096, 65_536, 1 << 20, 2 << 20]) {
    for (const extraBytes of [0, 512, 4096]) {
      const size = 4 * blockSize - 512;
      const blocks = Array.from({ length: 3 }, () => random.bytes(blockSize));
      const map = [2, 0, FREE, 1];
      const disk = await open(buildVdi({ type: 1, size, blockSize, extraBytes, map, blocks }));
      const model = new Uint8Array(4 * blockSize);
      [0, 1, 3].forEach((index) => model.set(blocks[map[index]], index * blockSize));
      assertBytes(await readAll(disk), model.subarray(0, size));
    }
  }
});

Deno.test("old headers, odd sizes, and a last block that ends with the disk", async () => {
  const data = rng(runSeed).bytes(BLOCK);
  const built = { type: 1, blockSize: BLOCK, map: [FREE, 0], blocks: [data] } as const;
  const old = await open(buildVdi({ ...built, size: 2 * BLOCK, headerBytes: 384 }));
  assert.equal(old.size, 2 * BLOCK);
  const odd = await open(buildVdi({ ...built, size: 2 * BLOCK - 700 }));
  assert.equal(odd.size, 2 * BLOCK - 512);
  const cut = await open(buildVdi({ ...built, size: BLOCK + 1024 }).subarray(0, AT.data + 1024));
  const model = new Uint8Array(BLOCK + 1024);
  model.set(data.subarray(0, 1024), BLOCK);
  assertBytes(await readAll(cut), model);
});

Deno.test("holes of the host's file in a static image are zeroes", async () => {
  const bytes = buildVdi({
    type: 2,
    size: 4 * BLOCK,
    blockSize: BLOCK,
    map: [0, 1, 2, 3],
    blocks: [0, 0, 7, 7].map((value) => new Uint8Array(BLOCK).fill(value)),
  });
  const holeEnd = AT.data + 2 * BLOCK;
  const storage = Object.assign(new MemoryStorage(bytes), {
    holeAt: (start: number, limit: number) => {
      const hole = start < holeEnd;
      return Promise.resolve({ hole, end: hole ? Math.min(limit, holeEnd) : limit });
    },
  });
  const disk = await vdi.open(storage, context);
  assert.equal((await disk.extentAt(512, 4 * BLOCK)).kind, "zero");
  assert.equal((await disk.extentAt(512, 4 * BLOCK)).end, 2 * BLOCK);
  assert.equal((await disk.extentAt(512, 1024)).end, 1024);
  assert.equal((await disk.extentAt(2 * BLOCK, 4 * BLOCK)).kind, "data");
  assertBytes(await readAll(disk), bytes.subarray(AT.data));
});

Deno.test("probing looks at the signature, whatever the text before it says", () => {
  const bytes = buildVdi({ type: 1, size: BLOCK, blockSize: BLOCK });
  bytes.fill(0x20, 0, 64);
  assert.equal(vdi.probe(peekOf(bytes)), "yes");
  assert.equal(vdi.probe(peekOf(bytes.subarray(0, 511))), "no");
  bytes[64] = 0;
  assert.equal(vdi.probe(peekOf(bytes)), "no");
});

Deno.test("large reads join blocks that lie one after another", async () => {
  const blocks = Array.from({ length: 6 }, (_, index) => new Uint8Array(BLOCK).fill(index + 1));
  const bytes = buildVdi({ type: 1, size: 6 * BLOCK, blockSize: BLOCK, map: [0, 1, 2, 4, 5, 3], blocks });
  const asked: string[] = [];
  const inner = new MemoryStorage(bytes);
  const storage = {
    label: "a.vdi",
    size: inner.size,
    readAt(into: Uint8Array, fileOffset: number) {
      if (fileOffset >= AT.data) asked.push(`${(fileOffset - AT.data) / BLOCK}+${into.length / BLOCK}`);
      return inner.readAt(into, fileOffset);
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const disk = await vdi.open(storage, context);
  await disk.read(new Uint8Array(6 * BLOCK), 0);
  assert.deepEqual(asked, ["0+3", "4+2", "3+1"]);
});

Deno.test({
  name: "reads what qemu-img writes, byte for byte",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    const random = rng(runSeed);
    for (let round = 0; round < 6; round++) {
      const [path, out] = [folder.file(`${round}.vdi`), folder.file("out.raw")];
      const size = random.int(1, 12_000) * 512;
      await qemuImgOk("create", "-q", "-f", "vdi", "-o", `static=${random.pick(["on", "off"])}`, path, `${size}`);
      const commands = Array.from({ length: 12 }, () => {
        const start = random.int(size / 512) * 512;
        return `write -P ${random.int(256)} ${start} ${Math.min(size - start, random.int(1, 1000) * 512)}`;
      });
      await qemuIo(["-f", "vdi", path], ...commands);
      await convert({ sources: [{ path }], target: { path: out, format: "raw" }, sync: "never" });
      assertBytes(await Deno.readFile(out), await guestBytes(path, "vdi"));
    }
  },
});

Deno.test("a snapshot is read through the parent that the user states", async () => {
  await using folder = await scratch();
  const random = rng(runSeed);
  const [parentBytes, childBytes] = [random.bytes(BLOCK), random.bytes(BLOCK)];
  const size = 3 * BLOCK;
  const [base, top, out] = [folder.file("base.vdi"), folder.file("snapshot.vdi"), folder.file("out.raw")];
  const common = { size, blockSize: BLOCK };
  await Deno.writeFile(base, buildVdi({ type: 1, ...common, map: [0, 0, 0], blocks: [parentBytes] }));
  const uuid = random.bytes(16);
  const child = buildVdi({ type: 4, ...common, uuid, parent: UUID, map: [FREE, 0, DISCARDED], blocks: [childBytes] });
  await Deno.writeFile(top, child);
  const target = { path: out, format: "raw" };
  const source = { path: top, backing: { path: base, format: "vdi" } };
  await convert({ sources: [source], target });
  const model = new Uint8Array(size);
  model.set(parentBytes);
  model.set(childBytes, BLOCK);
  assertBytes(await Deno.readFile(out), model);
});
