import assert from "node:assert/strict";
import { crc32c } from "../../../formats/vhdx/crc32c.ts";
import { inlineCodecs } from "../../support/codecs.ts";
import { startBounds } from "../../support/bounds.ts";
import { assertBytes, readAll } from "../../support/model.ts";
import { guestBytes, hasQemu, qemuImgOk, qemuIo, rng, rounds, scratch, seed } from "../../support/qemu.ts";
import { RecordingStorage } from "../../support/storage.ts";
import { MemoryStorage } from "../../../formats/mod.ts";
import { vhdx } from "../../../formats/vhdx/mod.ts";
import {
  AT,
  build,
  type EntrySpec,
  GUID,
  logEntry,
  MIB,
  numbers,
  plainCrc32c,
  putHeader,
  ring,
  seal,
} from "./build.ts";
import { extentLines, filled, openBytes, openFrom, pathOpened } from "./support.ts";

/** A piece of the BAT of 4096 bytes whose first entries have these states. */
function table(...states: number[]): Uint8Array {
  const bytes = new Uint8Array(4096);
  states.forEach((state, block) => bytes.set(numbers([8, state]), 8 * block));
  return bytes;
}

/** An entry that gives the first blocks these states. */
function entry(sequence: number, tail: number, states: number[], more: Partial<EntrySpec> = {}): Uint8Array {
  return logEntry({ sequence, tail, changes: [{ at: AT.bat, data: table(...states) }], ...more });
}

/** What a disk of 4 MiB shows with this log; blocks 0 to 3 are not present before. */
async function shown(...entries: [at: number, entry: Uint8Array][]): Promise<string> {
  const bytes = build({ size: 4 * MIB, logGuid: GUID.log, log: ring(entries) });
  const disk = await openBytes(bytes);
  assert.equal(disk.info["log-in-use"], true);
  return (await extentLines(disk)).join(", ");
}

Deno.test("CRC-32C is that of a plain implementation, in one piece and in several", () => {
  const random = rng(seed());
  for (let round = 0; round < rounds(40, 100); round++) {
    const bytes = random.bytes(random.int(200));
    const cut = random.int(bytes.length + 1);
    const expected = plainCrc32c(bytes);
    assert.equal(crc32c(bytes), expected);
    assert.equal(crc32c(bytes.subarray(cut), crc32c(bytes.subarray(0, cut))), expected);
  }
});

Deno.test("replays one entry", async () => {
  assert.equal(await shown([0, entry(1, 0, [0, 2])]), "hole 0-1024, zero 1024-2048, hole 2048-4096");
});

Deno.test("a log whose GUID is not set is left alone", async () => {
  const disk = await openBytes(build({ size: MIB, log: ring([[0, entry(1, 0, [2])]]) }));
  assert.equal(disk.info["log-in-use"], false);
  assert.deepEqual(await extentLines(disk), ["hole 0-1024"]);
});

Deno.test("later entries win; the last one says where to begin", async () => {
  // Each entry has two sectors.
  const four: [number, Uint8Array][] = [
    [8192, entry(5, 8192, [2, 2, 2, 2])],
    [16_384, entry(6, 8192, [0, 2, 0, 2])],
    [24_576, entry(7, 16_384, [0, 0, 0, 2])],
  ];
  assert.equal(await shown(...four), "hole 0-3072, zero 3072-4096");
  // Entry 5 changes another part of the file, which entry 7 says is done already.
  const other = logEntry({ sequence: 5, tail: 8192, changes: [{ at: AT.metadata, zeroes: 4096 }] });
  assert.equal(await shown([12_288, other], four[1], four[2]), "hole 0-3072, zero 3072-4096");
});

Deno.test("a gap in the numbers ends a sequence", async () => {
  const first = entry(5, 0, [2]);
  assert.equal(await shown([0, first], [8192, entry(7, 0, [2, 2])]), "zero 0-1024, hole 1024-4096");
  // What follows the gap counts where it is whole by itself: its number is greater.
  assert.equal(await shown([0, first], [8192, entry(7, 8192, [2, 2])]), "zero 0-2048, hole 2048-4096");
  // The same in the order of the file: the greater number counts, not the later position.
  assert.equal(await shown([0, entry(9, 0, [2, 2])], [8192, entry(7, 8192, [2])]), "zero 0-2048, hole 2048-4096");
});

Deno.test("an entry that was not written to its end does not count", async () => {
  for (const damaged of [40, 100, 4096, 4100, 8000, 8190]) {
    const torn = entry(2, 0, [0, 0, 0, 2]);
    torn[damaged] ^= 0x10;
    assert.equal(await shown([0, entry(1, 0, [2])], [8192, torn]), "zero 0-1024, hole 1024-4096", `${damaged}`);
  }
});

Deno.test("an entry with a sector or a descriptor of another one does not count, whatever its checksum says", async () => {
  for (const [at, value] of [[64, 0x65], [64 + 24, 1], [4096, 0x65], [4100, 1], [8188, 1]]) {
    const mixed = entry(2, 0, [0, 0, 0, 2]);
    mixed[at] = value;
    seal(mixed);
    assert.equal(await shown([0, entry(1, 0, [2])], [8192, mixed]), "zero 0-1024, hole 1024-4096", `${at}`);
  }
});

