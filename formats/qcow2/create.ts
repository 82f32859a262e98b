/**
 * New images: the smallest valid one, and the writer that fills it.
 *
 * @module
 */
import { SECTOR } from "../bytes.ts";
import type { CreateContext, CreatePlan, DiskWriter, WriterTraits } from "../contract.ts";
import type { WritableStorage } from "../storage/types.ts";
import { addedBitmaps } from "./bitmaps_write.ts";
import { packingOf } from "./compress.ts";
import { encodeHeader } from "./header.ts";
import { type Image, imageOf, type Limits, USUAL_LIMITS } from "./image.ts";
import { type CreateSettings, settingsOf } from "./options.ts";
import { checkPlan, newHeader } from "./plan_check.ts";
import { linearWriter, preallocate } from "./preallocate.ts";
import { tableWriter, writerOf } from "./writer.ts";

/**
 * Starts a new image in `storage`, which is empty or a device; nothing that was in it is kept. The header is written by
 * `finish`, so before that it is no image.
 *
 * @throws ImageError `usage` for a plan against the rules, and what `context.createNamed` throws.
 *
 * @example
 * ```ts
 * import { createQcow2 } from "./create.ts";
 * import { MemoryStorage } from "../storage/memory.ts";
 * import assert from "node:assert/strict";
 *
 * const storage = new MemoryStorage();
 * const plan = { size: 1 << 20, options: {}, backing: null, packs: false };
 * const writer = await createQcow2(storage, plan, { createNamed: () => Promise.reject(new Error()), below: null });
 * await writer.write(new Uint8Array([7]), 12345);
 * await writer.finish();
 * assert.deepEqual([...storage.bytes().subarray(0, 4)], [0x51, 0x46, 0x49, 0xfb]);
 * ```
 */
export async function createQcow2(
  storage: WritableStorage,
  plan: CreatePlan,
  context: CreateContext,
  limits: Limits = USUAL_LIMITS,
): Promise<DiskWriter> {
  checkPlan(plan);
  const settings = settingsOf(plan);
  const data = settings.dataFile === null ? storage : await context.createNamed(settings.dataFile);
  const image = await emptyImage(storage, data, plan, context, limits);
  const preallocated = settings.preallocation !== "off";
  const base = preallocated ? await preallocate(image, settings.preallocation) : 0;
  const linear = preallocated && plan.backing === null;
  const bitmaps = addedBitmaps(image, () => []);
  const pack = plan.packs ? packingOf(settings.compressionType, context.pack) : null;
  return writerOf({
    traits: traitsOf(image, plan, linear ? settings : null),
    target: linear ? linearWriter(image, base, settings.preallocation) : tableWriter(image, pack),
    begin: () => Promise.resolve(),
    ...(settings.version === 3 && { addBitmap: bitmaps.add }),
    async finish() {
      await bitmaps.finish();
      await finishNew(image);
    },
  });
}

/** An image without data. */
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
    l1: new Uint8Array(header.l1.entries * 8),
    refcountTable: new Float64Array(header.refcountTable.clusters * header.clusterSize / 8),
    end: 0,
    fresh: true,
    keepsPlaces: settingsOf(plan).preallocation !== "off",
    limits,
    below: () => Promise.resolve(context.below),
  });
  const l1Clusters = Math.ceil(header.l1.entries * 8 / header.clusterSize);
  await image.refcounts.claim(1 + header.refcountTable.clusters + l1Clusters);
  return image;
}

function traitsOf(image: Image, plan: CreatePlan, linear: CreateSettings | null): WriterTraits {
  const { header, data } = image;
  const written = linear === null
    ? header.version === 2 && header.backing !== null
    : linear.preallocation !== "metadata" || !data.zeroesCheaply;
  return {
    size: header.size,
    unit: header.clusterSize,
    sector: SECTOR,
    packs: plan.packs,
    order: "any",
    startsZeroed: header.backing === null,
    zeroes: written ? "written" : "cheap",
  };
}

/** Writes all tables, then the header. */
async function finishNew(image: Image): Promise<void> {
  const { storage, data, header, geometry } = image;
  await image.commit();
  const end = image.refcounts.end * geometry.clusterSize;
  if (storage.size < end) await storage.truncate(end);
  if (data !== storage && data.size < header.size) await data.truncate(header.size);
  await storage.writeAt(encodeHeader(image.header), 0);
}
