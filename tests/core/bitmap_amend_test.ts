import assert from "node:assert/strict";
import { amend } from "../../core/amend.ts";
import { type BitmapChange, changeBitmap } from "../../core/bitmap.ts";
import { openDisk } from "../../core/open/open_disk.ts";
import { resize } from "../../core/resize.ts";
import { createHash } from "node:crypto";
import { assertBytes, fingerprint } from "../support/model.ts";
import {
  hasQemu,
  qemuImg,
  qemuImgOk,
  qemuIo,
  type Rng,
  rng,
  rounds,
  type Scratch,
  scratch,
  seed,
} from "../support/qemu.ts";
import { judgedBytes } from "../formats/qcow2/write_support.ts";
import { assertCheck, tryCrashes } from "../support/crash_matrix.ts";

const runSeed = seed();

async function specific(path: string): Promise<{ [name: string]: unknown }> {
  return JSON.parse(await qemuImgOk("info", "--output=json", path))["format-specific"].data;
}

/** The bitmaps of an image with their bits, as text. */
async function bitmapsOf(path: string): Promise<string> {
  await using disk = await openDisk({ path, format: "qcow2" });
  const lines: string[] = [];
  for (const bitmap of disk.layers[0].disk.bitmaps ?? []) {
    const hash = createHash("sha256");
    for await (const { offset, bits } of bitmap.pieces()) {
      if (bits.some((byte) => byte !== 0)) hash.update(`${offset}`).update(bits);
    }
    lines.push(`${bitmap.name} ${bitmap.granularity} ${bitmap.enabled} ${hash.digest("hex")}`);
  }
  return lines.sort().join("\n");
}

/** The same for qemu-img. */
async function ask(path: string, name: string, changes: readonly BitmapChange[]): Promise<number> {
  const words = changes.flatMap((change) => {
    if (change.action === "merge") return ["--merge", change.source];
    if (change.action !== "add") return [`--${change.action}`];
    return ["--add", ...(change.granularity ? ["-g", `${change.granularity}`] : [])];
  });
  return (await qemuImg("bitmap", "-f", "qcow2", ...words, path, name)).code;
}

function changesAtRandom(random: Rng, names: readonly string[]): BitmapChange[] {
  const all: BitmapChange[][] = [
    [{ action: "add", ...(random.chance(0.5) && { granularity: 2 ** random.int(9, 18) }) }],
    [{ action: "add" }, { action: "disable" }],
    [{ action: "remove" }],
    [{ action: "clear" }],
    [{ action: "enable" }],
    [{ action: "disable" }],
    [{ action: "merge", source: random.pick(names) }],
    [{ action: "add", granularity: 1024 }, { action: "merge", source: random.pick(names) }],
  ];
  return random.pick(all);
}

for (const options of ["cluster_size=512", "cluster_size=64k", "cluster_size=16k,extended_l2=on"]) {
  Deno.test({
    name: `bitmaps of an image with ${options} change as those of qemu-img`,
    ignore: !hasQemu,
    async fn() {
      await using folder = await scratch();
      const random = rng(runSeed);
      const [ours, theirs] = [folder.file("ours.qcow2"), folder.file("theirs.qcow2")];
      for (const path of [ours, theirs]) await qemuImgOk("create", "-q", "-f", "qcow2", "-o", options, path, "3M");
      const names = ["a", "b", "c"];
      for (let step = 0; step < rounds(10, 40); step++) {
        const name = random.pick(names);
        const changes = changesAtRandom(random, names.filter((other) => other !== name));
        const code = await ask(theirs, name, changes);
        const failed = await changeBitmap({ path: ours }, name, changes).then(() => 0, () => 1);
        if (code !== failed) assert.fail(`${JSON.stringify(changes)} of "${name}": ${failed}, not ${code}`);
        // qemu-img has done what comes before the failure.
        if (code !== 0 && changes.length > 1) await Deno.copyFile(ours, theirs);
        await assertCheck(ours, [0]);
        assert.equal(await bitmapsOf(ours), await bitmapsOf(theirs), `${JSON.stringify(changes)} of "${name}"`);
        if (!random.chance(0.3)) continue;
        const start = random.int(2 << 11) * 512;
        for (const path of [ours, theirs]) await qemuIo(path, `write -P 7 ${start} ${random.int(1, 2) * 65536}`);
      }
      await resize({ path: ours }, 1 << 20, { shrink: true });
      await assertCheck(ours, [0]);
      await bitmapsOf(ours);
    },
  });
}

