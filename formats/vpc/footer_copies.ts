/**
 * The footers of an image, and the end of its file. At every moment one of them must be sound.
 *
 * @module
 */
import { alignUp, SECTOR } from "../bytes.ts";
import type { Storage, WritableStorage } from "../storage/types.ts";
import { FOOTER_BYTES, footerState } from "./footer.ts";
import type { VpcImage } from "./structures.ts";

/** What is wrong with the copy of the footer at the end; `null`: nothing. */
export async function faultOfCopy(storage: Storage, { bytes }: VpcImage): Promise<string | null> {
  const copy = new Uint8Array(FOOTER_BYTES);
  await storage.readAt(copy, 0);
  if (footerState(copy) !== "sound") return "is missing or damaged";
  return copy.every((byte, at) => byte === bytes[at]) ? null : "differs from the footer at its end";
}

/** Puts the copy at the beginning right: it counts as soon as the file grows over the footer at its end. */
export async function mendCopy(storage: WritableStorage, image: VpcImage): Promise<void> {
  if (await faultOfCopy(storage, image) === null) return;
  await storage.writeAt(image.bytes, 0);
  await storage.sync();
}

/** Writes both footers. The one at the end is on stable storage before the copy at the beginning is touched. */
export async function writeFooters(storage: WritableStorage, footer: Uint8Array, end: number): Promise<void> {
  const at = alignUp(end, SECTOR);
  await storage.writeAt(footer, at);
  await storage.sync();
  if (storage.size > at + footer.length) await storage.truncate(at + footer.length);
  await storage.writeAt(footer, 0);
  await storage.sync();
}

/** Moves the footer from `footerAt` forward to `end`, and ends the file with it. */
export async function cutTo(
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
