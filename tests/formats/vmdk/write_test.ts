import assert from "node:assert/strict";
import type { OptionValues } from "../../../formats/options.ts";
import { ImageError } from "../../../formats/errors.ts";
import { MemoryStorage } from "../../../formats/storage/memory.ts";
import { vmdk } from "../../../formats/vmdk/mod.ts";
import { SPLIT_BYTES } from "../../../formats/vmdk/extent_create.ts";
import { appender } from "../../../formats/vmdk/stream_optimized.ts";
import { allocateAtEnd } from "../../../formats/vmdk/grain_tables.ts";
import { inlineCodecs } from "../../support/codecs.ts";
import { libyal } from "../../support/libyal.ts";
import { assertBytes, readerOf, workAtRandom } from "../../support/model.ts";
import {
  guestBytes,
  hasQemu,
  qemuImg,
  qemuImgOk,
  type Rng,
  rng,
  type Scratch,
  scratch,
  seed,
} from "../../support/qemu.ts";
import { FaultyStorage, RecordingStorage } from "../../support/storage.ts";
import { bytesOf, type Made, make, openFiles, openPath } from "./support.ts";

const SUBFORMATS = [
  "monolithicSparse",
  "monolithicFlat",
  "twoGbMaxExtentSparse",
  "twoGbMaxExtentFlat",
  "streamOptimized",
];

/** Writes the files of an image into a folder. */
async function store(made: Made, folder: Scratch): Promise<string> {
  for (const file of [made.storage, ...made.files.values()]) {
    await Deno.writeFile(folder.file(file.label), file.bytes());
  }
  return folder.file(made.storage.label);
}

/** A new image after random work, and what its guest must see. */
async function worked(size: number, options: OptionValues, random: Rng): Promise<{ made: Made; model: Uint8Array }> {
  const made = await make("a disk.vmdk", size, options);
  const model = new Uint8Array(made.writer.traits.size);
  await workAtRandom(made.writer, model, random, 30);
  await made.writer.finish();
  return { made, model };
}

for (const subformat of SUBFORMATS) {
  Deno.test({
    name: `qemu-img reads and checks what is written: ${subformat}`,
    ignore: !hasQemu,
    async fn() {
      const random = rng(seed());
      for (let round = 0; round < 4; round++) {
        await using folder = await scratch();
        const adapter_type = random.pick(["ide", "lsilogic", "buslogic", "legacyESX"]);
        const { made, model } = await worked(random.int(1, 20_000) * 512, { subformat, adapter_type }, random);
        const path = await store(made, folder);
        assertBytes(await guestBytes(path), model);
        if (!subformat.includes("Flat")) await qemuImgOk("check", "-q", "-f", "vmdk", path);
        const info = JSON.parse(await qemuImgOk("info", "--output=json", path));
        assert.deepEqual([info.format, info["format-specific"].data["create-type"]], ["vmdk", subformat]);
        assert.equal(info["virtual-size"], model.length);
      }
    },
  });
}

const libvmdk = await libyal("vmdk");

for (const subformat of SUBFORMATS) {
  Deno.test({
    name: `another reader sees the same disk, libvmdk: ${subformat}`,
    ignore: libvmdk === null,
    async fn() {
      const random = rng(seed());
      await using folder = await scratch();
      const { made, model } = await worked(random.int(1, 20_000) * 512, { subformat }, random);
      const path = await store(made, folder);
      await Deno.writeFile(folder.file("model"), model);
      await libvmdk!(path, folder.file("model"));
    },
  });
}

Deno.test("options stand in the descriptor, and geometry goes by the adapter", async () => {
  const text = async (options: OptionValues, size = 10 << 20) => {
    const { storage, writer } = await make("a.vmdk", size, options);
    await writer.finish();
    return new TextDecoder().decode(storage.bytes().subarray(0, 4096));
  };
  const plain = await text({});
  assert.match(plain, /ddb\.adapterType = "ide"\n/);
  assert.match(plain, /ddb\.geometry\.cylinders = "20"\nddb\.geometry\.heads = "16"\nddb\.geometry\.sectors = "63"\n/);
  assert.match(plain, /ddb\.virtualHWVersion = "4"\n/);
  assert.match(plain, /ddb\.toolsVersion = "2147483647"\n/);
  assert.match(plain, /\nRW 20480 SPARSE "a\.vmdk"\n/);
  assert.match(plain, /CID=([0-9a-f]{8})\n[^]*ddb\.longContentID = "[0-9a-f]{24}\1"\n/);
  assert.match(await text({ compat6: true }), /ddb\.virtualHWVersion = "6"/);
  assert.match(
    await text({ hwversion: 19, toolsversion: 12 }),
    /ddb\.toolsVersion = "12"\nddb\.virtualHWVersion = "19"/,
  );
  assert.match(await text({ adapter_type: "lsilogic" }), /ddb\.geometry\.heads = "255"/);
  assert.match(await text({ subformat: "monolithicFlat" }), /\nRW 20480 FLAT "a-flat\.vmdk" 0\n/);
  assert.match(await text({}, 2 ** 40), /ddb\.geometry\.cylinders = "16383"/);
});

