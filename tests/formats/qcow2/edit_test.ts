import assert from "node:assert/strict";
import { dirname, resolve } from "node:path";
import type { DiskWriter } from "../../../formats/contract.ts";
import type { Bitmap } from "../../../formats/bitmaps.ts";
import { editQcow2 } from "../../../formats/qcow2/edit.ts";
import { openFileStorage } from "../../../formats/storage/file.ts";
import { inlineCodecs } from "../../support/codecs.ts";
import { assertBytes, readerOf, workAtRandom } from "../../support/model.ts";
import {
  hasQemu,
  qemuImgOk,
  qemuIo,
  type Rng,
  rng,
  rounds,
  run,
  type Scratch,
  scratch,
  seed,
} from "../../support/qemu.ts";
import { openPath } from "./support.ts";
import { assertClean, assertJudged, judgedBytes } from "./write_support.ts";

const runSeed = seed();

/** An image that qemu-img creates. */
interface Case {
  readonly options: string;
  readonly backing?: boolean;
  /** Whether the first contents are compressed. */
  readonly compressed?: boolean;
  /** Whether the image has no snapshots, because its options exclude them. */
  readonly noSnapshots?: boolean;
}

const cases: Case[] = [
  ...[512, 4096, 65536, 1 << 20].flatMap((size): Case[] => [
    { options: `cluster_size=${size}` },
    { options: `cluster_size=${size}`, compressed: true },
    { options: `cluster_size=${size}`, backing: true },
    { options: `cluster_size=${size},compat=0.10`, compressed: true },
    { options: `cluster_size=${size},compat=0.10`, backing: true },
  ]),
  ...[16384, 65536].flatMap((size): Case[] => [
    { options: `cluster_size=${size},extended_l2=on` },
    { options: `cluster_size=${size},extended_l2=on`, compressed: true },
    { options: `cluster_size=${size},extended_l2=on`, backing: true },
    { options: `cluster_size=${size},extended_l2=on,preallocation=metadata`, backing: true },
  ]),
  ...[1, 2, 4, 8, 32, 64].flatMap((bits): Case[] => [
    { options: `refcount_bits=${bits},cluster_size=4k`, compressed: true, ...(bits <= 8 && { noSnapshots: true }) },
    { options: `refcount_bits=${bits},cluster_size=512`, ...(bits === 1 && { noSnapshots: true }) },
  ]),
  { options: "compression_type=zstd", compressed: true },
  { options: "preallocation=metadata" },
  { options: "preallocation=full" },
  { options: "lazy_refcounts=on" },
  { options: "data_file=data.raw", noSnapshots: true },
  { options: "data_file=data.raw,extended_l2=on", noSnapshots: true, backing: true },
  { options: "data_file=data.raw,data_file_raw=on", noSnapshots: true },
];

for (const [nth, one] of cases.entries()) {
  const name = `editing an image with ${one.options}${one.compressed ? ", compressed" : ""}${
    one.backing ? ", over another" : ""
  }`;
  Deno.test({ name, ignore: !hasQemu, fn: () => tryCase(one, rng(runSeed + nth)) });
}

async function tryCase(one: Case, random: Rng): Promise<void> {
  await using folder = await scratch();
  const path = folder.file("image.qcow2");
  const clusterSize = clusterSizeOf(one.options);
  // A few of the largest clusters.
  const size = 512 * random.int(8, Math.max(1500, (clusterSize < 1 << 20 ? 24 : 8) * clusterSize / 512));
  const backing = one.backing ? random.bytes(512 * random.int(1, 2 * size / 512)) : null;
  await make(one, folder, size, backing, random);
  const snapshots = one.noSnapshots ? [] : ["first", "second"];
  for (const name of snapshots) {
    await qemuImgOk("snapshot", "-c", name, path);
    await writeAtRandom(one, folder, size, clusterSize, random);
  }
  if (one.noSnapshots) await writeAtRandom(one, folder, size, clusterSize, random);
  await assertClean(path);
  const kept: Uint8Array[] = [];
  for (const name of snapshots) kept.push(await judgedBytes(path, name));
  const model = await judgedBytes(path);
  for (const compress of [false, true]) {
    if (compress && one.options.includes("data_file")) continue;
    await edit(path, backing, compress, (writer) => workAtRandom(writer, model, random, rounds(14, 40)));
    await assertJudged(path, model);
    if (one.options.includes("raw=on")) {
      assertBytes((await Deno.readFile(folder.file("data.raw"))).subarray(0, size), model);
    }
  }
  for (const [nth, name] of snapshots.entries()) assertBytes(await judgedBytes(path, name), kept[nth]!);
  for (const name of snapshots) await qemuImgOk("snapshot", "-d", name, path);
  await assertJudged(path, model);
}

