/** A disk that becomes longer keeps a valid partition table; a corrupt one is left as it is. */
import assert from "node:assert/strict";
import { convert } from "../../../core/convert.ts";
import type { ConvertEvent } from "../../../core/events.ts";
import { partitionTable } from "../../../core/target/gpt.ts";
import { openDisk } from "../../../core/open/open_disk.ts";
import { patched } from "../../../core/open/patched.ts";
import { pad } from "../../../core/open/readers.ts";
import type { GuestReader } from "../../../formats/mod.ts";
import { assertGpt, putGpt } from "../../support/gpt.ts";
import { scratch } from "../../support/qemu.ts";

const MIB = 1 << 20;

function readerOver(bytes: Uint8Array): GuestReader {
  return {
    size: bytes.length,
    clusterSize: 1,
    extentAt: (start, limit) => Promise.resolve({ start, end: limit, kind: "data", compressed: false }),
    read(into, start) {
      into.fill(0);
      into.set(bytes.subarray(start, start + into.length));
      return Promise.resolve();
    },
  };
}

/** Converts `disk` so that it has `size` bytes. */
async function grown(disk: Uint8Array, size: number) {
  await using folder = await scratch();
  await Deno.writeFile(folder.file("a.raw"), disk);
  const events: ConvertEvent[] = [];
  const summary = await convert({
    sources: [{ path: folder.file("a.raw"), format: "raw" }],
    target: { path: folder.file("b.raw"), format: "raw", guestSize: size },
  }, { onEvent: (event) => events.push(event) });
  const plan = events.find((event) => event.type === "plan");
  assert.deepEqual([plan?.target.added, plan?.target.gpt], [summary.added, summary.gpt]);
  const warnings = events.flatMap((event) => event.type === "warning" ? [event.message] : []);
  return { summary, warnings, bytes: await Deno.readFile(folder.file("b.raw")) };
}

for (const sector of [512, 4096]) {
  for (const more of [sector, 32 * sector, 33 * sector, 34 * sector, MIB - 512 * 7 - 512 * 25]) {
    if (more % sector !== 0) continue;
    Deno.test(`the backup of a GPT moves by ${more} bytes, sectors of ${sector}`, async () => {
      const disk = new Uint8Array(MIB).fill(0x11);
      putGpt(disk, sector);
      assertGpt(disk, sector);
      const { summary, warnings, bytes } = await grown(disk, MIB + more);
      assert.deepEqual([summary.size, summary.added, summary.gpt], [MIB + more, more, "moved"]);
      assert.deepEqual(warnings, []);
      assertGpt(bytes, sector);
      // Nothing between the tables has changed, and no second backup is left where the first one was.
      const tables = 16384 + sector;
      const [from, to] = [sector + tables, MIB - tables];
      assert.deepEqual(bytes.subarray(from, to), disk.subarray(from, to));
      const text = new TextDecoder("latin1").decode(bytes);
      assert.equal(text.split("EFI PART").length - 1, 2);
    });
  }
}

Deno.test("a corrupt GPT is left as it is, with a warning", async () => {
  const damage: readonly [name: string, at: number, word: RegExp][] = [
    ["signature", 512, /primary header is missing/],
    ["header", 512 + 60, /checksum of the header/],
    ["entries", 1024 + 5, /checksum of the entries/],
  ];
  for (const [name, at, word] of damage) {
    const disk = new Uint8Array(MIB);
    putGpt(disk, 512);
    disk[at] ^= 1;
    const { summary, warnings, bytes } = await grown(disk, 2 * MIB);
    assert.equal(summary.gpt, "left", name);
    assert.match(warnings.join(), word, name);
    assert.deepEqual(bytes.subarray(0, MIB), disk, name);
    assert.ok(bytes.subarray(MIB).every((byte) => byte === 0), name);
  }
});

Deno.test("hostile numbers in a header are seen before memory is taken", async () => {
  for (const [at, value] of [[80, 0xffffffff], [84, 0xffffff80], [84, 129], [72, 1], [72, 0x7fffffff]] as const) {
    const disk = new Uint8Array(MIB);
    putGpt(disk, 512);
    const view = new DataView(disk.buffer);
    view.setUint32(512 + at, value, true);
    const header = disk.slice(512, 512 + 92);
    header.fill(0, 16, 20);
    const { crc } = await import("../../support/gpt.ts");
    view.setUint32(512 + 16, crc(header), true);
    assert.equal((await partitionTable(readerOver(disk))).kind, "damaged", `${at}: ${value}`);
  }
});

