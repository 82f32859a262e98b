/**
 * The VHDX format of Hyper-V, version 1 ([MS-VHDX]): dynamic, fixed and differencing images.
 *
 * @module
 */
import { checkPlan, CREATE_OPTIONS, MAX_SIZE } from "./options.ts";
import type { Format } from "../contract.ts";
import { hasSignature } from "./identifier.ts";

/**
 * VHDX images. New ones are dynamic or fixed; existing ones of all three subformats are read and written. An image that was
 * not closed is read with its log replayed in memory, and is not written.
 *
 * @example
 * ```ts
 * import { inlineCompressor as compressor } from "../codec/compress.ts";
 * import { inlineDecompressor as decompressor } from "../codec/decompress.ts";
 * import { MemoryStorage } from "../storage/memory.ts";
 * import { vhdx } from "./mod.ts";
 * import assert from "node:assert/strict";
 *
 * const none = () => Promise.reject(new Error("It names no further file"));
 * const storage = new MemoryStorage();
 * const plan = { size: 4 << 20, options: {}, backing: null, compress: false };
 * const writer = await vhdx.create!(storage, plan, { createNamed: none, backing: null, compressor });
 * await writer.write(new Uint8Array(512).fill(7), 1 << 20);
 * await writer.finish();
 *
 * const disk = await vhdx.open(storage, { openNamed: none, decompressor });
 * const bytes = new Uint8Array(2);
 * await disk.read(bytes, 1 << 20);
 * assert.deepEqual([disk.size, ...bytes], [4 << 20, 7, 7]);
 * ```
 */
export const vhdx: Format = {
  name: "vhdx",
  title: "Hyper-V virtual hard disk, version 2",
  extensions: ["vhdx", "avhdx"],
  subformats: { written: ["dynamic", "fixed"], read: ["differencing"] },
  maxSize: MAX_SIZE,
  has: { backing: true, overlays: false, compression: false, snapshots: false, bitmaps: false },
  probe: ({ head }) => hasSignature(head) ? "yes" : "no",
  open: async (storage) => (await import("./open.ts")).openVhdx(storage),
  createOptions: CREATE_OPTIONS,
  checkPlan,
  create: async (storage, plan) => (await import("./create.ts")).createVhdx(storage, plan),
  edit: async (storage, context) => (await import("./edit.ts")).editVhdx(storage, context),
  maintenance: {
    check: async (storage, context) => (await import("./check.ts")).checkVhdx(storage, context),
    repair: async (storage, ...how) => (await import("./repair.ts")).repairVhdx(storage, ...how),
    resize: async (storage, ...how) => (await import("./resize.ts")).resizeVhdx(storage, ...how),
  },
};
