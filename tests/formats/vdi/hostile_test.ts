import assert from "node:assert/strict";
import type { EditContext, OpenContext } from "../../../formats/contract.ts";
import { ImageError } from "../../../formats/errors.ts";
import { MemoryStorage } from "../../../formats/storage/memory.ts";
import { vdi } from "../../../formats/vdi/mod.ts";
import { inlineCodecs } from "../../support/codecs.ts";
import { startBounds } from "../../support/bounds.ts";
import { type Expected, readExtents, tryHostile, tryVerbs } from "../../support/hostile.ts";
import { rng, rounds, seed } from "../../support/qemu.ts";
import { AT, buildVdi, DISCARDED, FREE, UUID } from "./build.ts";

const context: OpenContext = {
  ...inlineCodecs,
  openNamed: () => Promise.reject(new Error("VDI names no further files")),
};
const BLOCK = 4096;
const SIZE = 5 * BLOCK - 1024;

/** Name, file offset, bytes (as hex), what follows, the message. */
type Row = readonly [string, number, string, Expected, RegExp?];

const hexOf = (bytes: Uint8Array) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
const u32 = (value: number) => hexOf(new Uint8Array(Uint32Array.of(value).buffer));
const u64 = (value: number | bigint) =>
  hexOf(new Uint8Array(BigUint64Array.of(BigInt.asUintN(64, BigInt(value))).buffer));

const blocks = [0, 1].map((index) => rng(index).bytes(BLOCK));
const map = [0, FREE, DISCARDED, 1, FREE];
const image = buildVdi({ type: 1, size: SIZE, blockSize: BLOCK, map, blocks });
const END = image.length;

const rows: readonly Row[] = [
  ["another signature", 64, "00", "corrupt", /signature/],
  ["version 0.1", 68, u32(0x0000_0001), "unsupported", /version is 0\.1/],
  ["version 1.2", 68, u32(0x0001_0002), "unsupported"],
  ["version 2.0", 68, u32(0x0002_0000), "unsupported"],
  ["version 1.0", 68, u32(0x0001_0000), "reads"],
  ["a header of no bytes", 72, u32(0), "corrupt"],
  ["a header of 383 bytes", 72, u32(383), "corrupt"],
  ["a header that reaches into the map", 72, u32(441), "corrupt", /in the header/],
  ["a header of 2^32 - 1 bytes", 72, u32(-1), "corrupt"],
  ["type 0", 76, u32(0), "corrupt"],
  ["type 5", 76, u32(5), "corrupt"],
  ["type 2^32 - 1", 76, u32(-1), "corrupt"],
  ["differencing without a parent", 76, u32(4), "corrupt", /names no parent/],
  ["undo without a parent", 76, u32(3), "corrupt"],
  ["static with free blocks", 76, u32(2), "reads"],
  ["all flags", 80, u32(-1), "reads"],
  ["a comment without an end", 84, "41".repeat(256), "reads"],
  ["a map at the header", 340, u32(0), "corrupt", /in the header/],
  ["a map in the data", 340, u32(AT.data), "corrupt"],
  ["a map past the file", 340, u32(END), "corrupt"],
  ["a map at 2^32 - 1", 340, u32(-1), "corrupt"],
  ["data at the header", 344, u32(0), "corrupt"],
  ["data in the map", 344, u32(AT.map + 16), "corrupt", /in the block map/],
  ["data past the file", 344, u32(END), "corrupt", /past the end of the file/],
  ["data at 2^32 - 1", 344, u32(-1), "corrupt"],
  ["data between sectors", 344, u32(AT.data - 3), "reads"],
  ["sectors of 4096 bytes", 360, u32(4096), "corrupt", /sectors/],
  ["sectors that are not stated", 360, u32(0), "reads"],
  ["a size of one block more than the map has", 368, u64(6 * BLOCK), "corrupt", /5 entries/],
  ["a size of 2^53 - 1", 368, u64(2 ** 53 - 1), "corrupt"],
  ["a size of 2^64 - 1", 368, u64(-1n), "corrupt"],
  ["a size of nothing", 368, u64(0), "reads"],
  ["a size of one byte", 368, u64(1), "reads"],
  ["blocks of no bytes", 376, u32(0), "corrupt"],
  ["blocks of 256 bytes", 376, u32(256), "corrupt"],
  ["blocks of 3 sectors", 376, u32(1536), "corrupt"],
  ["blocks of 2 GiB", 376, u32(2 ** 31), "corrupt", /past the end of the file/],
  ["blocks of 2^32 - 1 bytes", 376, u32(-1), "corrupt"],
  ["smaller blocks than the map is for", 376, u32(2048), "corrupt"],
  ["extra bytes that are no sectors", 380, u32(100), "corrupt"],
  ["extra bytes past the file", 380, u32(2 ** 31), "corrupt"],
  ["a map of no entries", 384, u32(0), "corrupt"],
  ["a map of one entry too few", 384, u32(4), "corrupt"],
  ["a map of 2^32 - 1 entries", 384, u32(-1), "corrupt"],
  ["a map that reaches into the data", 384, u32(129), "corrupt"],
  ["no block allocated, it says", 388, u32(0), "reads"],
  ["2^32 - 1 blocks allocated, it says", 388, u32(-1), "reads"],
  ["no UUID", 392, "00".repeat(16), "reads"],
  ["a parent of itself", 424, hexOf(UUID), "reads"],
  ["a block past the file", AT.map, u32(2), "corrupt", /block 0 .* past the end of the file/],
  ["a block in the highest file block", AT.map, u32(DISCARDED - 1), "corrupt"],
  ["two blocks in one file block", AT.map + 4, u32(0), "reads"],
  ["all blocks discarded", AT.map, u32(DISCARDED).repeat(5), "reads"],
];

