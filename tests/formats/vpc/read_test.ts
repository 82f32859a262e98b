import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { convert } from "../../../mod.ts";
import type { OpenContext } from "../../../formats/contract.ts";
import { MemoryStorage } from "../../../formats/storage/memory.ts";
import { vpc } from "../../../formats/vpc/mod.ts";
import { inlineCodecs } from "../../support/codecs.ts";
import { assertBytes, peekOf, readAll } from "../../support/model.ts";
import { digestOf, guestBytes, hasQemu, qemuImgOk, qemuIo, rng, run, scratch, seed } from "../../support/qemu.ts";
import { ascii, AT, buildVhd, seal, utf16, UUID } from "./build.ts";

const context: OpenContext = {
  ...inlineCodecs,
  openNamed: () => Promise.reject(new Error("VHD names no further files")),
};
const open = (bytes: Uint8Array) => vpc.open(new MemoryStorage(bytes, "a.vhd"), context);
const MIB = 1 << 20;
const runSeed = seed();

Deno.test("a fixed image is recognised by its footer, whatever its guest has written at the beginning", async () => {
  const data = rng(runSeed).bytes(70_144);
  data.set(Buffer.from("514649fb00000003", "hex"));
  for (const footerBytes of [512, 511] as const) {
    const bytes = buildVhd({ type: 2, size: data.length, data, footerBytes });
    assert.equal(vpc.probe(peekOf(bytes)), "yes");
    const disk = await open(bytes);
    assert.deepEqual([disk.size, disk.backing, disk.info["subformat"]], [data.length, null, "fixed"]);
    assertBytes(await readAll(disk), data);
  }
});

Deno.test("a guest of a fixed image cannot have it taken for a differencing one", async () => {
  const inner = buildVhd({ type: 4, size: MIB, parent: { uuid: UUID, name: "/etc/passwd" } });
  const bytes = buildVhd({ type: 2, size: inner.length, data: inner });
  assert.equal(vpc.probe(peekOf(bytes)), "yes");
  const disk = await open(bytes);
  assert.deepEqual([disk.backing, disk.size], [null, inner.length]);
  // Nor does it help to damage the true footer with it.
  bytes[bytes.length - 1] ^= 1;
  await assert.rejects(open(bytes), { kind: "corrupt" });
});

Deno.test("probing: what counts as a footer", () => {
  const dynamic = buildVhd({ type: 3, size: MIB });
  const spoilt = (at: number) => {
    const bytes = dynamic.slice();
    bytes[at] ^= 1;
    return bytes;
  };
  assert.equal(vpc.probe(peekOf(dynamic)), "yes");
  assert.equal(vpc.probe(peekOf(dynamic.subarray(0, dynamic.length - 512))), "yes", "only the copy");
  assert.equal(vpc.probe(peekOf(spoilt(100))), "yes", "only the footer at the end is valid");
  assert.equal(vpc.probe(peekOf(spoilt(dynamic.length - 100))), "yes", "only the copy is valid");
  const alien = dynamic.slice();
  alien.fill(7, 0, 512);
  assert.equal(vpc.probe(peekOf(alien)), "maybe", "a footer of a dynamic image without its copy");
  const both = spoilt(100);
  both[both.length - 100] ^= 1;
  assert.equal(vpc.probe(peekOf(both)), "maybe", "both are damaged");
  assert.equal(vpc.probe(peekOf(dynamic.subarray(512))), "maybe");
  assert.equal(vpc.probe(peekOf(new Uint8Array(5000))), "no");
});

Deno.test("the size is the geometry for Virtual PC and old QEMU, else the current size", async () => {
  const size = 10 * MIB;
  const byGeometry = 301 * 4 * 17 * 512;
  const table: readonly (readonly [string, readonly [number, number, number], number])[] = [
    ["vpc ", [301, 4, 17], byGeometry],
    ["qemu", [301, 4, 17], byGeometry],
    ["qemu", [65535, 16, 255], size],
    ["vpc ", [0, 0, 0], size],
    ["win ", [301, 4, 17], size],
    ["qem2", [301, 4, 17], size],
    ["wa\0\0", [301, 4, 17], size],
    ["vs  ", [301, 4, 17], size],
    ["tap\0", [301, 4, 17], size],
    ["vbox", [301, 4, 17], size],
    ["????", [1, 1, 1], size],
  ];
  for (const [creator, geometry, expected] of table) {
    for (const type of [2, 3] as const) {
      const disk = await open(buildVhd({ type, size, creator, geometry }));
      assert.equal(disk.size, expected, `${creator} ${geometry}`);
    }
  }
});

