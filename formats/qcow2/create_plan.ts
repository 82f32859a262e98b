/**
 * The rules for options of a new image, and its header.
 *
 * @module
 */
import { alignUp, isPowerOfTwo, SECTOR } from "../bytes.ts";
import type { CreatePlan } from "../contract.ts";
import { ImageError } from "../errors.ts";
import { encodeHeader, FEATURE_NAMES, type Header, NO_BITS } from "./header/header.ts";
import {
  BACKING_FORMAT_BYTES_MAX,
  BACKING_NAME_BYTES_MAX,
  CLUSTER_BITS,
  EXTENDED_L2_MIN_CLUSTER_BITS,
  HEADER_LENGTH_CURRENT,
  HEADER_LENGTH_V2,
  L1_BYTES_MAX,
  REFCOUNT_TABLE_BYTES_MAX,
} from "./header/types.ts";
import { geometryOf, l1EntriesFor } from "./mapping/l2_entry.ts";
import { refcountsPerBlock } from "./refcounts/refcount_block.ts";
import { type CreateSettings, settingsOf } from "./options.ts";

/**
 * Checks that a plan can be carried out. Pure.
 *
 * @throws ImageError `usage`
 *
 * @example
 * ```ts
 * import { checkPlan } from "./create_plan.ts";
 * import assert from "node:assert/strict";
 *
 * const plan = { size: 1 << 30, options: {}, backing: null, compress: false };
 * checkPlan(plan);
 * assert.throws(() => checkPlan({ ...plan, options: { compat: "0.10", compression_type: "zstd" } }));
 * ```
 */
export function checkPlan(plan: CreatePlan): void {
  const settings = settingsOf(plan);
  checkClusters(settings);
  checkVersion(settings);
  checkPreallocation(plan, settings);
  checkDataFile(plan, settings);
  checkBacking(plan);
  checkSize(plan, settings);
  encodeHeader(newHeader(plan));
}

function refuse(message: string): never {
  throw new ImageError("usage", message);
}

function checkClusters({ clusterSize, refcountBits, extendedL2 }: CreateSettings): void {
  const [least, most] = [2 ** CLUSTER_BITS.min, 2 ** CLUSTER_BITS.max];
  if (!isPowerOfTwo(clusterSize) || clusterSize < least || clusterSize > most) {
    refuse(`Cannot use "cluster_size=${clusterSize}": it must be a power of two from ${least} to ${most}`);
  }
  if (!isPowerOfTwo(refcountBits) || refcountBits > 64) {
    refuse(`Cannot use "refcount_bits=${refcountBits}": it must be 1, 2, 4, 8, 16, 32 or 64`);
  }
  const needed = 2 ** EXTENDED_L2_MIN_CLUSTER_BITS;
  if (extendedL2 && clusterSize < needed) {
    refuse(`Cannot use "extended_l2" with "cluster_size=${clusterSize}": it must be at least ${needed}`);
  }
}

function checkVersion(settings: CreateSettings): void {
  if (settings.version === 3) return;
  const version3Only: [boolean, string][] = [
    [settings.refcountBits !== 16, `refcount_bits=${settings.refcountBits}`],
    [settings.compressionType === "zstd", "compression_type=zstd"],
    [settings.extendedL2, "extended_l2"],
    [settings.lazyRefcounts, "lazy_refcounts"],
    [settings.dataFile !== null, "data_file"],
    [settings.dataFileRaw, "data_file_raw"],
  ];
  const found = version3Only.find(([used]) => used);
  if (found) refuse(`Cannot use "${found[1]}" with "compat=0.10": it needs compat=1.1`);
}

function checkPreallocation({ backing, compress, options }: CreatePlan, settings: CreateSettings): void {
  if (options.preallocation === undefined || options.preallocation === "off") return;
  const option = `"preallocation=${settings.preallocation}"`;
  if (backing !== null && !settings.extendedL2) {
    refuse(
      `Cannot use ${option} with a backing file: it would hide it; only with "extended_l2" can both stand together`,
    );
  }
  if (compress) refuse(`Cannot use ${option} with compression: compressed clusters have no size known beforehand`);
}

function checkDataFile({ backing, compress }: CreatePlan, { dataFile, dataFileRaw }: CreateSettings): void {
  if (dataFileRaw && dataFile === null) refuse('Cannot use "data_file_raw" without "data_file"');
  if (dataFileRaw && backing !== null) {
    refuse('Cannot use "data_file_raw" with a backing file: the data file by itself must hold everything');
  }
  if (dataFile !== null && compress) {
    refuse('Cannot use "data_file" with compression: a data file holds plain clusters only');
  }
}

function checkBacking({ backing }: CreatePlan): void {
  if (backing === null) return;
  const bytes = new TextEncoder().encode(backing.name).length;
  if (bytes < 1 || bytes > BACKING_NAME_BYTES_MAX) {
    refuse(`Cannot use the backing file name: it has ${bytes} bytes, must have 1 to ${BACKING_NAME_BYTES_MAX}`);
  }
  if (backing.format === undefined || backing.format === "") {
    refuse(`Cannot use the backing file "${backing.name}" without its format: it must be stated`);
  }
  if (new TextEncoder().encode(backing.format).length > BACKING_FORMAT_BYTES_MAX) {
    refuse(
      `Cannot use the backing format "${backing.format}": it must have at most ${BACKING_FORMAT_BYTES_MAX} bytes`,
    );
  }
}

