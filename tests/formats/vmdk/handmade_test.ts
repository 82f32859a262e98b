import assert from "node:assert/strict";
import { allFormats } from "../../../formats/mod.ts";
import { looksLikeDescriptor } from "../../../formats/vmdk/descriptor.ts";
import { vmdk } from "../../../formats/vmdk/mod.ts";
import { assertBytes, peekOf } from "../../support/model.ts";
import { guestBytes, hasQemu, rng, rounds, scratch, seed } from "../../support/qemu.ts";
import { cowd, descriptor, encode, type Grain, SECTOR, type SeGrain, seSparse, sparse } from "./build.ts";
import { bytesOf, extentLines, type Files, openFiles, openPath } from "./support.ts";

/** Guest bytes of grains, one value each. */
function expand(grains: readonly SeGrain[], grainBytes: number): Uint8Array {
  const bytes = new Uint8Array(grains.length * grainBytes);
  grains.forEach((grain, index) => {
    if (typeof grain === "number") bytes.fill(grain, index * grainBytes, (index + 1) * grainBytes);
  });
  return bytes;
}

/** Reads the files here and, where it is installed, with qemu-img; both must see `expected`. */
async function agree(files: Files, expected: Uint8Array, isForQemu = true): Promise<void> {
  {
    const disk = await openFiles(files);
    assert.equal(disk.size, expected.length);
    assertBytes(await bytesOf(disk), expected);
    assertBytes(await bytesOf(disk, Infinity, 3 * SECTOR), expected);
  }
  const [name] = Object.keys(files);
  assert.equal(vmdk.probe(peekOf(files[name])), "yes");
  await using folder = await scratch();
  for (const [each, bytes] of Object.entries(files)) await Deno.writeFile(folder.file(each), bytes);
  await using onDisk = await openPath(folder.file(name));
  assertBytes(await bytesOf(onDisk), expected);
  if (hasQemu && isForQemu) assertBytes(await guestBytes(folder.file(name), "vmdk"), expected);
}

const GRAINS: readonly Grain[] = [1, null, 2, 3, null, "zero", 4];
const DATA: readonly Grain[] = [1, null, 2, 3, null, null, 4];

for (const version of [1, 2, 3]) {
  Deno.test(`a sparse extent of header version ${version}`, async () => {
    const zeroed = version === 2;
    const grains = zeroed ? GRAINS : DATA;
    const text = descriptor("monolithicSparse", ['RW 112 SPARSE "a.vmdk"']);
    const { bytes } = sparse(grains, { version, flags: zeroed ? 5 : 1, descriptor: text });
    await agree({ "a.vmdk": bytes }, expand(grains, 8192));
    const disk = await openFiles({ "a.vmdk": bytes });
    const end = zeroed ? ["hole 64-80", "zero 80-96"] : ["hole 64-96"];
    assert.deepEqual(await extentLines(disk), ["data 0-16", "hole 16-32", "data 32-64", ...end, "data 96-112"]);
    assert.equal(disk.id, "1a2b3c4d");
    assert.equal(disk.clusterSize, 8192);
  });
}

Deno.test("a sparse extent whose tables have few entries, and whose capacity is no multiple of a grain", async () => {
  const { bytes } = sparse([1, null, 2, null, null, null, 3], { entries: 128, capacity: 6 * 16 + 3 });
  const expected = expand([1, null, 2, null, null, null, 3], 8192).subarray(0, (6 * 16 + 3) * SECTOR);
  await agree({ "a.vmdk": bytes }, expected, false);
  const many = Array.from({ length: 700 }, (_, index) => index % 3 === 0 ? index % 250 + 1 : null);
  await agree({ "a.vmdk": sparse(many, { entries: 128 }).bytes }, expand(many, 8192), false);
});

Deno.test("a stream with its directory behind the data, and compressed grains without markers", async () => {
  const text = descriptor("streamOptimized", ['RDONLY 112 SPARSE "another name.vmdk"']);
  const stream = sparse(DATA, { version: 3, compressed: "stream", descriptor: text });
  await agree({ "a.vmdk": stream.bytes }, expand(DATA, 8192));
  await agree(
    { "a.vmdk": sparse(DATA, { compressed: "bare", flags: 0x10001, descriptor: text }).bytes },
    expand(DATA, 8192),
  );
  const disk = await openFiles({ "a.vmdk": stream.bytes });
  assert.deepEqual(await disk.extentAt(0, disk.size), { start: 0, end: 8192, kind: "data", compressed: true });
});

