/**
 * Creates images of all five subformats that are written.
 *
 * @module
 */
import { alignUp, SECTOR } from "../bytes.ts";
import type { CreateContext, CreatePlan, DiskWriter } from "../contract.ts";
import { ImageError } from "../errors.ts";
import type { WritableStorage } from "../storage/types.ts";
import { extentFileName, imageName, newDescriptor, type NewExtentLine, type NewParent } from "./descriptor_create.ts";
import { FLAG } from "./header.ts";
import { createFlat, createSparse, DESCRIPTOR_BYTES, GRAIN_BYTES, newHeader, SPLIT_BYTES } from "./extent_create.ts";
import { checkPlan, type Settings, settingsOf } from "./options.ts";
import { streamWriter } from "./stream_optimized_create.ts";
import { backingFrom, type ExtentFileSpan, writerOf } from "./writer.ts";

/**
 * Starts a new image in `storage`, which is empty or a device. `finish` writes header and descriptor; streamOptimized
 * has them at the start of the file, and is incomplete until `finish` appends its footer.
 *
 * @throws ImageError `usage` for a plan that {@linkcode checkPlan} refuses, and the errors of `context.createNamed`
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
      return await createStreamOptimized(storage, settings, parent, context);
    case "monolithicSparse":
      return await createMonolithicSparse(storage, settings, parent, context);
    default:
      return await createWithExtentFiles(storage, settings, parent, context);
  }
}

function parentOf({ backing }: CreatePlan, label: string): NewParent | null {
  if (backing === null) return null;
  if (backing.id !== undefined) return { name: backing.name, cid: backing.id };
  const message = `Cannot create "${label}" over "${backing.name}": its content ID is not known`;
  throw new ImageError("unsupported", message, { path: label });
}

async function createStreamOptimized(
  storage: WritableStorage,
  settings: Settings,
  parent: NewParent | null,
  { name, backing, compressor }: CreateContext,
): Promise<DiskWriter> {
  if (!storage.startsZeroed) {
    const message =
      `Cannot write streamOptimized to "${storage.label}": readers look for its end at the end of the file, ` +
      `which a device does not have; write it to a file`;
    throw new ImageError("unsupported", message, { path: storage.label });
  }
  const { size } = settings;
  const extent = { access: "RDONLY", size, type: "SPARSE", name: imageName(storage.label, name) } as const;
  const descriptor = newDescriptor(settings, [extent], parent);
  const header = newHeader(settings, size, {
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
    spans: [{ start: 0, end: size, writer }],
  });
}

async function createMonolithicSparse(
  storage: WritableStorage,
  settings: Settings,
  parent: NewParent | null,
  { name, backing }: CreateContext,
): Promise<DiskWriter> {
  const { size } = settings;
  const extent = { access: "RW", size, type: "SPARSE", name: imageName(storage.label, name) } as const;
  const descriptor = newDescriptor(settings, [extent], parent);
  const writer = await createSparse(storage, settings, size, descriptor, backing);
  return writerOf({
    size,
    clusterSize: GRAIN_BYTES,
    compress: false,
    order: "any",
    startsZeroed: backing === null,
    zeroes: storage.startsZeroed || settings.zeroedGrains ? "cheap" : "written",
    spans: [{ start: 0, end: size, writer }],
  });
}

/** Creates a descriptor file in `storage`, and the extent files that it names. */
async function createWithExtentFiles(
  storage: WritableStorage,
  settings: Settings,
  parent: NewParent | null,
  { name, backing, createNamed }: CreateContext,
): Promise<DiskWriter> {
  const { size, subformat } = settings;
  const flat = subformat !== "twoGbMaxExtentSparse";
  const image = imageName(storage.label, name);
  const extents: NewExtentLine[] = [];
  const spans: ExtentFileSpan[] = [];
  const storages: WritableStorage[] = [];
  const maxSize = subformat === "monolithicFlat" ? Infinity : SPLIT_BYTES;
  for (let start = 0; start < size || extents.length === 0; start += maxSize) {
    const length = Math.min(maxSize, size - start);
    const number = `${extents.length + 1}`.padStart(3, "0");
    const name = extentFileName(image, subformat === "monolithicFlat" ? "flat" : `${flat ? "f" : "s"}${number}`);
    const file = await createNamed(name);
    const writer = flat
      ? await createFlat(file, length)
      : await createSparse(file, settings, length, null, backing && backingFrom(backing, start));
    extents.push({ access: "RW", size: length, type: flat ? "FLAT" : "SPARSE", name });
    spans.push({ start, end: start + length, writer });
    storages.push(file);
  }
  const zeroesAreCheap = flat
    ? storages.every((file) => file.zeroesCheaply)
    : storages.every((file) => file.startsZeroed);
  return writerOf({
    size,
    clusterSize: flat ? 1 : GRAIN_BYTES,
    compress: false,
    order: "any",
    startsZeroed: backing === null && (!flat || storages.every((file) => file.startsZeroed)),
    zeroes: zeroesAreCheap || settings.zeroedGrains ? "cheap" : "written",
    spans,
    finish: () => storage.writeAt(newDescriptor(settings, extents, parent), 0),
  });
}
