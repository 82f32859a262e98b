import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { OpenContext } from "../../../formats/contract.ts";
import { type ErrorKind, ImageError } from "../../../formats/errors.ts";
import { openQcow2 } from "../../../formats/qcow2/open.ts";
import { MemoryStorage } from "../../../formats/storage/memory.ts";
import { inlineCodecs } from "../../support/codecs.ts";
import { startBounds } from "../../support/bounds.ts";
import { rng, rounds, seed } from "../../support/qemu.ts";
import { AT, CLUSTER, type Golden, golden } from "./golden.ts";
import { extentLines } from "./support.ts";

/** Maximum number of guest bytes to read: the size field may hold any value. */
const MOST = 48 << 20;

/** The result of a modification: an error of this kind, or a correct read. */
type Expected = ErrorKind | "reads";
/** Name, file offset, bytes (in hex), expected result; the image if it is not the plain one; the message. */
type Row = readonly [string, number, string, Expected, Golden?, RegExp?];

const u32 = (value: number) => (value >>> 0).toString(16).padStart(8, "0");
const u64 = (value: number | bigint) => BigInt.asUintN(64, BigInt(value)).toString(16).padStart(16, "0");
const FAR = 2 ** 40;
const END = AT.end;

const headerRows: readonly Row[] = [
  ["another magic", 0, "00", "corrupt"],
  ["version 1", 4, u32(1), "unsupported"],
  ["version 4", 4, u32(4), "unsupported"],
  ["a backing file name before the header's end", 8, u64(100), "corrupt"],
  ["a backing file name past the first cluster", 8, u64(CLUSTER - 4), "corrupt"],
  ["a backing file name far away", 8, u64(-1n), "corrupt"],
  ["a backing file name of 1024 bytes", 16, u32(1024), "corrupt"],
  ["a backing file name of 4 GiB", 16, u32(-1), "corrupt"],
  ["an empty backing file name", 16, u32(0), "reads"],
  ["clusters of 256 bytes", 20, u32(8), "corrupt"],
  ["clusters of 4 MiB", 20, u32(22), "corrupt"],
  ["cluster bits of 2^32 - 1", 20, u32(-1), "corrupt"],
  ["other clusters than the tables are for", 20, u32(15), "corrupt"],
  ["a size that the L1 table does not cover", 24, u64(2 ** 40), "corrupt"],
  ["a size of 2^53", 24, u64(2 ** 53), "unsupported"],
  ["a size of 2^64 - 1", 24, u64(-1n), "unsupported"],
  ["no bytes at all, but bitmaps", 24, u64(0), "corrupt"],
  ["AES", 32, u32(1), "unsupported", "plain", /encrypted \(AES\)/],
  ["LUKS", 32, u32(2), "unsupported", "plain", /encrypted \(LUKS\)/],
  ["an encryption method that there is not", 32, u32(3), "corrupt"],
  ["an L1 table of no entries", 36, u32(0), "corrupt"],
  ["an L1 table of 2^32 - 1 entries", 36, u32(-1), "unsupported"],
  ["an L1 table that ends past the file", 36, u32((END - AT.l1) / 8 + 1), "corrupt"],
  ["an L1 table at the header", 40, u64(0), "corrupt"],
  ["an L1 table between clusters", 40, u64(AT.l1 + 512), "corrupt"],
  [
    "an L1 table past the file",
    40,
    u64(FAR),
    "corrupt",
    "plain",
    /the L1 table .* past the end of the file \(212992\)/,
  ],
  ["an L1 table at 2^64 - 1", 40, u64(-1n), "corrupt"],
  ["a refcount table at the header", 48, u64(0), "corrupt"],
  ["a refcount table between clusters", 48, u64(AT.refcountTable + 8), "corrupt"],
  ["a refcount table past the file", 48, u64(FAR), "corrupt"],
  ["no refcount table", 56, u32(0), "corrupt"],
  ["a refcount table of 2^32 - 1 clusters", 56, u32(-1), "corrupt"],
  ["65537 snapshots", 60, u32(65537), "corrupt"],
  ["more snapshots than the file has room for", 60, u32(60000), "corrupt"],
  ["two snapshots where one is", 60, u32(2), "reads"],
  ["a snapshot table between clusters", 64, u64(AT.snapshots + 8), "corrupt"],
  ["a snapshot table past the file", 64, u64(FAR), "corrupt"],
  ["the dirty bit", 79, "01", "reads"],
  ["the corrupt bit", 79, "02", "reads"],
  ["external data with snapshots", 79, "04", "corrupt"],
  ["a compression type bit without a type", 79, "08", "corrupt"],
  ["extended L2 entries that the tables do not have", 79, "10", "corrupt"],
  ["an unknown incompatible feature", 79, "20", "unsupported", "plain", /bit 5/],
  ["the highest incompatible feature", 72, "80", "unsupported", "plain", /bit 63/],
  ["all compatible features", 80, u64(-1n), "reads"],
  ["unknown autoclear features", 88, u64(0xfffffffffffffffdn), "reads"],
  ["raw external data without external data", 95, "03", "corrupt"],
  ["bitmaps that are not vouched for", 95, "00", "reads"],
  ["a refcount order of 7", 96, u32(7), "corrupt"],
  ["a header of 96 bytes", 100, u32(96), "corrupt"],
  ["a header of 108 bytes", 100, u32(108), "corrupt"],
  ["a header longer than a cluster", 100, u32(CLUSTER + 8), "corrupt"],
  ["a compression type without its bit", 104, "01", "corrupt"],
  ["an extension of 4 GiB", 116, u32(-1), "corrupt"],
  ["an extension that ends past the area", 116, u32(CLUSTER), "corrupt"],
  ["a backing format of 16 letters", 116, u32(16), "corrupt"],
  ["external data that are not named", 112, u32(0), "unsupported", "external"],
  ["raw external data", 95, "02", "reads", "external"],
  ["extended L2 entries with clusters of 8 KiB", 20, u32(13), "corrupt", "extended"],
];