Deno.test("bytes after the end of a stream are ignored with a warning", async () => {
  const { bytes } = sparse(DATA, { version: 3, compressed: "stream" });
  for (const length of [1, 700, 4096, (2 << 20) + 5]) {
    for (const fill of [0, 0x4b]) {
      const longer = new Uint8Array(bytes.length + length).fill(fill);
      longer.set(bytes);
      const warnings: string[] = [];
      const disk = await openFiles({ "a.vmdk": longer }, (message) => warnings.push(message));
      assertBytes(await bytesOf(disk), expand(DATA, 8192));
      assert.deepEqual(warnings, [`"a.vmdk" is too long: ${length} bytes after the end of its stream are ignored`]);
    }
  }
  const warnings: string[] = [];
  await openFiles({ "a.vmdk": bytes }, (message) => warnings.push(message));
  assert.deepEqual(warnings, []);
});

Deno.test("values of physical disks may follow the offset of an extent, in quotes too", async () => {
  const flat = new Uint8Array(16 * SECTOR).fill(7);
  const device = "\\\\?\\Volume{8a6bb1b5-0000-0000-0000-100000000000}";
  for (const more of ["partitionUUID", `partitionUUID ${device}`, `partitionUUID "${device}"`, 'x "7" "8"']) {
    const text = descriptor("partitionedDevice", [`RW 8 FLAT "a b.bin" 8 ${more}`]);
    const disk = await openFiles({ "a.vmdk": encode(text), "a b.bin": flat });
    assertBytes(await bytesOf(disk), flat.subarray(8 * SECTOR));
  }
  const quoted = await openFiles({
    "a.vmdk": encode(descriptor("custom", ['RW 8 FLAT "a "5" b.bin" 8'])),
    'a "5" b.bin': flat,
  });
  assertBytes(await bytesOf(quoted), flat.subarray(8 * SECTOR));
});

Deno.test("compressed grains that lie anywhere, of random bytes", async () => {
  const random = rng(seed());
  const grains = Array.from({ length: 40 }, () => random.chance(0.3) ? null : random.int(1, 256));
  const { bytes } = sparse(grains, { compressed: "stream", version: 3 });
  const expected = expand(grains, 8192);
  const disk = await openFiles({ "a.vmdk": bytes });
  for (let round = 0; round < rounds(40, 100); round++) {
    const extent = await disk.extentAt(random.int(disk.size), disk.size);
    const start = random.int(extent.start, extent.end);
    if (extent.kind !== "data") continue;
    const into = new Uint8Array(random.int(1, extent.end - start + 1));
    await disk.read(into, start);
    assertBytes(into, expected.subarray(start, start + into.length), start);
  }
});

Deno.test("a renamed monolithicSparse image is its own extent, whatever its descriptor calls it", async () => {
  for (const name of ["old name.vmdk", "/elsewhere/old.vmdk", "../x.vmdk"]) {
    const text = descriptor("monolithicSparse", [`RW 112 SPARSE "${name}"`]);
    await agree({ "new name.vmdk": sparse(DATA, { descriptor: text }).bytes }, expand(DATA, 8192));
  }
});

Deno.test("a sparse image with a further extent beside its own", async () => {
  const text = descriptor("custom", ['RW 16 SPARSE "b.vmdk"', 'RW 112 SPARSE "a.vmdk"', "RW 8 ZERO"]);
  const files = { "a.vmdk": sparse(DATA, { descriptor: text }).bytes, "b.vmdk": sparse([9]).bytes };
  const disk = await openFiles(files);
  const expected = new Uint8Array(136 * SECTOR).fill(9, 0, 16 * SECTOR);
  expected.set(expand(DATA, 8192), 16 * SECTOR);
  assertBytes(await bytesOf(disk), expected);
});

Deno.test("COWD extents under a vmfsSparse descriptor, and alone", async () => {
  const grains = Array.from({ length: 9000 }, (_, index) => index % 5 === 0 || index > 8990 ? index % 200 + 1 : null);
  grains.fill(null, 4096, 8192);
  const expected = expand(grains, SECTOR);
  const text = descriptor("vmfsSparse", ['RW 9000 VMFSSPARSE "a-delta.vmdk"']);
  await agree({ "a.vmdk": encode(text), "a-delta.vmdk": cowd(grains) }, expected);
  await agree({ "alone.vmdk": cowd(grains) }, expected, false);
  const disk = await openFiles({ "alone.vmdk": cowd(grains) });
  assert.equal((await extentLines(disk)).at(2), "data 5-6");
  assert.deepEqual(await disk.extentAt(4097 * SECTOR, disk.size), {
    start: 4097 * SECTOR,
    end: 8192 * SECTOR,
    kind: "hole",
  });
});

