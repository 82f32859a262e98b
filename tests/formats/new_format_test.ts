/**
 * A worked example for authors of formats: a read-only format, and what one entry in a list of formats gives it.
 *
 * The format `blox` is made up. All fields are big-endian:
 *
 * | bytes | field |
 * | --- | --- |
 * | 0 to 3 | the magic `BLOX` |
 * | 4 to 7 | bytes of a block: a power of two from 512 to 1 MiB |
 * | 8 to 15 | bytes of the disk |
 * | 16 … | one 32-bit entry for each block of the disk: its position in the file in blocks, or 0 for a block of zeroes |
 *
 * In the program, the part between the two lines would be `formats/blox/mod.ts` (`open` would import its code when it is
 * called), and `formats/registry.ts` would have one line more.
 */
import assert from "node:assert/strict";
import { formatsText } from "../../cli/commands/formats.ts";
import { allFormats, convert, type Disk, type Format, openDisk, type Storage } from "../../mod.ts";
import { ceilDiv, isPowerOfTwo, u64, viewOf } from "../../formats/bytes.ts";
import { corrupt } from "../../formats/errors.ts";
import { zeroExtent } from "../../formats/extent.ts";
import { locatedExtent } from "../../formats/shared/located_extent.ts";
import { conformanceCases, type Sample } from "../support/conformance.ts";
import { rng, scratch, seed } from "../support/qemu.ts";

// --------------------------------------------------------------------------------------------------- the format

const MAGIC = 0x424c4f58;
const HEADER_BYTES = 16;
/** The longest table that is read, in entries: it is held in memory. */
const MAX_BLOCKS = 1 << 20;

const blox: Format = {
  name: "blox",
  title: "Blocks behind a table",
  extensions: ["blox"],
  subformats: { written: [], read: [] },
  maxSize: MAX_BLOCKS * 2 ** 20,
  has: { backing: false, overlays: false, compression: false, snapshots: false, bitmaps: false },
  probe: ({ head }) => head.length >= HEADER_BYTES && viewOf(head).getUint32(0) === MAGIC ? "yes" : "no",
  createOptions: [],
  open: openBlox,
};

async function openBlox(storage: Storage): Promise<Disk> {
  const { size, blockSize } = await readHeader(storage);
  const table = viewOf(new Uint8Array(ceilDiv(size, blockSize) * 4));
  await storage.readAt(new Uint8Array(table.buffer), HEADER_BYTES);
  /** Returns the file offset of a guest byte; `null` in a block of zeroes. */
  const offsetOf = (guest: number): number | null => {
    const block = Math.floor(guest / blockSize);
    const position = table.getUint32(block * 4);
    if (position * blockSize >= storage.size) throw bad(storage, `block ${block} lies past the end of the file`);
    return position === 0 ? null : position * blockSize + guest % blockSize;
  };
  return {
    format: "blox",
    size,
    clusterSize: blockSize,
    backing: null,
    info: { "block-size": blockSize },
    extentAt(start, limit) {
      const end = Math.min(limit, start - start % blockSize + blockSize);
      const offset = offsetOf(start);
      return offset === null ? zeroExtent(start, end) : locatedExtent(storage, start, end, offset);
    },
    async read(into, start) {
      for (let at = start, end = start + into.length; at < end;) {
        const next = Math.min(end, at - at % blockSize + blockSize);
        const part = into.subarray(at - start, next - start);
        const offset = offsetOf(at);
        if (offset === null) part.fill(0);
        else await storage.readAt(part, offset);
        at = next;
      }
    },
  };
}

/** Reads the header and checks every field before its value is used. */
async function readHeader(storage: Storage): Promise<{ size: number; blockSize: number }> {
  const header = viewOf(new Uint8Array(HEADER_BYTES));
  await storage.readAt(new Uint8Array(header.buffer), 0);
  if (header.getUint32(0) !== MAGIC) throw bad(storage, "it does not begin with BLOX");
  const [blockSize, size] = [header.getUint32(4), u64(header, 8)];
  if (!isPowerOfTwo(blockSize) || blockSize < 512 || blockSize > 2 ** 20) {
    throw bad(storage, `its blocks have ${blockSize} bytes, which must be a power of two from 512 to 1 MiB`);
  }
  const blocks = ceilDiv(size, blockSize);
  if (blocks > MAX_BLOCKS || HEADER_BYTES + blocks * 4 > storage.size) {
    throw bad(storage, `its table of ${blocks} entries does not fit into the file`);
  }
  return { size, blockSize };
}

function bad({ label }: Storage, problem: string): Error {
  return corrupt(`Cannot read "${label}": ${problem}`, label);
}

// ----------------------------------------------------------------------------------------------- what it is given

/** The registry with one line more. */
const formats = [blox, ...allFormats];

/** An image of a disk of 10,000 bytes: a block of data, a block of zeroes, a short block of data. */
function sample(): Sample {
  const [blockSize, size] = [4096, 10_000];
  const file = new Uint8Array(3 * blockSize);
  const view = viewOf(file);
  view.setUint32(0, MAGIC);
  view.setUint32(4, blockSize);
  view.setUint32(12, size);
  // Guest block 0 is file block 2, guest block 1 is zero, guest block 2 is file block 1.
  [2, 0, 1].forEach((position, block) => view.setUint32(HEADER_BYTES + block * 4, position));
  file.fill(7, blockSize, 2 * blockSize).fill(9, 2 * blockSize);
  const disk = new Uint8Array(size).fill(9, 0, blockSize).fill(7, 2 * blockSize);
  return { file, disk };
}

for (const one of conformanceCases(blox, sample())) {
  if (!one.skip) Deno.test(`blox ${one.name}`, () => one.run(rng(seed())));
}

Deno.test("a format of the list is listed, recognised, read and converted", async () => {
  await using folder = await scratch();
  const path = folder.file("disk.blox");
  const { file, disk } = sample();
  await Deno.writeFile(path, file);

  assert.match(formatsText(formats), /^blox +Blocks behind a table \(\.blox\): read\n/);
  {
    await using opened = await openDisk(path, { formats });
    assert.equal(opened.layers[0].disk.format, "blox");
    const bytes = new Uint8Array(disk.length);
    await opened.read(bytes, 0);
    assert.deepEqual(bytes, disk);
  }
  const target = folder.file("disk.raw");
  const sources = [{ path }];
  await convert({ sources, target: { path: target, format: "raw" } }, { formats });
  assert.deepEqual(await Deno.readFile(target), disk);
  const overlay = folder.file("disk.qcow2");
  await convert({ sources, target: { path: overlay, format: "qcow2", compress: true } }, { formats });
  await using read = await openDisk(overlay);
  const bytes = new Uint8Array(disk.length);
  await read.read(bytes, 0);
  assert.deepEqual(bytes, disk);
});

Deno.test("an image whose block lies past the end of the file is corrupt", async () => {
  await using folder = await scratch();
  const path = folder.file("disk.blox");
  const { file } = sample();
  viewOf(file).setUint32(HEADER_BYTES, 3);
  await Deno.writeFile(path, file);
  await using opened = await openDisk(path, { formats });
  await assert.rejects(opened.read(new Uint8Array(512), 0), { kind: "corrupt" });
});