const tableRows: readonly Row[] = [
  ["an L2 table between clusters", AT.l1, u64(AT.l2 + 512), "corrupt"],
  ["an L2 table past the file", AT.l1, u64(END), "corrupt"],
  ["an L2 table far past the file", AT.l1, u64(0x00fffffffffffe00n), "corrupt"],
  ["reserved low bits of an L1 entry", AT.l1, u64(AT.l2 + 1), "corrupt"],
  ["reserved high bits of an L1 entry", AT.l1, u64(BigInt(AT.l2) | 1n << 56n), "corrupt"],
  ["an L1 entry of reserved bits only", AT.l1 + 8, u64(1n << 62n), "corrupt"],
  ["an L1 entry that is not copied", AT.l1, u64(AT.l2), "reads"],
  ["the L1 table as an L2 table of its own", AT.l1, u64(AT.l1), "reads"],
  ["the header as data of the guest", AT.l2 + 32, u64(1n << 63n), "reads"],
  ["the L2 table as data of the guest", AT.l2, u64(AT.l2), "reads"],
  ["one cluster as two", AT.l2, u64(AT.moreData), "reads"],
  ["data between clusters", AT.l2, u64(AT.data + 512), "corrupt"],
  ["data past the file", AT.l2, u64(END + CLUSTER), "corrupt"],
  ["data far past the file", AT.l2, u64(0x00ffffffffffc000n), "corrupt"],
  ["reserved low bits of an L2 entry", AT.l2, u64(AT.data + 2), "corrupt"],
  ["reserved high bits of an L2 entry", AT.l2, u64(BigInt(AT.data) | 1n << 61n), "corrupt"],
  ["a zero flag with a host cluster", AT.l2, u64(AT.data + 1), "reads"],
  ["a zero flag with a host cluster between clusters", AT.l2, u64(AT.data + 513), "corrupt"],
  ["a zero flag in version 2", AT.l2, u64(1), "corrupt", "v2"],
  ["compressed data past the file", AT.l2 + 24, u64(1n << 62n | BigInt(END)), "corrupt"],
  ["compressed data far past the file", AT.l2 + 24, u64(0x7fffffffffffffffn), "corrupt"],
  ["compressed data that are none", AT.l2 + 24, u64(1n << 62n | BigInt(AT.data)), "corrupt"],
  ["compressed data cut to a sector", AT.l2 + 24, u64(1n << 62n | BigInt(AT.compressed + 3)), "corrupt"],
  [
    "compressed data said to be longer than the file",
    AT.l2 + 24,
    u64(0x7f00000000000000n | BigInt(AT.compressed)),
    "reads",
  ],
  ["a damaged compressed cluster", AT.compressed, "ffffffff", "corrupt"],
  ["a zstd image with a deflate stream", 76, u32(8) + u64(0) + u64(1) + u32(4) + u32(112) + "01", "corrupt"],
  ["a subcluster both zero and allocated", AT.l2 + 8, u64(0x00000001_00000001n), "corrupt", "extended"],
  ["subclusters of no cluster", AT.l2, u64(0), "corrupt", "extended"],
  ["a zero flag in an extended entry", AT.l2, u64(AT.data + 1), "corrupt", "extended"],
  ["zero subclusters of no cluster", AT.l2, u64(0) + u64(0xffffffff_00000000n), "reads", "extended"],
  ["compressed with a bitmap", AT.l2 + 56, u64(-1n), "reads", "extended"],
  ["external data elsewhere than the guest's", AT.l2 + 16, u64(3 * CLUSTER), "corrupt", "external"],
  ["compressed external data", AT.l2 + 16, u64(1n << 62n | BigInt(AT.compressed)), "corrupt", "external"],
  ["external data past the file", AT.l2 + 8 * 100, u64(1n << 63n | BigInt(100 * CLUSTER)), "corrupt", "external"],
];

