/**
 * Damaged images under the verbs of `formats/maintenance.ts`: each is refused with an ImageError or carried out, soon,
 * and in a file that stays small.
 *
 * @module
 */
import assert from "node:assert/strict";
import { type ChangeContext, type Format, ImageError, MemoryStorage, type WritableStorage } from "../../formats/mod.ts";
import { startBounds } from "./bounds.ts";
import { WatchedStorage } from "./storage.ts";

/** No change here needs more. */
const FILE_MAX = 24 << 20;

const refused = () => Promise.reject(new ImageError("refused", "no files"));
const context: ChangeContext = {
  pause: () => Promise.resolve(),
  openNamed: refused,
  openBelow: refused,
  createNamed: refused,
};

type Verb = (storage: WritableStorage) => Promise<unknown> | undefined;

/** The verbs that the format has, each in a few ways. */
function verbsOf({ maintenance = {} }: Format): readonly Verb[] {
  return [
    (storage) => maintenance.check?.(storage, context),
    (storage) => maintenance.repair?.(storage, "leaks", context),
    (storage) => maintenance.repair?.(storage, "all", context),
    (storage) => maintenance.resize?.(storage, 90 << 20, "off", context),
    (storage) => maintenance.resize?.(storage, 44 << 20, "metadata", context),
    (storage) => maintenance.resize?.(storage, 8192, "off", context),
    (storage) => maintenance.empty?.(storage, context),
    (storage) => maintenance.forget?.(storage, [{ start: 0, end: 3 << 20 }], context),
    (storage) => maintenance.setBacking?.(storage, { name: "x", id: "0000abcd" }),
    (storage) => maintenance.setBacking?.(storage, null),
  ];
}

/** Tries every verb on the image; returns how many were carried out. */
export async function tryVerbs(format: Format, image: Uint8Array): Promise<number> {
  let done = 0;
  for (const verb of verbsOf(format)) {
    const storage = new MemoryStorage(image, "image");
    const watched = new WatchedStorage(storage, ({ op, end }) => {
      if (end > FILE_MAX && op !== "read" && op !== "hole") throw new ImageError("io", "The disk is full");
    });
    const within = startBounds();
    try {
      await verb(watched);
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
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}
