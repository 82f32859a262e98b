import assert from "node:assert/strict";
import type { DiskWriter } from "../../../formats/contract.ts";
import { editQcow2 } from "../../../formats/qcow2/edit.ts";
import { MemoryStorage } from "../../../formats/storage/memory.ts";
import type { WritableStorage } from "../../../formats/storage/types.ts";
import { assertBytes, readerOf, workAtRandom } from "../../support/model.ts";
import { hasQemu, qemuImg, qemuImgOk, qemuIo, type Rng, rng, scratch, seed } from "../../support/qemu.ts";
import { assertJudged, judgedBytes } from "./write_support.ts";

const runSeed = seed();

/** Limits so small that tables give way and references are taken away all the time. */
const tight = { l2Bytes: 4 * 4096, refcountBytes: 4 * 4096, releases: 8 };

/** One change of a file, or a moment at which all changes before were on stable storage. */
type Change = "sync" | ((storage: WritableStorage) => Promise<void>);

/** `inner`, with everything that changes it written down. */
function journaled(inner: WritableStorage): { readonly storage: WritableStorage; readonly journal: Change[] } {
  const journal: Change[] = [];
  const note = (change: Change) => {
    journal.push(change);
    return change === "sync" ? Promise.resolve() : change(inner);
  };
  const storage: WritableStorage = {
    label: inner.label,
    get size() {
      return inner.size;
    },
    startsZeroed: inner.startsZeroed,
    zeroesCheaply: inner.zeroesCheaply,
    readAt: (into, fileOffset) => inner.readAt(into, fileOffset),
    writeAt(from, fileOffset) {
      const bytes = from.slice();
      return note((file) => file.writeAt(bytes, fileOffset));
    },
    zeroAt: (start, end) => note((file) => file.zeroAt(start, end)),
    truncate: (size) => note((file) => file.truncate(size)),
    reserve: (start, end, written) => note((file) => file.reserve(start, end, written)),
    sync: () => note("sync"),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  return { storage, journal };
}

/** What a power failure after `count` changes may leave: all that was synced, and any of what came after. */
async function afterCrash(start: Uint8Array, journal: Change[], count: number, random: Rng): Promise<Uint8Array> {
  const file = new MemoryStorage(start);
  const synced = journal.lastIndexOf("sync", count - 1);
  const luck = random.pick([0.05, 0.5, 0.95]);
  for (const [nth, change] of journal.slice(0, count).entries()) {
    if (change !== "sync" && (nth < synced || random.chance(luck))) await change(file);
  }
  return file.bytes();
}

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
  const below = random.bytes(3 << 20);
  await Deno.writeFile(folder.file("below.raw"), below);
  await qemuImgOk(
    "create",
    "-q",
    "-f",
    "qcow2",
    "-o",
    options,
    "-b",
    folder.file("below.raw"),
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
  const { storage, journal } = journaled(new MemoryStorage(start));
  const context = {
    packs: false,
    openNamed: () => Promise.reject(),
    openBelow: () => Promise.resolve(readerOf(below)),
  };
  for (const packs of [false, true]) {
    const writer = await editQcow2(storage, { ...context, packs }, tight);
    const noted = noting(writer, touched);
    if (packs) await packAtRandom(noted, model, random);
    else await workAtRandom(noted, model, random, 20);
    await writer.finish();
  }
  await Deno.writeFile(path, await afterCrash(start, journal, journal.length, { ...random, chance: () => true }));
  await assertJudged(path, model);
  for (let crash = 0; crash < 16; crash++) {
    // Late in a stretch between two syncs most can go wrong.
    const next = journal.indexOf("sync", random.int(1, journal.length));
    const count = random.chance(0.5) && next > 0 ? next : random.int(1, journal.length);
    await Deno.writeFile(path, await afterCrash(start, journal, count, random));
    const { code, stdout, stderr } = await qemuImg("check", path);
    assert(code === 0 || code === 3, `after ${count} of ${journal.length} changes: ${code}\n${stdout}${stderr}`);
    assertBytes(await judgedBytes(path, "kept"), kept);
    const now = await judgedBytes(path);
    const lost = now.findIndex((byte, at) => byte !== before[at] && touched[at] === 0);
    assert.equal(lost, -1, `guest byte ${lost}, which was never written, was lost`);
  }
}

/** Writes a few units. */
async function packAtRandom(writer: DiskWriter, model: Uint8Array, random: Rng): Promise<void> {
  const { unit, size } = writer.traits;
  for (let count = 0; count < 20; count++) {
    const start = unit * random.int(size / unit);
    const bytes = random.bytes(unit);
    bytes.fill(count, unit / 4);
    model.set(bytes, start);
    await writer.write(bytes, start);
  }
}

/** `writer`, marking in `touched` what it is told to change. */
function noting(writer: DiskWriter, touched: Uint8Array): DiskWriter {
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