Deno.test("the copy of the footer serves where the other is damaged or missing, and a warning says so", async () => {
  const data = rng(runSeed).bytes(2 * MIB);
  const valid = buildVhd({ type: 3, size: 5 * MIB, blocks: [{ index: 1, bitmap: 0xff, data }] });
  const model = new Uint8Array(5 * MIB);
  model.set(data, 2 * MIB);
  const damagedTail = valid.slice();
  damagedTail[valid.length - 400] ^= 0x10;
  const damagedHead = valid.slice();
  damagedHead[60] ^= 0x10;
  const cases: readonly (readonly [Uint8Array, boolean])[] = [
    [valid, false],
    [damagedTail, true],
    [valid.subarray(0, valid.length - 512), true],
    [damagedHead, false],
  ];
  for (const [bytes, reported] of cases) {
    const disk = await open(bytes);
    assert.equal(disk.info["footer-damaged"], reported);
    assertBytes(await readAll(disk), model);
  }
});

Deno.test("sectors whose bit is not set, and blocks that are not there, are holes", async () => {
  const size = 3 * 4096 + 1024;
  const random = rng(runSeed);
  const data = random.bytes(4096);
  const blocks = [
    { index: 0, bitmap: Uint8Array.of(0b01100001), data },
    { index: 1, bitmap: Uint8Array.of(0b11111111), data },
    { index: 3, bitmap: Uint8Array.of(0b01000000), data },
  ];
  const parent = { uuid: UUID, name: "parent.vhd" };
  const disk = await open(buildVhd({ type: 4, size, blockSize: 4096, blocks, parent }));
  const parentBytes = random.bytes(size);
  const model = parentBytes.slice();
  model.set(data.subarray(512, 1536), 512);
  model.set(data.subarray(3584), 3584);
  model.set(data, 4096);
  model.set(data.subarray(512, 1024), 3 * 4096 + 512);
  assertBytes(await readAll(disk, parentBytes), model);
  const kinds = [];
  for (let at = 0; at < size;) {
    const extent = await disk.extentAt(at, size);
    kinds.push(`${extent.kind} ${extent.start}-${extent.end}`);
    at = extent.end;
  }
  const [joined] = kinds.filter((line) => line.startsWith("data 3584"));
  assert.equal(kinds[0], "hole 0-512");
  assert.equal(kinds[1], "data 512-1536");
  assert.equal(kinds[2], "hole 1536-3584");
  assert(joined === "data 3584-4096" || joined === "data 3584-8192");
  assert.equal(kinds.at(-1), "data 12800-13312");
});

Deno.test("a differencing image names its parent by every path that it states, relative ones first", async () => {
  const uuid = Uint8Array.from({ length: 16 }, (_, index) => 0xa0 + index);
  const locators = [
    ["MacX", ascii("file://localhost/Users/me/the%20parent.vhd")],
    ["W2ku", utf16("C:\\disks\\parent.vhd", "little")],
    ["W2ru", utf16(".\\sub\\parent.vhd", "little")],
    ["Mac ", ascii("an alias")],
  ] as const;
  const disk = await open(buildVhd({ type: 4, size: MIB, parent: { uuid, name: "base.vhd", locators } }));
  assert.equal(disk.id, "10111213-1415-1617-1819-1a1b1c1d1e1f");
  assert.deepEqual(disk.backing, {
    name: "sub/parent.vhd",
    others: [
      "C:/disks/parent.vhd",
      "/Users/me/the parent.vhd",
      "base.vhd",
      "parent.vhd",
      "the parent.vhd",
    ],
    format: "vpc",
    id: "a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf",
  });
  assert.equal(disk.info["parent-uuid"], "a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf");
});

Deno.test("a parent on another machine is looked for by its bare name only", async () => {
  const locators = [
    ["W2ku", utf16("\\\\server\\share\\parent.vhd", "little")],
    ["W2ru", utf16("..\\", "little")],
    ["MacX", ascii("http://example.org/x.vhd")],
  ] as const;
  const parent = { uuid: new Uint8Array(16), name: "", locators };
  const disk = await open(buildVhd({ type: 4, size: MIB, parent }));
  assert.deepEqual(disk.backing, { name: "parent.vhd", format: "vpc" });
});

Deno.test("an image without any name of its parent still has a parent", async () => {
  const disk = await open(buildVhd({ type: 4, size: MIB, parent: { uuid: UUID } }));
  assert.deepEqual(disk.backing, { name: "", format: "vpc", id: "10111213-1415-1617-1819-1a1b1c1d1e1f" });
});

Deno.test("blocks of every legal size", async () => {
  const random = rng(runSeed);
  for (const blockSize of [512, 1024, 65_536, 512 << 10, 4 * MIB]) {
    const data = random.bytes(blockSize);
    const size = blockSize * 3 + 512;
    const blocks = [{ index: 2, bitmap: 0xff, data }, { index: 0, bitmap: 0xff, data }];
    const disk = await open(buildVhd({ type: 3, size, blockSize, blocks }));
    const model = new Uint8Array(size);
    model.set(data);
    model.set(data, 2 * blockSize);
    assertBytes(await readAll(disk), model);
    assert.equal(disk.clusterSize, blockSize);
  }
});

Deno.test("entries past the end of the disk, and data past it in the last block, need not be there", async () => {
  const data = new Uint8Array(4096).fill(5);
  const bytes = buildVhd({ type: 3, size: 4096 + 1024, blockSize: 4096, blocks: [{ index: 1, bitmap: 0xff, data }] });
  // The last block is cut off after its first two sectors, as if the file had ended there.
  const disk = await open(bytes.subarray(0, AT.table + 512 + 512 + 1024));
  const model = new Uint8Array(4096 + 1024).fill(5, 4096);
  assertBytes(await readAll(disk), model);
});

