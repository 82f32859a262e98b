/**
 * Replaces a descriptor, together with fields of the header, so that a crash leaves the old or the new one.
 *
 * @module
 */
import { alignUp, SECTOR, setU64, viewOf } from "../bytes.ts";
import { ImageError } from "../errors.ts";
import type { WritableStorage } from "../storage/types.ts";
import { FLAG, HEADER_BYTES } from "./header.ts";
import type { Layout } from "./extent_files.ts";

/** New values for fields of a header; sizes and offsets in bytes. */
export interface HeaderChange {
  readonly capacity?: number;
  /** File offset of the grain directory. */
  readonly directory?: number;
  /** File offset of the redundant grain directory; 0 removes it. */
  readonly redundantDirectory?: number;
}

/** Location of the descriptor: inside a sparse extent file, or a file of its own. */
type DescriptorLocation = Pick<Layout<WritableStorage>, "embedded">;

/** Reads the bytes of a descriptor, with its padding. */
export async function descriptorBytes(
  storage: WritableStorage,
  { embedded }: DescriptorLocation,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(embedded?.length ?? storage.size);
  await storage.readAt(bytes, embedded?.fileOffset ?? 0);
  return bytes;
}

/**
 * Throws if `text` is longer than the sectors that the image has for its descriptor.
 *
 * @throws ImageError `unsupported`
 */
export function checkRoom(storage: WritableStorage, { embedded }: DescriptorLocation, text: Uint8Array): void {
  if (embedded === null || text.length <= embedded.length) return;
  const message = `Cannot change the descriptor of "${storage.label}": it would have ${text.length} bytes, and there ` +
    `is room for ${embedded.length}; convert the image into a new one`;
  throw new ImageError("unsupported", message, { path: storage.label });
}

/**
 * Writes the descriptor and, if it is inside a sparse extent file, the header fields of `change`, as one atomic step.
 * Everything that they point at must be on stable storage before; they are when this returns.
 */
export async function storeDescriptor(
  storage: WritableStorage,
  layout: DescriptorLocation,
  text: Uint8Array,
  change: HeaderChange = {},
): Promise<void> {
  checkRoom(storage, layout, text);
  if (layout.embedded === null) await storeFile(storage, text);
  else await storeEmbedded(storage, layout.embedded, text, change);
}

/**
 * Overwrites the descriptor while the header points at a copy of the new one at the end of the file: only the header is
 * a single sector and therefore atomic.
 */
async function storeEmbedded(
  storage: WritableStorage,
  { fileOffset, length }: NonNullable<DescriptorLocation["embedded"]>,
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

/** Changes fields of the header, which is one sector, and syncs. `descriptor` is a file offset. */
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

/** Pads with newlines to the old length before truncating, so that old text never follows the new one. */
async function storeFile(storage: WritableStorage, text: Uint8Array): Promise<void> {
  const padded = new Uint8Array(Math.max(text.length, storage.size)).fill(0x0a);
  padded.set(text);
  await storage.writeAt(padded, 0);
  await storage.sync();
  if (storage.size === text.length) return;
  await storage.truncate(text.length);
  await storage.sync();
}
