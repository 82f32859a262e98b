/**
 * The block map: one entry for each guest block. The data area of the file is an array of file blocks, each as long as a
 * guest block with its extra bytes; the entry of an allocated guest block is the number of its file block.
 *
 * @module
 */
import { viewOf } from "../bytes.ts";
import type { WritableStorage } from "../storage/types.ts";
import type { Header } from "./header.ts";

/** The entry of a block that reads as zeroes, whatever the parent holds. */
export const DISCARDED = 0xfffffffe;

/** Returns whether an entry is the number of a file block. */
export function isAllocated(entry: number): boolean {
  return entry < DISCARDED;
}

/** Returns the bytes of a file block: those of a guest block, and the extra bytes before it. */
export function fileBlockBytes({ blockSize, extraBytes }: Header): number {
  return extraBytes + blockSize;
}

/** Returns the file offset of the guest bytes in a file block. */
export function dataOffsetOf(header: Header, fileBlock: number): number {
  return header.dataOffset + fileBlock * fileBlockBytes(header) + header.extraBytes;
}

/** Returns the file offset after the last guest byte of block `index`, which begins at file offset `start`. */
export function blockEnd({ size, blockSize }: Header, index: number, start: number): number {
  return start + Math.max(0, Math.min(blockSize, size - index * blockSize));
}

/** Entries written at once. */
const ENTRIES_PER_WRITE = 1 << 14;

/** The entries `[first, end)` of the map at file offset `mapOffset`. */
export interface MapEntries {
  readonly mapOffset: number;
  readonly first: number;
  readonly end: number;
  /** Returns some of these entries. */
  entriesOf(first: number, end: number): ArrayLike<number> | Promise<ArrayLike<number>>;
}

/** Writes entries of a map in ascending order, without holding all of them in memory. */
export async function writeEntries(
  storage: WritableStorage,
  { mapOffset, first, end, entriesOf }: MapEntries,
): Promise<void> {
  for (let at = first; at < end; at += ENTRIES_PER_WRITE) {
    const writeEnd = Math.min(end, at + ENTRIES_PER_WRITE);
    const entries = await entriesOf(at, writeEnd);
    const bytes = new Uint8Array((writeEnd - at) * 4);
    const view = viewOf(bytes);
    for (let index = 0; index < entries.length; index++) view.setUint32(index * 4, entries[index]!, true);
    await storage.writeAt(bytes, mapOffset + at * 4);
  }
}
