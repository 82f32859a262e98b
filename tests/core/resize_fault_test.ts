/** A growth that fails on the way, on a full disk for instance: the image is what it was, and takes no more space. */
import assert from "node:assert/strict";
import { convert } from "../../core/convert.ts";
import { resize } from "../../core/resize.ts";
import { check, openDisk } from "../../mod.ts";
import { ImageError } from "../../formats/mod.ts";
import { watchedFiles } from "../support/files.ts";
import { assertBytes } from "../support/model.ts";
import { rng, type Scratch, scratch, seed } from "../support/qemu.ts";

const runSeed = seed();
const MIB = 1 << 20;

const kinds: [format: string, options: Record<string, string>][] = [
  ["raw", {}],
  ["qcow2", {}],
  ["qcow2", { data_file: "image.data", data_file_raw: "on" }],
  ["vdi", {}],
  ["vdi", { static: "on" }],
  ["vpc", {}],
  ["vpc", { subformat: "fixed" }],
  ["vhdx", { block_size: "1M" }],
  ["vhdx", { block_size: "1M", subformat: "fixed" }],
  ["vmdk", {}],
  ["vmdk", { subformat: "monolithicFlat" }],
];

/** The length of every file, by name. */
function sizesIn(folder: Scratch): { [name: string]: number } {
  const names = [...Deno.readDirSync(folder.path)].map(({ name }) => name).sort();
  return Object.fromEntries(names.map((name) => [name, Deno.statSync(folder.file(name)).size]));
}

/** Files on a disk that has room for no more than `most` bytes of each. */
function fullDisk(most: number) {
  return watchedFiles(({ op, file, end }) => {
    if ((op !== "write" && op !== "reserve") || end <= most) return;
    throw new ImageError("io", `Cannot ${op} up to ${end} of "${file}": the disk is full`, { path: file });
  });
}

for (const [format, options] of kinds) {
  Deno.test(`growth that fails leaves the files as long as they were: ${format} ${JSON.stringify(options)}`, async () => {
    await using folder = await scratch();
    const image = { path: folder.file("image"), format };
    // The last grain, cluster or block is not whole.
    const model = rng(runSeed).bytes(3 * MIB + 512);
    await Deno.writeFile(folder.file("source.raw"), model);
    await convert({ sources: [{ path: folder.file("source.raw"), format: "raw" }], target: { ...image, options } });
    const before = sizesIn(folder);
    for (const preallocation of ["falloc", "full"] as const) {
      const files = fullDisk(24 * MIB);
      await assert.rejects(resize(image, 80 * MIB, { preallocation, files }), { kind: "io", message: /is full/ });
      const after = sizesIn(folder);
      for (const [name, size] of Object.entries(after)) {
        // A grain directory that has moved stays.
        assert(size <= before[name]! + (format === "vmdk" ? MIB : 0), `${preallocation}: ${name} has ${size} bytes`);
      }
      await using disk = await openDisk(image);
      assert.equal(disk.size, model.length);
      const bytes = new Uint8Array(disk.size);
      await disk.read(bytes, 0);
      assertBytes(bytes, model);
      const { corruptions } = await check(image);
      assert.equal(corruptions, 0);
    }
    await resize(image, 80 * MIB, { preallocation: "full" });
  });
}
