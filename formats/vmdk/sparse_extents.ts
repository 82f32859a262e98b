/**
 * The sparse extents of an image whose grains are uncompressed, with both copies of their grain tables, for verbs that
 * change the tables.
 *
 * @module
 */
import { SECTOR, viewOf } from "../bytes.ts";
import { ImageError } from "../errors.ts";
import type { Storage, WritableStorage } from "../storage/types.ts";
import { type HostedSparse, openHostedSparse, readRedundant } from "./hosted_sparse.ts";
import type { SparseHeader } from "./header.ts";
import type { Layout, Part } from "./extent_files.ts";
import { SPARSE_MAGIC } from "./signatures.ts";
import { type Tables, tablesFor } from "./grain_tables.ts";

/** One of the extents. */
export interface SparseExtent<S extends Storage> {
  readonly part: Part<S>;
  readonly storage: S;
  readonly sparse: HostedSparse;
  /** The redundant grain directory; null where there is none. */
  readonly redundant: Uint8Array | null;
}

/** The extents that are sparse and plain; others are left out. */
export async function sparseExtents<S extends Storage>({ parts }: Layout<S>): Promise<SparseExtent<S>[]> {
  const found: SparseExtent<S>[] = [];
  for (const part of parts) {
    const { storage, kind } = part;
    if (kind !== "sparse" || storage === null || storage.size < SECTOR) continue;
    const magic = new Uint8Array(4);
    await storage.readAt(magic, 0);
    if (viewOf(magic).getUint32(0, true) !== SPARSE_MAGIC) continue;
    const sparse = await openHostedSparse(storage);
    if (sparse.header.compressed) continue;
    found.push({ part, storage, sparse, redundant: await readRedundant(storage, sparse.header) });
  }
  return found;
}

/**
 * The same, where all extents must be such.
 *
 * @param doing for the message: `empty`
 * @throws ImageError `unsupported`
 */
export async function requireSparseExtents(
  layout: Layout<WritableStorage>,
  doing: string,
  label: string,
): Promise<SparseExtent<WritableStorage>[]> {
  const extents = await sparseExtents(layout);
  if (extents.length === layout.parts.length) return extents;
  const message = `Cannot ${doing} "${label}": it has extents that are flat, compressed or only read here; ` +
    `convert it into a new image`;
  throw new ImageError("unsupported", message, { path: label });
}

/** Its tables, of which none is added. */
export function tablesIn({ storage, sparse, redundant }: Omit<SparseExtent<WritableStorage>, "part">): Tables {
  return tablesFor({
    storage,
    header: sparse.header,
    directory: new Uint8Array(sparse.directory.buffer),
    redundant,
    fresh: false,
    place: () => Promise.reject(new Error("No table is added here")),
  });
}

/** Punches holes for grains, by file offset, that no table points at any more. */
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
