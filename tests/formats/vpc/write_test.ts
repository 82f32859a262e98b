import assert from "node:assert/strict";
import { convert } from "../../../mod.ts";
import type { CreatePlan, DiskWriter } from "../../../formats/contract.ts";
import { exactGeometry, LARGEST, sectorsOf, specifiedGeometry } from "../../../formats/vpc/geometry.ts";
import { vpc } from "../../../formats/vpc/mod.ts";
import { MemoryStorage } from "../../../formats/storage/memory.ts";
import { inlineCodecs } from "../../support/codecs.ts";
import { assertBytes, openImage, readAll, workAtRandom } from "../../support/model.ts";
import { diskcast } from "../../support/diskcast.ts";
import { guestBytes, hasQemu, qemuImgOk, qemuIo, rng, rounds, run, scratch, seed } from "../../support/qemu.ts";
import { RecordingStorage, WatchedStorage } from "../../support/storage.ts";
import { seal } from "./build.ts";

const MIB = 1 << 20;
const runSeed = seed();
const createContext = {
  ...inlineCodecs,
  createNamed: () => Promise.reject(new Error("VHD names no files")),
  backing: null,
};

function plan(size: number, options: CreatePlan["options"] = {}): CreatePlan {
  return { size, options, backing: null, compress: false };
}

async function created(size: number, options: CreatePlan["options"], fill: (writer: DiskWriter) => Promise<void>) {
  const storage = new MemoryStorage();
  const writer = await vpc.create!(storage, plan(size, options), createContext);
  await fill(writer);
  await writer.finish();
  return storage.bytes();
}

Deno.test("the geometry of the specification's appendix", () => {
  const table: readonly (readonly [number, number, number, number])[] = [
    [0, 0, 4, 17],
    [20480, 301, 4, 17],
    [65535 * 16 * 63 - 1, 65534, 16, 63],
    [65535 * 16 * 63, 16191, 16, 255],
    [1 << 20, 1040, 16, 63],
    [2 ** 40, 65535, 16, 255],
  ];
  for (const [total, cylinders, heads, sectors] of table) {
    const found = specifiedGeometry(total);
    assert(sectorsOf(found) <= total);
    assert.deepEqual(found, { cylinders, heads, sectors }, `${total} sectors`);
  }
});

Deno.test("a geometry is exact, or the largest, which means the current size", () => {
  const random = rng(runSeed);
  for (let count = 0; count < 300; count++) {
    const total = random.int(1, 2 ** random.int(2, 32));
    const geometry = exactGeometry(total);
    if (geometry !== LARGEST) assert.equal(sectorsOf(geometry), total);
    assert(geometry.cylinders <= 65535 && geometry.heads <= 16 && geometry.sectors <= 255);
  }
  for (const mib of [1, 10, 1024, 20_480, 65_535]) {
    assert.equal(sectorsOf(exactGeometry(mib * 2048)), mib * 2048, `${mib} MiB`);
  }
});

Deno.test("a fixed image is its data and one footer, as Azure wants it", async () => {
  for (const size of [MIB, 5 * MIB, 30 * MIB]) {
    const bytes = await created(size, { subformat: "fixed" }, () => Promise.resolve());
    assert.equal(bytes.length, size + 512);
    const footer = bytes.subarray(size);
    const view = new DataView(footer.buffer, footer.byteOffset);
    assert.equal(new TextDecoder().decode(footer.subarray(0, 8)), "conectix");
    assert.equal(view.getBigUint64(16), 0xffff_ffff_ffff_ffffn);
    assert.equal(view.getUint32(60), 2);
    assert.deepEqual([view.getBigUint64(40), view.getBigUint64(48)], [BigInt(size), BigInt(size)]);
    assert(!["vpc ", "qemu"].includes(new TextDecoder().decode(footer.subarray(28, 32))));
    const sum = view.getUint32(64);
    seal(footer, 64);
    assert.equal(view.getUint32(64), sum, "checksum");
  }
});

