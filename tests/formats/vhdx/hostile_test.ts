import assert from "node:assert/strict";
import { type Disk, type ErrorKind, ImageError, type Storage } from "../../../formats/mod.ts";
import { vhdx } from "../../../formats/vhdx/mod.ts";
import { inlineCodecs } from "../../support/codecs.ts";
import {
  AT,
  build,
  GUID,
  type HeaderFields,
  type Item,
  itemsFor,
  locator,
  logEntry,
  MIB,
  numbers,
  putGuid,
  putHeader,
  putMetadata,
  putRegions,
  type Region,
  ring,
  seal,
  setBat,
} from "./build.ts";
import { startBounds } from "../../support/bounds.ts";
import { rng, rounds, seed } from "../../support/qemu.ts";
import { filled } from "./support.ts";

type Image = Uint8Array<ArrayBuffer>;
/** A name, a change of a valid image, the result of reading it, and the claimed length of the file. */
type Row = readonly [name: string, change: (image: Image) => void, expected: ErrorKind | "reads", fileSize?: number];

const SIZE = 3 * MIB;
const HUGE = 2 ** 53 - 1;
const bat: Region = [GUID.bat, AT.bat, MIB, 1];
const metadata: Region = [GUID.metadata, AT.metadata, MIB, 1];

function golden(): Image {
  return build({ size: SIZE, blocks: { 0: { state: 6, content: filled(1) }, 2: { state: 2 } } });
}

const header = (fields: Partial<HeaderFields>) => (image: Image) => {
  for (const at of [AT.header1, AT.header2]) putHeader(image, at, { sequence: 1, ...fields });
};
const regions = (...list: Region[]) => (image: Image) => putRegions(image, list);
const entry = (block: number, state: number, at: number | bigint) => (image: Image) =>
  setBat(new DataView(image.buffer), block, state, at);
const poke = (at: number, ...bytes: number[]) => (image: Image) => image.set(bytes, at);

/** Metadata with one item replaced; without it where there is no content. */
const item = (guid: string, content: Uint8Array | null, flags?: number) => (image: Image) => {
  const items = itemsFor(SIZE, MIB, 512).flatMap((one): Item[] => {
    if (one.guid !== guid) return [one];
    return content ? [{ ...one, content, flags: flags ?? one.flags }] : [];
  });
  putMetadata(image, items);
};
const furtherItem = (further: Item) => (image: Image) => putMetadata(image, [...itemsFor(SIZE, MIB, 512), further]);
/** A differencing image whose locator is changed. */
const parent = (change: (bytes: Uint8Array, view: DataView) => Uint8Array | void) => (image: Image) => {
  const spec = { parent: { parent_linkage: `{${GUID.data}}`, relative_path: ".\\a.vhdx" } };
  const bytes = locator(spec.parent);
  const content = change(bytes, new DataView(bytes.buffer)) ?? bytes;
  putMetadata(image, itemsFor(SIZE, MIB, 512, spec).with(-1, { guid: GUID.parentLocator, flags: 4, content }));
};
/** An image whose log is in use. */
const log = (content: Uint8Array) => (image: Image) => {
  header({ logGuid: GUID.log })(image);
  image.set(content, AT.log);
};
const nothing = { sequence: 1, tail: 0, changes: [] };