const snapshotRows: readonly Row[] = [
  ["a snapshot's L1 table past the file", AT.snapshots, u64(FAR), "corrupt"],
  ["a snapshot's L1 table at 2^64 - 1", AT.snapshots, u64(-1n), "corrupt"],
  ["a snapshot's L1 table between clusters", AT.snapshots, u64(AT.snapshotL1 + 8), "corrupt"],
  ["a snapshot's L1 table of 2^32 - 1 entries", AT.snapshots + 8, u32(-1), "unsupported"],
  ["a snapshot's L1 table that is too short", AT.snapshots + 8, u32(1), "corrupt"],
  ["a snapshot's ID of 64 KiB", AT.snapshots + 12, "ffff", "missing"],
  ["extra data of 4 GiB", AT.snapshots + 36, u32(-1), "corrupt"],
  ["a snapshot of 2^64 - 1 bytes", AT.snapshots + 48, u64(-1n), "corrupt"],
  ["a snapshot of more bytes than its L1 table", AT.snapshots + 48, u64(2 ** 50), "corrupt"],
  ["a snapshot of no bytes", AT.snapshots + 48, u64(0), "reads"],
  ["a snapshot with a bad L2 table", AT.snapshotL1, u64(FAR), "corrupt"],
];

const bitmapRows: readonly Row[] = [
  ["a bitmap table past the file", AT.bitmapDirectory, u64(FAR), "corrupt"],
  ["a bitmap table between clusters", AT.bitmapDirectory, u64(AT.bitmapTable + 8), "corrupt"],
  ["a bitmap table of 2^32 - 1 entries", AT.bitmapDirectory + 8, u32(-1), "corrupt"],
  ["a bitmap table of 2^32 - 1 entries, in use", AT.bitmapDirectory + 8, u32(-1) + u32(1), "corrupt"],
  ["reserved bitmap flags", AT.bitmapDirectory + 12, u32(8), "corrupt"],
  ["a bitmap of another type", AT.bitmapDirectory + 16, "02", "corrupt"],
  ["a bitmap granularity of 256 bytes", AT.bitmapDirectory + 17, "08", "corrupt"],
  ["a bitmap granularity of 2^255", AT.bitmapDirectory + 17, "ff", "corrupt"],
  ["a bitmap granularity of 2 GiB", AT.bitmapDirectory + 17, "1f", "reads"],
  ["a bitmap without a name", AT.bitmapDirectory + 18, "0000", "corrupt"],
  ["a bitmap name past the directory", AT.bitmapDirectory + 18, "03ff", "corrupt"],
  ["extra data past the directory", AT.bitmapDirectory + 20, u32(-1), "corrupt"],
  ["a bitmap cluster past the file", AT.bitmapTable, u64(END), "corrupt"],
  ["a bitmap cluster between clusters", AT.bitmapTable, u64(AT.bitmapData + 512), "corrupt"],
  ["reserved bits of a bitmap table entry", AT.bitmapTable, u64(AT.bitmapData + 1), "corrupt"],
  ["a bitmap of all ones", AT.bitmapTable, u64(1), "reads"],
];

