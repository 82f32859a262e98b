/**
 * A disk as plain bytes beside its image: random writes to both, and checks of a reader against the bytes.
 *
 * @module
 */
import assert from "node:assert/strict";
import {
  alignDown,
  type ChangeContext,
  type CreatePlan,
  type Disk,
  type DiskWriter,
  type Extent,
  type Format,
  type GuestReader,
  ImageError,
  MemoryStorage,
  type OptionValues,
  type Peek,
  type Storage,
} from "../../formats/mod.ts";
import { inlineCodecs } from "./codecs.ts";
import type { Rng } from "./qemu.ts";

/** An image in memory with the files that it names, by name. */
export interface Image {
  readonly storage: MemoryStorage;
  readonly named: ReadonlyMap<string, MemoryStorage>;
}

/** A new image and its writer. */
export interface Creation extends Image {
  readonly writer: DiskWriter;
}

/** Creates an image in memory; with `backing` it gets a backing file of that content. */
export async function createImage(
  format: Format,
  size: number,
  options: OptionValues = {},
  more: { readonly compress?: boolean; readonly backing?: Uint8Array | null } = {},
): Promise<Creation> {
  const plan: CreatePlan = {
    size,
    options,
    backing: more.backing ? { name: "backing.raw", format: "raw" } : null,
    compress: more.compress ?? false,
  };
  await format.checkPlan?.(plan);
  const storage = new MemoryStorage();
  const named = new Map<string, MemoryStorage>();
  const writer = await format.create!(storage, plan, {
    ...inlineCodecs,
    createNamed(name) {
      const made = new MemoryStorage(undefined, name);
      named.set(name, made);
      return Promise.resolve(made);
    },
    backing: more.backing ? readerOf(more.backing) : null,
  });
  return { storage, named, writer };
}

/** An image in memory that is only read. */
export interface ReadOnlyImage {
  readonly storage: { bytes(): Uint8Array };
  readonly named: ReadonlyMap<string, Storage>;
}

/** Opens an image for reading; its bytes must not change while the disk is used. */
export function openImage(format: Format, image: ReadOnlyImage, snapshot?: string): Promise<Disk> {
  return format.open(viewOf(image.storage.bytes()), {
    ...inlineCodecs,
    snapshot: snapshot === undefined ? undefined : { idOrName: snapshot },
    openNamed: (file) => Promise.resolve(findNamed(image.named, file.name)),
  });
}

