/**
 * New images of all five kinds.
 *
 * @module
 */
import { alignUp, SECTOR } from "../bytes.ts";
import type { CreateContext, CreatePlan, DiskWriter, GuestReader } from "../contract.ts";
import { ImageError } from "../errors.ts";
import { inlinePacker } from "../packer.ts";
import type { WritableStorage } from "../storage/types.ts";
import { describe, extentName, imageName, type NewExtent, type NewParent } from "./describe.ts";
import { encodeHeader, FLAG, type SparseHeader, tablesOf } from "./header.ts";
import { tableBytesOf } from "./hosted_sparse.ts";
import { checkPlan, type Settings, settingsOf } from "./options.ts";
import { streamWriter } from "./stream_writer.ts";
import { tablesFor } from "./tables.ts";
import { type ExtentWriter, grainWriter } from "./write_grains.ts";
import { flatWriter, shiftedBelow, writerOf, type WritingPart } from "./writer.ts";

/** Grains of new extents, as VMware makes them. */
const GRAIN_BYTES = 64 << 10;
const ENTRIES_PER_TABLE = 512;
/** Room for the descriptor, so that it can change in place. */
const DESCRIPTOR_BYTES = 20 * SECTOR;
/** An extent of a split disk: as VMware makes it, one MiB less than 2 GiB, so that its file stays below that. */
export const SPLIT_BYTES = 2047 << 20;

/**
 * Starts a new image in `storage`, which is empty or a device. Header and descriptor are written by `finish`, except
 * those of streamOptimized, whose end makes it an image.
 *
 * @throws ImageError `usage` for a plan against the rules, and what `context.createNamed` throws
 *
 * @example
 * ```ts
 * import { createVmdk } from "./create.ts";
 * import { MemoryStorage } from "../storage/memory.ts";
 * import assert from "node:assert/strict";
 *
 * const storage = new MemoryStorage(undefined, "a.vmdk");
 * const plan = { size: 1 << 20, options: { subformat: "streamOptimized" }, backing: null, packs: false };
 * const writer = await createVmdk(storage, plan, { createNamed: () => Promise.reject(new Error()), below: null });
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
  { name, below, pack }: CreateContext,
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
  const writer = await streamWriter({ storage, header, descriptor, below, pack: pack ?? inlinePacker });
  return writerOf({
    size,
    unit: GRAIN_BYTES,
    packs: true,
    order: "ascending",
    startsZeroed: below === null,
    zeroes: "cheap",
    parts: [{ start: 0, end: size, writer }],
  });
}

async function createSparse(
  storage: WritableStorage,
  settings: Settings,
  parent: NewParent | null,
  { name, below }: CreateContext,
): Promise<DiskWriter> {
  const { size } = settings;
  const extent = { access: "RW", size, type: "SPARSE", name: imageName(storage.label, name) } as const;
  const descriptor = describe(settings, [extent], parent);
  const writer = await sparseExtent(storage, settings, size, descriptor, below);
  return writerOf({
    size,
    unit: GRAIN_BYTES,
    packs: false,
    order: "any",
    startsZeroed: below === null,
    zeroes: storage.startsZeroed || settings.zeroedGrains ? "cheap" : "written",
    parts: [{ start: 0, end: size, writer }],
  });
}

/** A descriptor file, and extents in files of their own. */
async function createSeveral(
  storage: WritableStorage,
  settings: Settings,
  parent: NewParent | null,
  { name, below, createNamed }: CreateContext,
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
      : await sparseExtent(file, settings, length, null, below && shiftedBelow(below, start));
    extents.push({ access: "RW", size: length, type: flat ? "FLAT" : "SPARSE", name });
    parts.push({ start, end: start + length, writer });
    storages.push(file);
  }
  const cheap = flat ? storages.every((file) => file.zeroesCheaply) : storages.every((file) => file.startsZeroed);
  return writerOf({
    size,
    unit: flat ? 1 : GRAIN_BYTES,
    packs: false,
    order: "any",
    startsZeroed: below === null && (!flat || storages.every((file) => file.startsZeroed)),
    zeroes: cheap || settings.zeroedGrains ? "cheap" : "written",
    parts,
    finish: () => storage.writeAt(describe(settings, extents, parent), 0),
  });
}