Deno.test("a sequence may fill the log", async () => {
  const start = 128 * 4096;
  const entries = [...Array(128).keys()].map((nth): [number, Uint8Array] => {
    return [(start + nth * 8192) % MIB, entry(nth + 1, start, nth === 127 ? [0, 2] : [2])];
  });
  assert.equal(await shown(...entries), "hole 0-1024, zero 1024-2048, hole 2048-4096");
});

Deno.test("a sequence may go on from the log's end to its start", async () => {
  const entries: [number, Uint8Array][] = [
    [MIB - 12_288, entry(11, MIB - 12_288, [2])],
    [MIB - 4096, entry(12, MIB - 12_288, [2, 2])],
    [4096, entry(13, MIB - 12_288, [2, 2, 2])],
  ];
  assert.equal(await shown(...entries), "zero 0-3072, hole 3072-4096");
  // Without its tail the rest is nothing.
  await assert.rejects(shown(entries[1], entries[2]), { kind: "corrupt" });
});

Deno.test("entries of another log do not count", async () => {
  const other = entry(2, 0, [0, 0, 0, 2], { guid: GUID.data });
  assert.equal(await shown([0, entry(1, 0, [2])], [8192, other]), "zero 0-1024, hole 1024-4096");
});

Deno.test("zeroes and data over each other: the later wins, byte by byte", async () => {
  const block = { state: 6, content: filled(9) };
  const random = rng(seed());
  for (let round = 0; round < 30; round++) {
    const model = filled(9);
    const changes = [...Array(random.int(1, 40)).keys()].map(() => {
      const start = random.int(256) * 4096;
      const data = random.bytes(4096);
      const zeroes = Math.min(MIB - start, random.int(1, 20) * 4096);
      const isData = random.chance(0.5);
      if (isData) model.set(data, start);
      else model.fill(0, start, start + zeroes);
      return { at: AT.blocks + start, ...(isData ? { data } : { zeroes }) };
    });
    const middle = random.int(changes.length);
    const first = logEntry({ sequence: 1, tail: 0, changes: changes.slice(0, middle) });
    const second = logEntry({ sequence: 2, tail: 0, changes: changes.slice(middle) });
    const log = ring([[0, first], [first.length, second]]);
    const disk = await openBytes(build({ size: MIB, blocks: { 0: block }, logGuid: GUID.log, log }));
    assertBytes(await readAll(disk), model);
    const part = new Uint8Array(random.int(1, 20_000));
    const at = random.int(MIB - part.length);
    await disk.read(part, at);
    assertBytes(part, model.subarray(at, at + part.length), at);
  }
});

Deno.test("an entry with more descriptors than a sector holds", async () => {
  const changes = [...Array(300).keys()].map((nth) => ({
    at: nth === 290 ? AT.bat : AT.blocks + nth * 4096,
    ...(nth % 2 ? { zeroes: 4096 } : { data: nth === 290 ? table(2) : new Uint8Array(4096) }),
  }));
  assert.equal(
    await shown([MIB - 8192, logEntry({ sequence: 2 ** 33 + 5, tail: MIB - 8192, changes })]),
    "zero 0-1024, hole 1024-4096",
  );
});

Deno.test("a replayed file may be longer than it is; one that was longer is refused", async () => {
  const data = new Uint8Array(4096);
  data.set(numbers([8, AT.blocks + 6]));
  const spec = (more: Partial<EntrySpec>): [number, Uint8Array] => [
    0,
    logEntry({ sequence: 1, tail: 0, changes: [{ at: AT.bat, data }], ...more }),
  ];
  assert.equal(await shown(spec({ last: AT.blocks + MIB })), "data 0-1024, hole 1024-4096");
  const cut = await openBytes(build({ size: 4 * MIB, logGuid: GUID.log, log: ring([spec({ last: AT.blocks })]) }));
  await assert.rejects(cut.read(new Uint8Array(512), 0), { kind: "corrupt", message: /past the end of the file/ });
  // Where the log writes, there is a file.
  const changes = [{ at: AT.bat, data }, { at: AT.blocks + MIB - 4096, zeroes: 4096 }];
  assert.equal(await shown(spec({ changes, last: AT.blocks })), "data 0-1024, hole 1024-4096");
  await assert.rejects(shown(spec({ last: AT.blocks + MIB, flushed: AT.blocks + MIB })), { kind: "corrupt" });
});