function clusterSizeOf(options: string): number {
  const [, digits, suffix] = /cluster_size=(\d+)(k?)/.exec(options) ?? ["", "64", "k"];
  return Number(digits) * (suffix === "k" ? 1024 : 1);
}

async function make(one: Case, folder: Scratch, size: number, backing: Uint8Array | null, random: Rng): Promise<void> {
  const start = new Uint8Array(size);
  for (let part = 0; part < 6; part++) {
    const from = random.int(size);
    const to = Math.min(size, from + random.int(size / 4));
    start.set(random.chance(0.5) ? random.bytes(to - from) : new Uint8Array(to - from).fill(part + 1), from);
  }
  await Deno.writeFile(folder.file("start.raw"), start);
  if (backing !== null) await Deno.writeFile(folder.file("backing.raw"), backing);
  const backingArgs = backing === null ? [] : ["-b", "backing.raw", "-F", "raw"];
  const options = { cwd: folder.path };
  const create = ["create", "-q", "-f", "qcow2", "-o", one.options, ...backingArgs, "image.qcow2", String(size)];
  assert.equal((await run("qemu-img", create, options)).code, 0);
  if (backing !== null) return;
  const compressed = one.compressed ? ["-c"] : [];
  const copy = ["convert", "-n", ...compressed, "-f", "raw", "-O", "qcow2", "start.raw", "image.qcow2"];
  assert.equal((await run("qemu-img", copy, options)).code, 0);
}

/** Changes the image with qemu-io at random. */
async function writeAtRandom(one: Case, folder: Scratch, size: number, cluster: number, random: Rng): Promise<void> {
  const commands: string[] = [];
  for (let count = 0; count < 12; count++) {
    const start = 512 * random.int(size / 512);
    const length = Math.min(size - start, 512 * random.int(1, Math.max(2, 4 * cluster / 512)));
    const aligned = start - start % cluster;
    const verbs = [`write -P ${count + 1} ${start} ${length}`, `write -z ${start} ${length}`];
    if (!one.options.includes("0.10")) verbs.push(`write -z -u ${start} ${length}`);
    if (one.compressed && aligned + cluster <= size) verbs.push(`write -c -P ${count + 1} ${aligned} ${cluster}`);
    if (aligned + cluster <= size) verbs.push(`discard ${aligned} ${cluster}`);
    commands.push(random.pick(verbs));
  }
  // A command may fail, such as a compressed write that would overflow a refcount.
  for (const few of qemuIoSessions(commands)) {
    const args = ["-f", "qcow2", ...few.flatMap((command) => ["-c", command]), "image.qcow2"];
    await run("qemu-io", args, { cwd: folder.path });
  }
}

/**
 * Splits the commands into sessions of qemu-io, with compressed writes at the end of each. After a compressed write
 * QEMU 7.2 continues to fill the last host cluster, even if it was freed and allocated to other data meanwhile, which
 * corrupts the image.
 */
function qemuIoSessions(commands: readonly string[]): string[][] {
  const parts: string[][] = [];
  const compress = (command: string | undefined) => command?.startsWith("write -c") ?? false;
  for (const command of commands) {
    const last = parts.at(-1);
    if (last === undefined || (compress(last.at(-1)) && !compress(command))) parts.push([command]);
    else last.push(command);
  }
  return parts;
}

async function edit(
  path: string,
  backing: Uint8Array | null,
  compress: boolean,
  work: (writer: DiskWriter) => Promise<void>,
): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const storage = stack.use(await openFileStorage(path, { write: true }));
  const writer = await editQcow2(storage, {
    ...inlineCodecs,
    compress,
    openNamed: async ({ name }) => stack.use(await openFileStorage(resolve(dirname(path), name), { write: true })),
    openBacking: () => Promise.resolve(readerOf(backing ?? new Uint8Array(0))),
  });
  await work(writer);
  await writer.finish();
}