Deno.test("force_size states the largest geometry; without it the geometry agrees where one can", async () => {
  const geometryOf = async (size: number, options: CreatePlan["options"]) => {
    const bytes = await created(size, options, () => Promise.resolve());
    return [...bytes.subarray(bytes.length - 512 + 56, bytes.length - 512 + 60)];
  };
  assert.deepEqual(await geometryOf(10 * MIB, { force_size: true }), [0xff, 0xff, 16, 255]);
  const [high, low, heads, sectors] = await geometryOf(10 * MIB, {});
  assert.equal((high * 256 + low) * heads * sectors * 512, 10 * MIB);
});

Deno.test("two new images have two UUIDs", async () => {
  const ids = new Set<string | undefined>();
  for (let count = 0; count < 4; count++) {
    const bytes = await created(MIB, {}, () => Promise.resolve());
    const disk = await openImage(vpc, { storage: new MemoryStorage(bytes), named: new Map() });
    ids.add(disk.id);
  }
  assert.equal(ids.size, 4);
});

Deno.test("what is asked of the storage: nothing is read, nothing is zeroed, structures come last", async () => {
  const storage = new RecordingStorage(new MemoryStorage());
  const writer = await vpc.create!(storage, plan(10 * MIB), createContext);
  assert.deepEqual(
    [writer.traits.startsZeroed, writer.traits.zeroes, writer.traits.clusterSize],
    [true, "cheap", 2 * MIB],
  );
  await writer.write(new Uint8Array(256 << 10).fill(1), 4 * MIB);
  await writer.zero(6 * MIB, 9 * MIB);
  await writer.write(new Uint8Array(3 * MIB).fill(1), MIB);
  await writer.finish();
  const reported = storage.operations.map(({ op, start, end }) => `${op} ${start} ${end - start}`);
  const [first, second, third] = [0, 1, 2].map((index) => 2048 + index * (512 + 2 * MIB) + 512);
  assert.deepEqual(reported, [
    `write ${first - 512} 512`,
    `write ${first} ${256 << 10}`,
    `write ${second - 512} 512`,
    `write ${second + MIB} ${MIB}`,
    `write ${third - 512} 512`,
    `write ${third} ${2 * MIB}`,
    "write 1536 512",
    "write 512 1024",
    `write ${third + 2 * MIB} 512`,
    "write 0 512",
  ]);
});

Deno.test("without holes every byte of the file is written", async () => {
  const random = rng(runSeed);
  for (const subformat of ["dynamic", "fixed"]) {
    for (let round = 0; round < 8; round++) {
      const inner = new MemoryStorage();
      const written: boolean[] = [];
      const storage = new WatchedStorage(inner, ({ op, start, end }) => {
        assert.equal(op, "write", `${op} may leave a hole`);
        written.length = Math.max(written.length, end / 512);
        written.fill(true, start / 512, end / 512);
      });
      const size = random.int(1, 9000) * 512;
      const writer = await vpc.create!(storage, plan(size, { subformat, sparse: false }), createContext);
      const model = new Uint8Array(size);
      await workAtRandom(writer, model, random, 12);
      await writer.finish();
      assert.equal(written.length, inner.size / 512);
      // An array keeps elements that were never assigned as empty.
      assert.equal(written.findIndex((one) => one !== true), -1, `${subformat} ${size}`);
      const disk = await openImage(vpc, { storage: inner, named: new Map() });
      assertBytes(await readAll(disk), model);
    }
  }
});

