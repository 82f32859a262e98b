import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { type ErrorKind, ImageError } from "../../../formats/errors.ts";
import type { Storage } from "../../../formats/storage/types.ts";
import { vmdk } from "../../../formats/vmdk/mod.ts";
import { inlineCodecs } from "../../support/codecs.ts";
import { startBounds } from "../../support/bounds.ts";
import { rng, rounds, seed } from "../../support/qemu.ts";
import { type Built, cowd, descriptor, encode, type Grain, SECTOR, seSparse, sparse } from "./build.ts";
import { bytesOf, type Files, openFiles } from "./support.ts";

/** The most guest bytes that are read: the size field may say anything. */
const MOST = 4 << 20;

/** What a poke leads to: a failure of this kind, or a read without one. */
type Expected = ErrorKind | "reads";
/** Name, file offset, bytes (as hex), what follows. */
type Row = readonly [string, number, string, Expected];

const GRAINS: readonly Grain[] = [1, null, 2, 3, null, "zero", 4];
const u32 = (value: number) => Buffer.from(Uint32Array.of(value).buffer).toString("hex");
const u64 = (value: number | bigint) => {
  return Buffer.from(BigUint64Array.of(BigInt.asUintN(64, BigInt(value))).buffer).toString("hex");
};

const text = descriptor("monolithicSparse", ['RW 112 SPARSE "a.vmdk"']);
const plain: Built = sparse(GRAINS, { version: 2, flags: 5, descriptor: text });
const compressed: Built = sparse([1, null, 2, 3, null, null, 4], {
  version: 3,
  compressed: "stream",
  descriptor: text,
});
const end = plain.bytes.length / SECTOR;
const footer = compressed.bytes.length - 2 * SECTOR;

const plainRows: readonly Row[] = [
  ["another magic", 0, "00", "corrupt"],
  ["version 0", 4, u32(0), "unsupported"],
  ["version 4", 4, u32(4), "unsupported"],
  ["version 2^32 - 1", 4, u32(-1), "unsupported"],
  ["line ends of a transfer as text", 73, "0d0a", "corrupt"],
  ["all flags that have no meaning", 8, u32(0x7ff8fff5), "reads"],
  ["compressed grains without an algorithm", 8, u32(0x10005), "corrupt"],
  ["no flags: a table entry of 1 is the descriptor", 8, u32(1), "reads"],
  ["no bytes", 12, u64(0), "reads"],
  ["a capacity past its tables' file", 12, u64(2 ** 30), "corrupt"],
  ["a capacity of 2^44 sectors", 12, u64(2 ** 44), "corrupt"],
  ["a capacity of 2^44 - 1 sectors", 12, u64(2 ** 44 - 1), "unsupported"],
  ["a capacity of 2^64 - 1", 12, u64(-1n), "corrupt"],
  ["a capacity smaller than the descriptor says", 12, u64(20), "reads"],
  ["grains of no sectors", 20, u64(0), "corrupt"],
  ["grains of 3 sectors", 20, u64(3), "corrupt"],
  ["grains of 64 MiB", 20, u64(2 ** 17), "unsupported"],
  ["grains of 2^43 sectors", 20, u64(2 ** 43), "unsupported"],
  ["grains of 2^64 - 1 sectors", 20, u64(-1n), "corrupt"],
  ["grains of 32 MiB", 20, u64(2 ** 16), "corrupt"],
  ["a descriptor past the file", 28, u64(end), "corrupt"],
  ["a descriptor far away", 28, u64(2 ** 43), "corrupt"],
  ["a descriptor at 2^64 - 1", 28, u64(-1n), "corrupt"],
  ["no descriptor", 28, u64(0), "reads"],
  ["a descriptor of a gigabyte", 36, u64(2 ** 21), "corrupt"],
  ["the header as descriptor", 28, u64(0) + u64(1), "reads"],
  ["data as descriptor", 28, u64(plain.firstGrain / SECTOR), "corrupt"],
  ["tables without entries", 44, u32(0), "corrupt"],
  ["tables of 4097 entries", 44, u32(4097), "corrupt"],
  ["tables of 2^32 - 1 entries", 44, u32(-1), "corrupt"],
  ["tables that end past the file", 44, u32(4096), "corrupt"],
  ["a redundant directory far away, which no reader needs", 48, u64(2 ** 40), "reads"],
  ["the directory at the header", 56, u64(0), "corrupt"],
  ["the directory past the file", 56, u64(end), "corrupt"],
  ["the directory far away", 56, u64(2 ** 43), "corrupt"],
  ["the directory at the end, and no footer", 56, u64(-1n), "corrupt"],
  ["an unclean extent", 72, "01", "reads"],
  ["an unknown algorithm", 77, "0200", "unsupported"],
  ["an algorithm, but no compressed grains", 77, "0100", "reads"],
  ["a table past the file", plain.directory, u32(end), "corrupt"],
  ["a table that ends past the file", plain.directory, u32(end - 1), "corrupt"],
  ["a table at 2^32 - 1", plain.directory, u32(-1), "corrupt"],
  ["the header as a table", plain.directory, u32(0), "reads"],
  ["a table entry of 1 in the directory", plain.directory, u32(1), "reads"],
  ["the directory as a table", plain.directory, u32(plain.directory / SECTOR), "corrupt"],
  ["a grain past the file", plain.table, u32(end), "corrupt"],
  ["a grain that ends past the file", plain.table, u32(end - 1), "corrupt"],
  ["a grain at 2^32 - 1", plain.table, u32(-1), "corrupt"],
  ["a table as a grain", plain.table, u32(plain.table / SECTOR - 16), "reads"],
  ["one grain as two", plain.table + 4, u32(plain.firstGrain / SECTOR), "reads"],
];

