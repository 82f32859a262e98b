/**
 * The raw format: the guest bytes in order, without metadata. It has no specification and no signature.
 *
 * @module
 */
import type { Preallocation } from "./maintenance.ts";
import type { CreatePlan, Disk, DiskWriter, Format } from "./contract.ts";
import { dataExtent, zeroExtent } from "./extent.ts";
import { andThen } from "./maybe_promise.ts";
import type { Storage, WritableStorage } from "./storage/types.ts";

/**
 * Raw images. Sizes are exact to the byte. Holes of the file are zero extents where the host reports holes; elsewhere all
 * bytes are data.
 *
 * @example
 * ```ts
 * import { raw } from "./raw.ts";
 * import { inlineDecompressor as decompressor } from "./codec/decompress.ts";
 * import { MemoryStorage } from "./storage/memory.ts";
 * import assert from "node:assert/strict";
 *
 * const storage = new MemoryStorage(new Uint8Array([1, 2, 3]));
 * const openNamed = () => Promise.reject(new Error("raw names no files"));
 * const disk = await raw.open(storage, { decompressor, openNamed });
 * const bytes = new Uint8Array(2);
 * await disk.read(bytes, 1);
 * assert.deepEqual([disk.size, ...bytes], [3, 2, 3]);
 * ```
 */
export const raw: Format = {
  name: "raw",
  title: "Raw disk image",
  extensions: ["raw", "img", "dd", "iso"],
  subformats: { written: [], read: [] },
  maxSize: Number.MAX_SAFE_INTEGER,
  has: { backing: false, overlays: false, compression: false, snapshots: false, bitmaps: false },
  // Any bytes are a raw image: the engine takes raw when no other format matches.
  probe: () => "no",
  open: (storage) => Promise.resolve(rawDisk(storage)),
  createOptions: [{
    name: "preallocation",
    type: "choice",
    help: "Space to take from the host beforehand: none, reserved (falloc), or written with zeroes (full)",
    values: ["off", "falloc", "full"],
    default: "off",
  }],
  create: createRaw,
  edit: (storage) => Promise.resolve(rawWriter(storage, storage.size)),
  maintenance: { resize: resizeRaw },
};

/** Changes the size of the file, which is the size of the disk. */
async function resizeRaw(storage: WritableStorage, size: number, growth: Preallocation): Promise<void> {
  const { truncateOnFailure, refuseMetadataPreallocation } = await import("./shared/growth.ts");
  const before = storage.size;
  refuseMetadataPreallocation(storage, growth);
  if (size < before) await storage.truncate(size);
  else {
    await truncateOnFailure(storage, async () => {
      await storage.truncate(size);
      if (growth !== "off") await storage.reserve(before, size, growth === "full");
    });
  }
  await storage.sync();
}

function rawDisk(storage: Storage): Disk {
  return {
    format: "raw",
    size: storage.size,
    clusterSize: 1,
    // A file has no sectors; a block device gives its own to the guest.
    ...(storage.logicalSectorSize !== undefined && { logicalSectorSize: storage.logicalSectorSize }),
    backing: null,
    info: {},
    extentAt(start, limit) {
      if (!storage.holeAt) return dataExtent(start, limit, { storage, offset: start });
      return andThen(
        storage.holeAt(start, limit),
        ({ hole, end }) =>
          hole
            ? zeroExtent(start, end, { storage, offset: start })
            : dataExtent(start, end, { storage, offset: start }),
      );
    },
    read: (into, start) => storage.readAt(into, start),
  };
}

async function createRaw(storage: WritableStorage, plan: CreatePlan): Promise<DiskWriter> {
  await storage.truncate(plan.size);
  const preallocation = plan.options["preallocation"] ?? "off";
  // The range must not hold data.
  if (preallocation !== "off") await storage.reserve(0, plan.size, preallocation === "full");
  return rawWriter(storage, plan.size);
}

function rawWriter(storage: WritableStorage, size: number): DiskWriter {
  return {
    traits: {
      size,
      clusterSize: 1,
      sector: 1,
      ...(storage.logicalSectorSize !== undefined && { logicalSectorSize: storage.logicalSectorSize }),
      compress: false,
      order: "any",
      startsZeroed: storage.startsZeroed,
      zeroes: storage.zeroesCheaply ? "cheap" : "written",
    },
    write: (from, start) => storage.writeAt(from, start),
    locationFor: (start) => ({ storage, offset: start, end: size }),
    writeContent: (content, start) => content.writeTo(storage, start),
    zero: (start, end) => storage.zeroAt(start, end),
    finish: () => Promise.resolve(),
  };
}
