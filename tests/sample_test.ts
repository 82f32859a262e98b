import assert from "node:assert/strict";
import { openDisk } from "../mod.ts";
import type { FatEntry } from "./support/fat16.ts";
import { hasQemu, qemuImgOk, run, scratch } from "./support/qemu.ts";
import { SAMPLE_SIZE, sampleDisk, sampleFiles, samplePath } from "./support/sample.ts";

Deno.test("the sample is the one that `deno task sample` makes", async () => {
  await using disk = await openDisk(samplePath);
  const bytes = new Uint8Array(disk.size);
  await disk.read(bytes, 0);
  assert(Buffer.compare(bytes, sampleDisk()) === 0);
  assert((await Deno.stat(samplePath)).size < 100_000);
});

Deno.test({
  name: "qemu-img finds no errors in the sample and reads the same",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    await Deno.writeFile(folder.file("sample.raw"), sampleDisk());
    await qemuImgOk("check", samplePath);
    await qemuImgOk("compare", "-f", "qcow2", "-F", "raw", samplePath, folder.file("sample.raw"));
  },
});

Deno.test("the file system of the sample holds the files, each cluster used once", () => {
  const disk = sampleDisk();
  assert.equal(disk.length, SAMPLE_SIZE);
  const volume = openVolume(disk);
  const used = new Set<number>();
  const root = disk.subarray(volume.rootAt, volume.rootAt + 512 * 32);
  assert.deepEqual(listing(volume, root, used), sampleFiles().map(normal));
  const taken = [...volume.fat].filter((next, cluster) => cluster >= 2 && next !== 0).length;
  assert.equal(used.size, taken, "no cluster is lost");
});

Deno.test("fsck.fat finds no errors in the sample", async () => {
  await using folder = await scratch();
  await Deno.writeFile(folder.file("partition.raw"), sampleDisk().subarray(1 << 20));
  const outcome = await run("fsck.fat", ["-n", folder.file("partition.raw")]).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    console.log("fsck.fat is not installed (Debian: dosfstools): the file system is checked by the test before only");
    return null;
  });
  if (outcome) assert.equal(outcome.code, 0, outcome.stdout);
});

interface Volume {
  readonly bytes: Uint8Array;
  readonly fat: Uint16Array;
  readonly rootAt: number;
  readonly dataAt: number;
  readonly clusterSize: number;
}

/** Reads the partition table and the boot sector; shares no code with `fat16.ts`, which wrote them. */
function openVolume(disk: Uint8Array): Volume {
  const view = new DataView(disk.buffer);
  assert.equal(view.getUint16(510, true), 0xaa55);
  const start = view.getUint32(454, true) * 512;
  assert.equal(start + view.getUint32(458, true) * 512, disk.length, "the partition ends where the disk ends");
  const boot = new DataView(disk.buffer, start);
  assert.equal(boot.getUint16(510, true), 0xaa55);
  const fatLength = boot.getUint16(22, true) * 512;
  const fatAt = start + boot.getUint16(14, true) * 512;
  const fats = [0, 1].map((one) => disk.slice(fatAt + one * fatLength, fatAt + (one + 1) * fatLength));
  assert.deepEqual(fats[0], fats[1], "both FATs are equal");
  const rootAt = fatAt + 2 * fatLength;
  const dataAt = rootAt + boot.getUint16(17, true) * 32;
  const clusterSize = boot.getUint8(13) * 512;
  const clusters = Math.floor((disk.length - dataAt) / clusterSize);
  assert(clusters >= 4085 && clusters < 65_525, `${clusters} clusters are not FAT16`);
  return { bytes: disk, fat: new Uint16Array(fats[0].buffer), rootAt, dataAt, clusterSize };
}

function listing(volume: Volume, folder: Uint8Array, used: Set<number>): unknown[] {
  const found: unknown[] = [];
  for (let at = 0; at < folder.length && folder[at] !== 0; at += 32) {
    const entry = new DataView(folder.buffer, folder.byteOffset + at, 32);
    const text = new TextDecoder().decode(folder.subarray(at, at + 11));
    const name = `${text.slice(0, 8).trim()}.${text.slice(8).trim()}`.replace(/\.$/, "");
    const attributes = entry.getUint8(11);
    if (attributes & 0x08 || text.startsWith(".")) continue;
    const bytes = chain(volume, entry.getUint16(26, true), used);
    if (attributes & 0x10) found.push({ name, entries: listing(volume, bytes, used) });
    else {
      const size = entry.getUint32(28, true);
      assert.equal(bytes.length, Math.ceil(size / volume.clusterSize) * volume.clusterSize, name);
      found.push({ name, content: Buffer.from(bytes.subarray(0, size)).toString("latin1") });
    }
  }
  return found;
}

function chain(volume: Volume, first: number, used: Set<number>): Uint8Array {
  const pieces: Uint8Array[] = [];
  for (let cluster = first; cluster >= 2 && cluster < 0xfff8; cluster = volume.fat[cluster]) {
    assert(!used.has(cluster), `cluster ${cluster} is used twice`);
    used.add(cluster);
    const at = volume.dataAt + (cluster - 2) * volume.clusterSize;
    pieces.push(volume.bytes.subarray(at, at + volume.clusterSize));
  }
  return new Uint8Array(Buffer.concat(pieces));
}

function normal(entry: FatEntry): unknown {
  if ("entries" in entry) return { name: entry.name, entries: entry.entries.map(normal) };
  return { name: entry.name, content: Buffer.from(entry.content).toString("latin1") };
}
