import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import {
  guestBytes,
  hasQemu,
  mapJson,
  qemuImgOk,
  qemuIo,
  type Rng,
  rng,
  rounds,
  scratch,
  seed,
} from "../../support/qemu.ts";
import { bytesOf, extentLines, extentsOf, mapLines, openPath } from "./support.ts";

/** An image to create: creation options, and differences from the defaults. */
interface Case {
  readonly options: string;
  readonly size?: number;
  /** Whether compressed writes are made; external data excludes them. */
  readonly compress?: boolean;
  /** Whether qemu-img looks for holes of the host file, so that its map reports zero where the image has data. */
  readonly mapsHostHoles?: boolean;
}

const SIZE = (5 << 20) + 512;

const cases: readonly Case[] = [
  { options: "cluster_size=512", size: (1 << 20) + 512 },
  { options: "cluster_size=512,compat=0.10", size: (1 << 20) + 512 },
  { options: "cluster_size=4k,refcount_bits=1", compress: false },
  { options: "cluster_size=4k,refcount_bits=64" },
  { options: "cluster_size=64k" },
  { options: "cluster_size=64k,compat=0.10" },
  { options: "cluster_size=64k,compression_type=zstd,lazy_refcounts=on" },
  { options: "cluster_size=4k,compression_type=zstd" },
  { options: "cluster_size=2M", size: (17 << 20) + 512 },
  { options: "cluster_size=2M,compression_type=zstd,extended_l2=on", size: (17 << 20) + 512 },
  { options: "cluster_size=16k,extended_l2=on" },
  { options: "cluster_size=64k,extended_l2=on,refcount_bits=8" },
  { options: "cluster_size=64k,data_file=DATA", compress: false },
  { options: "cluster_size=64k,data_file=DATA,data_file_raw=on", compress: false, mapsHostHoles: true },
  { options: "cluster_size=64k,data_file=DATA,extended_l2=on", compress: false },
  { options: "cluster_size=64k,preallocation=metadata", compress: false, mapsHostHoles: true },
  { options: "cluster_size=4k,preallocation=metadata", compress: false, mapsHostHoles: true },
  { options: "cluster_size=64k,preallocation=falloc", compress: false, mapsHostHoles: true },
  { options: "cluster_size=64k,preallocation=full", compress: false },
  { options: "cluster_size=16k,extended_l2=on,preallocation=metadata", compress: false, mapsHostHoles: true },
];

/** Returns random writes of every kind, as commands of qemu-io. */
function randomCommands(random: Rng, size: number, cluster: number, compress: boolean): string[] {
  const plain = Array.from({ length: 40 }, () => {
    const at = random.int(size / 512) * 512;
    const length = Math.min(size - at, random.pick([512, 4096, 1536, cluster, 3 * cluster, 100 << 10]));
    const pattern = 1 + random.int(255);
    return random.pick([
      `write -P ${pattern} ${at} ${length}`,
      `write -P ${pattern} ${at} ${length}`,
      `write -z ${at} ${length}`,
      `write -z -u ${at} ${length}`,
      `discard ${at} ${length}`,
    ]);
  });
  if (!compress) return plain;
  // qemu-io compresses only unallocated clusters, so compressed writes come first, one per cluster.
  const clusters = new Set(Array.from({ length: 20 }, () => random.int(Math.floor(size / cluster))));
  const compressed = [...clusters].map((index) => `write -c -P ${1 + random.int(255)} ${index * cluster} ${cluster}`);
  return [...compressed, ...plain];
}

function clusterOf(options: string): number {
  const [, number, suffix] = /cluster_size=(\d+)([kM]?)/.exec(options)!;
  return Number(number) * (suffix === "k" ? 1 << 10 : suffix === "M" ? 1 << 20 : 1);
}