const rows: readonly Row[] = [
  ["nothing changed", () => {}, "reads"],
  ["another signature", poke(0, 0x56), "corrupt"],
  ["both headers zero", (image) => image.fill(0, AT.header1, AT.regions1), "corrupt"],
  [
    "both headers of a wrong checksum",
    (image) => [AT.header1, AT.header2].forEach((at) => image[at + 4] ^= 1),
    "corrupt",
  ],
  ["header 2 zero", (image) => image.fill(0, AT.header2, AT.regions1), "reads"],
  [
    "two different headers of one number",
    (image) => putHeader(image, AT.header1, { sequence: 8, dataWriteGuid: GUID.log }),
    "corrupt",
  ],
  ["two equal headers of one number", header({ sequence: 3 }), "reads"],
  ["the greatest number of a header", (image) => putHeader(image, AT.header1, { sequence: HUGE }), "reads"],
  ["version 2", header({ version: 2 }), "unsupported"],
  ["log version 1, log empty", header({ logVersion: 1 }), "reads"],
  ["log version 1, log in use", header({ logVersion: 1, logGuid: GUID.log }), "unsupported"],
  ["a log at 0", header({ logAt: 0 }), "corrupt"],
  ["a log between MiB", header({ logAt: AT.log + 4096 }), "corrupt"],
  ["a log past the end", header({ logAt: 2 ** 40 }), "corrupt"],
  ["a log at 2^64 - 1 MiB", header({ logAt: 2n ** 64n - 1048576n }), "corrupt"],
  ["a log of no bytes", header({ logLength: 0, logAt: 0 }), "reads"],
  ["a log of no bytes in use", header({ logLength: 0, logGuid: GUID.log }), "corrupt"],
  ["a log of 4095 MiB", header({ logLength: 4095 * MIB }), "corrupt"],
  ["a log over the BAT", header({ logLength: 2 * MIB }), "corrupt"],
  ["a log of half a MiB", header({ logLength: MIB / 2 }), "corrupt"],
  [
    "a log in use of 4095 MiB in a file of 2^53 - 1 bytes",
    header({ logLength: 4095 * MIB, logGuid: GUID.log }),
    "unsupported",
    HUGE,
  ],
  ["region tables zero", (image) => image.fill(0, AT.regions1, AT.log), "corrupt"],
  ["2048 regions", (image) => putRegions(image, [bat, metadata], 2048), "corrupt"],
  ["2^32 - 1 regions", (image) => putRegions(image, [bat, metadata], 2 ** 32 - 1), "corrupt"],
  ["no BAT", regions(metadata), "corrupt"],
  ["no metadata", regions(bat), "corrupt"],
  ["two BATs at one location", regions(bat, bat, metadata), "corrupt"],
  ["a BAT over the headers", regions([GUID.bat, 0, MIB, 1], metadata), "corrupt"],
  ["a BAT over the log", regions([GUID.bat, AT.log, MIB, 1], metadata), "corrupt"],
  ["a BAT over the metadata", regions([GUID.bat, AT.bat, 2 * MIB, 1], metadata), "corrupt"],
  ["a BAT between MiB", regions([GUID.bat, AT.bat + 512, MIB, 1], metadata), "corrupt"],
  ["a BAT past the end", regions([GUID.bat, 2 ** 40, MIB, 1], metadata), "corrupt"],
  ["a BAT at 2^64 - 1 MiB", regions([GUID.bat, 2n ** 64n - 1048576n, MIB, 1], metadata), "corrupt"],
  ["a BAT of no bytes", regions([GUID.bat, AT.bat, 0, 1], metadata), "corrupt"],
  ["a BAT of 4095 MiB", regions([GUID.bat, 8 * MIB, 4095 * MIB, 1], metadata), "corrupt"],
  [
    "a BAT of 4095 MiB in a file of 2^53 - 1 bytes",
    regions([GUID.bat, 8 * MIB, 4095 * MIB, 1], metadata),
    "reads",
    HUGE,
  ],
  [
    "2045 unknown regions that are not required",
    (image) => {
      const many = [...Array(2045).keys()].map((nth): Region => [GUID.data, 2 ** 40 + nth * MIB, MIB, 0]);
      putRegions(image, [bat, metadata, ...many]);
    },
    "reads",
    HUGE,
  ],
  ["an unknown region that is required", regions(bat, metadata, [GUID.data, 2 ** 40, MIB, 1]), "unsupported", HUGE],
  ["metadata of another signature", poke(AT.metadata, 0), "corrupt"],
  ["65535 metadata items", poke(AT.metadata + 10, 0xff, 0xff), "corrupt"],
  ["2047 empty metadata items", poke(AT.metadata + 10, 0xff, 7), "reads"],
  ["an item before 64 KiB", poke(AT.metadata + 32 + 16, 0, 0, 0, 0), "corrupt"],
  ["an item past the region", poke(AT.metadata + 32 + 16, 0xfc, 0xff, 0x0f, 0), "corrupt"],
  ["an item at 2^32 - 1", poke(AT.metadata + 32 + 16, 0xff, 0xff, 0xff, 0xff), "corrupt"],
  ["an item of 2^32 - 1 bytes", poke(AT.metadata + 32 + 20, 0xff, 0xff, 0xff, 0xff), "corrupt"],
  ["an item of 1 byte", poke(AT.metadata + 32 + 20, 1, 0, 0, 0), "corrupt"],
  [
    "an unknown item that is required",
    furtherItem({ guid: GUID.log, flags: 4, content: numbers([4, 1]) }),
    "unsupported",
  ],
  [
    "an unknown item of the user that is required",
    furtherItem({ guid: GUID.log, flags: 5, content: numbers([4, 1]) }),
    "unsupported",
  ],
  [
    "an unknown item that is not required",
    furtherItem({ guid: GUID.log, flags: 0, content: numbers([4, 1]) }),
    "reads",
  ],
  ["two disk sizes", furtherItem({ guid: GUID.diskSize, flags: 6, content: numbers([8, MIB]) }), "corrupt"],
  ["a disk size of the user", furtherItem({ guid: GUID.diskSize, flags: 1, content: numbers([8, MIB]) }), "reads"],
  ["no file parameters", item(GUID.fileParameters, null), "corrupt"],
  ["no disk size", item(GUID.diskSize, null), "corrupt"],
  ["no logical sector size", item(GUID.logicalSector, null), "corrupt"],
  ["blocks of 0 bytes", item(GUID.fileParameters, numbers([4, 0], [4, 0])), "corrupt"],
  ["blocks of 512 KiB", item(GUID.fileParameters, numbers([4, MIB / 2], [4, 0])), "corrupt"],
  ["blocks of 3 MiB", item(GUID.fileParameters, numbers([4, 3 * MIB], [4, 0])), "corrupt"],
  ["blocks of 512 MiB", item(GUID.fileParameters, numbers([4, 512 * MIB], [4, 0])), "corrupt"],
  ["blocks of 2^32 - 1 bytes", item(GUID.fileParameters, numbers([4, 2 ** 32 - 1], [4, 0])), "corrupt"],
  ["sectors of 0 bytes", item(GUID.logicalSector, numbers([4, 0])), "corrupt"],
  ["sectors of 520 bytes", item(GUID.logicalSector, numbers([4, 520])), "corrupt"],
  ["physical sectors of 2^32 - 1 bytes", item(GUID.physicalSector, numbers([4, 2 ** 32 - 1])), "corrupt"],
  ["a disk of 0 bytes", item(GUID.diskSize, numbers([8, 0])), "reads"],
  ["a disk of half a sector", item(GUID.diskSize, numbers([8, 256])), "corrupt"],
  ["a disk of 64 TiB and a small BAT", item(GUID.diskSize, numbers([8, 64 * 2 ** 40])), "corrupt"],
  ["a disk of more than 64 TiB", item(GUID.diskSize, numbers([8, 64 * 2 ** 40 + 512])), "corrupt"],
  ["a disk of 2^64 - 512 bytes", item(GUID.diskSize, new Uint8Array(8).fill(0xff).with(0, 0).with(1, 0xfe)), "corrupt"],
  ["as many blocks as the BAT has room for", item(GUID.diskSize, numbers([8, 131_041 * MIB])), "reads"],
  ["one more block than the BAT has room for", item(GUID.diskSize, numbers([8, 131_042 * MIB])), "corrupt"],
  ["a differencing disk whose last bitmap the BAT has no room for", (image) => {
    const spec = { parent: { parent_linkage: GUID.data, relative_path: "a" } };
    putMetadata(image, itemsFor(129_000 * MIB, MIB, 512, spec));
  }, "corrupt"],
  ["a block in state 4", entry(1, 4, 0), "corrupt"],
  ["a block in state 5", entry(1, 5, 0), "corrupt"],
  ["a block present in part without a parent", entry(1, 7, AT.blocks), "corrupt"],
  ["a block at 0", entry(1, 6, 0), "corrupt"],
  ["a block over the log", entry(1, 6, AT.log), "corrupt"],
  ["a block over the BAT", entry(1, 6, AT.bat), "corrupt"],
  ["a block over the metadata", entry(1, 6, AT.metadata), "corrupt"],
  ["a block at the end of the file", entry(1, 6, AT.blocks + MIB), "corrupt"],
  ["a block far past the end", entry(1, 6, 2 ** 45), "corrupt"],
  ["a block at 2^64 - 1 MiB", entry(1, 6, 2n ** 64n - 1048576n), "corrupt"],
  ["two blocks at one location", entry(1, 6, AT.blocks), "reads"],
  ["an absent block with a location", entry(1, 0, 2n ** 64n - 1048576n), "reads"],
  ["a parent without a locator", item(GUID.fileParameters, numbers([4, MIB], [4, 2])), "corrupt"],
  ["a locator of nothing", parent(() => new Uint8Array(0)), "corrupt"],
  ["a locator without a type", parent((bytes) => void bytes.fill(0, 0, 16)), "unsupported"],
  ["a locator of 65535 entries", parent((_, view) => view.setUint16(18, 65535, true)), "corrupt"],
  ["a key past its locator", parent((_, view) => view.setUint32(20, 2 ** 32 - 1, true)), "corrupt"],
  ["a key longer than its locator", parent((_, view) => view.setUint16(28, 65535, true)), "corrupt"],
  ["a value past its locator", parent((_, view) => view.setUint32(24, 2 ** 32 - 1, true)), "corrupt"],
  ["a value of an odd length", parent((_, view) => view.setUint16(42, 3, true)), "corrupt"],
  ["a path with a zero in it", parent(() => locator({ parent_linkage: GUID.data, relative_path: "a\0b" })), "corrupt"],
  ["no linkage", parent(() => locator({ relative_path: "a" })), "corrupt"],
  ["a linkage that is no GUID", parent(() => locator({ parent_linkage: "me", relative_path: "a" })), "corrupt"],
  ["60000 entries that all name one long text", parent(() => manyEntries(60_000)), "corrupt"],
  ["a log of zeroes in use", log(new Uint8Array(MIB)), "corrupt"],
  ["a log entry of nothing", log(ring([[0, logEntry(nothing)]])), "reads"],
  ["a log entry of number 0", log(ring([[0, logEntry({ ...nothing, sequence: 0 })]])), "corrupt"],
  ["a log entry whose tail is elsewhere", log(ring([[0, logEntry({ ...nothing, tail: 8192 })]])), "corrupt"],
  ["a log entry whose tail is past the log", log(ring([[0, logEntry({ ...nothing, tail: 2 ** 31 })]])), "corrupt"],
  ["a log entry that needs a longer file", log(ring([[0, logEntry({ ...nothing, flushed: 2 ** 50 })]])), "corrupt"],
  ["a log entry that makes a long file", log(ring([[0, logEntry({ ...nothing, last: HUGE })]])), "reads"],
  ["a log that zeroes everything", log(ring([[0, change(0, undefined, 2 ** 52)]])), "corrupt"],
  ["a log that zeroes the BAT", log(ring([[0, change(AT.bat, undefined, MIB)]])), "reads"],
  ["a log that zeroes past all", log(ring([[0, change(HUGE - 4095, undefined, 2 ** 52)]])), "reads"],
  ["a log that changes bytes at half a sector", log(ring([[0, change(AT.bat + 512, filled(6, 4096))]])), "corrupt"],
  ["a log that writes states that are not", log(ring([[0, change(AT.bat, filled(5, 4096))]])), "corrupt"],
];