Deno.test({
  name: "reads what qemu-img writes, byte for byte",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    const random = rng(runSeed);
    for (const subformat of ["dynamic", "fixed"]) {
      for (const force of ["on", "off"]) {
        const [path, out] = [folder.file(`${subformat}-${force}.vhd`), folder.file("out.raw")];
        const size = random.int(1, 9000) * 512;
        await qemuImgOk(
          "create",
          "-q",
          "-f",
          "vpc",
          "-o",
          `subformat=${subformat},force_size=${force}`,
          path,
          `${size}`,
        );
        const commands = Array.from({ length: 12 }, () => {
          const start = random.int(size / 512) * 512;
          return `write -P ${random.int(256)} ${start} ${Math.min(size - start, random.int(1, 1000) * 512)}`;
        });
        await qemuIo(["-f", "vpc", path], ...commands);
        await convert({ sources: [{ path }], target: { path: out, format: "raw" }, sync: "never" });
        assertBytes(await Deno.readFile(out), await guestBytes(path, "vpc"));
      }
    }
  },
});

Deno.test("a differencing image is read through its parent by the engine", async () => {
  await using folder = await scratch();
  const random = rng(runSeed);
  const [parentBytes, childBytes] = [random.bytes(2 * MIB), random.bytes(2 * MIB)];
  const bitmap = random.bytes(512);
  const uuid = random.bytes(16);
  await Deno.writeFile(
    folder.file("parent.vhd"),
    buildVhd({ type: 3, size: 3 * MIB, uuid, blocks: [{ index: 0, bitmap: 0xff, data: parentBytes }] }),
  );
  await Deno.writeFile(
    folder.file("child.vhd"),
    buildVhd({
      type: 4,
      size: 3 * MIB,
      blocks: [{ index: 0, bitmap, data: childBytes }],
      parent: { uuid, name: "parent.vhd", locators: [["W2ru", utf16(".\\parent.vhd", "little")]] },
    }),
  );
  const model = new Uint8Array(3 * MIB);
  for (let sector = 0; sector < 4096; sector++) {
    const set = (bitmap[sector >> 3] & (0x80 >> (sector & 7))) !== 0;
    const [start, end] = [sector * 512, sector * 512 + 512];
    model.set((set ? childBytes : parentBytes).subarray(start, end), start);
  }
  const out = folder.file("out.raw");
  await convert({ sources: [{ path: folder.file("child.vhd") }], target: { path: out, format: "raw" } });
  assertBytes(await Deno.readFile(out), model);
  // 7-Zip opens a parent of that name beside its child.
  if (await has("7zz")) {
    const outcome = await run("7zz", ["e", "-y", "-tVHD", `-o${folder.file("7z")}`, folder.file("child.vhd")]);
    assert.equal(outcome.code, 0, outcome.stdout + outcome.stderr);
    assertBytes(await Deno.readFile(folder.file("7z/child.img")), model);
  }
  await Deno.remove(folder.file("parent.vhd"));
  const missing = { sources: [{ path: folder.file("child.vhd") }], target: { path: out, format: "raw" } };
  await assert.rejects(convert(missing), { kind: "missing" });
});

Deno.test("a damaged header of a dynamic image is found out by its checksum", async () => {
  const bytes = buildVhd({ type: 3, size: MIB });
  bytes[AT.header + 900] = 1;
  await assert.rejects(open(bytes), { kind: "corrupt", message: /its checksum is wrong/ });
  seal(bytes.subarray(AT.header, AT.header + 1024), 36);
  const disk = await open(bytes);
  assert.equal(disk.size, MIB);
});

Deno.test({
  name: "a sample that Virtual PC made: its size is that of its geometry, all zero",
  ignore: !await has("bunzip2"),
  async fn() {
    await using folder = await scratch();
    const path = folder.file("virtualpc-dynamic.vhd");
    await Deno.copyFile(new URL("../../samples/virtualpc-dynamic.vhd.bz2", import.meta.url), `${path}.bz2`);
    assert.equal((await run("bunzip2", [`${path}.bz2`])).code, 0);
    assert.equal(await digestOf(path), SAMPLE_DIGEST);
    const disk = await open(await Deno.readFile(path));
    assert.equal(disk.size, 136_363_130_880);
    assert.equal(disk.info["creator"], "vpc");
    for (let at = 0; at < disk.size;) {
      const found = await disk.extentAt(at, disk.size);
      assert.equal(found.kind, "hole");
      at = found.end;
    }
  },
});

const SAMPLE_DIGEST = "7675fd9bcc5f705f69e69a2c5e948d2a6522eaac044540a0782ae6097a458d6a";

async function has(program: string): Promise<boolean> {
  try {
    await run(program, ["--help"]);
    return true;
  } catch {
    console.warn(`${program} is not installed: the sample is skipped`);
    return false;
  }
}
