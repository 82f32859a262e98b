/** Compressed clusters: their size beside that of the zlib that qemu-img uses, and their content as read by other decompressors. */
import assert from "node:assert/strict";
import * as zlib from "node:zlib";
import { type Codec, compressBound, inlineCompressor, levelFor, sampled } from "../../../formats/codec/compress.ts";
import { reusedStreams } from "../../../formats/codec/zlib_streams.ts";
import { type Rng, rng, rounds, seed } from "../../support/qemu.ts";

const UNIT = 65_536;
const run = reusedStreams(zlib);
const level = (unit: Uint8Array, windowBits = 12) =>
  levelFor(run, windowBits, unit, new Uint8Array(compressBound(unit.length)));

function text(random: Rng, length: number): Uint8Array {
  const words = "the a disk image of cluster with and table entry is in sector header offset to".split(" ");
  let line = "";
  while (line.length < length) line += `${random.pick(words)} ${random.int(1000)} ${random.pick(words)}\n`;
  return new TextEncoder().encode(line).subarray(0, length);
}

/** `copies` are repetitions of what came at most 3,000 bytes before, with `between` random bytes between. */
function repeating(random: Rng, copies: number, between: number): Uint8Array {
  const bytes = random.bytes(UNIT);
  for (let at = 4000; at + between + copies < UNIT; at += between + copies) {
    const from = at - random.int(copies, 3000);
    bytes.copyWithin(at, from, from + copies);
  }
  return bytes;
}

Deno.test("what looks random is not compressed, unless something in it repeats", () => {
  const random = rng(seed());
  for (let turn = 0; turn < 20; turn++) assert.equal(level(random.bytes(UNIT)), 0);
  const compressed = zlib.gzipSync(text(random, 1 << 20)).subarray(1000, 1000 + UNIT);
  assert.equal(level(compressed), 0, "compressed already");
  const block = random.bytes(4096);
  const blocks = new Uint8Array(UNIT);
  for (let at = 0; at < UNIT; at += 4096) blocks.set(block, at);
  assert.ok(level(blocks) > 0, "one block again and again");
  for (const [copies, between] of [[4, 12], [8, 40], [100, 1000]]) {
    assert.ok(level(repeating(random, copies, between)) > 0, `${copies} bytes repeat every ${copies + between}`);
  }
  const mixed = random.bytes(UNIT);
  mixed.set(text(random, 16_384), 20_000);
  assert.ok(level(mixed) > 0, "a quarter of it is text");
  const twice = random.bytes(UNIT);
  twice.copyWithin(40_000, 10_000, 34_000);
  assert.equal(level(twice, 12), 0, "a repetition too far away for the window");
  assert.ok(level(twice, 15) > 0, "a repetition for a window of 32 KiB");
});

Deno.test("text and programs get the levels that suit them", () => {
  const random = rng(seed());
  assert.equal(level(text(random, UNIT)), 6);
  assert.equal(level(new Uint8Array(UNIT)), 9);
  assert.deepEqual(sampled(text(random, 100)), { random: false, text: true });
});

Deno.test("units that look random and are left as they are lose next to nothing", () => {
  const random = rng(seed());
  const found = { tried: 0, left: 0, bytes: 0 };
  for (let turn = 0; turn < rounds(50, 100); turn++) {
    // Random bytes, some of them from a smaller alphabet, with copies strewn in.
    const unit = random.bytes(UNIT);
    const alphabet = random.int(50, 256);
    for (let count = random.int(UNIT / 16); count > 0; count--) unit[random.int(UNIT)] %= alphabet;
    const longest = random.pick([8, 60, 500, 3000]);
    for (let left = random.int(2000); left > 0;) {
      const length = random.int(3, longest);
      const to = random.int(4000, UNIT - length);
      const from = to - random.int(length, 3800);
      unit.copyWithin(to, from, from + length);
      left -= length;
    }
    if (!sampled(unit).random) continue;
    found.tried++;
    const compressed = zlib.deflateRawSync(unit, { windowBits: 12, level: 9, memLevel: 9 }).length;
    if (level(unit) > 0) continue;
    found.left++;
    found.bytes += Math.max(0, UNIT - compressed);
  }
  assert.ok(found.left > found.tried / 10 && found.left < found.tried * 0.9, JSON.stringify(found));
  assert.ok(
    found.bytes < found.tried * UNIT / 100,
    `they would take ${found.bytes} bytes less: ${JSON.stringify(found)}`,
  );
});

Deno.test("where every unit must be a stream, one that does not get smaller is stored in it", async () => {
  const random = rng(seed());
  for (const level of [-1, 1, 6, 9]) {
    const codec: Codec = { name: "zlib", windowBits: 15, level, stores: true };
    for (const length of [1, 4096, 65_536, 1 << 20]) {
      const unit = random.bytes(length);
      const stream = await inlineCompressor(codec, unit);
      assert.ok(stream && stream.length <= length + length / 512 + 64, `${stream?.length} of ${length}`);
      assert.deepEqual(new Uint8Array(zlib.inflateSync(stream)), unit);
    }
  }
});

Deno.test("every level of every codec compress, and what it gives is decompressed", async () => {
  const unit = text(rng(seed()), UNIT);
  const sizes: Record<string, number[]> = { deflate: [], zlib: [], zstd: [] };
  for (let level = 1; level <= 22; level++) {
    const codecs: Codec[] = [{ name: "zstd", level }];
    if (level <= 9) codecs.push({ name: "deflate", windowBits: 12, level }, { name: "zlib", windowBits: 15, level });
    for (const codec of codecs) {
      const compressed = await inlineCompressor(codec, unit);
      assert.ok(compressed);
      const decompress =
        { deflate: zlib.inflateRawSync, zlib: zlib.inflateSync, zstd: zlib.zstdDecompressSync }[codec.name];
      assert.deepEqual(new Uint8Array(decompress(compressed)), unit);
      sizes[codec.name].push(compressed.length);
    }
  }
  for (const [name, found] of Object.entries(sizes)) {
    assert.ok(new Set(found).size > 4, `${name}: levels differ: ${found}`);
    assert.ok(Math.min(...found) < found[0], `${name}: the first is not the best: ${found}`);
  }
});
