/**
 * New images of all five kinds.
 *
 * @module
 */
import { alignUp, SECTOR } from "../bytes.ts";
import type { CreateContext, CreatePlan, DiskWriter } from "../contract.ts";
import { ImageError } from "../errors.ts";
import type { WritableStorage } from "../storage/types.ts";
import { describe, extentName, imageName, type NewExtent, type NewParent } from "./descriptor_create.ts";
import { FLAG } from "./header.ts";
import { DESCRIPTOR_BYTES, GRAIN_BYTES, headerOf, newFlat, sparseExtent, SPLIT_BYTES } from "./extent_create.ts";
import { checkPlan, type Settings, settingsOf } from "./options.ts";
import { streamWriter } from "./stream_optimized_create.ts";
import { backingFrom, writerOf, type WritingPart } from "./writer.ts";

/**
 * Starts a new image in `storage`, which is empty or a device. Header and descriptor are written by `finish`, except
 * those of streamOptimized, whose end makes it an image.
 *
 * @throws ImageError `usage` for a plan against the rules, and what `context.createNamed` throws
 *
 * @example
 * ```ts
 * import { createVmdk } from "./create.ts";
 * import { inlineCompressor as compressor } from "../codec/compress.ts";
 * import { MemoryStorage } from "../storage/memory.ts";
 * import assert from "node:assert/strict";
 *
 * const storage = new MemoryStorage(undefined, "a.vmdk");
 * const plan = { size: 1 << 20, options: { subformat: "streamOptimized" }, backing: null, compress: false };
 * const createNamed = () => Promise.reject(new Error());
 * const writer = await createVmdk(storage, plan, { createNamed, backing: null, compressor });
 * await writer.write(new Uint8Array(65536).fill(7), 65536);
 * await writer.finish();
 * assert.equal(storage.size % 512, 0);
 * ```
 */
export async function createVmdk(
  storage: WritableStorage,
  plan: CreatePlan,
  context: CreateContext,
): Promise<DiskWriter> {
  checkPlan(plan);
  const settings = settingsOf(plan);
  const parent = parentOf(plan, storage.label);
  switch (settings.subformat) {
    case "streamOptimized":
      return await createStream(storage, settings, parent, context);
    case "monolithicSparse":
      return await createSparse(storage, settings, parent, context);
    default:
      return await createSeveral(storage, settings, parent, context);
  }
}

function parentOf({ backing }: CreatePlan, label: string): NewParent | null {
  if (backing === null) return null;
  if (backing.id !== undefined) return { name: backing.name, cid: backing.id };
  const message = `Cannot create "${label}" over "${backing.name}": its content ID is not known`;
  throw new ImageError("unsupported", message, { path: label });
}

async function createStream(
  storage: WritableStorage,
  settings: Settings,
  parent: NewParent | null,
  { name, backing: backing, compressor }: CreateContext,
): Promise<DiskWriter> {
  if (!storage.startsZeroed) {
    const message =
      `Cannot write streamOptimized to "${storage.label}": readers look for its end at the end of the file, ` +
      `which a device does not have; write it to a file`;
    throw new ImageError("unsupported", message, { path: storage.label });
  }
  const { size } = settings;
  const extent = { access: "RDONLY", size, type: "SPARSE", name: imageName(storage.label, name) } as const;
  const descriptor = describe(settings, [extent], parent);
  const header = headerOf(settings, size, {
    version: 3,
    flags: FLAG.newline | FLAG.compressed | FLAG.markers,
    descriptorBytes: Math.max(DESCRIPTOR_BYTES, alignUp(descriptor.length, SECTOR)),
  });
  const writer = await streamWriter({ storage, header, descriptor, backing, compress: compressor });
  return writerOf({
    size,
    clusterSize: GRAIN_BYTES,
    compress: true,
    order: "ascending",
    startsZeroed: backing === null,
    zeroes: "cheap",
    parts: [{ start: 0, end: size, writer }],
  });
}

async function createSparse(
  storage: WritableStorage,
  settings: Settings,
  parent: NewParent | null,
  { name, backing: backing }: CreateContext,
): Promise<DiskWriter> {
  const { size } = settings;
  const extent = { access: "RW", size, type: "SPARSE", name: imageName(storage.label, name) } as const;
  const descriptor = describe(settings, [extent], parent);
  const writer = await sparseExtent(storage, settings, size, descriptor, backing);
  return writerOf({
    size,
    clusterSize: GRAIN_BYTES,
    compress: false,
    order: "any",
    startsZeroed: backing === null,
    zeroes: storage.startsZeroed || settings.zeroedGrains ? "cheap" : "written",
    parts: [{ start: 0, end: size, writer }],
  });
}

/** A descriptor file, and extents in files of their own. */
async function createSeveral(
  storage: WritableStorage,
  settings: Settings,
  parent: NewParent | null,
  { name, backing: backing, createNamed }: CreateContext,
): Promise<DiskWriter> {
  const { size, subformat } = settings;
  const flat = subformat !== "twoGbMaxExtentSparse";
  const image = imageName(storage.label, name);
  const extents: NewExtent[] = [];
  const parts: WritingPart[] = [];
  const storages: WritableStorage[] = [];
  const most = subformat === "monolithicFlat" ? Infinity : SPLIT_BYTES;
  for (let start = 0; start < size || extents.length === 0; start += most) {
    const length = Math.min(most, size - start);
    const number = `${extents.length + 1}`.padStart(3, "0");
    const name = extentName(image, subformat === "monolithicFlat" ? "flat" : `${flat ? "f" : "s"}${number}`);
    const file = await createNamed(name);
    const writer = flat
      ? await newFlat(file, length)
      : await sparseExtent(file, settings, length, null, backing && backingFrom(backing, start));
    extents.push({ access: "RW", size: length, type: flat ? "FLAT" : "SPARSE", name });
    parts.push({ start, end: start + length, writer });
    storages.push(file);
  }
  const cheap = flat ? storages.every((file) => file.zeroesCheaply) : storages.every((file) => file.startsZeroed);
  return writerOf({
    size,
    clusterSize: flat ? 1 : GRAIN_BYTES,
    compress: false,
    order: "any",
    startsZeroed: backing === null && (!flat || storages.every((file) => file.startsZeroed)),
    zeroes: cheap || settings.zeroedGrains ? "cheap" : "written",
    parts,
    finish: () => storage.writeAt(describe(settings, extents, parent), 0),
  });
}