function change(at: number, data?: Uint8Array, zeroes?: number): Uint8Array {
  return logEntry({ ...nothing, changes: [{ at, ...(data && { data }), ...(zeroes !== undefined && { zeroes }) }] });
}

/** Entries "parent_linkage" that name the same 60 KiB. */
function manyEntries(count: number): Uint8Array {
  const bytes = new Uint8Array(20 + 12 * count + 65_534).fill(0x41);
  const key = numbers(...[..."parent_linkage"].map((letter) => [2, letter.charCodeAt(0)] as const));
  const view = new DataView(bytes.buffer);
  const texts = 20 + 12 * count;
  bytes.set(key, texts);
  putGuid(bytes, 0, GUID.locatorType);
  view.setUint16(18, count, true);
  for (let nth = 0; nth < count; nth++) {
    view.setUint32(20 + 12 * nth, texts, true);
    view.setUint32(24 + 12 * nth, texts, true);
    view.setUint16(28 + 12 * nth, key.length, true);
    view.setUint16(30 + 12 * nth, 65_534, true);
  }
  return bytes;
}

for (const [name, apply, expected, fileSize] of rows) {
  Deno.test(`hostile: ${name}: ${expected}`, async () => {
    const image = golden();
    apply(image);
    const within = startBounds();
    assert.equal(await outcome(claiming(image, fileSize ?? image.length)), expected);
    within();
  });
}

