import assert from "node:assert/strict";
import { check } from "../../core/check.ts";
import { checkJson } from "../../cli/commands/check.ts";
import { assertBytes } from "../support/model.ts";
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
import { journaledFiles, leftovers, moments, type Step } from "../support/journal.ts";

const runSeed = seed();

const shapes = [
  "cluster_size=4096",
  "cluster_size=512",
  "cluster_size=16k,extended_l2=on",
  "refcount_bits=64,cluster_size=512",
  "refcount_bits=1,cluster_size=4k",
  "compat=0.10",
];

async function makeImage(folder: Scratch, options: string): Promise<string> {
  const path = folder.file("image.qcow2");
  await qemuImgOk("create", "-q", "-f", "qcow2", "-o", options, path, "4M");
  await qemuIo(path, "write -P 1 0 1M", "write -z 1M 300k", "write -P 5 3333k 5k");
  if (!options.includes("refcount_bits=1,")) await qemuImgOk("snapshot", "-c", "kept", path);
  await qemuIo(path, "write -P 2 512k 700k");
  await qemuIo(path, "write -c -P 3 2M 64k");
  if (!options.includes("0.10")) await qemuImgOk("bitmap", "--add", path, "b");
  return path;
}

/** Where the structures lie that a test damages: the refcount block and the active tables. */
async function damage(path: string, random: Rng): Promise<void> {
  const bytes = await Deno.readFile(path);
  const view = new DataView(bytes.buffer);
  const clusterSize = 2 ** view.getUint32(20);
  const entryBytes = view.getUint32(4) === 3 && (view.getUint32(76) & 16) !== 0 ? 16 : 8;
  const block = Number(view.getBigUint64(Number(view.getBigUint64(48))));
  const l1 = Number(view.getBigUint64(40));
  const l2 = Number(view.getBigUint64(l1) & 0x00fffffffffffe00n);
  for (let count = random.int(1, 5); count > 0; count--) {
    switch (random.int(4)) {
      case 0: // a few refcounts
        bytes[block + random.int(clusterSize / 8)] ^= 1 << random.int(8);
        break;
      case 1: // a flag
        bytes[l2 + random.int(16) * entryBytes] ^= 0x80;
        break;
      case 2: // an entry is lost, its cluster leaks
        bytes.fill(0, l2 + 8 * 16, l2 + 8 * 18);
        break;
      case 3:
        bytes[l1] ^= 0x80;
        break;
    }
  }
  await Deno.writeFile(path, bytes);
}

for (const options of shapes) {
  Deno.test({
    name: `check finds in images with ${options} what qemu-img finds, and mends it`,
    ignore: !hasQemu,
    async fn() {
      await using folder = await scratch();
      const random = rng(runSeed);
      const path = await makeImage(folder, options);
      const intact = await Deno.readFile(path);
      const model = await judgedBytes(path);
      await assertSame(path);
      for (let round = 0; round < rounds(5, 12); round++) {
        await Deno.writeFile(path, intact);
        await damage(path, random);
        const found = await assertSame(path);
        if (found === null) continue;
        const damaged = await Deno.readFile(path);
        await check({ path, format: "qcow2" }, { repair: "leaks" });
        if (found.corruptions === undefined) assert.equal((await qemuImg("check", path)).code, 0);
        await Deno.writeFile(path, damaged);
        const { corruptions, leaks } = await check({ path, format: "qcow2" }, { repair: "all" });
        const { code, stdout, stderr } = await qemuImg("check", path);
        assert.deepEqual([corruptions, leaks, code], [0, 0, 0], stdout + stderr);
        if (damagedData(damaged, intact)) continue;
        assertBytes(await judgedBytes(path), model);
      }
    },
  });
}

/** Whether entries were lost, not only counts and flags. */
function damagedData(damaged: Uint8Array, intact: Uint8Array): boolean {
  for (let at = 0; at < damaged.length; at++) if (damaged[at] === 0 && (intact[at] & 0x7f) !== 0) return true;
  return false;
}

/** The findings of both, field by field; null where qemu-img does not report them. */
async function assertSame(path: string): Promise<{ readonly corruptions?: number } | null> {
  const { code, stdout } = await qemuImg("check", "-f", "qcow2", "--output=json", path);
  if (code === 1) return null;
  const expected = JSON.parse(stdout);
  const result = await check({ path, format: "qcow2" });
  assert.deepEqual(checkJson(result), expected, JSON.stringify(result.problems, null, 1));
  return expected;
}

Deno.test({
  name: "a crash while an image is mended leaves it no worse",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    const random = rng(runSeed);
    const path = await makeImage(folder, "cluster_size=512");
    const model = await judgedBytes(path);
    const bytes = await Deno.readFile(path);
    const view = new DataView(bytes.buffer);
    const block = Number(view.getBigUint64(Number(view.getBigUint64(48))));
    for (let nth = 20; nth < 90; nth++) bytes[block + nth * 2 + 1] = nth % 3;
    await Deno.writeFile(path, bytes);
    const journal: Step[] = [];
    await check({ path, format: "qcow2" }, { repair: "all", files: journaledFiles(journal) });
    assert.equal((await qemuImg("check", path)).code, 0);
    const every = moments(journal.length);
    for await (const { files } of leftovers(new Map([[path, bytes]]), journal, every, random)) {
      await Deno.writeFile(path, files.get(path)!);
      assertBytes(await judgedBytes(path), model);
    }
  },
});