async function newFlat(storage: WritableStorage, size: number): Promise<ExtentWriter> {
  await storage.truncate(size);
  return flatWriter(storage, 0);
}

/** A new extent of plain grains: header, descriptor, both directories with all their tables, then grains. */
async function sparseExtent(
  storage: WritableStorage,
  settings: Settings,
  size: number,
  descriptor: Uint8Array | null,
  below: GuestReader | null,
): Promise<ExtentWriter> {
  const header = headerOf(settings, size, {
    version: settings.zeroedGrains ? 2 : 1,
    flags: FLAG.newline | FLAG.redundant,
    descriptorBytes: descriptor && Math.max(DESCRIPTOR_BYTES, alignUp(descriptor.length, SECTOR)),
  });
  if (!storage.startsZeroed) await storage.zeroAt(0, header.overhead);
  const end = { next: header.overhead };
  const tables = tablesFor({
    storage,
    header,
    directory: newDirectory(header, header.directory!),
    redundant: newDirectory(header, header.redundantDirectory),
    fresh: true,
    place: () => Promise.reject(new Error("All tables of a new extent have their places")),
  });
  const zeroedFrom = storage.startsZeroed ? 0 : Infinity;
  return {
    ...grainWriter({ storage, header, tables, end, zeroedFrom, below }),
    async finish() {
      await tables.flush();
      await tables.flushDirectories();
      if (descriptor) await storage.writeAt(descriptor, header.descriptor!.fileOffset);
      if (storage.size < end.next) await storage.truncate(end.next);
      await storage.writeAt(encodeHeader(header), 0);
    },
  };
}

/** The header of a new extent; a stream tells in its footer where its directory lies. */
function headerOf(
  settings: Settings,
  capacity: number,
  kind: { readonly version: number; readonly flags: number; readonly descriptorBytes: number | null },
): SparseHeader {
  const { version, descriptorBytes } = kind;
  const compressed = (kind.flags & FLAG.compressed) !== 0;
  const shape = { capacity, grainBytes: GRAIN_BYTES, entriesPerTable: ENTRIES_PER_TABLE };
  const redundantDirectory = SECTOR + (descriptorBytes ?? 0);
  const header: SparseHeader = {
    version,
    flags: kind.flags | (settings.zeroedGrains ? FLAG.zeroed : 0),
    ...shape,
    descriptor: descriptorBytes === null ? null : { fileOffset: SECTOR, length: descriptorBytes },
    redundantDirectory: compressed ? 0 : redundantDirectory,
    directory: null,
    overhead: alignUp(redundantDirectory, GRAIN_BYTES),
    unclean: false,
    compressed,
  };
  if (compressed) return header;
  const copy = directoryBytes(header) + tablesOf(header) * tableBytesOf(header);
  return {
    ...header,
    directory: redundantDirectory + copy,
    overhead: alignUp(redundantDirectory + 2 * copy, GRAIN_BYTES),
  };
}

function directoryBytes(header: SparseHeader): number {
  return alignUp(tablesOf(header) * 4, SECTOR);
}

/** A grain directory at `fileOffset` whose tables follow it. */
function newDirectory(header: SparseHeader, fileOffset: number): Uint8Array {
  const count = tablesOf(header);
  const first = (fileOffset + directoryBytes(header)) / SECTOR;
  const step = tableBytesOf(header) / SECTOR;
  const bytes = new Uint8Array(count * 4);
  const view = new DataView(bytes.buffer);
  for (let index = 0; index < count; index++) view.setUint32(index * 4, first + index * step, true);
  return bytes;
}
