import assert from "node:assert/strict";
import { vmdk } from "../../../formats/vmdk/mod.ts";
import { chainOf } from "../../../core/open/chain.ts";
import { assertBytes, peekOf } from "../../support/model.ts";
import {
  guestBytes,
  hasQemu,
  mapJson,
  mergedMap,
  qemuImgOk,
  qemuIo,
  type Rng,
  rng,
  run,
  type Scratch,
  scratch,
  seed,
} from "../../support/qemu.ts";
import { bytesOf, extentLines, openPath } from "./support.ts";

/** Sub-variants that qemu-img makes. */
const KINDS = [
  "subformat=monolithicSparse",
  "subformat=monolithicSparse,zeroed_grain=on",
  "subformat=monolithicFlat,adapter_type=lsilogic",
  "subformat=twoGbMaxExtentSparse,compat6",
  "subformat=twoGbMaxExtentFlat,hwversion=7",
  "subformat=streamOptimized,toolsversion=11",
];

/** Random writes for qemu-io. */
function writes(size: number, random: Rng, zeroes: boolean): string[] {
  return Array.from({ length: random.int(1, 20) }, () => {
    const start = random.int(size / 512) * 512;
    const length = Math.min(size - start, random.int(1, random.chance(0.5) ? 24 : 700) * 512);
    if (zeroes && random.chance(0.3)) return `write -z ${start} ${length}`;
    return `write -P ${random.int(1, 256)} ${start} ${length}`;
  });
}

/** An image of qemu-img; a stream is converted, since qemu-io cannot write into one at random. */
async function makeImage(folder: Scratch, options: string, random: Rng): Promise<string> {
  const size = random.int(1, 30_000) * 512;
  const path = folder.file("a.vmdk");
  const isStream = options.includes("streamOptimized");
  const written = isStream ? folder.file("b.vmdk") : path;
  const list = isStream ? [] : ["-o", options];
  await qemuImgOk("create", "-q", "-f", "vmdk", ...list, written, `${size}`);
  await qemuIo(["-f", "vmdk", written], ...writes(size, random, options.includes("zeroed")));
  if (isStream) await qemuImgOk("convert", "-f", "vmdk", "-O", "vmdk", "-o", options, written, path);
  return path;
}

for (const options of KINDS) {
  Deno.test({
    name: `reads what qemu-img made with ${options}`,
    ignore: !hasQemu,
    async fn() {
      const random = rng(seed());
      for (let round = 0; round < 4; round++) {
        await using folder = await scratch();
        const path = await makeImage(folder, options, random);
        await using disk = await openPath(path);
        assert.equal(vmdk.probe(peekOf((await Deno.readFile(path)).subarray(0, 1 << 20))), "yes");
        const expected = await guestBytes(path, "vmdk");
        assertBytes(await bytesOf(disk), expected);
        assertBytes(await bytesOf(disk, Infinity, 7 * 512), expected);
        const [kind] = options.split(",");
        assert.equal(disk.info["create-type"], kind.split("=")[1]);
      }
    },
  });
}

Deno.test({
  name: "tells data and holes apart as qemu-img map does",
  ignore: !hasQemu,
  async fn() {
    const random = rng(seed());
    for (let round = 0; round < 6; round++) {
      await using folder = await scratch();
      const path = await makeImage(folder, KINDS[1], random);
      await using disk = await openPath(path);
      const theirs = mergedMap(await mapJson(path, "vmdk")).map(({ start, length, zero }) => {
        return `${zero ? "zero" : "data"} ${start / 512}-${(start + length) / 512}`;
      });
      const ours = (await extentLines(disk)).map((line) => line.replace("hole", "zero"));
      assert.deepEqual(merge(ours), merge(theirs));
    }
  },
});

/** Neighbours of one kind as one line. */
function merge(lines: readonly string[]): string[] {
  const merged: string[] = [];
  for (const line of lines) {
    const [kind, range] = line.split(" ");
    const last = merged.at(-1);
    if (last?.startsWith(kind)) merged[merged.length - 1] = `${last.split("-")[0]}-${range.split("-")[1]}`;
    else merged.push(line);
  }
  return merged;
}