const compressedRows: readonly Row[] = [
  // The grains are found by their markers.
  ["a footer of another magic", footer, "00", "reads"],
  ["a footer of another version", footer + 4, u32(9), "unsupported"],
  ["a footer of another capacity", footer + 12, u64(2 ** 30), "corrupt"],
  ["a footer of another grain size", footer + 20, u64(32), "corrupt"],
  ["a footer that does not tell the directory", footer + 56, u64(-1n), "corrupt"],
  ["a footer with its directory past the file", footer + 56, u64(compressed.bytes.length / SECTOR), "corrupt"],
  ["another end-of-stream marker", footer + SECTOR, u64(-1n), "reads"],
  ["a stream of no bytes", compressed.firstGrain + 8, u32(0), "corrupt"],
  ["a stream of 2^32 - 1 bytes", compressed.firstGrain + 8, u32(-1), "corrupt"],
  ["a stream that ends past the file", compressed.firstGrain + 8, u32(17_000), "corrupt"],
  ["a stream that is cut short", compressed.firstGrain + 8, u32(9), "corrupt"],
  ["a stream that begins wrong", compressed.firstGrain + 12, "ffff", "corrupt"],
  ["a stream that names another level", compressed.firstGrain + 12, "7801", "reads"],
  ["another guest sector in a marker", compressed.firstGrain, u64(-1n), "reads"],
  ["a marker as a grain", compressed.table, u32(compressed.table / SECTOR - 1), "corrupt"],
  ["a grain in the last sector", compressed.table, u32(compressed.bytes.length / SECTOR - 1), "corrupt"],
  ["no markers", 8, u32(0x10001), "reads"],
];