Deno.test("seSparse extents: data, zeroes, unmapped grains and holes", async () => {
  const random = rng(seed());
  const grains: SeGrain[] = Array.from({ length: 9000 }, () => {
    return random.pick([null, null, "zero", "unmapped", random.int(1, 256)]);
  });
  const text = descriptor("seSparse", [`RW ${grains.length * 8} SESPARSE "a-sesparse.vmdk"`]);
  const files = { "a.vmdk": encode(text), "a-sesparse.vmdk": seSparse(grains) };
  await agree(files, expand(grains, 4096));
  const disk = await openFiles(files);
  const first = grains[0] === null ? "hole" : typeof grains[0] === "number" ? "data" : "zero";
  assert.equal((await disk.extentAt(0, 4096)).kind, first);
});

Deno.test("grains of an seSparse extent past 16 MiB of grains: the low bits of their number come last", async () => {
  const grains: SeGrain[] = Array.from({ length: 4200 }, (_, index) => index % 255 + 1);
  const text = descriptor("seSparse", [`RW ${grains.length * 8} SESPARSE "a-sesparse.vmdk"`]);
  await agree({ "a.vmdk": encode(text), "a-sesparse.vmdk": seSparse(grains) }, expand(grains, 4096));
});

Deno.test("ESXi's flat disk, and several extents in one file", async () => {
  const random = rng(seed());
  const flat = random.bytes(100 * SECTOR);
  await agree({ "a.vmdk": encode(descriptor("vmfs", ['RW 100 VMFS "a-flat.vmdk"'])), "a-flat.vmdk": flat }, flat);
  const lines = ['RW 30 FLAT "a-flat.vmdk" 70', 'RW 50 FLAT "a-flat.vmdk" 20'];
  const expected = new Uint8Array(80 * SECTOR);
  expected.set(flat.subarray(70 * SECTOR));
  expected.set(flat.subarray(20 * SECTOR, 70 * SECTOR), 30 * SECTOR);
  const files = { "a.vmdk": encode(descriptor("custom", lines)), "a-flat.vmdk": flat };
  const disk = await openFiles(files);
  assertBytes(await bytesOf(disk), expected);
});

Deno.test("extents of type ZERO and RDONLY are read at their guest offsets", async () => {
  const flat = new Uint8Array(16 * SECTOR).fill(7);
  const lines = [
    "RW 10 ZERO",
    'RDONLY 16 FLAT "b.bin" 0',
    'NOACCESS 4 ZERO ""',
    'RDONLY 112 SPARSE "c.vmdk"',
    'RW 3 ZERO "nothing"',
  ];
  const files = {
    "a.vmdk": encode(descriptor("custom", lines)),
    "b.bin": flat,
    "c.vmdk": sparse(DATA).bytes,
  };
  const expected = new Uint8Array((10 + 16 + 4 + 112 + 3) * SECTOR).fill(7, 10 * SECTOR, 26 * SECTOR);
  expected.set(expand(DATA, 8192), 30 * SECTOR);
  await agree(files, expected, false);
  const disk = await openFiles(files);
  assert.deepEqual((await extentLines(disk)).slice(0, 4), ["zero 0-10", "data 10-26", "zero 26-30", "data 30-46"]);
});

Deno.test("an extent without access can be passed over, but not read", async () => {
  const lines = ['NOACCESS 8 FLAT "b.bin" 0', 'RW 8 FLAT "b.bin" 8'];
  const flat = new Uint8Array(16 * SECTOR).fill(7);
  const disk = await openFiles({ "a.vmdk": encode(descriptor("custom", lines)), "b.bin": flat });
  const into = new Uint8Array(8 * SECTOR);
  await assert.rejects(disk.read(into, 0), { kind: "unsupported" });
  await disk.read(into, 8 * SECTOR);
  assert.equal(into[0], 7);
});

