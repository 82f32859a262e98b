import assert from "node:assert/strict";
import type { DiskWriter } from "../../../formats/contract.ts";
import { editQcow2 } from "../../../formats/qcow2/edit.ts";
import { MemoryStorage } from "../../../formats/storage/memory.ts";
import { inlineCodecs } from "../../support/codecs.ts";
import { journaledStorage, leftovers, type Step, stepOf } from "../../support/journal.ts";
import { assertBytes, readerOf, workAtRandom } from "../../support/model.ts";
import { hasQemu, qemuImg, qemuImgOk, qemuIo, type Rng, rng, scratch, seed } from "../../support/qemu.ts";
import { assertJudged, judgedBytes } from "./write_support.ts";

const runSeed = seed();

/** Limits so small that the caches evict tables, and references are released, all the time. */
const tight = { l2Bytes: 4 * 4096, refcountBytes: 4 * 4096, pendingReleases: 8 };

for (
  const options of [
    "cluster_size=4096",
    "cluster_size=512",
    "cluster_size=16k,extended_l2=on",
    "refcount_bits=64,cluster_size=512",
  ]
) {
  Deno.test({
    name: `a crash while an image with ${options} is edited leaves leaks at most`,
    ignore: !hasQemu,
    fn: () => tryCrash(options, rng(runSeed)),
  });
}

async function tryCrash(options: string, random: Rng): Promise<void> {
  await using folder = await scratch();
  const path = folder.file("image.qcow2");
  const size = 4 << 20;
  const backing = random.bytes(3 << 20);
  await Deno.writeFile(folder.file("backing.raw"), backing);
  await qemuImgOk(
    "create",
    "-q",
    "-f",
    "qcow2",
    "-o",
    options,
    "-b",
    folder.file("backing.raw"),
    "-F",
    "raw",
    path,
    `${size}`,
  );
  await qemuIo(path, "write -P 1 0 1M", "write -z 1M 300k");
  await qemuImgOk("snapshot", "-c", "kept", path);
  await qemuIo(path, "write -P 2 512k 2M", "write -c -P 3 3M 64k");
  const kept = await judgedBytes(path, "kept");
  const model = await judgedBytes(path);
  const start = await Deno.readFile(path);
  const before = model.slice();
  const touched = new Uint8Array(size);
  const journal: Step[] = [];
  const ended = new MemoryStorage(start);
  const storage = journaledStorage(ended, { push: (change) => journal.push(stepOf(path, change)) });
  const context = {
    compress: false,
    openNamed: () => Promise.reject(),
    openBacking: () => Promise.resolve(readerOf(backing)),
  };
  for (const compress of [false, true]) {
    const writer = await editQcow2(storage, { ...inlineCodecs, ...context, compress }, tight);
    const recording = recordingWriter(writer, touched);
    if (compress) await compressAtRandom(recording, model, random);
    else await workAtRandom(recording, model, random, 20);
    await writer.finish();
  }
  await Deno.writeFile(path, ended.bytes());
  await assertJudged(path, model);
  const counts = Array.from({ length: 16 }, () => {
    // Late between two syncs the most writes are pending.
    const least = random.int(1, journal.length);
    const next = journal.findIndex(({ action }, nth) => nth >= least && action === "sync");
    return random.chance(0.5) && next > 0 ? next : random.int(1, journal.length);
  }).sort((one, other) => one - other);
  for await (const { count, files } of leftovers(new Map([[path, start]]), journal, counts, random, false)) {
    await Deno.writeFile(path, files.get(path)!);
    const { code, stdout, stderr } = await qemuImg("check", path);
    assert(code === 0 || code === 3, `after ${count} of ${journal.length} changes: ${code}\n${stdout}${stderr}`);
    assertBytes(await judgedBytes(path, "kept"), kept);
    const now = await judgedBytes(path);
    // A guest byte that was written may have any value.
    let lost = 0;
    while (lost < now.length && (now[lost] === before[lost] || touched[lost] !== 0)) lost++;
    assert.equal(lost, now.length, `guest byte ${lost}, which was never written, was lost`);
  }
}

/** Writes compressible clusters at random. */
async function compressAtRandom(writer: DiskWriter, model: Uint8Array, random: Rng): Promise<void> {
  const { clusterSize, size } = writer.traits;
  for (let count = 0; count < 20; count++) {
    const start = clusterSize * random.int(size / clusterSize);
    const bytes = random.bytes(clusterSize);
    bytes.fill(count, clusterSize / 4);
    model.set(bytes, start);
    await writer.write(bytes, start);
  }
}

/** Decorates `writer`: marks the guest bytes of each call in `touched`. */
function recordingWriter(writer: DiskWriter, touched: Uint8Array): DiskWriter {
  return {
    ...writer,
    async write(from, start) {
      touched.fill(1, start, start + from.length);
      await writer.write(from, start);
    },
    async zero(start, end) {
      touched.fill(1, start, end);
      await writer.zero(start, end);
    },
  };
}