const cowdImage = cowd([1, null, 2]);
const cowdRows: readonly Row[] = [
  ["version 2", 4, u32(2), "unsupported"],
  ["a capacity past its directory", 12, u32(-1), "corrupt"],
  ["grains of no sectors", 16, u32(0), "corrupt"],
  ["grains of 3 sectors", 16, u32(3), "corrupt"],
  ["grains of 2^31 sectors", 16, u32(2 ** 31), "corrupt"],
  ["the directory at the header", 20, u32(0), "corrupt"],
  ["the directory past the file", 20, u32(-1), "corrupt"],
  ["a directory without entries", 24, u32(0), "corrupt"],
  ["a table past the file", 2048, u32(-1), "corrupt"],
  ["a grain past the file", 2048 + SECTOR, u32(-1), "corrupt"],
  ["a grain in the last sector", 2048 + SECTOR, u32(cowdImage.length / SECTOR - 1), "reads"],
];

const seImage = seSparse([1, "zero", "unmapped", null, 2]);
const seTable = 8 * SECTOR;
const seRows: readonly Row[] = [
  ["another magic", 0, "00", "corrupt"],
  ["version 2.2", 8, u32(2), "unsupported"],
  ["version 3.1", 12, u32(3), "corrupt"],
  ["a capacity past its directory", 16, u64(2 ** 40), "corrupt"],
  ["a capacity of 2^64 - 1", 16, u64(-1n), "corrupt"],
  ["grains of 16 sectors", 24, u64(16), "unsupported"],
  ["tables of 2^40 sectors", 32, u64(2 ** 40), "unsupported"],
  ["the volatile header past the file", 80, u64(2 ** 40), "corrupt"],
  ["no volatile header", 80, u64(0), "corrupt"],
  ["a journal to be replayed", SECTOR + 24, "01", "unsupported"],
  ["the directory past the file", 128, u64(2 ** 40), "corrupt"],
  ["a directory without room", 136, u64(0), "corrupt"],
  ["tables past the file", 144, u64(2 ** 40), "corrupt"],
  ["a region for tables without room", 152, u64(0), "corrupt"],
  ["grains past the file", 192, u64(2 ** 40), "corrupt"],
  ["a directory entry of another kind", 2 * SECTOR + 7, "20", "corrupt"],
  ["a table number past the region", 2 * SECTOR, u32(1), "corrupt"],
  ["a table number of 2^32 - 1", 2 * SECTOR, u32(-1), "corrupt"],
  ["an entry of kind 0 with a number", seTable + 7, "00", "corrupt"],
  ["an entry of kind 4", seTable + 7, "40", "corrupt"],
  ["an entry of kind 15", seTable, u64(-1n), "corrupt"],
  ["a grain number of 2^60 - 1", seTable, u64(0x3fffffffffffffffn), "corrupt"],
];