Deno.test("there are enough hostile images, and no two of one name", () => {
  assert(rows.length >= 30 && new Set(rows.map(([name]) => name)).size === rows.length);
});

Deno.test("random damage, sealed again, is refused or read, and soon", async () => {
  const random = rng(seed());
  const damages: readonly (readonly [from: number, to: number, sealed: number, length: number])[] = [
    [AT.header2 + 8, AT.header2 + 80, AT.header2, 4096],
    [AT.regions1 + 8, AT.regions1 + 80, AT.regions1, 65_536],
    [AT.log + 8, AT.log + 160, AT.log, 12_288],
    [AT.bat, AT.bat + 64, 0, 0],
    [AT.metadata, AT.metadata + 240, 0, 0],
    [AT.items, AT.items + 260, 0, 0],
  ];
  const valid = build({
    size: SIZE,
    parent: { parent_linkage: GUID.data, relative_path: ".\\a.vhdx" },
    blocks: { 0: { state: 6, content: filled(1) }, 1: { state: 7, content: filled(2), bits: filled(0x5a, 256) } },
    logGuid: GUID.log,
    log: ring([[
      0,
      logEntry({
        ...nothing,
        changes: [{ at: AT.blocks, data: filled(4, 4096) }, { at: AT.blocks + 8192, zeroes: 65_536 }],
      }),
    ]]),
  });
  const seen = new Set<string>();
  for (let round = 0; round < rounds(200, 600); round++) {
    const image = valid.slice();
    const reported: string[] = [];
    for (let count = random.int(1, 4); count > 0; count--) {
      const [from, to, sealed, length] = random.pick(damages);
      const at = random.int(from, to);
      image[at] = random.pick([0, 1, 0x7f, 0x80, 0xff, image[at] ^ 1 << random.int(8), random.int(256)]);
      reported.push(`${at}=${image[at]}`);
      if (length > 0) seal(image.subarray(sealed, sealed + length));
    }
    const within = startBounds();
    try {
      seen.add(await outcome(claiming(image, random.chance(0.2) ? HUGE : image.length)));
    } catch (error) {
      throw new Error(`${reported.join(" ")}: ${error}`, { cause: error });
    }
    within(reported.join(" "));
  }
  assert(seen.has("reads") && seen.has("corrupt") && seen.has("unsupported"), [...seen].join());
});

