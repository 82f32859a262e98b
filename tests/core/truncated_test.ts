/** Files that are cut off: what they hold is copied with `--salvage`, errors and `check` say how much is missing. */
import assert from "node:assert/strict";
import { check, type ConvertJob, createImage, openDisk } from "../../mod.ts";
import { convert } from "../../core/convert.ts";
import { planConversion } from "../../core/plan_conversion.ts";
import { diskcast } from "../support/diskcast.ts";
import { guestBytes, hasQemu, qemuImgOk, rng, type Scratch, scratch } from "../support/qemu.ts";

const MIB = 1 << 20;
const SIZE = 6 * MIB;

/** An image of random bytes, by format and options; `file`: its file with the data. */
interface Image {
  readonly format: string;
  readonly options?: ConvertJob["target"]["options"];
  readonly file?: string;
  readonly compress?: boolean;
}

const IMAGES: readonly Image[] = [
  { format: "vdi" },
  { format: "vdi", options: { static: true } },
  { format: "vpc" },
  { format: "vhdx", options: { block_size: MIB } },
  { format: "vhdx", options: { subformat: "fixed", block_size: MIB } },
  { format: "vhdx", options: { logical_sector_size: 4096, block_size: 2 * MIB } },
  { format: "vmdk" },
  { format: "vmdk", options: { subformat: "monolithicFlat" }, file: "a-flat" },
  { format: "vmdk", options: { subformat: "twoGbMaxExtentSparse" }, file: "a-s001" },
  { format: "qcow2" },
  { format: "qcow2", options: { cluster_size: 2 * MIB } },
  { format: "qcow2", options: { extended_l2: true, cluster_size: 131072 } },
  { format: "qcow2", options: { data_file: "data.raw" }, file: "data.raw" },
];

const nameOf = ({ format, options = {} }: Image) =>
  [format, ...Object.entries(options).map(([name, value]) => `${name}=${value}`)].join(",");

/** Writes the image, and cuts `bytes` off its file after the last byte of data. Returns the guest bytes. */
async function truncated(folder: Scratch, image: Image, bytes: number): Promise<Uint8Array> {
  const disk = rng(7).bytes(SIZE);
  await Deno.writeFile(folder.file("source.raw"), disk);
  const path = folder.file(`a.${image.format}`);
  await convert({
    sources: [{ path: folder.file("source.raw"), format: "raw" }],
    target: { path, format: image.format, ...(image.options && { options: image.options }) },
    allowSectorSizeChange: true,
  });
  const file = image.file === undefined
    ? path
    : folder.file(image.file.includes(".") ? image.file : `${image.file}.${image.format}`);
  const end = (await Deno.stat(file)).size - (image.format === "vpc" ? 512 : 0);
  await Deno.truncate(file, end - bytes);
  return disk;
}

/** Copies with `salvage`; returns the copy and the ranges that became zeroes. */
async function salvaged(folder: Scratch, path: string, format: string) {
  const target = { path: folder.file("copy.raw"), format: "raw" };
  const { bad } = await convert({ sources: [{ path, format }], target, salvage: true }, { onEvent: () => {} });
  return { copy: await Deno.readFile(target.path), bad };
}

function differing(one: Uint8Array, other: Uint8Array): { first: number; bytes: number } {
  let [first, bytes] = [one.length, 0];
  for (let at = 0; at < one.length; at++) {
    if (one[at] === other[at]) continue;
    first = Math.min(first, at);
    bytes++;
  }
  return { first, bytes };
}

for (const image of IMAGES) {
  for (const cut of [700_001, 1_500_672]) {
    Deno.test(`${nameOf(image)}, cut off by ${cut} bytes: only these are missing`, async () => {
      await using folder = await scratch();
      const disk = await truncated(folder, image, cut);
      const source = { path: folder.file(`a.${image.format}`), format: image.format };
      const message = new RegExp(
        `is cut off at byte \\d+, and ${cut} bytes of the disk are missing in all; .*--salvage`,
      );
      const target = { path: folder.file("b.raw"), format: "raw" };
      // With a plan, nothing is written; without one, the read that fails says the same.
      await assert.rejects(convert({ sources: [source], target }, { onEvent: () => {} }), { kind: "corrupt", message });
      const late = new RegExp(`past the end of the file .* ${cut} bytes of the disk are missing in all`);
      await assert.rejects(convert({ sources: [source], target }), { kind: "corrupt", message: late });
      await assert.rejects(Deno.stat(target.path), Deno.errors.NotFound);

      const { copy, bad } = await salvaged(folder, source.path, source.format);
      assert.deepEqual(bad, [{ start: SIZE - cut, end: SIZE }]);
      assert.equal(Buffer.compare(copy.subarray(0, SIZE - cut), disk.subarray(0, SIZE - cut)), 0);
      assert.ok(copy.subarray(SIZE - cut).every((byte) => byte === 0));
      if (image.options?.["data_file"] !== undefined) return;
      const report = await check(source);
      assert.ok(report.corruptions > 0);
      assert.equal(report.missing, cut);
    });
  }
}