const flat = new Uint8Array(8 * SECTOR).fill(9);
const lines = (...extents: string[]) => descriptor("custom", extents);
/** Name, text, what follows. */
const textRows: readonly (readonly [string, string, Expected])[] = [
  ["an extent as it should be", lines('RW 8 FLAT "b.bin" 0'), "reads"],
  ["nothing but a version", "version=1\n", "corrupt"],
  ["nothing but a kind", 'version=1\ncreateType="monolithicFlat"\n', "reads"],
  ["no version", "CID=1\nRW 8 ZERO\n", "corrupt"],
  ["version 4", lines("RW 8 ZERO").replace("version=1", "version=4"), "unsupported"],
  ["a version of many digits", lines("RW 8 ZERO").replace("version=1", `version=${"9".repeat(9999)}`), "unsupported"],
  ["a CID that is no number", lines("RW 8 ZERO").replace("1a2b3c4d", "worse"), "corrupt"],
  ["a CID of nine digits", lines("RW 8 ZERO").replace("1a2b3c4d", "123456789"), "corrupt"],
  ["a parent without a name", lines("RW 8 ZERO").replace("ffffffff", "12345678"), "corrupt"],
  ["an extent without a size", lines("RW"), "corrupt"],
  ["an extent with a negative size", lines("RW -8 ZERO"), "corrupt"],
  ["an extent of 2^53 sectors", lines("RW 9007199254740992 ZERO"), "corrupt"],
  ["an extent of 2^44 sectors", lines("RW 17592186044416 ZERO"), "corrupt"],
  ["extents that pass 2^53 bytes together", lines("RW 17592186044415 ZERO", "RW 1 ZERO"), "corrupt"],
  ["an extent without a type", lines("RW 8"), "corrupt"],
  ["an unknown type", lines('RW 8 QUILT "b.bin"'), "unsupported"],
  ["a physical disk", lines('RW 8 VMFSRDM "b.bin"'), "unsupported"],
  ["a flat extent without a name", lines("RW 8 FLAT"), "corrupt"],
  ["a flat extent with an empty name", lines('RW 8 FLAT "" 0'), "corrupt"],
  ["a flat extent whose file is not there", lines('RW 8 FLAT "c.bin" 0'), "missing"],
  ["a flat extent longer than its file", lines('RW 9 FLAT "b.bin" 0'), "corrupt"],
  ["a flat extent that begins past its file", lines('RW 8 FLAT "b.bin" 1'), "corrupt"],
  ["a flat extent at 2^44 sectors", lines('RW 8 FLAT "b.bin" 17592186044416'), "corrupt"],
  ["an offset that is no number", lines('RW 8 FLAT "b.bin" x'), "corrupt"],
  ["a sparse extent that is none", lines('RW 8 SPARSE "b.bin"'), "corrupt"],
  ["a sparse extent in the descriptor itself", lines('RW 8 SPARSE "a.vmdk"'), "corrupt"],
  ["a sparse extent longer than its file says", lines('RW 113 SPARSE "c.vmdk"'), "corrupt"],
  ["a sparse extent that is shorter", lines('RW 100 SPARSE "c.vmdk"'), "reads"],
  ["a quote that does not end", lines('RW 8 FLAT "b.bin 0'), "corrupt"],
  ["33000 extents", lines(...Array(33_000).fill("RW 1 ZERO")), "unsupported"],
  ["a line of four megabytes", `version=1\n${"x ".repeat(2 << 20)}`, "corrupt"],
  ["a line of spaces", `version=1\nRW 1 ZERO\n${" ".repeat(3 << 20)}x`, "reads"],
  ["three million empty lines", `version=1\nRW 1 ZERO${"\n".repeat(3 << 20)}`, "reads"],
  ["400000 keys", `version=1\nRW 1 ZERO\n${Array.from({ length: 4e5 }, (_, at) => `k${at}=`).join("\n")}`, "reads"],
];

/** Opens the image and reads what it offers; says how it went. */
async function outcome(files: Files): Promise<Expected> {
  const within = startBounds();
  const found = await tryOnce(files);
  within();
  return found;
}

async function tryOnce(files: Files): Promise<Expected> {
  try {
    const disk = await openFiles({ ...files, "b.bin": flat, "c.vmdk": plain.bytes });
    await bytesOf(disk, MOST);
    JSON.stringify(disk.info);
    return "reads";
  } catch (error) {
    if (!(error instanceof ImageError)) throw error;
    assert.match(error.message, /^[A-Z][^\n]*[^.\n]$/);
    assert.match(error.message, /a\.vmdk|s\.vmdk|b\.bin|c\.vmdk|c\.bin/);
    return error.kind;
  }
}

function poked(image: Uint8Array, at: number, hex: string): Uint8Array {
  const bytes = image.slice();
  bytes.set(Buffer.from(hex, "hex"), at);
  return bytes;
}

for (
  const [part, image, rows] of [
    ["sparse", plain.bytes, plainRows],
    ["stream", compressed.bytes, compressedRows],
    ["COWD", cowdImage, cowdRows],
  ] as const
) {
  for (const [name, at, hex, expected] of rows) {
    Deno.test(`hostile vmdk, ${part}: ${name}: ${expected}`, async () => {
      assert.equal(await outcome({ "a.vmdk": poked(image, at, hex) }), expected);
    });
  }
}