Deno.test("long comments, spaces, tabs, carriage returns and other spelling in a descriptor", async () => {
  const flat = new Uint8Array(8 * SECTOR).fill(5);
  const text = [
    "# Disk DescriptorFile",
    ...Array.from({ length: 900 }, (_, index) => `# a comment of many lines, which stand before all else: ${index}`),
    "",
    "  version = 1 ",
    "\tcid   =  AB12  ",
    " parentcid= FFFFFFFF",
    '  CreateType  =  "monolithicFlat"',
    "",
    '  rw   8\tflat   "a disk = (1) -flat.vmdk"   0  ',
    'ddb.toolsVersion   =   "11"',
  ].join("\r\n");
  assert.ok(text.length > 50_000);
  const files = { "a.vmdk": encode(text), "a disk = (1) -flat.vmdk": flat };
  const disk = await openFiles(files);
  assertBytes(await bytesOf(disk), flat);
  assert.deepEqual([disk.id, disk.info["tools-version"]], ["0000ab12", "11"]);
  assert.equal(vmdk.probe(peekOf(files["a.vmdk"])), "yes");
  const longer = encode("#" + " x".repeat(40_000) + "\n" + text);
  const again = await openFiles({ "a.vmdk": longer, "a disk = (1) -flat.vmdk": flat });
  assertBytes(await bytesOf(again), flat);
});

Deno.test("a descriptor states its own encoding", async () => {
  const name = "prüfung-flat.vmdk";
  const text = descriptor("monolithicFlat", [`RW 1 FLAT "${name}" 0`], ['encoding="windows-1252"']);
  const latin = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  const flat = new Uint8Array(SECTOR).fill(3);
  const utf8 = text.replace("windows-1252", "UTF-8");
  for (const bytes of [latin, encode(utf8), encode("\ufeff" + utf8)]) {
    const disk = await openFiles({ "a.vmdk": bytes, [name]: flat });
    assertBytes(await bytesOf(disk), flat);
  }
});

Deno.test("what is no descriptor is not taken for one", () => {
  const no = [
    "",
    "#!/bin/sh\nversion=1\n",
    "version=1\n",
    "# a\nversion=1\nname=x\n",
    "name=x\nversion=1\nCID=1\n",
    "CID=1\n",
    "#",
  ];
  for (const text of no) assert.equal(looksLikeDescriptor(encode(text)), false, text);
  const yes = ["# Disk DescriptorFile\n", "\n\n#disk descriptorfile\r\n", "# x\nversion=1\nCID=1\n"];
  for (const text of yes) assert.equal(looksLikeDescriptor(encode(text)), true, text);
});

Deno.test("probing claims an image for vmdk alone", () => {
  const text = descriptor("monolithicSparse", ['RW 112 SPARSE "a.vmdk"']);
  for (const bytes of [sparse(DATA, { descriptor: text }).bytes, encode(text), cowd([1])]) {
    const claims = allFormats.filter((format) => format.probe(peekOf(bytes)) === "yes");
    assert.deepEqual(claims.map((format) => format.name), ["vmdk"]);
  }
});

Deno.test("a parent is named with its content ID", async () => {
  const child = (more: readonly string[]) => encode(descriptor("monolithicFlat", ["RW 8 ZERO"], more));
  const backingOf = async (...more: string[]) => (await openFiles({ "a.vmdk": child(more) })).backing;
  assert.equal(await backingOf(), null);
  assert.deepEqual(await backingOf("parentCID=AB", 'parentFileNameHint="base.vmdk"'), {
    name: "base.vmdk",
    format: "vmdk",
    id: "000000ab",
  });
  assert.deepEqual(await backingOf("parentCID=AB", 'parentFileNameHint="/vmfs/volumes/5f0/vm/base.vmdk"'), {
    name: "/vmfs/volumes/5f0/vm/base.vmdk",
    others: ["base.vmdk"],
    format: "vmdk",
    id: "000000ab",
  });
  // A hint beside "no parent" is a contradiction, which shows when the parent's ID is compared.
  assert.equal((await backingOf('parentFileNameHint="base.vmdk"'))?.id, "ffffffff");
  assert.equal(await backingOf('parentFileNameHint=""'), null);
  await assert.rejects(backingOf("parentCID=12345678"), { kind: "corrupt" });
});

Deno.test("one extent of a snapshot is no disk", async () => {
  await assert.rejects(openFiles({ "a-sesparse.vmdk": seSparse([1]) }), {
    kind: "unsupported",
    message: /open the descriptor/,
  });
  assert.equal(vmdk.probe(peekOf(seSparse([1]))), "yes");
});

Deno.test("a disk without bytes", async () => {
  const disk = await openFiles({
    "a.vmdk": sparse([], { descriptor: descriptor("monolithicSparse", []) }).bytes,
  });
  assert.equal(disk.size, 0);
  const flat = await openFiles({ "a.vmdk": encode(descriptor("monolithicFlat", [])) });
  assert.equal(flat.size, 0);
});