async function makeImage(folder: Scratch, options: string): Promise<string> {
  const path = folder.file("image.qcow2");
  await Deno.writeFile(folder.file("backing.raw"), new Uint8Array(2 << 20).fill(9));
  const backing = options.includes("backing") ? ["-b", folder.file("backing.raw"), "-F", "raw"] : [];
  const given = options.replace(",backing", "");
  await qemuImgOk("create", "-q", "-f", "qcow2", "-o", given, ...backing, path, "2M");
  await qemuIo(path, "write -c -P 3 0 64k", "write -P 4 300k 400k", "write -P 5 1M 200k");
  return path;
}

Deno.test({
  name: "amended images are what qemu-img reads",
  ignore: !hasQemu,
  async fn() {
    for (const options of ["cluster_size=4k,compat=0.10", "cluster_size=512", "cluster_size=4k,backing"]) {
      await using folder = await scratch();
      const path = await makeImage(folder, options);
      const old = options.includes("0.10");
      if (!old) await qemuIo(path, "write -z 320k 100k");
      const model = await judgedBytes(path);
      if (old) {
        await qemuImgOk("snapshot", "-c", "kept", path);
        await assert.rejects(amend({ path }, { refcount_bits: 8 }), { kind: "unsupported" });
        await amend({ path }, { compat: "1.1", lazy_refcounts: "on" });
        assert.equal((await specific(path))["lazy-refcounts"], true);
        await assertCheck(path, [0]);
        await amend({ path }, { lazy_refcounts: false });
        assertBytes(await judgedBytes(path, "kept"), model);
      }
      for (const bits of [64, 8, 32, 16]) {
        await amend({ path }, { refcount_bits: bits });
        assert.equal((await specific(path))["refcount-bits"], bits);
        await assertCheck(path, [0]);
        assertBytes(await judgedBytes(path), model);
      }
      await amend({ path }, { compat: "0.10" });
      assert.equal((await specific(path))["compat"], "0.10");
      await assertCheck(path, [0]);
      assertBytes(await judgedBytes(path), model);
      await amend({ path }, { compat: "v3", size: "3M" });
      const after = new Uint8Array(3 << 20);
      after.set(model);
      assertBytes(await judgedBytes(path), after);
      await assertCheck(path, [0]);
      await assert.rejects(amend({ path }, { size: "1M" }), { kind: "usage" });
      await assert.rejects(amend({ path }, { cluster_size: "1M" }), { kind: "unsupported" });
      await assert.rejects(amend({ path }, { colour: "red" }), { kind: "usage" });
    }
  },
});

Deno.test({
  name: "a crash while options or bitmaps change leaves the old state or the new",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    const random = rng(runSeed);
    const path = await makeImage(folder, "cluster_size=512");
    const state = async () => {
      const { "refcount-bits": bits, compat, bitmaps } = await specific(path);
      const bytes = fingerprint(await judgedBytes(path));
      return JSON.stringify([bits, compat, bitmaps, bytes, await bitmapsOf(path)]);
    };
    const changes: ((files: Parameters<typeof amend>[2]) => Promise<void>)[] = [
      (options) => amend({ path }, { refcount_bits: 32 }, options),
      (options) => changeBitmap({ path }, "a", [{ action: "add", granularity: 512 }], options),
      (options) => changeBitmap({ path }, "b", [{ action: "add" }, { action: "merge", source: "a" }], options),
      (options) => changeBitmap({ path }, "a", [{ action: "clear" }, { action: "disable" }], options),
      (options) => changeBitmap({ path }, "b", [{ action: "remove" }], options),
      (options) => changeBitmap({ path }, "a", [{ action: "remove" }], options),
      (options) => amend({ path }, { refcount_bits: 16, compat: "0.10" }, options),
    ];
    for (const [nth, change] of changes.entries()) {
      await tryCrashes({ path, action: (files) => change({ files }), state, random, most: 6 });
      if (nth === 1) await qemuIo(path, "write -P 8 100k 900k");
    }
  },
});
