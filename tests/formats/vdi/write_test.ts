import assert from "node:assert/strict";
import { convert } from "../../../mod.ts";
import type { CreatePlan, DiskWriter, EditContext } from "../../../formats/contract.ts";
import { MemoryStorage } from "../../../formats/storage/memory.ts";
import { vdi } from "../../../formats/vdi/mod.ts";
import { inlineCodecs } from "../../support/codecs.ts";
import { diskcast } from "../../support/diskcast.ts";
import { assertBytes, contentOf, openImage, readerOf, workAtRandom } from "../../support/model.ts";
import { hasQemu, qemuImgOk, qemuIo, type Rng, rng, rounds, run, scratch, seed } from "../../support/qemu.ts";
import { RecordingStorage } from "../../support/storage.ts";
import { buildVdi, DISCARDED, randomImage, UUID } from "./build.ts";

const MIB = 1 << 20;
const BLOCK = 4096;
const runSeed = seed();
const createContext = {
  ...inlineCodecs,
  createNamed: () => Promise.reject(new Error("VDI names no files")),
  backing: null,
};

function plan(size: number, options: CreatePlan["options"] = {}): CreatePlan {
  return { size, options, backing: null, compress: false };
}

function contextOver(parentBytes: Uint8Array): EditContext {
  return {
    ...inlineCodecs,
    compress: false,
    openNamed: () => Promise.reject(new Error("VDI names no further files")),
    openBacking: (backing) => {
      assert.deepEqual([backing.name, backing.format], ["", "vdi"]);
      return Promise.resolve(readerOf(parentBytes));
    },
  };
}

Deno.test("what is asked of the storage: nothing is read, nothing is zeroed, the header comes last", async () => {
  const storage = new RecordingStorage(new MemoryStorage());
  const writer = await vdi.create!(storage, plan(10 * MIB + 1), createContext);
  assert.deepEqual([writer.traits.size, writer.traits.clusterSize, writer.traits.startsZeroed], [
    10 * MIB + 512,
    MIB,
    true,
  ]);
  await writer.write(new Uint8Array(256 << 10).fill(1), 4 * MIB);
  await writer.zero(6 * MIB, 9 * MIB);
  await writer.write(new Uint8Array(MIB + 512).fill(1), 2 * MIB);
  await writer.finish();
  assert.deepEqual(storage.operations.map(({ op, start, end }) => `${op} ${start} ${end - start}`), [
    `write 1024 ${256 << 10}`,
    `write ${1024 + MIB} ${MIB}`,
    `write ${1024 + 2 * MIB} 512`,
    "write 512 512",
    `truncate ${1024 + 3 * MIB} 0`,
    "write 0 512",
  ]);
});

Deno.test("new images have UUIDs of their own, and another one for their content", async () => {
  const seen = new Set<unknown>();
  for (let count = 0; count < 3; count++) {
    const storage = new MemoryStorage();
    const writer = await vdi.create!(storage, plan(MIB), createContext);
    await writer.finish();
    const disk = await openImage(vdi, { storage, named: new Map() });
    seen.add(disk.id).add(disk.info["modified-uuid"]);
    assert.equal(disk.info["uuid"], disk.id);
    const editor = await vdi.edit!(storage, contextOver(new Uint8Array(0)));
    await editor.write(new Uint8Array(512), 0);
    await editor.finish();
    const edited = await openImage(vdi, { storage, named: new Map() });
    assert.equal(edited.id, disk.id);
    seen.add(edited.info["modified-uuid"]);
  }
  assert.equal(seen.size, 9);
});

Deno.test("a device that holds other bytes gets a whole image", async () => {
  const random = rng(runSeed);
  for (const isStatic of [true, false]) {
    const storage = new MemoryStorage(new Uint8Array(14 * MIB).fill(0xee));
    const size = 10 * MIB - 512;
    const writer = await vdi.create!(storage, plan(size, { static: isStatic }), createContext);
    const model = new Uint8Array(size);
    await workAtRandom(writer, model, random, 12);
    await writer.finish();
    assertBytes(await contentOf(vdi, storage), model);
  }
});

