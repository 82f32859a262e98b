import assert from "node:assert/strict";
import type { OpenContext } from "../../../formats/contract.ts";
import { ImageError } from "../../../formats/errors.ts";
import { MemoryStorage } from "../../../formats/storage/memory.ts";
import { vpc } from "../../../formats/vpc/mod.ts";
import { inlineCodecs } from "../../support/codecs.ts";
import { startBounds } from "../../support/bounds.ts";
import { type Expected, readExtents, tryHostile, tryVerbs } from "../../support/hostile.ts";
import { rng, rounds, seed } from "../../support/qemu.ts";
import { AT, buildVhd, seal, utf16, UUID } from "./build.ts";

const context: OpenContext = {
  ...inlineCodecs,
  openNamed: () => Promise.reject(new Error("VHD names no further files")),
};
const BLOCK = 4096;
const SIZE = 5 * BLOCK - 1024;

/** Name, where to poke (structure and byte in it), bytes (as hex), what follows, the message. */
type Row = readonly [string, "footer" | "header" | "table" | "file", number, string, Expected, RegExp?];

const u16 = (value: number) => value.toString(16).padStart(4, "0");
const u32 = (value: number) => (value >>> 0).toString(16).padStart(8, "0");
const u64 = (value: number | bigint) => BigInt.asUintN(64, BigInt(value)).toString(16).padStart(16, "0");

const blocks = [0, 3].map((index) => ({ index, bitmap: 0xff, data: rng(index).bytes(BLOCK) }));
const locators = [["W2ru", utf16(".\\parent.vhd", "little")]] as const;
const images = {
  fixed: buildVhd({ type: 2, size: SIZE, data: rng(1).bytes(SIZE) }),
  dynamic: buildVhd({ type: 3, size: SIZE, blockSize: BLOCK, blocks }),
  differencing: buildVhd({ type: 4, size: SIZE, blockSize: BLOCK, blocks, parent: { uuid: UUID, locators } }),
};
const END = images.dynamic.length;

const fixedRows: readonly Row[] = [
  ["a size of one sector more than the file has", "footer", 48, u64(SIZE + 512), "corrupt", /has \d+ bytes of data/],
  ["a size of 2^40", "footer", 48, u64(2 ** 40), "corrupt"],
  ["a size of 2^64 - 1", "footer", 48, u64(-1n), "corrupt", /above 2\^53/],
  ["a size of nothing", "footer", 48, u64(0), "reads"],
  ["an odd size", "footer", 48, u64(SIZE - 100), "reads"],
  ["an original size of 2^64 - 1", "footer", 40, u64(-1n), "reads"],
  ["a geometry larger than the file", "footer", 56, u16(60000) + "10ff", "reads"],
  ["another file format version", "footer", 12, u32(0x20000), "unsupported", /version is 2/],
  ["a later minor version", "footer", 12, u32(0x10001), "reads"],
  ["disk type 0", "footer", 60, u32(0), "unsupported"],
  ["disk type 1", "footer", 60, u32(1), "unsupported"],
  ["disk type 5", "footer", 60, u32(5), "unsupported"],
  ["disk type 2^32 - 1", "footer", 60, u32(-1), "unsupported"],
  ["a fixed image that says it is dynamic", "footer", 60, u32(3), "corrupt"],
  ["reserved bits of the features", "footer", 8, u32(-1), "reads"],
  ["a saved state", "footer", 84, "ff", "reads"],
  ["no mark", "footer", 0, "00", "corrupt", /no footer at its end/],
];

