/**
 * Creation of an image: the smallest valid one, and the writer that fills it.
 *
 * @module
 */
import { SECTOR } from "../bytes.ts";
import type { CreateContext, CreatePlan, DiskWriter, WriterTraits } from "../contract.ts";
import type { WritableStorage } from "../storage/types.ts";
import type { AddedBitmaps } from "./bitmaps/write.ts";
import { encodeHeader } from "./header/header.ts";
import { CREATE_LIMITS, type Image, imageOf, type Limits } from "./image.ts";
import { type CreateSettings, settingsOf } from "./options.ts";
import { checkPlan, newHeader } from "./create_plan.ts";
import { type GuestTarget, tableWriter, writerOf } from "./writer.ts";

/**
 * Starts a new image in `storage`, which is empty or a device, and whose contents are lost. `finish` writes the header,
 * so before that there is no image.
 *
 * @throws ImageError `usage` for an invalid plan, and the errors of `context.createNamed`
 *
 * @example
 * ```ts
 * import { createQcow2 } from "./create.ts";
 * import { inlineCompressor as compressor } from "../codec/compress.ts";
 * import { MemoryStorage } from "../storage/memory.ts";
 * import assert from "node:assert/strict";
 *
 * const storage = new MemoryStorage();
 * const plan = { size: 1 << 20, options: {}, backing: null, compress: false };
 * const createNamed = () => Promise.reject(new Error());
 * const writer = await createQcow2(storage, plan, { createNamed, backing: null, compressor });
 * await writer.write(new Uint8Array([7]), 12345);
 * await writer.finish();
 * assert.deepEqual([...storage.bytes().subarray(0, 4)], [0x51, 0x46, 0x49, 0xfb]);
 * ```
 */
export async function createQcow2(
  storage: WritableStorage,
  plan: CreatePlan,
  context: CreateContext,
  limits: Limits = CREATE_LIMITS,
): Promise<DiskWriter> {
  checkPlan(plan);
  const settings = settingsOf(plan);
  const data = settings.dataFile === null ? storage : await context.createNamed(settings.dataFile);
  const image = await emptyImage(storage, data, plan, context, limits);
  const target = await targetOf(image, plan, settings, context);
  const linear = settings.preallocation !== "off" && plan.backing === null;
  let bitmaps: AddedBitmaps | undefined;
  return writerOf({
    traits: traitsOf(image, plan, linear ? settings : null),
    target,
    begin: () => Promise.resolve(),
    ...(settings.version === 3 && {
      bitmaps: async () => bitmaps ??= (await import("./bitmaps/write.ts")).addedBitmaps(image, () => []),
    }),
    async finish() {
      await bitmaps?.finish();
      await finishNew(image);
    },
  });
}

/** Returns the target of guest bytes. Preallocation and compression are loaded only for an image that uses them. */
async function targetOf(
  image: Image,
  plan: CreatePlan,
  { preallocation, compressionType }: CreateSettings,
  context: CreateContext,
): Promise<GuestTarget> {
  if (preallocation !== "off") {
    const { linearWriter, preallocate } = await import("./clusters/preallocate.ts");
    const base = await preallocate(image, preallocation);
    if (plan.backing === null) return linearWriter(image, base, preallocation);
  }
  if (!plan.compress) return tableWriter(image, null);
  const { compressionOf } = await import("./clusters/compress.ts");
  return tableWriter(image, compressionOf(compressionType, context.compressor));
}

/** Returns an image without data. Header, refcount table and L1 table have their clusters. */
async function emptyImage(
  storage: WritableStorage,
  data: WritableStorage,
  plan: CreatePlan,
  context: CreateContext,
  limits: Limits,
): Promise<Image> {
  const header = newHeader(plan);
  const image = imageOf({
    header,
    storage,
    data,
    l1: new DataView(new ArrayBuffer(header.l1.entries * 8)),
    refcountTable: new Float64Array(header.refcountTable.clusters * header.clusterSize / 8),
    end: 0,
    isNew: true,
    keepsAllocations: settingsOf(plan).preallocation !== "off",
    limits,
    openBacking: () => Promise.resolve(context.backing),
  });
  const { l1, clusterSize, refcountTable } = header;
  await image.allocator.allocateAtEnd(1 + refcountTable.clusters);
  if (l1.entries === 0) return image;
  const cluster = await image.allocator.allocateAtEnd(Math.ceil(l1.entries * 8 / clusterSize));
  if (cluster * clusterSize !== l1.fileOffset) throw new Error(`the L1 table is in cluster ${cluster}`);
  return image;
}

function traitsOf(image: Image, plan: CreatePlan, linear: CreateSettings | null): WriterTraits {
  const { header, data } = image;
  const written = linear === null
    ? header.version === 2 && header.backing !== null
    : linear.preallocation !== "metadata" || !data.zeroesCheaply;
  return {
    size: header.size,
    clusterSize: header.clusterSize,
    sector: SECTOR,
    compress: plan.compress,
    order: "any",
    startsZeroed: header.backing === null,
    zeroes: written ? "written" : "cheap",
  };
}

/** Writes all tables, then the header. */
async function finishNew(image: Image): Promise<void> {
  const { storage, data, header, geometry } = image;
  await image.commit();
  const l1End = header.l1.fileOffset + header.l1.entries * 8;
  // As qemu-img leaves it: the file of an image without data ends with the L1 table, not with its cluster.
  const end = Math.ceil(l1End / geometry.clusterSize) === image.allocator.end
    ? l1End
    : image.allocator.end * geometry.clusterSize;
  if (storage.size < end) await storage.truncate(end);
  if (data !== storage && data.size < header.size) await data.truncate(header.size);
  await storage.writeAt(encodeHeader(image.header), 0);
}
