/** Streams that are used again, against `node:zlib` itself. */
import assert from "node:assert/strict";
import * as zlib from "node:zlib";
import { reusedStreams, type Streams, type StreamType } from "../../../formats/codec/zlib_streams.ts";
import { type Rng, rng, seed } from "../../support/qemu.ts";

/** A module whose streams have nothing inside: what `node:zlib` promises, and no more. */
const promised = {
  ...zlib,
  ...Object.fromEntries(
    ["Deflate", "DeflateRaw", "Inflate", "InflateRaw", "ZstdCompress", "ZstdDecompress"]
      .map((name) => [`create${name}`, (options: never) => {
        zlib[`create${name}` as "createDeflate"](options);
        return {};
      }]),
  ),
} as typeof zlib;

const both: readonly (readonly [string, Streams])[] = [
  ["reused", reusedStreams(zlib)],
  ["one for each call", reusedStreams(promised)],
];

const pairs = [
  { compress: "deflate", decompress: "inflate", options: { level: 6, windowBits: 15 } },
  { compress: "deflateRaw", decompress: "inflateRaw", options: { level: 9, windowBits: 12, memLevel: 9 } },
  { compress: "deflateRaw", decompress: "inflateRaw", options: { level: 0, windowBits: 12 } },
  { compress: "zstdCompress", decompress: "zstdDecompress", options: { params: { 100: 3 } } },
  { compress: "zstdCompress", decompress: "zstdDecompress", options: { params: { 100: 9 } } },
] as const;

function unit(random: Rng): Uint8Array {
  const bytes = random.bytes(random.int(1, 70_000));
  for (let count = random.int(4); count > 0; count--) {
    const start = random.int(bytes.length);
    bytes.fill(random.int(256), start, start + random.int(bytes.length));
  }
  return bytes;
}

for (const [name, run] of both) {
  Deno.test(`streams, ${name}: what is compressed is decompressed, by these and by node:zlib`, () => {
    const random = rng(seed());
    for (let turn = 0; turn < 100; turn++) {
      const { compress, decompress, options } = random.pick(pairs);
      const plain = unit(random);
      const into = new Uint8Array(new SharedArrayBuffer(2 * plain.length + 1000));
      const compressed = into.slice(0, run(compress, options, plain, into));
      assert.deepEqual(new Uint8Array(zlib[`${decompress}Sync`](compressed)), plain);
      const back = new Uint8Array(plain.length);
      assert.equal(run(decompress, {}, compressed, back), plain.length);
      assert.deepEqual(back, plain);
      assert.equal(
        run(decompress, {}, compressed, new Uint8Array(plain.length + 9)),
        plain.length,
        "more room than needed",
      );
      assert.equal(run(decompress, {}, compressed, back.subarray(1)), -1, "too little room");
      assert.equal(
        run(compress, options, plain, into.subarray(0, compressed.length - 1)),
        -1,
        "too little room for compression",
      );
    }
  });

  Deno.test(`streams, ${name}: damaged ones are refused, and spoil nothing`, () => {
    const random = rng(seed());
    let refused = 0;
    for (let turn = 0; turn < 120; turn++) {
      const { compress, decompress, options } = random.pick(pairs);
      const plain = unit(random);
      const compressed: Uint8Array = new Uint8Array(zlib[`${compress}Sync`](plain, options));
      const damaged = compressed.slice();
      damaged[random.int(damaged.length)] ^= 1 << random.int(8);
      const back = new Uint8Array(plain.length);
      const length = run(decompress, {}, damaged, back);
      assert.equal(length, expected(decompress, damaged, back.length), `turn ${turn}: ${decompress}`);
      if (length < 0) refused++;
      assert.equal(run(decompress, {}, compressed, back), plain.length);
      assert.deepEqual(back, plain);
    }
    assert.ok(refused > 10, `${refused} refused`);
  });

  Deno.test(`streams, ${name}: unknown options are refused`, () => {
    assert.throws(() => run("deflateRaw", { windowBits: 99 }, new Uint8Array(9), new Uint8Array(9)), /windowBits/);
  });
}

/** What `node:zlib` gives with a stream for each call. */
function expected(kind: StreamType, compressed: Uint8Array, room: number): number {
  const finishFlush = kind === "zstdDecompress" ? zlib.constants.ZSTD_e_end : zlib.constants.Z_SYNC_FLUSH;
  try {
    return zlib[`${kind}Sync` as "inflateSync"](compressed, { maxOutputLength: room, finishFlush }).length;
  } catch {
    return -1;
  }
}

Deno.test("a stream gives the same bytes whatever went through it before", () => {
  const random = rng(seed());
  const units = Array.from({ length: 30 }, () => unit(random));
  const used = reusedStreams(zlib);
  for (const { compress, options } of pairs) {
    for (const plain of units) {
      const [first, second] = [used, reusedStreams(zlib)].map((run) => {
        const into = new Uint8Array(2 * plain.length + 1000);
        return into.subarray(0, run(compress, options, plain, into));
      });
      assert.deepEqual(first, second);
    }
  }
});