Deno.test("plans that cannot be carried out", () => {
  const most = 2 ** 49 - 2 ** 27;
  vdi.checkPlan!(plan(most));
  assert.throws(() => vdi.checkPlan!(plan(most + 1)), { kind: "usage", message: /512 TiB/ });
  assert.throws(() => vdi.checkPlan!({ ...plan(MIB), backing: { name: "a.vdi" } }), { kind: "usage" });
  assert.throws(() => vdi.checkPlan!({ ...plan(MIB), compress: true }), { kind: "usage" });
});

Deno.test("a large map is written in pieces", async () => {
  let written = 0;
  const blocks = 3 * 2 ** 20 + 5;
  const inner = new MemoryStorage();
  const storage = Object.assign(inner, {
    writeAt(from: Uint8Array, fileOffset: number) {
      assert(from.length <= 64 << 10);
      const used = Math.min(from.length, 512 + blocks * 4 - fileOffset);
      if (fileOffset >= 512) assert(from.every((byte, index) => byte === (index < used ? 0xff : 0)));
      written += from.length;
      return Promise.resolve();
    },
    truncate: () => Promise.resolve(),
  });
  const writer = await vdi.create!(storage, plan(blocks * MIB), createContext);
  await writer.finish();
  assert.equal(written, Math.ceil(blocks * 4 / 512) * 512 + 512);
});

for (const type of [1, 4] as const) {
  Deno.test(`edits keep every byte: ${type === 1 ? "dynamic" : "differencing"}`, async () => {
    const random = rng(runSeed);
    for (let round = 0; round < 200; round++) {
      const { bytes, parentBytes: ownParent } = randomImage(random, type);
      const parentBytes = type === 4 ? ownParent : new Uint8Array(0);
      const storage = new MemoryStorage(bytes);
      const model = await contentOf(vdi, storage, parentBytes);
      for (let again = 0; again < 2; again++) {
        const writer = await vdi.edit!(storage, contextOver(parentBytes));
        for (let step = 0; step < 8; step++) await oneEdit(writer, model, random);
        await writer.finish();
        assertBytes(await contentOf(vdi, storage, parentBytes), model);
      }
      // VirtualBox and QEMU take the number of blocks in use for the next free file block.
      const view = new DataView(storage.bytes().buffer);
      const map = Array.from({ length: view.getUint32(384, true) }, (_, at) => view.getUint32(512 + at * 4, true));
      assert.equal(view.getUint32(388, true), map.filter((entry) => entry < DISCARDED).length);
    }
  });
}

async function oneEdit(writer: DiskWriter, model: Uint8Array, random: Rng): Promise<void> {
  const grain = random.pick([1, 512]);
  const start = Math.floor(random.int(model.length) / grain) * grain;
  const end = Math.min(model.length, start + random.int(1, 40) * random.pick([1, 512]) * grain);
  if (random.chance(0.4)) {
    await writer.zero(start, end);
    model.fill(0, start, end);
  } else {
    const bytes = random.bytes(end - start);
    await writer.write(bytes, start);
    model.set(bytes, start);
  }
}

Deno.test("whole free blocks over a parent are discarded, not filled", async () => {
  const storage = new MemoryStorage(buildVdi({ type: 4, size: 8 * BLOCK, blockSize: BLOCK, parent: UUID }));
  const before = storage.size;
  const writer = await vdi.edit!(storage, contextOver(new Uint8Array(8 * BLOCK).fill(1)));
  await writer.zero(BLOCK, 7 * BLOCK);
  await writer.finish();
  assert.equal(storage.size, before);
  const model = new Uint8Array(8 * BLOCK).fill(1).fill(0, BLOCK, 7 * BLOCK);
  assertBytes(await contentOf(vdi, storage, new Uint8Array(8 * BLOCK).fill(1)), model);
});