for (const [name, at, hex, expected, message] of rows) {
  Deno.test(`hostile VDI: ${name}`, async () => {
    const bytes = image.slice();
    bytes.set(Uint8Array.from(hex.match(/../g)!, (pair) => parseInt(pair, 16)), at);
    await tryHostile(vdi, bytes, expected, message);
  });
}

Deno.test("hostile VDI: files that are too short", async () => {
  for (const length of [0, 1, 64, 68, 511]) {
    await assert.rejects(readExtents(vdi, image.slice(0, length)), { kind: "corrupt" });
  }
});

Deno.test("hostile VDI: a vast sparse file costs neither time nor memory", async () => {
  const head = image.slice(0, AT.map);
  const view = new DataView(head.buffer);
  const entries = 0x3fff_0000;
  view.setUint32(384, entries, true);
  view.setUint32(344, -512, true);
  view.setBigUint64(368, BigInt(entries * BLOCK), true);
  const storage = {
    label: "vast.vdi",
    size: 2 ** 50,
    readAt(into: Uint8Array, fileOffset: number) {
      // Every second block is free.
      for (let at = 0; at < into.length; at++) into[at] = at & 4 ? 0xff : 0;
      if (fileOffset < head.length) into.set(head.subarray(fileOffset, fileOffset + into.length));
      return Promise.resolve();
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const within = startBounds();
  const disk = await vdi.open(storage, context);
  for (let at = 0, count = 0; count < 2000; count++) {
    at = (await disk.extentAt(at, disk.size)).end;
    // Far apart, so that many pages of the map are looked at.
    at += BLOCK * 200_000 - (at % (BLOCK * 2));
  }
  within();
});

Deno.test("hostile VDI: blocks in one file block, or past the end of the file, are not written", async () => {
  const editContext: EditContext = {
    ...inlineCodecs,
    compress: false,
    openNamed: () => Promise.reject(new Error("no further files")),
    openBacking: () => Promise.reject(new Error("no parent")),
  };
  for (const [at, entry] of [[AT.map + 4, 0], [AT.map + 4, 1]] as const) {
    const bytes = image.slice();
    new DataView(bytes.buffer).setUint32(at, entry, true);
    await assert.rejects(vdi.edit!(new MemoryStorage(bytes), editContext), {
      kind: "corrupt",
      message: /another block lies there/,
    });
  }
  const far = buildVdi({ type: 1, size: BLOCK, blockSize: BLOCK, map: [1], blocks });
  await assert.rejects(vdi.edit!(new MemoryStorage(far), editContext), {
    kind: "corrupt",
    message: /there are only 1/,
  });
});

Deno.test("hostile VDI: random damage", async () => {
  const random = rng(seed());
  for (let count = 0; count < rounds(200, 600); count++) {
    const bytes = image.slice();
    const reported: string[] = [];
    for (let poke = random.int(1, 4); poke > 0; poke--) {
      const at = random.chance(0.5) ? random.int(340, 470) : random.int(64, AT.map + 24);
      bytes[at] = random.pick([0, 1, 0x7f, 0x80, 0xff, random.int(256)]);
      reported.push(`${at}=${bytes[at]}`);
    }
    try {
      await readExtents(vdi, bytes);
    } catch (error) {
      assert(error instanceof ImageError, `${reported.join(" ")}: ${error}`);
    }
    if (count % 4 === 0) await tryVerbs(vdi, bytes);
  }
});
