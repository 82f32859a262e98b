/**
 * The hosted sparse extent files of an image with uncompressed grains, for commands that change their grain tables.
 *
 * @module
 */
import { SECTOR } from "../bytes.ts";
import { ImageError } from "../errors.ts";
import type { Storage, WritableStorage } from "../storage/types.ts";
import { isHostedSparse, openHostedSparse, readRedundant } from "./hosted_sparse.ts";
import type { SparseHeader } from "./header.ts";
import type { ExtentFile, Layout } from "./extent_files.ts";
import type { OpenExtentFile } from "./grain_table_copies.ts";
import { refuseMetadataFaults } from "./metadata_overlap.ts";
import { type GrainTables, grainTables } from "./grain_tables.ts";

/** A hosted sparse extent file with uncompressed grains. */
export interface SparseExtentFile<S extends Storage> extends OpenExtentFile<S> {
  readonly extentFile: ExtentFile<S>;
}

/** Opens the hosted sparse extent files with uncompressed grains, and skips all others. */
export async function sparseExtentFiles<S extends Storage>({ extentFiles }: Layout<S>): Promise<SparseExtentFile<S>[]> {
  const found: SparseExtentFile<S>[] = [];
  for (const extentFile of extentFiles) {
    const { storage, type } = extentFile;
    if (type !== "sparse" || storage === null || storage.size < SECTOR) continue;
    if (!await isHostedSparse(storage)) continue;
    const sparse = await openHostedSparse(storage);
    if (sparse.header.compressed) continue;
    found.push({ extentFile, storage, sparse, redundant: await readRedundant(storage, sparse.header) });
  }
  return found;
}

/**
 * Opens all extent files of an image, as {@linkcode sparseExtentFiles}, and throws if it has others.
 *
 * @param doing the verb of the message, such as `empty`
 * @throws ImageError `unsupported`; `corrupt` for structures that overlap
 */
export async function requireSparseExtentFiles(
  layout: Layout<WritableStorage>,
  doing: string,
  label: string,
): Promise<SparseExtentFile<WritableStorage>[]> {
  const extents = await sparseExtentFiles(layout);
  if (extents.length === layout.extentFiles.length) {
    for (const { storage, sparse } of extents) await refuseMetadataFaults(storage, sparse);
    return extents;
  }
  const message = `Cannot ${doing} "${label}": it has extents that are flat, compressed or only read here; ` +
    `convert it into a new image`;
  throw new ImageError("unsupported", message, { path: label });
}

/** Returns the grain tables of an extent file, for changes that allocate none. */
export function tablesIn(
  { storage, sparse, redundant }: OpenExtentFile<WritableStorage>,
): GrainTables {
  return grainTables({
    storage,
    header: sparse.header,
    directory: new Uint8Array(sparse.directory.buffer),
    redundant,
    isNew: false,
    allocate: () => Promise.reject(new Error("No table is allocated here")),
  });
}

/** Punches holes for `grains`, file offsets that no table points at any more, if the storage can. */
export async function punchHoles(
  storage: WritableStorage,
  header: SparseHeader,
  grains: readonly number[],
): Promise<void> {
  if (!storage.zeroesCheaply) return;
  for (const start of grains) {
    const end = Math.min(start + header.grainBytes, storage.size);
    if (start >= header.overhead && start < end) await storage.zeroAt(start, end);
  }
}
