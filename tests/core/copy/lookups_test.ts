/** How often a conversion looks into tables and reads: each walk looks up an extent once, and each byte is read once. */
import assert from "node:assert/strict";
import { convert } from "../../../core/convert.ts";
import { createImage } from "../../../core/create.ts";
import { openDisk } from "../../../core/open/open_disk.ts";
import { allFormats, type Disk, type Format, hostFiles, inlineCompressor } from "../../../formats/mod.ts";
import { type FileOperation, watchedFiles } from "../../support/files.ts";
import { type Scratch, scratch } from "../../support/qemu.ts";

const CLUSTER = 64 << 10;
const CLUSTERS = 64;
const SIZE = CLUSTERS * CLUSTER;

/** The calls of one layer. */
interface LayerCalls {
  /** Guest bytes at which extents were looked up. */
  readonly lookups: number[];
  reads: number;
}

/** Formats whose disks list their calls, the disk that was opened first first. */
function watchedFormats(layers: LayerCalls[]): readonly Format[] {
  const watched = (disk: Disk, calls: LayerCalls): Disk => ({
    ...disk,
    extentAt(start, limit) {
      calls.lookups.push(start);
      return disk.extentAt(start, limit);
    },
    read(into, start) {
      calls.reads++;
      return disk.read(into, start);
    },
  });
  return allFormats.map((format) => ({
    ...format,
    async open(storage, context) {
      const calls = { lookups: [], reads: 0 };
      layers.push(calls);
      return watched(await format.open(storage, context), calls);
    },
  }));
}

/** Writes data into those clusters of a raw disk for which `chosen` holds; the others are holes. */
async function rawDisk(path: string, chosen: (nth: number) => boolean): Promise<string> {
  using file = await Deno.open(path, { write: true, create: true });
  await file.truncate(SIZE);
  for (let nth = 0; nth < CLUSTERS; nth++) {
    if (!chosen(nth)) continue;
    await file.seek(nth * CLUSTER, Deno.SeekMode.Start);
    await file.write(new Uint8Array(CLUSTER).fill(1 + nth));
  }
  return path;
}

/** A disk with data in three of four clusters, in one format. */
async function diskOf(folder: Scratch, format: string): Promise<string> {
  const raw = await rawDisk(folder.file("source.raw"), (nth) => nth % 4 !== 1);
  if (format === "raw") return raw;
  const path = folder.file(`source.${format}`);
  await convert({ sources: [{ path: raw, format: "raw" }], target: { path, format } });
  return path;
}

/** A qcow2 overlay that has every fifth cluster of its own, over a qcow2 image. */
async function chainOfTwo(folder: Scratch): Promise<string> {
  await Deno.rename(await diskOf(folder, "qcow2"), folder.file("base.qcow2"));
  const path = folder.file("top.qcow2");
  await createImage({ path, format: "qcow2", backing: { path: "base.qcow2", format: "qcow2" } });
  const qcow2 = allFormats.find(({ name }) => name === "qcow2")!;
  await using storage = await hostFiles.open(path, { write: true });
  await using backing = await openDisk({ path: folder.file("base.qcow2"), format: "qcow2" });
  const writer = await qcow2.edit!(storage, {
    compress: false,
    compressor: inlineCompressor,
    openNamed: () => Promise.reject(new Error("It has no data file")),
    openBacking: () => Promise.resolve(backing),
  });
  for (let nth = 0; nth < CLUSTERS; nth += 5) {
    await writer.write(new Uint8Array(CLUSTER).fill(0xee), nth * CLUSTER);
  }
  await writer.finish();
  return path;
}

/** File ranges of all plain data of a disk, by file name. */
async function dataRanges(path: string): Promise<Map<string, [start: number, end: number][]>> {
  const ranges = new Map<string, [number, number][]>();
  await using disk = await openDisk({ path });
  for (let at = 0; at < disk.size;) {
    const extent = await disk.extentAt(at, disk.size);
    if (extent.kind === "data") {
      const { storage, offset } = extent.location!;
      ranges.set(storage.label, [...ranges.get(storage.label) ?? [], [offset, offset + extent.end - at]]);
    }
    at = extent.end;
  }
  return ranges;
}

/** Asserts that the reads of the copy hit each byte of these ranges once, and no other byte of a file twice. */
function assertReadOnce(reads: readonly FileOperation[], name: string, ranges: [start: number, end: number][]): void {
  const last = Math.max(...reads.map(({ end }) => end));
  const times = new Uint8Array(last);
  for (const { file, start, end } of reads) {
    if (!name.endsWith(file)) continue;
    for (let at = start; at < end; at++) times[at]++;
  }
  for (const [start, end] of ranges) {
    assert.ok(
      times.subarray(start, end).every((count) => count === 1),
      `bytes ${start}-${end} of ${name} are read once`,
    );
  }
}

const sources: [string, (folder: Scratch) => Promise<string>, number][] = [
  ["raw", (folder) => diskOf(folder, "raw"), 1],
  ["qcow2", (folder) => diskOf(folder, "qcow2"), 1],
  ["vdi", (folder) => diskOf(folder, "vdi"), 1],
  ["a chain of two", chainOfTwo, 2],
];

for (const [name, make, depth] of sources) {
  for (const counted of [true, false]) {
    Deno.test(`look-ups: ${name}, ${counted ? "counted and copied" : "copied alone"}`, async () => {
      await using folder = await scratch();
      const path = await make(folder);
      const ranges = await dataRanges(path);
      const layers: LayerCalls[] = [];
      const reads: FileOperation[] = [];
      // A stated format: probing reads both ends of the file.
      let copying = !counted;
      await convert({
        sources: [{ path, format: path.split(".").at(-1)! }],
        target: { path: folder.file("out.raw"), format: "raw" },
      }, {
        formats: watchedFormats(layers),
        files: watchedFiles((operation) => {
          if (copying && operation.op === "read" && !operation.file.includes("out.raw")) reads.push(operation);
        }),
        ...(counted && {
          onEvent(event: { type: string; phase?: string }) {
            if (event.type === "phase") copying = event.phase === "copy";
          },
        }),
      });
      assert.equal(layers.length, depth);
      for (const [at, { lookups, reads }] of layers.entries()) {
        const starts = new Set(lookups);
        assert.equal(lookups.length, starts.size * (counted ? 2 : 1), `layer ${at}: one look-up an extent and walk`);
        assert.equal(reads, 0, `layer ${at}: plain data is read from its file`);
      }
      assert.ok(ranges.size === depth);
      for (const [file, data] of ranges) assertReadOnce(reads, file, data);
    });
  }
}