/** Opens the image, or its snapshot, and reads all of its disk and bitmaps. */
async function readAll(image: Uint8Array, snapshot: boolean): Promise<{ runs: string[]; bytes: Uint8Array }> {
  const data = new MemoryStorage(new Uint8Array(8 * CLUSTER).fill(0xe1), "data.raw");
  const context: OpenContext = {
    ...inlineCodecs,
    snapshot: snapshot ? { idOrName: "snap" } : undefined,
    openNamed: () => Promise.resolve(data),
  };
  const disk = await openQcow2(new MemoryStorage(image, "a.qcow2"), context);
  const size = Math.min(disk.size, MOST);
  const runs = [];
  const bytes = new Uint8Array(Math.min(size, 8 * CLUSTER));
  for (let at = 0; at < size;) {
    const run = await disk.extentAt(at, size);
    assert.ok(run.start === at && run.end > at && run.end <= size);
    runs.push(run);
    const into = new Uint8Array(run.kind === "data" ? run.end - run.start : 0);
    await disk.read(into, at);
    if (at < bytes.length) bytes.set(into.subarray(0, bytes.length - at), at);
    at = run.end;
  }
  for (const bitmap of disk.bitmaps ?? []) {
    for await (const piece of bitmap.pieces()) assert.ok(piece.bits.length > 0);
  }
  return { runs: extentLines(runs), bytes };
}

async function checkRow([, at, hex, expected, kind = "plain", message]: Row, snapshot: boolean): Promise<void> {
  const image = golden(kind);
  image.set(Buffer.from(hex, "hex"), at);
  const within = startBounds();
  let found: Expected = "reads";
  try {
    await readAll(image, snapshot);
  } catch (error) {
    if (!(error instanceof ImageError)) throw error;
    found = error.kind;
    if (message !== undefined) assert.match(error.message, message);
    assert.match(error.message, /^[A-Z][^\n]*[^.\n]$/);
    assert.match(error.message, /a\.qcow2/);
  }
  assert.equal(found, expected);
  within();
}

for (
  const [part, rows] of Object.entries({ header: headerRows, tables: tableRows, bitmaps: bitmapRows })
) {
  for (const row of rows) Deno.test(`hostile qcow2 ${part}: ${row[0]}: ${row[3]}`, () => checkRow(row, false));
}
for (const row of snapshotRows) Deno.test(`hostile qcow2 snapshot: ${row[0]}: ${row[3]}`, () => checkRow(row, true));

Deno.test("the unmodified images read right", async () => {
  const plain = await readAll(golden("plain"), false);
  const kib = (from: number, to: number) => `${from * 1024}-${to * 1024}`;
  const rest = `hole ${64 * 1024}-${40 << 20}`;
  assert.deepEqual(plain.runs, [`data ${kib(0, 16)}`, `zero ${kib(16, 32)}`, `data ${kib(32, 64)}`, rest]);
  assert.deepEqual([0, 1, 2, 3].map((index) => plain.bytes[index * CLUSTER + 77]), [0xd1, 0, 0xd2, 0xcc]);
  assert.deepEqual(await readAll(golden("plain"), true), plain);
  const { runs } = await readAll(golden("v2"), false);
  assert.deepEqual(runs, [`data ${kib(0, 16)}`, `hole ${kib(16, 32)}`, `data ${kib(32, 64)}`, rest]);
  const extended = await readAll(golden("extended"), false);
  const [first, second] = [`data ${kib(0, 2)}`, `hole ${kib(2, 8)}`];
  assert.deepEqual(extended.runs, [first, second, `zero ${kib(8, 32)}`, `data ${kib(32, 64)}`, rest]);
  const external = await readAll(golden("external"), false);
  assert.deepEqual(external.runs.slice(0, 3), [`data ${kib(0, 16)}`, `hole ${kib(16, 32)}`, `data ${kib(32, 48)}`]);
  assert.equal(external.bytes[2 * CLUSTER], 0xe1);
});

Deno.test("files cut anywhere are refused or read", async () => {
  const random = rng(seed());
  for (const kind of ["plain", "v2", "extended", "external"] as const) {
    for (let round = 0; round < 60; round++) {
      const image = golden(kind).subarray(0, round < 20 ? round * 8 : random.int(AT.end));
      await readAll(image, false).catch((error) => assert.ok(error instanceof ImageError, String(error?.stack)));
    }
  }
});

Deno.test("random damage is refused or read", async () => {
  const random = rng(seed());
  const places = Object.values(AT).filter((at) => at !== AT.end);
  for (let round = 0; round < rounds(500, 1500); round++) {
    const image = golden(random.pick(["plain", "v2", "extended", "external"]));
    for (let count = random.int(1, 4); count > 0; count--) {
      const at = random.chance(0.5) ? random.int(600) : random.pick(places) + random.int(64);
      image[at] = random.pick([0, 1, 0x7f, 0x80, 0xff, random.int(256)]);
    }
    await readAll(image, random.chance(0.2)).catch((error) =>
      assert.ok(error instanceof ImageError, `round ${round}: ${error?.stack}`)
    );
  }
});