for (const [name, at, hex, expected] of seRows) {
  Deno.test(`hostile vmdk, seSparse: ${name}: ${expected}`, async () => {
    const files = { "a.vmdk": encode(lines('RW 40 SESPARSE "s.vmdk"')), "s.vmdk": poked(seImage, at, hex) };
    assert.equal(await outcome(files), expected);
  });
}

for (const [name, bytes, expected] of textRows) {
  Deno.test(`hostile vmdk, descriptor: ${name}: ${expected}`, async () => {
    assert.equal(await outcome({ "a.vmdk": encode(bytes) }), expected);
  });
}

Deno.test("the images that are poked read when they are not", async () => {
  for (const bytes of [plain.bytes, compressed.bytes, cowdImage]) {
    assert.equal(await outcome({ "a.vmdk": bytes }), "reads");
  }
  const files = { "a.vmdk": encode(lines('RW 40 SESPARSE "s.vmdk"')), "s.vmdk": seImage };
  assert.equal(await outcome(files), "reads");
});

Deno.test("a text descriptor of a gigabyte is refused without reading it", async () => {
  let most = 0;
  const head = encode("# Disk DescriptorFile\nversion=1\n");
  const storage: Storage = {
    label: "a.vmdk",
    size: 2 ** 30,
    readAt(into, fileOffset) {
      most = Math.max(most, fileOffset + into.length);
      into.fill(0x23);
      if (fileOffset === 0) into.set(head.subarray(0, into.length));
      return Promise.resolve();
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  await assert.rejects(vmdk.open(storage, { ...inlineCodecs, openNamed: () => Promise.reject(new Error()) }), {
    kind: "corrupt",
  });
  assert.ok(most <= 4 << 20, `${most} bytes were read`);
});

Deno.test("a huge file with a huge directory takes no memory", async () => {
  const storage: Storage = {
    label: "a.vmdk",
    size: 2 ** 45,
    readAt(into, fileOffset) {
      into.fill(0);
      const from = plain.bytes.subarray(fileOffset, fileOffset + into.length);
      into.set(from);
      if (fileOffset === 0) into.set(Buffer.from(u64(2 ** 43), "hex").subarray(0, Math.max(0, into.length - 12)), 12);
      return Promise.resolve();
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  await assert.rejects(vmdk.open(storage, { ...inlineCodecs, openNamed: () => Promise.reject(new Error()) }), {
    kind: "unsupported",
  });
});

Deno.test("a compressed grain that decompresses to more than a grain is refused", async () => {
  const big = sparse([7], { compressed: "stream", version: 3, grain: 128 });
  const bytes = poked(big.bytes, 20, u64(8));
  const again = poked(bytes, bytes.length - 2 * SECTOR + 20, u64(8));
  const small = poked(poked(again, 12, u64(8)), again.length - 2 * SECTOR + 12, u64(8));
  assert.equal(await outcome({ "a.vmdk": small }), "corrupt");
});

Deno.test("files cut anywhere are refused or read", async () => {
  const random = rng(seed());
  for (const image of [plain.bytes, compressed.bytes, cowdImage, encode(text)]) {
    for (let round = 0; round < 150; round++) {
      await outcome({ "a.vmdk": image.subarray(0, round < 40 ? round * 8 : random.int(image.length)) });
    }
  }
});

Deno.test("random damage is refused or read", async () => {
  const random = rng(seed());
  const images = [plain, compressed].map(({ bytes, directory, table, firstGrain }) => {
    return { bytes, locations: [0, 512, directory, table, firstGrain, bytes.length - 1024] };
  });
  images.push({ bytes: cowdImage, locations: [0, 2048, 2048 + SECTOR] });
  for (let round = 0; round < rounds(500, 1500); round++) {
    const { bytes, locations } = random.pick(images);
    const image = bytes.slice();
    for (let count = random.int(1, 5); count > 0; count--) {
      image[(random.pick(locations) + random.int(90)) % image.length] = random.pick([
        0,
        1,
        0x7f,
        0x80,
        0xff,
        random.int(256),
      ]);
    }
    await outcome({ "a.vmdk": image });
  }
});
