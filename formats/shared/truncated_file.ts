/**
 * Data past the end of a truncated file. An image that was cut off is opened and read as far as its file goes.
 *
 * @module
 */
import { corrupt } from "../errors.ts";
import type { Storage } from "../storage/types.ts";

/**
 * Fills `into` with the bytes from `fileOffset` on.
 *
 * @param name what is read, for messages: `block 5`
 * @param options `end`: file offset after the last byte of data, if a footer follows; `image`: the image, if its data is in
 * another file
 * @throws ImageError `corrupt` where the file lacks some of the bytes
 *
 * @example
 * ```ts
 * import { readData } from "./truncated_file.ts";
 * import { MemoryStorage } from "../storage/memory.ts";
 * import assert from "node:assert/strict";
 *
 * const storage = new MemoryStorage(new Uint8Array(600));
 * await assert.rejects(readData(storage, new Uint8Array(512), 512, "block 1"), { message: /of 512 bytes at 512 of the file, 424 lie past the end/ });
 * ```
 */
export async function readData(
  storage: Storage,
  into: Uint8Array,
  fileOffset: number,
  name: string,
  { end = storage.size, image = storage.label }: { readonly end?: number; readonly image?: string } = {},
): Promise<void> {
  const missing = Math.min(into.length, fileOffset + into.length - end);
  if (missing <= 0) return await storage.readAt(into, fileOffset);
  throw corrupt(
    `Cannot read ${name} of "${image}": of ${into.length} bytes at ${fileOffset} of the file, ${missing} lie past the ` +
      `end of the file (${end})`,
    storage.label,
    fileOffset,
  );
}
