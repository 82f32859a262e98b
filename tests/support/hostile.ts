/**
 * Damaged images: reading them and every verb must end soon, with success or an ImageError, and the file must stay small.
 *
 * @module
 */
import assert from "node:assert/strict";
import {
  type ChangeContext,
  type ErrorKind,
  type Format,
  ImageError,
  MemoryStorage,
  type WritableStorage,
} from "../../formats/mod.ts";
import { inlineCodecs } from "./codecs.ts";
import { startBounds } from "./bounds.ts";
import { fullDisk } from "./storage.ts";

/** The most guest bytes that are read: the size field of a damaged image may have any value. */
const READ_MAX = 1 << 20;

/** The result of reading a damaged image: an error of this kind, or a read to the end. */
export type Expected = ErrorKind | "reads";

/** Reads the image, or its first part, extent by extent. */
export async function readExtents(format: Format, image: Uint8Array): Promise<void> {
  const openNamed = () => Promise.reject(new Error(`${format.name} names no further files`));
  const disk = await format.open(new MemoryStorage(image, "image"), { ...inlineCodecs, openNamed });
  const size = Math.min(disk.size, READ_MAX);
  for (let at = 0; at < size;) {
    const { kind, start, end } = await disk.extentAt(at, size);
    assert(start === at && end > at && end <= size);
    if (kind === "data") await disk.read(new Uint8Array(end - start), at);
    at = end;
  }
}

/** Asserts that reading the image ends as expected and soon; then tries every verb on it. */
export async function tryHostile(
  format: Format,
  image: Uint8Array,
  expected: Expected,
  message?: RegExp,
): Promise<void> {
  const within = startBounds();
  if (expected === "reads") {
    await readExtents(format, image);
  } else {
    await assert.rejects(readExtents(format, image), (error) => {
      assert(error instanceof ImageError, String(error));
      assert.equal(error.kind, expected, error.message);
      if (message) assert.match(error.message, message);
      return true;
    });
  }
  within();
  await tryVerbs(format, image);
}

/** The most bytes of the file: no change in these tests needs more. */
const FILE_MAX = 24 << 20;

const refused = () => Promise.reject(new ImageError("refused", "no files"));
const context: ChangeContext = {
  checkpoint: () => Promise.resolve(),
  openNamed: refused,
  openBacking: refused,
  createNamed: refused,
};

type Verb = (storage: WritableStorage) => Promise<unknown> | undefined;

/** Returns the verbs of the format, each with several arguments. */
function verbsOf({ maintenance = {}, edit }: Format): readonly Verb[] {
  return [
    (storage) => edit?.(storage, { ...inlineCodecs, compress: false, ...context }),
    (storage) => maintenance.check?.(storage, context),
    (storage) => maintenance.repair?.(storage, "leaks", context),
    (storage) => maintenance.repair?.(storage, "all", context),
    (storage) => maintenance.resize?.(storage, 90 << 20, "off", context),
    (storage) => maintenance.resize?.(storage, 44 << 20, "metadata", context),
    (storage) => maintenance.resize?.(storage, 160 << 10, "full", context),
    (storage) => maintenance.resize?.(storage, 8192, "off", context),
    (storage) => maintenance.resize?.(storage, 512, "off", context),
    (storage) => maintenance.empty?.(storage, context),
    (storage) => maintenance.deallocate?.(storage, [{ start: 0, end: 3 << 20 }], context),
    (storage) => maintenance.setBacking?.(storage, { name: "x", id: "0000abcd" }),
    (storage) => maintenance.setBacking?.(storage, null),
  ];
}

/** Tries every verb on the image; returns how many succeeded. */
export async function tryVerbs(format: Format, image: Uint8Array): Promise<number> {
  let done = 0;
  for (const verb of verbsOf(format)) {
    const storage = new MemoryStorage(image, "image");
    const disk = fullDisk(storage, FILE_MAX);
    const within = startBounds();
    try {
      await verb(disk);
      done++;
    } catch (error) {
      assert(error instanceof ImageError, error instanceof Error ? error.stack : String(error));
      const early = error.kind === "usage" || error.kind === "unsupported";
      if (early) assert(isSame(storage.bytes(), image), `It was changed, then refused: ${error.message}`);
    }
    within();
  }
  return done;
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && Buffer.compare(one, other) === 0;
}
