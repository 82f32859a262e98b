/**
 * Changes of the backing file: sets the parent in the descriptor, and deallocates grains, so that they read from it.
 *
 * @module
 */
import { alignUp, SECTOR, viewOf } from "../bytes.ts";
import type { NamedFile } from "../guest_reader.ts";
import { ImageError } from "../errors.ts";
import type { ChangeContext } from "../maintenance.ts";
import type { WritableStorage } from "../storage/types.ts";
import { withParent } from "./descriptor_edit.ts";
import { NO_PARENT } from "./descriptor.ts";
import { descriptorBytes, storeDescriptor } from "./descriptor_write.ts";
import { readDescriptor, readLayout, refuseTracked } from "./extent_files.ts";
import { openHostedSparse } from "./hosted_sparse.ts";
import { refuseMetadataFaults } from "./metadata_overlap.ts";
import { punchHoles, requireSparseExtentFiles, type SparseExtentFile, tablesIn } from "./sparse_extent_files.ts";

/** Grain tables that are changed and synced before holes are punched for their grains. */
const TABLES_PER_SYNC = 64;

/**
 * Sets the parent in the descriptor to `backing`, or to none. Nothing else changes. Without an ID, the descriptor
 * states no content ID of the parent, and readers check none.
 *
 * @throws ImageError `usage` for a backing file that is not a vmdk, or whose content ID is unknown but needed;
 * `unsupported` for an image that cannot have a parent
 */
export async function setVmdkBacking(storage: WritableStorage, backing: NamedFile | null): Promise<void> {
  const { label } = storage;
  const refuse = (kind: "usage" | "unsupported", why: string) =>
    new ImageError(kind, `Cannot change the backing file of "${label}": ${why}`, { path: label });
  const found = await readDescriptor(storage);
  if (found === null) throw refuse("unsupported", "it is one extent, and its descriptor is in another file");
  const { descriptor, embedded, header } = found;
  refuseTracked(descriptor, label);
  if (header?.compressed) {
    throw refuse("unsupported", "it is streamOptimized, which is written once; convert it into a new image");
  }
  if (backing !== null) {
    if (backing.format !== undefined && backing.format !== "vmdk") {
      throw refuse("usage", `"${backing.name}" is ${backing.format}, must be vmdk`);
    }
    if (descriptor.extents.some(({ type }) => !type.endsWith("SPARSE"))) {
      throw refuse("unsupported", "its flat extents hold every byte");
    }
    const { parentCid } = descriptor;
    const checked = parentCid !== null && parentCid !== NO_PARENT;
    if (backing.id === undefined && !checked && descriptor.parentHint === null) {
      throw refuse("usage", `the content ID of "${backing.name}" is not known; let it be opened (no -u)`);
    }
  }
  if (embedded !== null) await refuseMetadataFaults(storage, await openHostedSparse(storage));
  const old = await descriptorBytes(storage, { embedded });
  const text = withParent(old, descriptor, backing && { name: backing.name, cid: backing.id }, label);
  await storeDescriptor(storage, { embedded }, text);
}

/** Deallocates all grains: the whole disk reads from the backing file. */
export async function emptyVmdk(storage: WritableStorage, context: ChangeContext): Promise<void> {
  const layout = await readLayout(storage, (file) => context.openNamed(file));
  refuseTracked(layout.descriptor, storage.label);
  for (const extent of await requireSparseExtentFiles(layout, "empty", storage.label)) {
    await deallocateIn(extent, 0, extent.sparse.header.capacity, context);
  }
}

/** Deallocates the grains that lie wholly inside `ranges`: guest bytes, in ascending order. */
export async function deallocateVmdk(
  storage: WritableStorage,
  ranges: readonly { readonly start: number; readonly end: number }[],
  context: ChangeContext,
): Promise<void> {
  const layout = await readLayout(storage, (file) => context.openNamed(file));
  refuseTracked(layout.descriptor, storage.label);
  for (const extent of await requireSparseExtentFiles(layout, "drop grains of", storage.label)) {
    const { guestStart, size } = extent.extentFile;
    for (const { start, end } of ranges) {
      const [from, to] = [Math.max(start, guestStart) - guestStart, Math.min(end, guestStart + size) - guestStart];
      if (from < to) await deallocateIn(extent, from, to, context);
    }
  }
}

/** Deallocates the whole grains of `[start, end)`, in guest bytes from the start of the extent file. */
async function deallocateIn(
  extent: SparseExtentFile<WritableStorage>,
  start: number,
  end: number,
  { checkpoint }: ChangeContext,
): Promise<void> {
  const { storage, sparse: { header } } = extent;
  const { grainBytes, entriesPerTable, capacity } = header;
  const tables = tablesIn(extent);
  const last = end === capacity ? Math.ceil(end / grainBytes) : Math.floor(end / grainBytes);
  for (let grain = alignUp(start, grainBytes) / grainBytes; grain < last;) {
    const freed: number[] = [];
    for (let count = 0; count < TABLES_PER_SYNC && grain < last; count++) {
      const index = Math.floor(grain / entriesPerTable);
      const tableEnd = Math.min(last, (index + 1) * entriesPerTable);
      const table = await tables.find(index);
      for (; table !== null && grain < tableEnd; grain++) {
        const at = grain % entriesPerTable * 4;
        const entry = viewOf(table).getUint32(at, true);
        if (entry === 0) continue;
        viewOf(table).setUint32(at, 0, true);
        tables.changed(index);
        if (entry > 1) freed.push(entry * SECTOR);
      }
      grain = tableEnd;
    }
    await tables.flush();
    await storage.sync();
    await punchHoles(storage, header, freed);
    await checkpoint();
  }
}