Deno.test("a disk without a GPT has nothing to move, and says nothing", async () => {
  const mbr = new Uint8Array(MIB);
  mbr[510] = 0x55;
  mbr[511] = 0xaa;
  mbr[446 + 4] = 0x83;
  for (const disk of [new Uint8Array(MIB).fill(1), mbr, new Uint8Array(100), new Uint8Array(0)]) {
    const { summary, warnings, bytes } = await grown(disk, 2 * MIB);
    assert.deepEqual([summary.gpt, warnings.length], [undefined, 0]);
    assert.deepEqual(bytes.subarray(0, disk.length), disk);
    assert.equal(bytes.length, 2 * MIB);
  }
});

Deno.test("other records of an MBR stay: a hybrid one is not touched", async () => {
  const disk = new Uint8Array(MIB);
  putGpt(disk, 512);
  disk[446 + 16 + 4] = 0x83;
  const { bytes } = await grown(disk, 2 * MIB);
  assert.deepEqual(bytes.subarray(0, 512), disk.subarray(0, 512));
});

Deno.test("without a longer disk nothing is changed", async () => {
  const disk = new Uint8Array(MIB);
  putGpt(disk, 512);
  const { summary, bytes } = await grown(disk, MIB);
  assert.deepEqual([summary.added, summary.gpt], [undefined, undefined]);
  assert.deepEqual(bytes, disk);
});

Deno.test("a backup that is not at the end is put there", async () => {
  const disk = new Uint8Array(MIB);
  putGpt(disk, 512);
  disk.fill(0, MIB - 512);
  const { summary, bytes } = await grown(disk, 2 * MIB);
  assert.equal(summary.gpt, "moved");
  assertGpt(bytes, 512);
});

Deno.test("size rules: a multiple, a least size, a greatest one, and never shorter", async () => {
  await using folder = await scratch();
  const path = folder.file("a.raw");
  await Deno.writeFile(path, new Uint8Array(1000).fill(1));
  const job = (guestSize: number | { multipleOf?: number; least?: number; most?: number }) => ({
    sources: [{ path, format: "raw" }],
    target: { path: folder.file("b.qcow2"), format: "qcow2", guestSize },
  });
  assert.equal((await convert(job({ multipleOf: 65536 }))).size, 65536);
  assert.equal((await convert(job({ least: 3 * 65536, multipleOf: 65536 }))).size, 3 * 65536);
  assert.equal((await convert(job({ most: 1000 }))).size, 1024);
  await assert.rejects(convert(job({ most: 999 })), { kind: "usage", message: /may have 999 at most/ });
  await assert.rejects(convert(job(999)), { kind: "usage", message: /nothing is cut off/ });
  await assert.rejects(convert(job(-1)), { kind: "usage" });
  await assert.rejects(convert(job({ multipleOf: 0.5 })), { kind: "usage" });
  const existing = { ...job(65536), target: { ...job(65536).target, create: false } };
  await assert.rejects(convert(existing), { kind: "usage", message: /existing target/ });
  await using disk = await openDisk(folder.file("b.qcow2"));
  const bytes = new Uint8Array(1024);
  await disk.read(bytes, 0);
  assert.deepEqual([bytes[999], bytes[1000], bytes[1023]], [1, 0, 0]);
});

Deno.test("patches show in runs and in reads that begin or end within them", async () => {
  const bytes = new Uint8Array(64).map((_, index) => index);
  const reader = patched(pad(readerOver(bytes), 128), [
    { start: 10, bytes: new Uint8Array(10).fill(200) },
    { start: 15, bytes: new Uint8Array(10).fill(201) },
    { start: 100, bytes: new Uint8Array(4).fill(202) },
  ]);
  const expected = new Uint8Array(128);
  expected.set(bytes);
  expected.fill(200, 10, 20).fill(201, 15, 25).fill(202, 100, 104);
  for (let start = 0; start < 128; start++) {
    for (const end of [start + 1, start + 7, 128]) {
      if (end > 128) continue;
      const into = new Uint8Array(end - start).fill(99);
      await reader.read(into, start);
      assert.deepEqual(into, expected.subarray(start, end));
      const run = await reader.extentAt(start, end);
      assert.ok(run.start === start && run.end > start && run.end <= end);
      if (run.kind !== "data") assert.ok(expected.subarray(run.start, run.end).every((byte) => byte === 0));
    }
  }
});