for (const { options, size = SIZE, compress = true, mapsHostHoles = false } of cases) {
  Deno.test(`qcow2 reads and maps as qemu-img does: ${options}`, { ignore: !hasQemu }, async () => {
    const random = rng(seed());
    await using folder = await scratch();
    const path = folder.file("a.qcow2");
    const createOptions = options.replaceAll("DATA", folder.file("a.data"));
    await qemuImgOk("create", "-q", "-f", "qcow2", "-o", createOptions, path, String(size));
    await qemuIo(["-f", "qcow2", path], ...randomCommands(random, size, clusterOf(options), compress));
    const expected = await guestBytes(path, "qcow2");
    await using disk = await openPath(path);
    assert.equal(disk.size, size);
    assert.equal(disk.clusterSize, clusterOf(options));
    assert.equal(Buffer.compare(await bytesOf(disk), expected), 0, "bytes differ");
    assert.equal(Buffer.compare(await bytesOf(disk, 4999), expected), 0, "bytes differ in odd pieces");
    const map = mapLines(await mapJson(path, "qcow2"));
    if (!mapsHostHoles) assert.deepEqual(extentLines(await extentsOf(disk)), map);
    await unalignedReads(disk, expected, random);
    await shortExtents(disk, random);
  });
}

type Opened = Awaited<ReturnType<typeof openPath>>;

/** Reads random parts of random data extents. */
async function unalignedReads(disk: Opened, expected: Uint8Array, random: Rng): Promise<void> {
  const extents = (await extentsOf(disk)).filter(({ kind }) => kind === "data");
  if (extents.length === 0) return;
  for (let round = 0; round < rounds(80, 200); round++) {
    const extent = random.pick(extents);
    const start = extent.start + random.int(extent.end - extent.start);
    const into = new Uint8Array(1 + random.int(Math.min(300_000, extent.end - start))).fill(0xee);
    await disk.read(into, start);
    assert.equal(Buffer.compare(into, expected.subarray(start, start + into.length)), 0, `at ${start}+${into.length}`);
  }
}

/** Compares extents from any start to any limit with the whole map. */
async function shortExtents(disk: Opened, random: Rng): Promise<void> {
  const extents = await extentsOf(disk);
  for (let round = 0; round < rounds(80, 200); round++) {
    const start = random.int(disk.size);
    const limit = start + 1 + random.int(disk.size - start);
    const extent = await disk.extentAt(start, limit);
    const around = extents.find(({ end }) => end > start)!;
    assert.equal(extent.kind, around.kind);
    assert.equal(extent.start, start);
    assert.ok(extent.end > start && extent.end <= Math.min(limit, around.end));
  }
}

for (const type of ["zlib", "zstd"]) {
  for (const cluster of ["512", "64k", "2M"]) {
    Deno.test(
      `qcow2 reads what qemu-img convert -c compress: ${type}, ${cluster}`,
      { ignore: !hasQemu },
      async () => {
        const random = rng(seed());
        await using folder = await scratch();
        const raw = folder.file("a.raw");
        const content = new Uint8Array((3 << 20) + 512);
        // Some regions compress well, some do not compress and are stored uncompressed, some are in between.
        for (let at = 0; at < content.length; at++) {
          const region = at >> 17 & 3;
          content[at] = region === 0 ? 0 : region === 1 ? random.int(256) : region === 2 ? at >> 8 & 15 : random.int(4);
        }
        await Deno.writeFile(raw, content);
        const path = folder.file("a.qcow2");
        const options = `cluster_size=${cluster},compression_type=${type}`;
        await qemuImgOk("convert", "-c", "-f", "raw", "-O", "qcow2", "-o", options, raw, path);
        await using disk = await openPath(path);
        assert.equal(Buffer.compare(await bytesOf(disk), content), 0);
        assert.equal(Buffer.compare(await bytesOf(disk, 10_007), content), 0);
        assert.ok((await extentsOf(disk)).some((extent) => extent.kind === "data" && extent.compressed));
      },
    );
  }
}