Deno.test("a cut inside the last cluster of a qcow2 is found, unlike by QEMU, which reads zeroes", async () => {
  await using folder = await scratch();
  const disk = await truncated(folder, { format: "qcow2" }, 1000);
  const source = { path: folder.file("a.qcow2"), format: "qcow2" };
  assert.deepEqual([(await check(source)).corruptions, (await check(source)).missing], [1, 1000]);
  const { copy, bad } = await salvaged(folder, source.path, "qcow2");
  assert.deepEqual(bad, [{ start: SIZE - 1000, end: SIZE }]);
  assert.ok(differing(copy, disk).first >= SIZE - 1000);
  if (hasQemu) assert.equal(Buffer.compare(await guestBytes(source.path, "qcow2"), copy), 0);
});

for (const format of ["vdi", "vpc", "vhdx"]) {
  Deno.test(`check -r all completes a ${format} that is cut off`, async () => {
    await using folder = await scratch();
    const cut = 1 * MIB + 12_345;
    const disk = await truncated(folder, { format, ...(format === "vhdx" && { options: { block_size: MIB } }) }, cut);
    const path = folder.file(`a.${format}`);
    const shown = await diskcast("check", path);
    assert.equal(shown.code, 2, shown.stderr);
    assert.match(shown.stdout, new RegExp(`cut off: ${cut} bytes of the disk are missing`));
    assert.equal(JSON.parse((await diskcast("check", "--output=json", path)).stdout)["missing-bytes"], cut);
    const repaired = await check({ path, format }, { repair: "all" });
    assert.deepEqual([repaired.corruptions, repaired.missing, repaired.corruptionsFixed > 0], [0, undefined, true]);
    await using opened = await openDisk(path);
    const bytes = new Uint8Array(opened.size);
    await opened.read(bytes, 0);
    assert.equal(differing(bytes, disk).first, SIZE - cut);
    assert.ok(bytes.subarray(SIZE - cut).every((byte) => byte === 0));
    if (!hasQemu) return;
    assert.equal(Buffer.compare((await guestBytes(path, format)).subarray(0, SIZE), bytes), 0);
    if (format !== "vpc") assert.match(await qemuImgOk("check", path), /No errors/);
  });
}

Deno.test("a differencing VHDX with lost blocks is left as it is", async () => {
  const { build, MIB, AT } = await import("../formats/vhdx/build.ts");
  const full = (value: number) => ({ state: 6, content: new Uint8Array(MIB).fill(value) });
  const bytes = build({
    size: 2 * MIB,
    blocks: { 0: full(1), 1: full(2) },
    parent: { parent_linkage: "{00000000-0000-0000-0000-000000000001}", relative_path: ".\\p.vhdx" },
  });
  await using folder = await scratch();
  const path = folder.file("a.avhdx");
  const before = bytes.slice(0, AT.blocks + MIB);
  await Deno.writeFile(path, before);
  const report = await check({ path, format: "vhdx" }, { repair: "all" });
  assert.deepEqual([report.corruptions > 0, report.missing], [true, MIB]);
});

Deno.test("a cut flat VMDK is read, but not written or resized", async () => {
  await using folder = await scratch();
  await truncated(folder, { format: "vmdk", options: { subformat: "monolithicFlat" }, file: "a-flat" }, 65536);
  const path = folder.file("a.vmdk");
  const job = { sources: [{ path: folder.file("source.raw"), format: "raw" }] };
  await assert.rejects(convert({ ...job, target: { path, format: "vmdk", create: false } }), {
    kind: "corrupt",
    message: /Cannot write .* past the end of that file/,
  });
  const { code, stderr } = await diskcast("resize", path, "+1M");
  assert.deepEqual([code, /past the end of that file/.test(stderr)], [1, true]);
});

Deno.test("a large block that is missing as a whole takes no time, and compare and digest name it", async () => {
  await using folder = await scratch();
  const path = folder.file("a.vhdx");
  await createImage({ path, format: "vhdx", size: 1 << 30, options: { block_size: 256 * MIB } });
  await Deno.writeFile(folder.file("data.raw"), new Uint8Array(4096).fill(1));
  await Deno.truncate(folder.file("data.raw"), 1 << 30);
  await convert({
    sources: [{ path: folder.file("data.raw"), format: "raw" }],
    target: { path, format: "vhdx", create: false },
  });
  const { size } = await Deno.stat(path);
  await Deno.truncate(path, size - 256 * MIB + 512);
  const { copy: _, bad } = await salvagedSize(folder, path);
  assert.deepEqual(bad, [{ start: 512, end: 256 * MIB }]);
  for (const args of [["digest", path], ["compare", path, folder.file("data.raw")]]) {
    const { code, stderr } = await diskcast(...args);
    assert.ok(code > 0);
    assert.match(stderr, new RegExp(`${256 * MIB - 512} bytes of the disk are missing in all`), args[0]);
  }
  await assert.rejects(
    planConversion({ sources: [{ path }], target: { path: folder.file("x.raw"), format: "raw" } }),
    { message: /are missing in all/ },
  );
});

