/**
 * Putting a changed descriptor in the place of the old one, together with what changes in the header.
 *
 * @module
 */
import { alignUp, SECTOR, setU64, viewOf } from "../bytes.ts";
import { ImageError } from "../errors.ts";
import type { WritableStorage } from "../storage/types.ts";
import { FLAG, HEADER_BYTES } from "./header.ts";
import type { Layout } from "./extent_files.ts";

/** Fields of a header that change. Sizes and offsets in bytes. */
export interface HeaderChange {
  readonly capacity?: number;
  /** File offset of the grain directory. */
  readonly directory?: number;
  /** File offset of the redundant one; 0: there is none any more. */
  readonly redundantDirectory?: number;
}

/** Where the descriptor is. */
type Embedding = Pick<Layout<WritableStorage>, "embedded">;

/** The bytes of the descriptor of an image that has one. */
export async function descriptorBytes(
  storage: WritableStorage,
  { embedded }: Embedding,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(embedded?.length ?? storage.size);
  await storage.readAt(bytes, embedded?.fileOffset ?? 0);
  return bytes;
}

/**
 * Throws where the image has no room for `text`.
 *
 * @throws ImageError `unsupported`
 */
export function checkRoom(storage: WritableStorage, { embedded }: Embedding, text: Uint8Array): void {
  if (embedded === null || text.length <= embedded.length) return;
  const message = `Cannot change the descriptor of "${storage.label}": it would have ${text.length} bytes, and there ` +
    `is room for ${embedded.length}; convert the image into a new one`;
  throw new ImageError("unsupported", message, { path: storage.label });
}

/**
 * Stores the descriptor, and for one inside a sparse extent what changes in the header: both at one moment. All that
 * they speak of must be on stable storage; so are they when this returns.
 */
export async function storeDescriptor(
  storage: WritableStorage,
  layout: Embedding,
  text: Uint8Array,
  change: HeaderChange = {},
): Promise<void> {
  checkRoom(storage, layout, text);
  if (layout.embedded === null) await storeFile(storage, text);
  else await storeEmbedded(storage, layout.embedded, text, change);
}

/**
 * The header leads to a copy of the new descriptor while the old one is written over: its sectors are several, and the
 * header is one.
 */
async function storeEmbedded(
  storage: WritableStorage,
  { fileOffset, length }: NonNullable<Embedding["embedded"]>,
  text: Uint8Array,
  change: HeaderChange,
): Promise<void> {
  const padded = new Uint8Array(length);
  padded.set(text);
  const end = storage.size;
  const copyAt = alignUp(end, SECTOR);
  await storage.writeAt(padded, copyAt);
  await storage.sync();
  await changeHeader(storage, change, copyAt);
  await storage.writeAt(padded, fileOffset);
  await storage.sync();
  await changeHeader(storage, {}, fileOffset);
  await storage.truncate(end);
  await storage.sync();
}

/** Changes fields of the header, which is one sector. Syncs. */
export async function changeHeader(storage: WritableStorage, change: HeaderChange, descriptor?: number): Promise<void> {
  const bytes = new Uint8Array(HEADER_BYTES);
  await storage.readAt(bytes, 0);
  const view = viewOf(bytes);
  const fields: readonly (readonly [at: number, value: number | undefined])[] = [
    [12, change.capacity],
    [28, descriptor],
    [48, change.redundantDirectory],
    [56, change.directory],
  ];
  for (const [at, value] of fields) if (value !== undefined) setU64(view, at, value / SECTOR, true);
  if (change.redundantDirectory === 0) view.setUint32(8, view.getUint32(8, true) & ~FLAG.redundant, true);
  await storage.writeAt(bytes, 0);
  await storage.sync();
}

/** Never shorter at first, so that nothing of the old text is left behind the new one at any moment. */
async function storeFile(storage: WritableStorage, text: Uint8Array): Promise<void> {
  const padded = new Uint8Array(Math.max(text.length, storage.size)).fill(0x0a);
  padded.set(text);
  await storage.writeAt(padded, 0);
  await storage.sync();
  if (storage.size === text.length) return;
  await storage.truncate(text.length);
  await storage.sync();
}