Deno.test("a disk of whole sectors keeps its size; of another one, the message states what is added", async () => {
  await using folder = await scratch();
  for (
    const [size, reported] of [[5120, []], [5121, [
      "the disk gets 5632 bytes, 511 bytes of zeroes at its end",
    ]]] as const
  ) {
    const path = folder.file("odd.raw");
    await Deno.writeFile(path, new Uint8Array(size).fill(1));
    const warnings: string[] = [];
    const job = { sources: [{ path, format: "raw" }], target: { path: folder.file("odd.vhd"), format: "vpc" } };
    const { size: made } = await convert(job, {
      onEvent: (event) => event.type === "warning" && warnings.push(event.message.split(":")[0]!),
    });
    assert.deepEqual([made, warnings], [Math.ceil(size / 512) * 512, reported]);
  }
});

Deno.test("a device that holds other bytes gets a whole image", async () => {
  const random = rng(runSeed);
  for (const subformat of ["dynamic", "fixed"]) {
    const storage = new MemoryStorage(new Uint8Array(24 * MIB).fill(0xee));
    const writer = await vpc.create!(storage, plan(10 * MIB, { subformat }), createContext);
    const model = new Uint8Array(10 * MIB);
    await workAtRandom(writer, model, random, 12);
    await writer.finish();
    const bytes = storage.bytes();
    const end = subformat === "fixed" ? 10 * MIB + 512 : bytes.length;
    const disk = await openImage(vpc, { storage: new MemoryStorage(bytes.slice(0, end)), named: new Map() });
    assertBytes(await readAll(disk), model);
  }
});

Deno.test("plans that cannot be carried out", () => {
  const most = 2040 * 2 ** 30;
  vpc.checkPlan!(plan(most));
  assert.throws(() => vpc.checkPlan!(plan(most + 1)), { kind: "usage", message: /2040 GiB/ });
  assert.throws(() => vpc.checkPlan!({ ...plan(MIB), backing: { name: "a.vhd" } }), { kind: "usage" });
  assert.throws(() => vpc.checkPlan!({ ...plan(MIB), compress: true }), { kind: "usage" });
});

Deno.test("the largest image is created at once, and its last sector is written", async () => {
  await using folder = await scratch();
  const path = folder.file("large.vhd");
  const source = folder.file("large.raw");
  const size = 2040 * 2 ** 30;
  {
    using file = await Deno.open(source, { write: true, createNew: true });
    await file.truncate(size);
    await file.seek(size - 512, Deno.SeekMode.Start);
    await file.write(new Uint8Array(512).fill(9));
  }
  const job = { sources: [{ path: source, format: "raw" }], target: { path, format: "vpc" } };
  await convert({ ...job, sync: "never" });
  assert((await Deno.stat(path)).size < 8 * MIB);
  if (hasQemu) await qemuImgOk("compare", "-f", "raw", "-F", "vpc", source, path);
});

Deno.test({
  name: "qemu-img reads what is written, with the exact size; edits keep both",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    const random = rng(runSeed);
    for (let round = 0; round < rounds(5, 12); round++) {
      const options: { [name: string]: string | boolean } = {
        subformat: random.pick(["dynamic", "fixed"]),
        force_size: random.chance(0.3),
        sparse: random.chance(0.7),
      };
      const size = random.int(1, 12_000) * 512;
      const [source, path] = [folder.file("source.raw"), folder.file(`${round}.vhd`)];
      await Deno.writeFile(source, sparseBytes(size, random));
      const target = { path, format: "vpc", options };
      await convert({ sources: [{ path: source, format: "raw" }], target, sync: "never" });
      const info = JSON.parse(await qemuImgOk("info", "--output=json", "-f", "vpc", path));
      assert.equal(info["virtual-size"], size, JSON.stringify(options));
      await qemuImgOk("compare", "-f", "raw", "-F", "vpc", source, path);
      // qemu-io writes into it, then it is written into here once more.
      await qemuIo(["-f", "vpc", path], `write -P 7 0 ${Math.min(size, 4096)}`, `write -P 8 ${size - 512} 512`);
      const disk = await openImage(vpc, {
        storage: new MemoryStorage(await Deno.readFile(path)),
        named: new Map(),
      });
      assertBytes(await readAll(disk), await guestBytes(path, "vpc"));
      await Deno.writeFile(source, sparseBytes(size, random));
      const again = { path, format: "vpc", create: false };
      await convert({ sources: [{ path: source, format: "raw" }], target: again, sync: "never" });
      await qemuImgOk("compare", "-f", "raw", "-F", "vpc", source, path);
    }
  },
});