/** `bytes` as a storage that can only be read: unlike a `MemoryStorage` it copies nothing. */
export function viewOf(bytes: Uint8Array, label = "memory"): Storage {
  return {
    label,
    size: bytes.length,
    // deno-lint-ignore require-await
    async readAt(into, fileOffset) {
      if (fileOffset + into.length > bytes.length) {
        throw new ImageError("corrupt", `Cannot read ${into.length} bytes at ${fileOffset} of "${label}"`);
      }
      into.set(bytes.subarray(fileOffset, fileOffset + into.length));
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** Opens an image for writing, in place. */
export function editImage(
  format: Format,
  image: Image,
  backing: Uint8Array | null,
  compress = false,
): Promise<DiskWriter> {
  return format.edit!(image.storage, {
    ...inlineCodecs,
    compress,
    openNamed: (file) => Promise.resolve(findNamed(image.named, file.name)),
    openBacking: () => Promise.resolve(readerOf(backing ?? new Uint8Array(0))),
  });
}

/** Returns a context for verbs that change an image of one file, with the content of its backing file. */
export function changeContext(backing: Uint8Array = new Uint8Array(0)): ChangeContext {
  const names = () => Promise.reject(new Error("it names no further files"));
  return {
    checkpoint: () => Promise.resolve(),
    openNamed: names,
    createNamed: names,
    openBacking: () => Promise.resolve(readerOf(backing)),
  };
}

/** Returns the parts of a file that probing reads. */
export function peekOf(bytes: Uint8Array): Peek {
  return {
    head: bytes.subarray(0, 64 << 10),
    tail: bytes.subarray(Math.max(0, bytes.length - 4096)),
    size: bytes.length,
  };
}

/** Returns `bytes` as a guest disk with an extent for every 4 KiB. */
export function readerOf(bytes: Uint8Array): GuestReader {
  return {
    size: bytes.length,
    clusterSize: 1,
    extentAt(start, limit) {
      const end = Math.min(limit, alignDown(start, 4096) + 4096);
      const empty = isZero(bytes.subarray(start, end));
      return Promise.resolve<Extent>({
        start,
        end,
        ...(empty ? { kind: "zero" } : { kind: "data", compressed: false }),
      });
    },
    read(into, start) {
      const found = bytes.subarray(start, start + into.length);
      into.set(found);
      into.fill(0, found.length);
      return Promise.resolve();
    },
  };
}

/** Writes and zeroes at random, within the traits of the writer; changes `model`, the expected guest bytes, accordingly. */
export async function workAtRandom(writer: DiskWriter, model: Uint8Array, random: Rng, steps: number): Promise<void> {
  const { traits } = writer;
  if (!traits.startsZeroed && isZero(model)) {
    if (traits.order === "any" && !traits.compress) await writer.zero(0, traits.size);
  }
  if (traits.compress || traits.order === "ascending") await writeOnce(writer, model, random);
  else for (let step = 0; step < steps; step++) await changeOne(writer, model, random);
}

/** Writes every part of the disk once, in the order that the traits demand: data, zeroes or, if that means zero, nothing. */
async function writeOnce(writer: DiskWriter, model: Uint8Array, random: Rng): Promise<void> {
  const { compress, size, startsZeroed, order, sector } = writer.traits;
  const step = compress ? writer.traits.clusterSize : stepOf(writer);
  const pieces: [start: number, end: number][] = [];
  for (let start = 0; start < size;) {
    const length = compress ? step : Math.max(sector, alignDown(random.int(1, 4 * step), sector));
    pieces.push([start, Math.min(start + length, size)]);
    start += length;
  }
  if (order === "any") shuffle(pieces, random);
  for (const [start, end] of pieces) {
    const choice = random.int(startsZeroed ? 4 : 3);
    if (choice === 0) {
      await writer.zero(start, end);
      model.fill(0, start, end);
    } else if (choice < 3) {
      const bytes = content(end - start, random);
      await writer.write(bytes, start);
      model.set(bytes, start);
    }
  }
}

/** Writes or zeroes one random range. */
async function changeOne(writer: DiskWriter, model: Uint8Array, random: Rng): Promise<void> {
  const { size, sector } = writer.traits;
  if (size === 0) return;
  const step = stepOf(writer);
  const start = alignDown(random.int(size), random.chance(0.3) ? step : sector);
  const most = random.chance(0.5) ? 3 * step : step / 2;
  const length = Math.max(sector, alignDown(random.int(1, Math.max(2, most)), random.chance(0.3) ? step : sector));
  const end = Math.min(start + length, size);
  if (random.chance(0.4)) {
    await writer.zero(start, end);
    model.fill(0, start, end);
  } else {
    const bytes = content(end - start, random);
    await writer.write(bytes, start);
    model.set(bytes, start);
  }
}

/** The scale of random lengths: the cluster size, but at least 4 KiB. */
function stepOf(writer: DiskWriter): number {
  return Math.max(writer.traits.clusterSize, 4096);
}

/** Returns random bytes, one byte repeated or, rarely, zeroes. */
function content(length: number, random: Rng): Uint8Array {
  const sort = random.int(8);
  if (sort === 0) return new Uint8Array(length);
  if (sort < 4) return random.bytes(length);
  return new Uint8Array(length).fill(random.int(1, 256));
}

function shuffle<T>(items: T[], random: Rng): void {
  for (let at = items.length - 1; at > 0; at--) {
    const other = random.int(at + 1);
    [items[at], items[other]] = [items[other], items[at]];
  }
}

/** Walks all extents, checks each against the contract, and returns the guest bytes of the disk over `backing`. */
export async function readAll(disk: Disk, backing: Uint8Array = new Uint8Array(0)): Promise<Uint8Array> {
  const bytes = new Uint8Array(disk.size);
  for (let start = 0; start < disk.size;) {
    const { kind, end } = await checkedExtent(disk, start, disk.size);
    if (kind === "data") await readInPieces(disk, bytes.subarray(start, end), start);
    else if (kind === "hole") bytes.set(backing.subarray(start, end), start);
    start = end;
  }
  return bytes;
}

/** Returns the guest bytes of an image of one file, over `backing`. */
export async function contentOf(format: Format, storage: MemoryStorage, backing?: Uint8Array): Promise<Uint8Array> {
  const disk = await openImage(format, { storage, named: new Map() });
  return await readAll(disk, backing);
}

/** Returns the fingerprint of the guest bytes, or the kind of the error that reading them throws. */
export async function stateOf(format: Format, storage: MemoryStorage, backing?: Uint8Array): Promise<string> {
  try {
    return fingerprint(await contentOf(format, storage, backing));
  } catch (error) {
    assert(error instanceof ImageError);
    return error.kind;
  }
}

/**
 * Returns a hash of 64 bits as text, for states that a test compares with each other. Unlike a SHA-256 it costs little on a
 * processor without instructions for that.
 */
export function fingerprint(bytes: Uint8Array): string {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  const words = new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.length >>> 2);
  let [one, other] = [0x9e3779b9, bytes.length];
  for (let at = 0; at < words.length; at++) {
    one = Math.imul(one ^ words[at], 0x85ebca6b);
    one = one << 13 | one >>> 19;
    other = Math.imul(other ^ words[at], 0xc2b2ae35);
    other = other << 17 | other >>> 15;
  }
  return [one >>> 0, other >>> 0, ...aligned.subarray(words.length * 4)].join("-");
}

/** Guest bytes that {@linkcode diskState} reads at once. */
const PIECE = 1 << 20;
const ZERO_PIECE = fingerprint(new Uint8Array(PIECE));

/** Returns the size and a hash of the guest bytes of a disk. Reads data only; stored zeroes count as zero. */
export async function diskState(disk: GuestReader): Promise<string> {
  const parts = [`${disk.size}`];
  const piece = new Uint8Array(PIECE);
  let index = -1;
  const finish = (next: number) => {
    const text = index < 0 ? ZERO_PIECE : fingerprint(piece);
    if (text !== ZERO_PIECE) parts.push(`${index}:${text}`);
    if (index >= 0) piece.fill(0);
    index = next;
  };
  for (let at = 0; at < disk.size;) {
    const { kind, end } = await disk.extentAt(at, disk.size);
    for (let start = at; kind === "data" && start < end;) {
      const next = Math.floor(start / PIECE);
      if (next !== index) finish(next);
      const stop = Math.min(end, (next + 1) * PIECE);
      await disk.read(piece.subarray(start - next * PIECE, stop - next * PIECE), start);
      start = stop;
    }
    at = end;
  }
  finish(-1);
  return parts.join(" ");
}

/** Returns a copy of `bytes` with another length; new bytes are zero. */
export function resized(bytes: Uint8Array, size: number): Uint8Array {
  const other = new Uint8Array(size);
  other.set(bytes.subarray(0, size));
  return other;
}

/** Gets extents and reads at random positions, within and across clusters. */
export async function readAtRandom(disk: Disk, model: Uint8Array, backing: Uint8Array, random: Rng): Promise<void> {
  for (let count = 0; count < 60 && disk.size > 0; count++) {
    const start = random.int(disk.size);
    const limit = random.chance(0.5) ? disk.size : random.int(start + 1, disk.size + 1);
    const { kind, end, location } = await checkedExtent(disk, start, limit);
    if (kind === "data") {
      const from = random.int(start, end);
      const into = new Uint8Array(random.int(1, Math.min(end - from, 1 << 20) + 1)).fill(0xa5);
      await disk.read(into, from);
      assertBytes(into, model.subarray(from, from + into.length), from);
      if (location) {
        await location.storage.readAt(into, location.offset + (from - start));
        assertBytes(into, model.subarray(from, from + into.length), from);
      }
    } else {
      const expected = kind === "hole" ? backing.subarray(start, end) : new Uint8Array(0);
      assertBytes(resized(expected, end - start), model.subarray(start, end), start);
    }
  }
}

/** Returns an extent with the file offset of its location in place of the location. */
export function withFileOffset({ location, ...extent }: Extent): Omit<Extent, "location"> & { fileOffset?: number } {
  return location ? { ...extent, fileOffset: location.offset } : extent;
}

/** Asserts that two pieces of a guest disk are equal, naming the first byte that differs. */
export function assertBytes(actual: Uint8Array, expected: Uint8Array, guestStart = 0): void {
  assert.equal(actual.length, expected.length, "length");
  if (Buffer.compare(actual, expected) === 0) return;
  const at = actual.findIndex((byte, index) => byte !== expected[index]);
  assert.fail(`guest byte ${guestStart + at} is ${actual[at]} and must be ${expected[at]}`);
}

const ZEROES = new Uint8Array(PIECE);

/** Returns whether all bytes are zero. */
export function isZero(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at += ZEROES.length) {
    const part = bytes.subarray(at, at + ZEROES.length);
    if (Buffer.compare(part, ZEROES.subarray(0, part.length)) !== 0) return false;
  }
  return true;
}

/** Returns the first position where `now` has neither the old nor the new byte, else -1; past its end, an array is zero. */
export function tornAt(now: Uint8Array, before: Uint8Array, after: Uint8Array): number {
  const isLike = (other: Uint8Array, start: number, end: number) =>
    Buffer.compare(now.subarray(start, end), other.subarray(start, end)) === 0;
  for (let start = 0; start < now.length; start += 4096) {
    const end = Math.min(start + 4096, now.length);
    if (isLike(before, start, end) || isLike(after, start, end)) continue;
    for (let at = start; at < end; at++) {
      if (now[at] !== (before[at] ?? 0) && now[at] !== (after[at] ?? 0)) return at;
    }
  }
  return -1;
}

/**
 * Opens an image that may be damaged and reads its data, at most `most` guest bytes. Returns null after an `ImageError`;
 * throws every other error.
 */
export async function tryToRead(format: Format, image: ReadOnlyImage, most: number): Promise<Uint8Array | null> {
  try {
    const disk = await openImage(format, image);
    const bytes = new Uint8Array(Math.min(disk.size, most));
    for (let start = 0, extents = 0; start < bytes.length && extents < 4096; extents++) {
      const { kind, end } = await checkedExtent(disk, start, bytes.length);
      if (kind === "data") await readInPieces(disk, bytes.subarray(start, end), start);
      start = end;
    }
    return bytes;
  } catch (error) {
    if (error instanceof ImageError) return null;
    throw error;
  }
}

async function checkedExtent(disk: Disk, start: number, limit: number): Promise<Extent> {
  const extent = await disk.extentAt(start, limit);
  assert.equal(extent.start, start, "the extent starts where the lookup did");
  assert(extent.end > start, `the extent at ${start} is empty`);
  assert(extent.end <= limit, `the extent at ${start} ends at ${extent.end}, past ${limit}`);
  assert(["data", "zero", "hole"].includes(extent.kind), extent.kind);
  return extent;
}

async function readInPieces(disk: Disk, into: Uint8Array, start: number): Promise<void> {
  for (let at = 0; at < into.length; at += 1 << 20) {
    await disk.read(into.subarray(at, Math.min(at + (1 << 20), into.length)), start + at);
  }
}

function findNamed<T>(named: ReadonlyMap<string, T>, name: string): T {
  const found = named.get(name);
  if (!found) throw new ImageError("missing", `Cannot open "${name}": there is no such file`, { path: name });
  return found;
}