/** As {@linkcode salvaged}, without reading the copy. */
async function salvagedSize(folder: Scratch, path: string) {
  const target = { path: folder.file("copy.raw"), format: "raw" };
  const summary = await convert({ sources: [{ path }], target, salvage: true });
  return { copy: summary.size, bad: summary.bad };
}

Deno.test("a fixed VHD without its footer says how to read what is left", async () => {
  await using folder = await scratch();
  await truncated(folder, { format: "vpc", options: { subformat: "fixed" } }, 512);
  const { stderr } = await diskcast("convert", "-f", "vpc", "-O", "raw", folder.file("a.vpc"), folder.file("b.raw"));
  assert.match(stderr, /-f raw reads what is left/);
});

Deno.test("a cut streamOptimized VMDK: the whole grains before the cut are found by their markers", async () => {
  const GRAIN = 65536;
  await using folder = await scratch();
  const disk = await truncated(folder, { format: "vmdk", options: { subformat: "streamOptimized" } }, 700_001);
  const sources = [folder.file("a.vmdk")];
  if (hasQemu) {
    const other = folder.file("q.vmdk");
    const options = ["-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized"];
    await qemuImgOk("convert", ...options, folder.file("source.raw"), other);
    await Deno.truncate(other, (await Deno.stat(other)).size - 700_001);
    sources.push(other);
  }
  for (const path of sources) {
    const target = { path: folder.file("b.raw"), format: "raw" };
    for (const onEvent of [() => {}, undefined]) {
      await assert.rejects(convert({ sources: [{ path, format: "vmdk" }], target }, onEvent ? { onEvent } : {}), {
        kind: "corrupt",
        message: /bytes of the disk are missing in all/,
      });
    }
    const { copy, bad } = await salvaged(folder, path, "vmdk");
    assert.equal(bad.length, 1);
    const [{ start, end }] = bad;
    assert.equal(end, SIZE);
    assert.ok(start % GRAIN === 0 && SIZE - start < 700_001 + 2 * GRAIN, `${start}`);
    assert.equal(Buffer.compare(copy.subarray(0, start), disk.subarray(0, start)), 0);
    assert.ok(copy.subarray(start).every((byte) => byte === 0));
    await Deno.remove(folder.file("copy.raw"));
  }
});

for (const type of ["zlib", "zstd"]) {
  Deno.test(`a compressed qcow2 (${type}) that is cut off: whole clusters, and the first bytes of the one that is cut`, async () => {
    const CLUSTER = 65536;
    await using folder = await scratch();
    // Compressible, but not small: every cluster takes about half of its size.
    const disk = rng(9).bytes(SIZE).map((byte) => byte & 15);
    await Deno.writeFile(folder.file("source.raw"), disk);
    const source = { path: folder.file("a.qcow2"), format: "qcow2" };
    await convert({
      sources: [{ path: folder.file("source.raw"), format: "raw" }],
      target: { ...source, compress: true, options: { compression_type: type } },
    });
    const { size } = await Deno.stat(source.path);
    await Deno.truncate(source.path, Math.floor(size * 0.6));
    const target = { path: folder.file("b.raw"), format: "raw" };
    await assert.rejects(convert({ sources: [source], target }, { onEvent: () => {} }), {
      kind: "corrupt",
      message: /\d+ bytes of the disk are missing in all/,
    });
    const { copy, bad } = await salvaged(folder, source.path, "qcow2");
    const { first } = differing(copy, disk);
    assert.ok(bad.length > 0 && first >= bad[0].start);
    // Outside the ranges that are reported, no byte differs.
    let at = 0;
    for (const { start, end } of [...bad, { start: SIZE, end: SIZE }]) {
      assert.equal(Buffer.compare(copy.subarray(at, start), disk.subarray(at, start)), 0);
      at = end;
    }
    const lost = bad.reduce((sum, { start, end }) => sum + end - start, 0);
    // The metadata before the data take at most 6 clusters.
    const share = (size * 0.4) / (size - 6 * CLUSTER);
    assert.ok(lost < SIZE * share + 2 * CLUSTER, `${lost}`);
    if (type === "zlib") assert.ok(bad.some(({ start }) => start % CLUSTER !== 0), "a cluster is there in part");
    const report = await check(source);
    assert.ok(report.corruptions > 0 && report.missing! > 0);
  });
}