Deno.test({
  name: "tells where in the file plain grains lie, as qemu-img map does",
  ignore: !hasQemu,
  async fn() {
    const random = rng(seed());
    await using folder = await scratch();
    const path = await makeImage(folder, KINDS[0], random);
    await using disk = await openPath(path);
    for (const entry of await mapJson(path, "vmdk")) {
      const extent = await disk.extentAt(entry.start, disk.size);
      if (entry.offset !== undefined && entry.data) assert.equal(extent.location?.offset, entry.offset);
    }
  },
});

Deno.test({
  name: "reads chains of qemu-img, and the parent's content ID fits",
  ignore: !hasQemu,
  async fn() {
    const random = rng(seed());
    for (const options of ["zeroed_grain=on", "zeroed_grain=off", "subformat=twoGbMaxExtentSparse"]) {
      await using folder = await scratch();
      const size = random.int(1, 30_000) * 512;
      const [base, top] = [folder.file("base.vmdk"), folder.file("top.vmdk")];
      await qemuImgOk("create", "-q", "-f", "vmdk", base, `${size}`);
      await qemuIo(["-f", "vmdk", base], ...writes(size, random, false));
      const backing = ["-b", "base.vmdk", "-F", "vmdk"];
      await qemuImgOk("create", "-q", "-f", "vmdk", "-o", options, ...backing, top, `${size}`);
      await qemuIo(["-f", "vmdk", top], ...writes(size, random, options === "zeroed_grain=on"));
      await using upper = await openPath(top);
      await using lower = await openPath(base);
      assert.deepEqual(upper.backing, { name: "base.vmdk", format: "vmdk", id: lower.id });
      const chain = chainOf([upper, lower]);
      const bytes = new Uint8Array(size);
      await chain.read(bytes, 0);
      assertBytes(bytes, await guestBytes(top, "vmdk"));
    }
  },
});

Deno.test({
  name: "reads the largest disk of ESXi without looking at every table",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    const path = folder.file("a.vmdk");
    await qemuImgOk("create", "-q", "-f", "vmdk", path, "62T");
    await qemuIo(["-f", "vmdk", path], "write -P 3 61T 64k");
    await using disk = await openPath(path);
    const into = new Uint8Array(512);
    await disk.read(into, 61 * 2 ** 40);
    assert.equal(into[0], 3);
  },
});

const canDecompress = await canStart();

Deno.test({
  name: "reads the stream of header version 3 that VMware made",
  ignore: !hasQemu || !canDecompress,
  async fn() {
    await using folder = await scratch();
    const path = await decompressed("iotest-version3.vmdk", folder);
    await using disk = await openPath(path);
    assert.equal(disk.size, 17_179_869_184);
    assert.deepEqual(disk.info["extents"], [{
      filename: "",
      format: "",
      access: "RDONLY",
      "virtual-size": 17_179_869_184,
      "cluster-size": 65_536,
      compressed: true,
    }]);
    // Its data, written to a sparse raw file, compared with what qemu-img reads.
    const raw = folder.file("a.raw");
    using file = await Deno.open(raw, { write: true, createNew: true });
    await file.truncate(disk.size);
    let data = 0;
    for (let at = 0; at < disk.size;) {
      const found = await disk.extentAt(at, disk.size);
      if (found.kind === "data") {
        const bytes = new Uint8Array(found.end - found.start);
        await disk.read(bytes, at);
        await file.seek(at, Deno.SeekMode.Start);
        await file.write(bytes);
        data += bytes.length;
      }
      at = found.end;
    }
    assert.equal(data, 151 * 65_536);
    await qemuImgOk("compare", "-f", "vmdk", "-F", "raw", path, raw);
  },
});

Deno.test({
  name: "refuses the image that a fuzzer found",
  ignore: !canDecompress,
  async fn() {
    await using folder = await scratch();
    const path = await decompressed("afl9.vmdk", folder);
    await assert.rejects(openPath(path), { kind: "corrupt", message: /afl9\.vmdk/ });
  },
});

async function decompressed(name: string, folder: Scratch): Promise<string> {
  const path = folder.file(name);
  await Deno.copyFile(new URL(`../../samples/${name}.bz2`, import.meta.url), `${path}.bz2`);
  const { code, stderr } = await run("bunzip2", [`${path}.bz2`]);
  assert.equal(code, 0, stderr);
  return path;
}

async function canStart(): Promise<boolean> {
  try {
    return (await run("bunzip2", ["--help"])).code === 0;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    console.warn("bunzip2 is not installed: tests with sample images are skipped");
    return false;
  }
}