Deno.test("even the region tables may stand in the log; the file is not touched", async () => {
  const valid = build({ size: MIB, logGuid: GUID.log });
  const changes = [...Array(16).keys()].map((nth) => {
    const at = AT.regions1 + nth * 4096;
    return { at, data: valid.slice(at, at + 4096) };
  });
  const bytes = build({ size: MIB, logGuid: GUID.log, log: ring([[0, logEntry({ sequence: 1, tail: 0, changes })]]) });
  bytes.fill(0, AT.regions1, AT.regions2 + 65_536);
  const storage = new RecordingStorage(new MemoryStorage(bytes));
  const disk = await vhdx.open(storage, { ...inlineCodecs, openNamed: () => Promise.reject(new Error("no")) });
  await disk.extentAt(0, MIB);
  assert.deepEqual(storage.of("write", "zero", "truncate", "sync", "reserve"), []);
});

Deno.test("a log in use without a whole entry is refused, and so is editing", async () => {
  await assert.rejects(shown(), { kind: "corrupt" });
  const bytes = build({ size: MIB, logGuid: GUID.log, log: ring([[0, entry(1, 0, [2])]]) });
  await openBytes(bytes);
  const context = {
    ...inlineCodecs,
    compress: false,
    openNamed: () => Promise.reject(new Error("no")),
    openBacking: () => Promise.reject(new Error("no")),
  };
  await assert.rejects(vhdx.edit!(new MemoryStorage(bytes), context), {
    kind: "unsupported",
    message: /check -r all/,
  });
});

Deno.test("entries that claim each other's sectors are refused soon", async () => {
  const logLength = 8 * MIB;
  const valid = build({ size: MIB });
  const [bytes, logAt] = [new Uint8Array(valid.length + logLength), valid.length];
  bytes.set(valid);
  for (const at of [AT.header1, AT.header2]) putHeader(bytes, at, { sequence: 1, logGuid: GUID.log, logAt, logLength });
  const first = logEntry({ sequence: 1, tail: 0, changes: [] });
  new DataView(first.buffer).setUint32(8, logLength, true);
  for (let at = logAt; at < bytes.length; at += 4096) bytes.set(first, at);
  const within = startBounds();
  await assert.rejects(openBytes(bytes), { kind: "corrupt", message: /overlap/ });
  within();
});

Deno.test({
  name: "replays what QEMU wrote into its log as QEMU does",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    const path = folder.file("a.vhdx");
    await qemuImgOk("create", "-q", "-f", "vhdx", "-o", "block_size=1M", path, "20M");
    const before = await Deno.readFile(path);
    await qemuIo(["-f", "vhdx", path], "write -P 3 2M 3M", "write -P 4 9M 512");
    const after = await Deno.readFile(path);
    const logAt = Number(new DataView(after.buffer).getBigUint64(AT.header1 + 72, true));
    // The file as if QEMU had ended before it carried out what its log says: the table as it was, the log in use.
    const last = lastEntry(after.subarray(logAt, logAt + MIB));
    const dirty = after.slice();
    const batAt = batOf(after);
    dirty.set(before.subarray(batAt, batAt + 4096), batAt);
    const guid = guidText(dirty.subarray(logAt + last + 32, logAt + last + 48));
    for (const at of [AT.header1, AT.header2]) {
      putHeader(dirty, at, { sequence: 99, logGuid: guid, logAt });
    }
    await Deno.writeFile(path, dirty);
    const opened = await pathOpened(path);
    const ours = await readAll(opened);
    assert.equal(opened.info["log-in-use"], true);
    await opened[Symbol.asyncDispose]();
    assertBytes(await Deno.readFile(path), dirty);
    await qemuImgOk("check", "-q", "-r", "all", "-f", "vhdx", path);
    assertBytes(ours, await guestBytes(path, "vhdx"));
    assert.equal(ours[9 * MIB], 4);
  },
});

function lastEntry(log: Uint8Array): number {
  const view = new DataView(log.buffer, log.byteOffset);
  const locations = [...Array(256).keys()].map((nth) => nth * 4096).filter((at) => view.getUint32(at) === 0x6c6f6765);
  assert(locations.length > 0, "QEMU left its entries in the log");
  return locations.reduce((a, b) => view.getBigUint64(a + 16, true) > view.getBigUint64(b + 16, true) ? a : b);
}

function batOf(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer);
  const first = view.getUint32(AT.regions1 + 16, true) === 0x2dc27766 ? 0 : 32;
  return Number(view.getBigUint64(AT.regions1 + 16 + first + 16, true));
}

function guidText(bytes: Uint8Array): string {
  const hex = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15].map((at) =>
    bytes[at].toString(16).padStart(2, "0")
  );
  const text = hex.join("");
  return [text.slice(0, 8), text.slice(8, 12), text.slice(12, 16), text.slice(16, 20), text.slice(20)].join("-");
}

Deno.test("a log too long to be held is refused unread", async () => {
  const bytes = build({ size: MIB, logGuid: GUID.log });
  const logLength = 2 ** 32 - MIB;
  for (const at of [AT.header1, AT.header2]) putHeader(bytes, at, { sequence: 1, logGuid: GUID.log, logLength });
  const storage = new MemoryStorage(bytes);
  Object.defineProperty(storage, "size", { value: 2 ** 40 });
  await assert.rejects(openFrom(storage), { kind: "unsupported" });
});