const dynamicRows: readonly Row[] = [
  ["a size that the table does not cover", "footer", 48, u64(6 * BLOCK), "corrupt", /5 entries/],
  ["a size of 2^53 - 1", "footer", 48, u64(2 ** 53 - 1), "corrupt"],
  ["the dynamic header at 2^64 - 1", "footer", 16, u64(-1n), "corrupt"],
  ["the dynamic header past the file", "footer", 16, u64(END), "corrupt"],
  ["the dynamic header cut off by the end of the file", "footer", 16, u64(END - 1023), "corrupt"],
  ["the dynamic header in the footer copy", "footer", 16, u64(0), "corrupt"],
  ["the dynamic header in the data", "footer", 16, u64(AT.table), "corrupt"],
  ["a dynamic image that says it is fixed", "footer", 60, u32(2), "corrupt"],
  ["a dynamic image that says it is differencing", "footer", 60, u32(4), "reads"],
  ["another mark of the header", "header", 0, "00", "corrupt", /cxsparse/],
  ["another version of the header", "header", 24, u32(0x20000), "unsupported"],
  ["a table at 2^64 - 1", "header", 16, u64(-1n), "corrupt"],
  ["a table past the file", "header", 16, u64(END), "corrupt", /past the end of the file/],
  ["a table that the file cuts off", "header", 16, u64(END - 8), "corrupt"],
  ["a table in the footer copy", "header", 16, u64(0), "corrupt", /overlaps/],
  ["a table in the dynamic header", "header", 16, u64(AT.header + 512), "corrupt", /overlaps/],
  ["a table of no entries", "header", 28, u32(0), "corrupt"],
  ["a table of one entry too few", "header", 28, u32(4), "corrupt"],
  ["a table of 2^32 - 1 entries, most of them unused", "header", 28, u32(-1), "reads"],
  ["blocks of no bytes", "header", 32, u32(0), "corrupt"],
  ["blocks of 256 bytes", "header", 32, u32(256), "corrupt"],
  ["blocks of 3 sectors", "header", 32, u32(1536), "corrupt"],
  ["blocks of 2 GiB", "header", 32, u32(2 ** 31), "corrupt"],
  ["blocks of 2^32 - 1 bytes", "header", 32, u32(-1), "corrupt"],
  ["smaller blocks than the table is for", "header", 32, u32(2048), "corrupt"],
  ["a further structure", "header", 8, u64(1), "reads"],
  ["a block past the file", "table", 0, u32(END / 512), "corrupt", /block 0 .* past the end of the file/],
  ["a block at 2 TiB", "table", 0, u32(-2), "corrupt"],
  ["a block that the file cuts off", "table", 0, u32((END - BLOCK) / 512), "corrupt"],
  // The sectors that its bitmap states lie before the footer.
  ["a block that ends in the footer", "table", 0, u32((END - BLOCK - 512) / 512), "reads"],
  ["a block in the footer copy", "table", 0, u32(0), "corrupt", /in the footer copy/],
  ["a block in the dynamic header", "table", 4, u32(1), "corrupt", /in the dynamic disk header/],
  ["a block in the table", "table", 4, u32(AT.table / 512), "corrupt", /in the block allocation table/],
  ["two blocks with one location", "table", 4, u32(AT.table / 512 + 1), "reads"],
  ["a block that laps over another", "table", 4, u32(AT.table / 512 + 2), "reads"],
  ["an empty bitmap", "file", AT.table + 512, "00", "reads"],
];

const parentRows: readonly Row[] = [
  ["a locator past the file", "header", 576 + 16, u64(END * 2), "corrupt", /parent locator "W2ru"/],
  ["a locator at 2^64 - 1", "header", 576 + 16, u64(-1n), "corrupt"],
  ["a locator of 2^32 - 1 bytes", "header", 576 + 8, u32(-1), "corrupt"],
  ["a locator of no bytes", "header", 576 + 8, u32(0), "reads"],
  ["a locator of an odd length", "header", 576 + 8, u32(7), "reads"],
  ["a locator in the header itself", "header", 576 + 16, u64(AT.header), "reads"],
  ["a locator of an unknown platform", "header", 576, "ffffffff", "reads"],
  ["half a surrogate pair in the name", "header", 64, "d8000000", "reads"],
  ["a name without an end", "header", 64, "0041".repeat(256), "reads"],
  ["a parent of itself", "header", 40, "101112131415161718191a1b1c1d1e1f", "reads"],
];

