/**
 * Writing entries of a block map one after another, without holding them.
 *
 * @module
 */
import { viewOf } from "../bytes.ts";
import type { WritableStorage } from "../storage/types.ts";

/** Entries written at once. */
const PIECE_ENTRIES = 1 << 14;

/** Which entries to write into the map at `mapOffset`. */
export interface MapEntries {
  /** File offset. */
  readonly mapOffset: number;
  readonly first: number;
  readonly end: number;
  /** The entries `[first, end)` of the piece. */
  entriesOf(first: number, end: number): ArrayLike<number> | Promise<ArrayLike<number>>;
}

/** Writes the entries `[first, end)` of a map. */
export async function writeEntries(
  storage: WritableStorage,
  { mapOffset, first, end, entriesOf }: MapEntries,
): Promise<void> {
  for (let at = first; at < end; at += PIECE_ENTRIES) {
    const pieceEnd = Math.min(end, at + PIECE_ENTRIES);
    const entries = await entriesOf(at, pieceEnd);
    const bytes = new Uint8Array((pieceEnd - at) * 4);
    const view = viewOf(bytes);
    for (let index = 0; index < entries.length; index++) view.setUint32(index * 4, entries[index]!, true);
    await storage.writeAt(bytes, mapOffset + at * 4);
  }
}
