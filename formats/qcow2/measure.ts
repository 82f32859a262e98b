/**
 * The file size of a new image, computed as `qemu-img measure` does: the tables of a fully allocated disk, and the
 * clusters that hold data now.
 *
 * @module
 */
import { alignUp, ceilDiv } from "../bytes.ts";
import type { CreatePlan, Measure, Measured } from "../contract.ts";
import type { Bitmap } from "../bitmaps.ts";
import { BITMAP_ENTRY_BYTES } from "./header/types.ts";
import { geometryOf, l1EntriesFor } from "./mapping/l2_entry.ts";
import { type CreateSettings, settingsOf } from "./options.ts";
import { refcountsPerBlock } from "./refcounts/refcount_block.ts";
import { checkPlan } from "./create_plan.ts";

/** Bytes of an entry of the L1 table, the refcount table and a bitmap table. */
const ENTRY_BYTES = 8;

/**
 * Returns the sizes that a new image can have.
 *
 * @throws ImageError `usage` for an invalid plan
 *
 * @example
 * ```ts
 * import { measureQcow2 } from "./measure.ts";
 * import assert from "node:assert/strict";
 *
 * const measure = measureQcow2({ size: 1 << 30, options: {}, backing: null, compress: false });
 * assert.equal(measure.clusterSize, 65536);
 * assert.deepEqual(measure.sizeOf(0, null), { required: 393216, fullyAllocated: 1074135040 });
 * ```
 */
export function measureQcow2(plan: CreatePlan): Measure {
  checkPlan(plan);
  const settings = settingsOf(plan);
  const size = alignUp(plan.size, settings.clusterSize);
  const allocates = settings.preallocation === "full" || settings.preallocation === "falloc";
  return {
    clusterSize: settings.clusterSize,
    sizeOf(data, bitmaps): Measured {
      const fullyAllocated = size + tableBytes(size, settings);
      return {
        required: fullyAllocated - size + (allocates ? size : data),
        fullyAllocated,
        ...(bitmaps && settings.version === 3 && { bitmaps: bitmapBytes(bitmaps, plan.size, settings) }),
      };
    },
  };
}

/**
 * Returns the bytes of header, L1 and L2 tables and refcounts of a fully allocated image. Each table takes whole
 * clusters.
 */
function tableBytes(size: number, settings: CreateSettings): number {
  const { clusterSize, extendedL2 } = settings;
  const geometry = geometryOf({ clusterBits: Math.log2(clusterSize), extendedL2 });
  const l2Tables = l1EntriesFor(geometry, size);
  const l1 = alignUp(l2Tables * ENTRY_BYTES, clusterSize);
  const tables = clusterSize + l2Tables * clusterSize + l1;
  return tables + refcountClusters((tables + size) / clusterSize, settings) * clusterSize;
}

/** Returns the clusters of refcount blocks and their table, which count themselves, too. */
function refcountClusters(counted: number, { clusterSize, refcountBits }: CreateSettings): number {
  const perBlock = refcountsPerBlock(clusterSize, Math.log2(refcountBits));
  let clusters = 0;
  for (;;) {
    const blocks = ceilDiv(counted + clusters, perBlock);
    const needed = blocks + ceilDiv(blocks * ENTRY_BYTES, clusterSize);
    if (needed === clusters) return clusters;
    clusters = needed;
  }
}

/** Returns the bytes of bitmaps with every bit stored, their tables and the directory. */
function bitmapBytes(bitmaps: readonly Bitmap[], size: number, { clusterSize }: CreateSettings): number {
  let bytes = 0;
  let directory = 0;
  for (const { name, granularity, inconsistent } of bitmaps) {
    if (inconsistent) continue;
    const clusters = ceilDiv(ceilDiv(ceilDiv(size, granularity), 8), clusterSize);
    bytes += clusters * clusterSize + alignUp(clusters * ENTRY_BYTES, clusterSize);
    directory += alignUp(BITMAP_ENTRY_BYTES + new TextEncoder().encode(name).length, 8);
  }
  return bytes + alignUp(directory, clusterSize);
}