Deno.test("header version and flags follow the kind", async () => {
  const head = async (options: OptionValues) => {
    const { storage, writer } = await make("a.vmdk", 1 << 20, options);
    await writer.finish();
    const view = new DataView(storage.bytes().buffer);
    return [view.getUint32(4, true), view.getUint32(8, true)];
  };
  assert.deepEqual(await head({}), [1, 3]);
  assert.deepEqual(await head({ zeroed_grain: true }), [2, 7]);
  assert.deepEqual(await head({ subformat: "streamOptimized" }), [3, 0x30001]);
});

Deno.test("a split disk has extents of 2047 MiB, whose files are named after the image", async () => {
  for (const [subformat, letter] of [["twoGbMaxExtentSparse", "s"], ["twoGbMaxExtentFlat", "f"]]) {
    const names: string[] = [];
    const size = 2 * SPLIT_BYTES + 512;
    const storage = new MemoryStorage(undefined, "/images/.a.b.vmdk.diskcast");
    const plan = { size, options: { subformat }, backing: null, compress: false };
    const writer = await vmdk.create!(storage, plan, {
      ...inlineCodecs,
      name: "a.b.vmdk",
      createNamed(name) {
        names.push(name);
        const file = new MemoryStorage(undefined, name);
        // Files of gigabytes stay thin.
        return Promise.resolve(
          new Proxy(file, {
            get: (of, key) => {
              if (key === "truncate") return () => Promise.resolve();
              const value = Reflect.get(of, key, of);
              return typeof value === "function" ? value.bind(of) : value;
            },
          }),
        );
      },
      backing: null,
    });
    await writer.finish();
    assert.deepEqual(names, [1, 2, 3].map((number) => `a.b-${letter}00${number}.vmdk`));
    const text = new TextDecoder().decode(storage.bytes());
    assert.match(text, new RegExp(`RW 4192256 \\w+ "a.b-${letter}002.vmdk"`));
    assert.match(text, new RegExp(`RW 1 \\w+ "a.b-${letter}003.vmdk"`));
  }
});

Deno.test("creating never reads back", async () => {
  const random = rng(seed());
  for (const subformat of SUBFORMATS) {
    const refuse = (storage: MemoryStorage) => {
      return new Proxy(storage, {
        get: (of, key) => {
          if (key === "readAt") return () => Promise.reject(new ImageError("permission", "This file is write-only"));
          const value = Reflect.get(of, key, of);
          return typeof value === "function" ? value.bind(of) : value;
        },
      });
    };
    const storage = new MemoryStorage(undefined, "a.vmdk");
    const files: { [name: string]: MemoryStorage } = {};
    const plan = { size: 3_000_000 - 3_000_000 % 512, options: { subformat }, backing: null, compress: false };
    const writer = await vmdk.create!(refuse(storage), plan, {
      ...inlineCodecs,
      createNamed: (name) => Promise.resolve(refuse(files[name] = new MemoryStorage(undefined, name))),
      backing: null,
    });
    const model = new Uint8Array(writer.traits.size);
    await workAtRandom(writer, model, random, 40);
    await writer.finish();
    const bytes = Object.fromEntries(Object.entries(files).map(([name, file]) => [name, file.bytes()]));
    const disk = await openFiles({ "a.vmdk": storage.bytes(), ...bytes });
    assertBytes(await bytesOf(disk), model);
  }
});

Deno.test("the header comes last, and large pieces are written with one request each", async () => {
  const recording = new RecordingStorage(new MemoryStorage(undefined, "a.vmdk"));
  const plan = { size: 64 << 20, options: {}, backing: null, compress: false };
  const writer = await vmdk.create!(recording, plan, {
    ...inlineCodecs,
    createNamed: () => Promise.reject(new Error()),
    backing: null,
  });
  await writer.write(new Uint8Array(1 << 20).fill(1), 5 << 20);
  await writer.write(new Uint8Array(1 << 20).fill(2), 31 << 20);
  await writer.write(new Uint8Array(128 << 10).fill(3), (32 << 20) - (64 << 10));
  assert.equal(recording.of("write").length, 4, "the last piece crosses into another table");
  await writer.zero(10 << 20, 20 << 20);
  assert.equal(recording.operations.length, 4, "zeroes where nothing was written are nothing to write");
  await writer.finish();
  assert.deepEqual(recording.operations.at(-1), { op: "write", start: 0, end: 512 });
  assert.ok(recording.size < (64 << 10) + (3 << 20));
});