Deno.test({
  name: "qemu-img reads and checks what is written, and what is written into its images",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    const random = rng(runSeed);
    for (let round = 0; round < rounds(5, 10); round++) {
      const size = random.int(1, 16_000) * 512;
      const [source, path, theirs] = [
        folder.file("source.raw"),
        folder.file(`${round}.vdi`),
        folder.file("theirs.vdi"),
      ];
      const options = { static: random.chance(0.4) };
      const sources = [{ path: source, format: "raw" }];
      await Deno.writeFile(source, sparseBytes(size, random));
      await convert({ sources, target: { path, format: "vdi", options }, sync: "never" });
      await judge(source, path, size);
      await qemuIo(["-f", "vdi", path], `write -P 7 0 ${Math.min(size, 4096)}`, `write -P 8 ${size - 512} 512`);
      await qemuImgOk("check", "-f", "vdi", path);
      await qemuImgOk("create", "-q", "-f", "vdi", "-o", `static=${random.pick(["on", "off"])}`, theirs, `${size}`);
      await qemuIo(["-f", "vdi", theirs], `write -P 85 ${size >> 10 << 9} 512`, `write -P 86 0 512`);
      await Deno.writeFile(source, sparseBytes(size, random));
      for (const existing of [path, theirs]) {
        await convert({ sources, target: { path: existing, format: "vdi", create: false }, sync: "never" });
        await judge(source, existing, size);
      }
      // It can still grow.
      await qemuIo(["-f", "vdi", path], ...[0, 1, 2, 3].map((part) => `write -P 9 ${(size >> 11) * part << 9} 512`));
      await qemuImgOk("check", "-f", "vdi", path);
    }
  },
});

async function judge(source: string, path: string, size: number): Promise<void> {
  await qemuImgOk("compare", "-f", "raw", "-F", "vdi", source, path);
  await qemuImgOk("check", "-f", "vdi", path);
  const info = JSON.parse(await qemuImgOk("info", "--output=json", "-f", "vdi", path));
  assert.equal(info["virtual-size"], size);
}

Deno.test({
  name: "7zz, which shares no code with anybody here, agrees",
  ignore: !await has("7zz"),
  async fn() {
    await using folder = await scratch();
    const random = rng(runSeed);
    for (const isStatic of [true, false]) {
      const [source, path, out] = [
        folder.file("source.raw"),
        folder.file(`${isStatic}.vdi`),
        folder.file(`${isStatic}`),
      ];
      await Deno.writeFile(source, sparseBytes(random.int(4100, 12_000) * 512, random));
      const target = { path, format: "vdi", options: { static: isStatic } };
      await convert({ sources: [{ path: source, format: "raw" }], target });
      const outcome = await run("7zz", ["e", "-y", "-tVDI", `-o${out}`, path]);
      assert.equal(outcome.code, 0, outcome.stdout + outcome.stderr);
      const [entry] = [...Deno.readDirSync(out)];
      assertBytes(await Deno.readFile(`${out}/${entry.name}`), await Deno.readFile(source));
    }
  },
});

Deno.test("the command line writes both kinds, and refuses impossible options", async () => {
  await using folder = await scratch();
  const source = folder.file("source.raw");
  await Deno.writeFile(source, sparseBytes(3 * MIB, rng(runSeed)));
  for (const options of ["static=on", "static=off"]) {
    const [path, back] = [folder.file("out.vdi"), folder.file("back.raw")];
    const outcome = await diskcast("convert", "-f", "raw", "-O", "vdi", "-o", options, source, path);
    assert.equal(outcome.code, 0, outcome.stderr);
    assert.equal((await diskcast("convert", "-O", "raw", path, back)).code, 0);
    assertBytes(await Deno.readFile(back), await Deno.readFile(source));
  }
  const compressed = await diskcast("convert", "-c", "-f", "raw", "-O", "vdi", source, folder.file("c.vdi"));
  assert.notEqual(compressed.code, 0);
  assert.match(compressed.stderr, /no compression/);
});

/** Random bytes with stretches of zeroes. */
function sparseBytes(size: number, random: Rng): Uint8Array {
  const bytes = random.bytes(size);
  for (let count = 0; count < 6; count++) {
    const start = random.int(size);
    bytes.fill(0, start, start + random.int(1, 1 + (size >> 1)));
  }
  return bytes;
}

async function has(program: string): Promise<boolean> {
  try {
    await run(program, ["-h"]);
    return true;
  } catch {
    console.warn(`${program} is not installed: what it would judge is skipped`);
    return false;
  }
}