Deno.test({
  name: "editing records changes in enabled bitmaps and leaves others unchanged",
  ignore: !hasQemu,
  async fn() {
    const random = rng(runSeed);
    for (const [granularity, cluster] of [[512, 512], [4096, 512], [65536, 65536], [512, 4096]] as const) {
      await using folder = await scratch();
      const path = folder.file("image.qcow2");
      const size = 8 << 20;
      await qemuImgOk("create", "-q", "-f", "qcow2", "-o", `cluster_size=${cluster}`, path, String(size));
      for (const name of ["on", "off"]) {
        await qemuImgOk("bitmap", "--add", "-g", String(granularity), path, name);
      }
      await qemuIo(path, "write -P 1 1M 100k", "write -P 2 5M 3M");
      await qemuImgOk("bitmap", "--disable", path, "off");
      const before = new Map([["on", await bitsOf(path, "on")], ["off", await bitsOf(path, "off")]]);
      const model = await judgedBytes(path);
      const old = model.slice();
      await edit(path, null, false, (writer) => workAtRandom(writer, model, random, 10));
      await assertJudged(path, model);
      assert(!(await qemuImgOk("info", path)).includes("in-use"));
      assertBytes(await bitsOf(path, "off"), before.get("off")!);
      const after = await bitsOf(path, "on");
      for (let granule = 0; granule < size / granularity; granule++) {
        const [from, to] = [granule * granularity, (granule + 1) * granularity];
        const changed = Buffer.compare(model.subarray(from, to), old.subarray(from, to)) !== 0;
        const was = before.get("on")![granule >>> 3]! >>> (granule & 7) & 1;
        const is = after[granule >>> 3]! >>> (granule & 7) & 1;
        if (changed || was) assert.equal(is, 1, `granule ${granule} of ${granularity}`);
      }
    }
  },
});

/** Returns all bits of one bitmap. */
async function bitsOf(path: string, name: string): Promise<Uint8Array> {
  await using disk = await openPath(path);
  const bitmap = disk.bitmaps?.find((one) => one.name === name);
  assert(bitmap);
  assert(!bitmap.inconsistent);
  const bits = new Uint8Array(Math.ceil(disk.size / bitmap.granularity / 8));
  for await (const piece of bitmap.pieces()) bits.set(piece.bits, piece.offset);
  return bits;
}

Deno.test({
  name: "bitmaps can be added to an existing image",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    const path = folder.file("image.qcow2");
    await qemuImgOk("create", "-q", "-f", "qcow2", path, "8M");
    await qemuImgOk("bitmap", "--add", path, "old");
    await qemuIo(path, "write -P 1 1M 64k");
    const bits = new Uint8Array([0xff, 0x0f]);
    const added: Bitmap = {
      name: "new",
      granularity: 1 << 19,
      enabled: false,
      inconsistent: false,
      async *pieces() {
        yield { offset: 0, bits };
      },
    };
    await edit(path, null, false, (writer) => writer.bitmaps!.add(added));
    await assertClean(path);
    assert.deepEqual([...await bitsOf(path, "new")], [...bits]);
    assert.equal((await bitsOf(path, "old"))[2], 1);
    const info = JSON.parse(await qemuImgOk("info", "--output=json", path));
    const listed = info["format-specific"].data.bitmaps;
    assert.deepEqual(listed.map((one: { name: string; flags: string[] }) => [one.name, one.flags]), [
      ["old", ["auto"]],
      ["new", []],
    ]);
    await assert.rejects(edit(path, null, false, (writer) => writer.bitmaps!.add(added)), { kind: "usage" });
  },
});

Deno.test({
  name: "an edit without changes leaves the file as it is",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    const path = folder.file("image.qcow2");
    await qemuImgOk("create", "-q", "-f", "qcow2", path, "8M");
    await qemuImgOk("bitmap", "--add", path, "old");
    const before = await Deno.readFile(path);
    await edit(path, null, false, () => Promise.resolve());
    assertBytes(await Deno.readFile(path), before);
  },
});