Deno.test("a full grain that becomes zero is deallocated", async () => {
  for (const options of [{}, { zeroed_grain: true }]) {
    const { storage, files, writer } = await make("a.vmdk", 1 << 20, options);
    await writer.write(new Uint8Array(1 << 20).fill(1), 0);
    await writer.zero(65536, 3 * 65536 + 512);
    await writer.finish();
    assert.equal(files.size, 0);
    const disk = await openFiles({ "a.vmdk": storage.bytes() });
    assert.deepEqual(await disk.extentAt(65536, disk.size), { start: 65536, end: 3 * 65536, kind: "hole" });
    const into = new Uint8Array(1024);
    await disk.read(into, 3 * 65536);
    assert.deepEqual([into[511], into[512]], [0, 1]);
  }
});

Deno.test("a device that held something else", async () => {
  const random = rng(seed());
  for (const subformat of ["monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse"]) {
    const old = () => new MemoryStorage(random.bytes(4 << 20), "a.vmdk");
    const [storage, extent] = [old(), old()];
    const plan = { size: 2 << 20, options: { subformat }, backing: null, compress: false };
    const writer = await vmdk.create!(storage, plan, {
      ...inlineCodecs,
      createNamed: () => Promise.resolve(extent),
      backing: null,
    });
    const model = new Uint8Array(2 << 20);
    await workAtRandom(writer, model, random, 20);
    await writer.finish();
    const name = subformat === "monolithicFlat" ? "a-flat.vmdk" : "a-s001.vmdk";
    // A device keeps its length, and a descriptor in front of old content is one no more.
    const image = subformat === "monolithicSparse" ? storage.bytes() : textOf(storage.bytes());
    const disk = await openFiles({ "a.vmdk": image, [name]: extent.bytes() });
    assertBytes(await bytesOf(disk), model);
  }
  const stream = { size: 2 << 20, options: { subformat: "streamOptimized" }, backing: null, compress: false };
  const device = new MemoryStorage(new Uint8Array(4096), "/dev/x");
  await assert.rejects(
    vmdk.create!(device, stream, { ...inlineCodecs, createNamed: () => Promise.reject(new Error()), backing: null }),
    { kind: "unsupported" },
  );
});

/** The descriptor at the beginning of `bytes`, without what lies behind it. */
function textOf(bytes: Uint8Array): Uint8Array {
  const marker = new TextEncoder().encode('ddb.virtualHWVersion = "4"\n');
  const at = Buffer.from(bytes).indexOf(marker);
  assert(at > 0);
  return bytes.slice(0, at + marker.length);
}

for (const zeroed_grain of [false, true]) {
  for (const subformat of ["monolithicSparse", "twoGbMaxExtentSparse", "streamOptimized"]) {
    Deno.test({
      name: `over a backing file: ${subformat}, zeroed_grain=${zeroed_grain}`,
      ignore: !hasQemu,
      async fn() {
        const random = rng(seed());
        for (const share of [0.5, 1, 1.4]) {
          await using folder = await scratch();
          const size = random.int(300, 9000) * 512;
          const base = await worked(Math.ceil(size * share / 512) * 512, {}, random);
          await Deno.writeFile(folder.file("base.vmdk"), base.made.storage.bytes());
          await using parent = await openPath(folder.file("base.vmdk"));
          const backingBytes = base.model;
          const storage = new MemoryStorage(undefined, "top.vmdk");
          const files = new Map<string, MemoryStorage>();
          const backing = { name: "base.vmdk", format: "vmdk", id: parent.id! };
          const writer = await vmdk.create!(storage, {
            size,
            options: { subformat, zeroed_grain },
            backing,
            compress: false,
          }, {
            ...inlineCodecs,
            createNamed(name) {
              files.set(name, new MemoryStorage(undefined, name));
              return Promise.resolve(files.get(name)!);
            },
            backing: readerOf(backingBytes),
          });
          const model = new Uint8Array(size);
          model.set(backingBytes.subarray(0, size));
          await workAtRandom(writer, model, random, 30);
          await writer.finish();
          for (const file of [storage, ...files.values()]) await Deno.writeFile(folder.file(file.label), file.bytes());
          await using top = await openPath(folder.file("top.vmdk"));
          assert.deepEqual(top.backing, backing);
          assertBytes(await guestBytes(folder.file("top.vmdk")), model);
          await qemuImgOk("check", "-q", "-f", "vmdk", folder.file("top.vmdk"));
        }
      },
    });
  }
}

