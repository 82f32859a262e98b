/**
 * Damaged images: reading them, and every verb, is refused with an ImageError or carried out, soon, and in a file that
 * stays small.
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

/** The most guest bytes that are read: a size field may say anything. */
const READ_MAX = 1 << 20;

/** What reading a damaged image leads to: a failure of this kind, or a read to the end. */
export type Expected = ErrorKind | "reads";

/** Reads the image, or its first part, run by run. */
export async function readRuns(format: Format, image: Uint8Array): Promise<void> {
  const openNamed = () => Promise.reject(new Error(`${format.name} names no further files`));
  const disk = await format.open(new MemoryStorage(image, "image"), { ...inlineCodecs, openNamed });
  const size = Math.min(disk.size, READ_MAX);
  for (let at = 0; at < size;) {
    const run = await disk.extentAt(at, size);
    assert(run.start === at && run.end > at && run.end <= size);
    if (run.kind === "data") await disk.read(new Uint8Array(run.end - run.start), at);
    at = run.end;
  }
}

/** Reads the image, which must end as expected and soon; then tries every verb on it. */
export async function tryHostile(
  format: Format,
  image: Uint8Array,
  expected: Expected,
  message?: RegExp,
): Promise<void> {
  const within = startBounds();
  if (expected === "reads") {
    await readRuns(format, image);
  } else {
    await assert.rejects(readRuns(format, image), (error) => {
      assert(error instanceof ImageError, String(error));
      assert.equal(error.kind, expected, error.message);
      if (message) assert.match(error.message, message);
      return true;
    });
  }
  within();
  await tryVerbs(format, image);
}

/** No change here needs more. */
const FILE_MAX = 24 << 20;

const refused = () => Promise.reject(new ImageError("refused", "no files"));
const context: ChangeContext = {
  checkpoint: () => Promise.resolve(),
  openNamed: refused,
  openBacking: refused,
  createNamed: refused,
};

type Verb = (storage: WritableStorage) => Promise<unknown> | undefined;

/** The verbs that the format has, each in a few ways. */
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

/** Tries every verb on the image; returns how many were carried out. */
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
