/**
 * The footer at the end of the file, and its copy at the beginning. One of them must be valid at any time.
 *
 * @module
 */
import { alignUp, SECTOR } from "../bytes.ts";
import type { Storage, WritableStorage } from "../storage/types.ts";
import { FOOTER_BYTES, footerState } from "./footer.ts";
import type { VpcImage } from "./structures.ts";

/** Returns the fault of the copy at the beginning as the end of a sentence; `null` without one. */
export async function footerCopyFault(storage: Storage, { bytes }: VpcImage): Promise<string | null> {
  const copy = new Uint8Array(FOOTER_BYTES);
  await storage.readAt(copy, 0);
  if (footerState(copy) !== "valid") return "is missing or damaged";
  return copy.every((byte, at) => byte === bytes[at]) ? null : "differs from the footer at its end";
}

/** Repairs the copy at the beginning: readers use it as soon as new blocks overwrite the footer at the end. */
export async function repairFooterCopy(storage: WritableStorage, image: VpcImage): Promise<void> {
  if (await footerCopyFault(storage, image) === null) return;
  await storage.writeAt(image.bytes, 0);
  await storage.sync();
}

/** Writes both footers. The one at the end is on stable storage before the copy at the beginning changes. */
export async function writeFooters(storage: WritableStorage, footer: Uint8Array, end: number): Promise<void> {
  const at = alignUp(end, SECTOR);
  await storage.writeAt(footer, at);
  await storage.sync();
  if (storage.size > at + footer.length) await storage.truncate(at + footer.length);
  await storage.writeAt(footer, 0);
  await storage.sync();
}

/** Writes the footer at `end`, if that is before `footerAt`, and truncates the file behind it. */
export async function truncateTo(
  storage: WritableStorage,
  footer: Uint8Array,
  footerAt: number,
  end: number,
): Promise<void> {
  if (end >= footerAt) return;
  await storage.writeAt(footer, end);
  await storage.sync();
  await storage.truncate(end + footer.length);
  await storage.sync();
}