const refused:
  readonly (readonly [string, OptionValues, Partial<Parameters<NonNullable<typeof vmdk.checkPlan>>[0]>])[] = [
    ["compression of another kind", {}, { compress: true }],
    ["compression of a flat kind", { subformat: "monolithicFlat" }, { compress: true }],
    ["two hardware versions", { compat6: true, hwversion: 9 }, {}],
    ["zeroed grains without grains", { subformat: "monolithicFlat", zeroed_grain: true }, {}],
    ["zeroed grains in a split flat disk", { subformat: "twoGbMaxExtentFlat", zeroed_grain: true }, {}],
    ["a disk of 62 TiB and a sector", {}, { size: 62 * 2 ** 40 + 1 }],
    ["a split disk of 8 TiB and a sector", { subformat: "twoGbMaxExtentSparse" }, { size: 8 * 2 ** 40 + 1 }],
    ["a parent of another format", {}, { backing: { name: "a.qcow2", format: "qcow2" } }],
    ["a parent of a flat disk", { subformat: "monolithicFlat" }, { backing: { name: "a.vmdk", format: "vmdk" } }],
    ["a parent with a quote in its name", {}, { backing: { name: 'a".vmdk', format: "vmdk" } }],
    ["a parent with a line end in its name", {}, { backing: { name: "a\nCID=1", format: "vmdk" } }],
  ];

for (const [name, options, more] of refused) {
  Deno.test(`refuses a plan: ${name}`, () => {
    const plan = { size: 1 << 20, backing: null, compress: false, options, ...more };
    assert.throws(() => vmdk.checkPlan!(plan), { name: "ImageError", kind: "usage" });
  });
}

Deno.test("the largest disks can be made, and a file is not outgrown", async () => {
  for (const subformat of ["monolithicSparse", "streamOptimized"]) {
    vmdk.checkPlan!({ size: 62 * 2 ** 40, options: { subformat }, backing: null, compress: false });
  }
  assert.throws(() => vmdk.checkPlan!({ size: 62 * 2 ** 40 + 512, options: {}, backing: null, compress: false }), {
    message: /at most 68169720922112 \(62 TiB\)/,
  });
  const storage = new MemoryStorage(undefined, "a.vmdk");
  const end = { next: 2 ** 41 - 2 * 65536 };
  assert.equal(allocateAtEnd(storage, end, 65536, 65536), 2 ** 41 - 2 * 65536);
  assert.equal(allocateAtEnd(storage, end, 65536, 65536), 2 ** 41 - 65536);
  assert.throws(() => allocateAtEnd(storage, end, 65536, 65536), { kind: "unsupported", message: /2 TiB/ });
  await assert.rejects(appender(storage, 2 ** 41).append(new Uint8Array(512)), { message: /2 TiB/ });
});

Deno.test("a parent whose content ID is not known is refused", async () => {
  const plan = { size: 512, options: {}, backing: { name: "a.vmdk", format: "vmdk" }, compress: false };
  const context = {
    ...inlineCodecs,
    createNamed: () => Promise.reject(new Error()),
    backing: readerOf(new Uint8Array(512)),
  };
  await assert.rejects(vmdk.create!(new MemoryStorage(), plan, context), { kind: "unsupported" });
});

Deno.test("failing storage fails the writer, and there is no image", async () => {
  const random = rng(seed());
  for (const subformat of ["monolithicSparse", "streamOptimized"]) {
    for (let nth = 1; nth < 60; nth++) {
      const inner = new MemoryStorage(undefined, "a.vmdk");
      const faulty = new FaultyStorage(inner, ["write", "zero", "truncate"], nth);
      const work = async () => {
        const plan = { size: 5 << 20, options: { subformat }, backing: null, compress: false };
        const writer = await vmdk.create!(faulty, plan, {
          ...inlineCodecs,
          createNamed: () => Promise.reject(new Error()),
          backing: null,
        });
        await workAtRandom(writer, new Uint8Array(5 << 20), random, 20);
        await writer.finish();
      };
      const failed = await work().then(() => null, (error) => error);
      if (failed === null) {
        assert.ok(faulty.count < nth);
        break;
      }
      assert.equal(failed.kind, "io");
      const image = inner.bytes();
      const opened = openFiles({ "a.vmdk": image });
      await assert.rejects(opened, ImageError, `${subformat}, request ${nth}`);
    }
  }
});

Deno.test({
  name: "qemu-img tells the same size of a disk of no bytes, or that it cannot open it",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    const made = await make("a.vmdk", 0, {});
    await made.writer.finish();
    const path = await store(made, folder);
    await using disk = await openPath(path);
    assert.equal(disk.size, 0);
    const { code, stdout } = await qemuImg("info", "--output=json", path);
    if (code === 0) assert.equal(JSON.parse(stdout)["virtual-size"], 0);
  },
});