/** Bytes that claim a length, zeroes where they end; refuses requests that no reader should make. */
function claiming(bytes: Uint8Array, size: number): Storage {
  return {
    label: "hostile.vhdx",
    size,
    readAt(into, fileOffset) {
      assert(into.length <= 32 * MIB, `a request of ${into.length} bytes`);
      assert(fileOffset >= 0 && fileOffset + into.length <= size, `a request at ${fileOffset} past ${size}`);
      into.fill(0);
      into.set(bytes.subarray(fileOffset, fileOffset + into.length));
      return Promise.resolve();
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

async function outcome(storage: Storage): Promise<ErrorKind | "reads"> {
  try {
    await readSome(
      await vhdx.open(storage, {
        ...inlineCodecs,
        openNamed: () => Promise.reject(new Error("It names no such file")),
      }),
    );
    return "reads";
  } catch (error) {
    if (error instanceof ImageError) return error.kind;
    throw error;
  }
}

async function readSome(disk: Disk): Promise<void> {
  const end = Math.min(disk.size, 8 * MIB);
  for (let at = 0; at < end;) {
    const extent = await disk.extentAt(at, end);
    assert(extent.start === at && extent.end > at && extent.end <= end);
    if (extent.kind === "data") await disk.read(new Uint8Array(extent.end - at), at);
    at = extent.end;
  }
}