Deno.test("qcow2 merges entries within one L2 table and stops at its end", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  const path = folder.file("a.qcow2");
  await qemuImgOk("create", "-q", "-f", "qcow2", "-o", "cluster_size=512", path, "1M");
  await qemuIo(path, "write -P 1 0 40k");
  await using disk = await openPath(path);
  // A table of 512 bytes has 64 entries: 32 KiB.
  const { location, ...first } = await disk.extentAt(512, disk.size);
  assert.deepEqual(first, { kind: "data", compressed: false, start: 512, end: 32768 });
  assert(location && location.offset > 512 && location.offset % 512 === 0, `${location?.offset}`);
  const { location: _, ...second } = await disk.extentAt(32768, disk.size);
  assert.deepEqual(second, { kind: "data", compressed: false, start: 32768, end: 40960 });
  assert.deepEqual(await disk.extentAt(40960, disk.size), { kind: "hole", start: 40960, end: 65536 });
  // Unallocated L1 entries are merged without a look-up.
  assert.deepEqual(await disk.extentAt(70000, disk.size), { kind: "hole", start: 70000, end: 1 << 20 });
  assert.deepEqual(await disk.extentAt(70000, 200_001), { kind: "hole", start: 70000, end: 200_001 });
});

Deno.test("qcow2 refuses to read where the file ends before a data cluster", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  const path = folder.file("a.qcow2");
  await qemuImgOk("create", "-q", "-f", "qcow2", path, "1M");
  await qemuIo(path, "write -P 1 0 256k");
  const { size } = await Deno.stat(path);
  await Deno.truncate(path, size - 100_000);
  // QEMU reads zeroes there.
  const expected = await guestBytes(path, "qcow2");
  await using disk = await openPath(path);
  const present = new Uint8Array((256 << 10) - 100_000);
  await disk.read(present, 0);
  assert.equal(Buffer.compare(present, expected.subarray(0, present.length)), 0);
  await assert.rejects(disk.read(new Uint8Array(512), (256 << 10) - 512), {
    kind: "corrupt",
    message: /of 512 bytes at .* 512 lie past the end of the file/,
  });
});

Deno.test("qcow2 names its backing file and never opens it", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  const base = folder.file("base.qcow2");
  await qemuImgOk("create", "-q", "-f", "qcow2", base, "1M");
  for (const compat of ["0.10", "1.1"]) {
    const path = folder.file(`${compat}.qcow2`);
    const backing = ["-b", "base.qcow2", "-F", "qcow2"];
    await qemuImgOk("create", "-q", "-f", "qcow2", "-o", `compat=${compat}`, ...backing, path);
    await using disk = await openPath(path);
    assert.deepEqual(disk.backing, { name: "base.qcow2", format: "qcow2" });
    assert.deepEqual(await disk.extentAt(0, disk.size), { kind: "hole", start: 0, end: 1 << 20 });
  }
});

Deno.test("qcow2 info has the values of qemu-img info", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  const path = folder.file("a.qcow2");
  const variants = ["compat=0.10", "lazy_refcounts=on,refcount_bits=32", "compression_type=zstd,extended_l2=on"];
  for (const options of [...variants, `data_file=${folder.file("a.data")},data_file_raw=on`]) {
    await qemuImgOk("create", "-q", "-f", "qcow2", "-o", options, path, "1M");
    if (!options.startsWith("data")) await qemuImgOk("snapshot", "-c", "first", path);
    if (!options.startsWith("data") && options !== "compat=0.10") {
      await qemuImgOk("bitmap", "--add", "-g", "128k", path, "changes");
    }
    const info = JSON.parse(await qemuImgOk("info", "--output=json", path));
    await using disk = await openPath(path);
    const { "cluster-size": clusterSize, "dirty-flag": dirty, snapshots, ...specific } = disk.info;
    assert.deepEqual(specific, info["format-specific"].data);
    assert.equal(clusterSize, info["cluster-size"]);
    assert.equal(dirty, info["dirty-flag"]);
    const listed = (snapshots ?? []) as unknown as Record<string, unknown>[];
    assert.deepEqual(listed.map(({ "disk-size": _, ...rest }) => rest), info.snapshots ?? []);
  }
});
