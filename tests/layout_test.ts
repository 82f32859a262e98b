/**
 * The files of diskcast are laid out as those of qemu-img: tables at the same file offsets, blocks in the same order, the
 * same length. Tools of this field were written against the files of qemu-img, and some rely on more than a specification
 * promises.
 *
 * @module
 */
import assert from "node:assert/strict";
import { diskcast } from "./support/diskcast.ts";
import { hasQemu, qemuImgOk, rng, scratch } from "./support/qemu.ts";

const MIB = 1 << 20;
const SIZE = 24 * MIB;

/** File bytes `[start, end)` that differ, and why. An offset below 0 counts from the end of the file. */
type Difference = readonly [start: number, end: number, why: string];

interface Case {
  readonly format: string;
  readonly options: string;
  readonly differences: readonly Difference[];
  /** Options of diskcast for what qemu-img does by default. */
  readonly ours?: string;
}

/** The fields of a VHD footer at `start` that name the writer and the moment. */
function footer(start: number): readonly Difference[] {
  return [
    [start + 24, start + 36, "time, creator and its version"],
    [start + 64, start + 84, "checksum, UUID"],
  ];
}

const vdiHeader: readonly Difference[] = [
  [0, 64, "the name of the writer"],
  [0x48, 0x4c, "length of the header: 400 bytes, as VirtualBox writes it"],
  [0x188, 0x1a8, "UUIDs"],
  [0x1c8, 0x1d8, "geometry, which the longer header has"],
];

const cases: readonly Case[] = [
  { format: "raw", options: "", differences: [] },
  ...["", "compat=0.10", "cluster_size=2M", "lazy_refcounts=on", "refcount_bits=1"].map((
    options,
  ) => ({
    format: "qcow2",
    options,
    differences: [],
  })),
  { format: "vdi", options: "", differences: vdiHeader },
  { format: "vdi", options: "static=on", differences: vdiHeader },
  { format: "vpc", options: "", ours: "chs_size=on", differences: [...footer(0), ...footer(-512)] },
  { format: "vpc", options: "force_size=on", differences: [...footer(0), ...footer(-512)] },
  { format: "vpc", options: "subformat=fixed,force_size=on", differences: footer(-512) },
];

/** A disk whose data is in no order of blocks, and does not begin with them. */
async function sourceIn(path: string): Promise<void> {
  const random = rng(1);
  using file = await Deno.open(path, { write: true, create: true });
  await file.truncate(SIZE);
  for (const start of [17, 5, 1, 23]) {
    await file.seek(start * MIB + 4096, Deno.SeekMode.Start);
    await file.write(random.bytes(300_000));
  }
}

/** The file bytes with all differences that are known and allowed made equal. */
function comparable(bytes: Uint8Array, { differences }: Case): Uint8Array {
  const from = (offset: number) => offset < 0 ? bytes.length + offset : offset;
  for (const [start, end] of differences) bytes.fill(0, from(start), from(start) + end - start);
  return bytes;
}

/** The first sector in which two files differ; -1: none. */
function firstDifference(ours: Uint8Array, theirs: Uint8Array): number {
  if (ours.length === theirs.length && Buffer.compare(ours, theirs) === 0) return -1;
  for (let at = 0;; at += 512) {
    if (at >= Math.max(ours.length, theirs.length)) return -1;
    if (Buffer.compare(ours.subarray(at, at + 512), theirs.subarray(at, at + 512)) !== 0) return at;
  }
}

for (const one of cases) {
  const { format, options } = one;
  Deno.test({
    name: `the layout of ${format} ${options}, new and converted, is that of qemu-img`,
    ignore: !hasQemu,
    async fn() {
      await using folder = await scratch();
      const source = folder.file("source.raw");
      await sourceIn(source);
      const list = (options: string) => options === "" ? [] : ["-o", options];
      const [theirs, ours] = [folder.file("theirs"), folder.file("ours")];
      const verbs = {
        create: (path: string, more: string[]) => ["create", "-q", "-f", format, ...more, path, `${SIZE}`],
        convert: (path: string, more: string[]) => ["convert", "-f", "raw", "-O", format, ...more, source, path],
      };
      for (const [verb, args] of Object.entries(verbs)) {
        await qemuImgOk(...args(theirs, list(options)));
        const { code, stderr } = await diskcast(...args(ours, list(one.ours ?? options)));
        assert.equal(code, 0, stderr);
        const [our, their] = [await Deno.readFile(ours), await Deno.readFile(theirs)];
        assert.equal(our.length, their.length, `length of the file after ${verb}`);
        const difference = firstDifference(comparable(our, one), comparable(their, one));
        assert.equal(difference, -1, `${verb}: the files differ from ${difference} on`);
      }
    },
  });
}