Deno.test({
  name: "convert -n into images of qemu-img",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    const random = rng(runSeed);
    for (const subformat of ["dynamic", "fixed"]) {
      const size = 6 * MIB + 1536;
      const [source, path] = [folder.file("source.raw"), folder.file(`${subformat}.vhd`)];
      await Deno.writeFile(source, sparseBytes(size, random));
      await qemuImgOk("create", "-q", "-f", "vpc", "-o", `force_size=on,subformat=${subformat}`, path, `${size}`);
      await qemuIo(["-f", "vpc", path], "write -P 85 0 70144", `write -P 86 ${3 * MIB} 1M`);
      const target = { path, format: "vpc", create: false };
      await convert({ sources: [{ path: source, format: "raw" }], target });
      await qemuImgOk("compare", "-f", "raw", "-F", "vpc", source, path);
    }
  },
});

for (
  const [program, reads] of [
    ["7zz", (path: string, out: string) => ["e", "-y", "-tVHD", `-o${out}`, path]],
    ["vhdiinfo", null],
  ] as const
) {
  Deno.test({
    name: `${program}, which shares no code with anybody here, agrees`,
    ignore: !await has(program),
    async fn() {
      await using folder = await scratch();
      const random = rng(runSeed);
      for (const subformat of ["dynamic", "fixed"]) {
        const size = random.int(4100, 12_000) * 512;
        const [source, path] = [folder.file("source.raw"), folder.file(`${subformat}.vhd`)];
        await Deno.writeFile(source, sparseBytes(size, random));
        const target = { path, format: "vpc", options: { subformat } };
        await convert({ sources: [{ path: source, format: "raw" }], target });
        const outcome = await run(program, reads === null ? [path] : reads(path, folder.file(subformat)));
        assert.equal(outcome.code, 0, outcome.stdout + outcome.stderr);
        if (reads === null) {
          assert.match(outcome.stdout, new RegExp(`Media size.*\\b${size} bytes`));
          assert.match(outcome.stdout.toLowerCase(), new RegExp(`disk type\\s*: ${subformat}`));
        } else {
          const [entry] = [...Deno.readDirSync(folder.file(subformat))];
          assertBytes(await Deno.readFile(`${folder.file(subformat)}/${entry.name}`), await Deno.readFile(source));
        }
      }
    },
  });
}

Deno.test("the command line writes every kind, and refuses impossible options", async () => {
  await using folder = await scratch();
  const source = folder.file("source.raw");
  await Deno.writeFile(source, sparseBytes(3 * MIB, rng(runSeed)));
  for (const options of ["subformat=dynamic", "subformat=fixed,force_size=on", "subformat=fixed,sparse=off"]) {
    const path = folder.file("out.vhd");
    const outcome = await diskcast("convert", "-f", "raw", "-O", "vpc", "-o", options, source, path);
    assert.equal(outcome.code, 0, outcome.stderr);
    const back = folder.file("back.raw");
    assert.equal((await diskcast("convert", "-O", "raw", path, back)).code, 0);
    assertBytes(await Deno.readFile(back), await Deno.readFile(source));
  }
  const compressed = await diskcast("convert", "-c", "-f", "raw", "-O", "vpc", source, folder.file("c.vhd"));
  assert.notEqual(compressed.code, 0);
  assert.match(compressed.stderr, /no compression/);
});

/** Random bytes with stretches of zeroes. */
function sparseBytes(size: number, random: ReturnType<typeof rng>): Uint8Array {
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