function checkSize(plan: CreatePlan, settings: CreateSettings): void {
  const geometry = geometryOf(geometryFields(settings));
  const maxSize = Math.min(L1_BYTES_MAX / 8 * geometry.l2Reach, Number.MAX_SAFE_INTEGER + 1 - (64 << 20));
  const clusters = `clusters of ${sizeText(settings.clusterSize)}`;
  if (!Number.isSafeInteger(plan.size) || plan.size < 0) {
    refuse(`Cannot create a disk of ${plan.size} bytes: it must be a whole number from 0 to 2^53 - 1`);
  }
  if (alignUp(plan.size, SECTOR) > maxSize) {
    refuse(
      `Cannot create a disk of ${plan.size} bytes with ${clusters}${settings.extendedL2 ? " and extended L2" : ""}: ` +
        `it must be at most ${maxSize} bytes (${sizeText(maxSize)})`,
    );
  }
  if (settings.preallocation === "off" || settings.dataFile !== null) return;
  const blockReach = settings.clusterSize * refcountsPerBlock(settings.clusterSize, Math.log2(settings.refcountBits));
  const hostBytes = REFCOUNT_TABLE_BYTES_MAX / 8 * blockReach;
  // Refcounts also count the tables: L1, L2, and the refcount structure itself.
  const perCluster = geometry.l2EntryBytes + settings.refcountBits / 8;
  const maxPreallocated = Math.floor(hostBytes / (1 + 1.02 * perCluster / settings.clusterSize)) - (64 << 20);
  if (plan.size > maxPreallocated) {
    refuse(
      `Cannot preallocate ${plan.size} bytes with ${clusters} and ${settings.refcountBits} refcount bits: ` +
        `it must be at most ${maxPreallocated} bytes (${
          sizeText(maxPreallocated)
        }), which the largest refcount table can count`,
    );
  }
}

/** Formats a size in binary units, rounded down. */
function sizeText(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let index = 0;
  let value = bytes;
  for (; value >= 1024 && index < units.length - 1; index++) value /= 1024;
  return `${Math.floor(value * 100) / 100} ${units[index]}`;
}

/** Returns the header fields that determine the geometry. */
function geometryFields(settings: CreateSettings): { readonly clusterBits: number; readonly extendedL2: boolean } {
  return { clusterBits: Math.log2(settings.clusterSize), extendedL2: settings.extendedL2 };
}

/**
 * Returns the header of a new image. Pure. The refcount table follows the first cluster, then come the refcount blocks that
 * count these clusters, then the L1 table, as in the files of qemu-img.
 */
export function newHeader(plan: CreatePlan): Header {
  const settings = settingsOf(plan);
  const { clusterSize, version } = settings;
  const size = alignUp(plan.size, SECTOR);
  const l1Entries = l1EntriesFor(geometryOf(geometryFields(settings)), size);
  const refcountClusters = refcountTableClusters(settings, size);
  const first = 1 + refcountClusters;
  const perBlock = refcountsPerBlock(clusterSize, Math.log2(settings.refcountBits));
  // Each block counts itself, too.
  const blocks = Math.ceil(first / (perBlock - 1));
  return {
    version,
    ...geometryFields(settings),
    clusterSize,
    size,
    backing: plan.backing,
    // A table without entries has no cluster.
    l1: { fileOffset: l1Entries === 0 ? 0 : (first + blocks) * clusterSize, entries: l1Entries },
    refcountTable: { fileOffset: clusterSize, clusters: refcountClusters },
    refcountOrder: Math.log2(settings.refcountBits),
    snapshots: { fileOffset: 0, count: 0 },
    headerLength: version === 2 ? HEADER_LENGTH_V2 : HEADER_LENGTH_CURRENT,
    dirty: false,
    corrupt: false,
    externalData: settings.dataFile !== null,
    compressionType: settings.compressionType,
    lazyRefcounts: settings.lazyRefcounts,
    bitmapsConsistent: false,
    rawExternalData: settings.dataFileRaw,
    unknownCompatible: NO_BITS,
    unknownAutoclear: NO_BITS,
    dataFileName: settings.dataFile,
    bitmaps: null,
    featureNames: FEATURE_NAMES,
    unknownExtensions: [],
    unknownFields: new Uint8Array(0),
  };
}

/**
 * Returns the clusters of the refcount table of an image that is fully allocated. With these the table never moves, so
 * that a new image is never read back.
 */
function refcountTableClusters(settings: CreateSettings, size: number): number {
  const { clusterSize, refcountBits, dataFile } = settings;
  const geometry = geometryOf(geometryFields(settings));
  const dataClusters = dataFile === null ? Math.ceil(size / clusterSize) : 0;
  const l2Tables = l1EntriesFor(geometry, size);
  const tables = l2Tables + Math.ceil(l2Tables * 8 / clusterSize) + 1;
  const perBlock = refcountsPerBlock(clusterSize, Math.log2(refcountBits));
  // Each block counts itself, too; the table is estimated.
  const blocks = Math.ceil((dataClusters + tables) / (perBlock - 1) * (1 + 16 / clusterSize)) + 2;
  const maxClusters = REFCOUNT_TABLE_BYTES_MAX / clusterSize;
  return Math.min(maxClusters, Math.ceil(blocks * 8 / clusterSize));
}
