/**
 * Changing the header of an existing image.
 *
 * @module
 */
import type { WritableStorage } from "../storage/types.ts";
import { HEADER_BYTES, type HeaderChanges, patchHeader } from "./header.ts";

/** Writes changes into the header. It is one sector: they are all there, or none. */
export async function rewriteHeader(storage: WritableStorage, changes: HeaderChanges): Promise<void> {
  const bytes = new Uint8Array(HEADER_BYTES);
  await storage.readAt(bytes, 0);
  patchHeader(bytes, changes);
  await storage.writeAt(bytes, 0);
}