for (
  const [name, rows] of [["fixed", fixedRows], ["dynamic", dynamicRows], ["differencing", parentRows]] as const
) {
  for (const row of rows) {
    Deno.test(`hostile ${name} VHD: ${row[0]}`, () => {
      const [_name, _where, _at, _hex, expected, message] = row;
      return tryHostile(vpc, poked(images[name], row), expected, message);
    });
  }
}

function poked(image: Uint8Array, [_name, where, at, hex]: Row): Uint8Array {
  const bytes = image.slice();
  const poke = Uint8Array.from(hex.match(/../g)!, (pair) => parseInt(pair, 16));
  const isFixed = image === images.fixed;
  if (where === "footer") {
    for (const start of isFixed ? [bytes.length - 512] : [0, bytes.length - 512]) {
      bytes.set(poke, start + at);
      seal(bytes.subarray(start, start + 512), 64);
    }
  } else if (where === "header") {
    bytes.set(poke, AT.header + at);
    seal(bytes.subarray(AT.header, AT.header + 1024), 36);
  } else {
    bytes.set(poke, at + (where === "table" ? AT.table : 0));
  }
  return bytes;
}

Deno.test("hostile VHD: files that are too short", async () => {
  for (const length of [0, 1, 8, 510, 511]) {
    await assert.rejects(readExtents(vpc, images.dynamic.slice(0, length)), { kind: "corrupt" });
  }
});

Deno.test("hostile VHD: a vast sparse file costs neither time nor memory", async () => {
  const size = 2 ** 32 * 512 - 512;
  const image = buildVhd({ type: 3, size: BLOCK, blockSize: 512 });
  const head = image.slice(0, AT.table);
  // A table of 2^32 - 1 entries, every block at one location, every second bit of its bitmap set.
  new DataView(head.buffer).setBigUint64(48, BigInt(size));
  seal(head.subarray(0, 512), 64);
  new DataView(head.buffer).setUint32(AT.header + 28, -1);
  seal(head.subarray(AT.header, AT.header + 1024), 36);
  const storage = {
    label: "vast.vhd",
    size: 2 ** 50,
    readAt(into: Uint8Array, fileOffset: number) {
      into.fill(0x55);
      if (fileOffset < head.length) into.set(head.subarray(fileOffset, fileOffset + into.length));
      return Promise.resolve();
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const within = startBounds();
  const disk = await vpc.open(storage, context);
  assert.equal(disk.size, size);
  for (let at = 0, count = 0; at < size && count < 2000; count++) at = (await disk.extentAt(at, size)).end;
  within();
});

Deno.test("hostile VHD: blocks over one another are not written", async () => {
  const editContext = {
    ...inlineCodecs,
    compress: false,
    openNamed: () => Promise.reject(new Error("no further files")),
    openBacking: () => Promise.reject(new Error("no parent")),
  };
  for (const location of [AT.table / 512 + 1, AT.table / 512 + 2]) {
    const bytes = images.dynamic.slice();
    new DataView(bytes.buffer).setUint32(AT.table + 4, location);
    await assert.rejects(vpc.edit!(new MemoryStorage(bytes), editContext), { kind: "corrupt", message: /overlap/ });
  }
});

Deno.test("hostile VHD: random damage with right checksums", async () => {
  const random = rng(seed());
  for (let count = 0; count < rounds(200, 600); count++) {
    const bytes = random.pick([images.dynamic, images.differencing, images.fixed]).slice();
    const reported: string[] = [];
    for (let poke = random.int(1, 5); poke > 0; poke--) {
      const at = random.int(Math.min(bytes.length, 2200));
      bytes[at] = random.pick([0, 1, 0x7f, 0x80, 0xff, random.int(256)]);
      reported.push(`${at}=${bytes[at]}`);
    }
    seal(bytes.subarray(0, 512), 64);
    bytes.copyWithin(bytes.length - 512, 0, 512);
    seal(bytes.subarray(AT.header, AT.header + 1024), 36);
    try {
      await readExtents(vpc, bytes);
    } catch (error) {
      assert(error instanceof ImageError, `${reported.join(" ")}: ${error}`);
    }
    if (count % 4 === 0) await tryVerbs(vpc, bytes);
  }
});
