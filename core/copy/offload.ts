/**
 * Copying without looking: data that lie plainly in a file of the host, and go as they are into another one.
 *
 * @module
 */
import {
  alignDown,
  type Content,
  type GuestReader,
  type HostCopy,
  inFile,
  type Offload,
  type Storage,
  type WritableStorage,
} from "../../formats/mod.ts";

/** So much is handed to the host at once, in bytes: a signal or a key waits for no more. */
const PART = 4 << 20;

/** Two files share whole blocks of their file system; none of the usual ones has larger blocks by default. */
const BLOCK = 4096;

/** Finds what the host can copy by itself. */
export interface Offloader {
  /** The guest bytes from `start` on, to `end` at most, as they lie in a file; `null` where they must be read. */
  contentAt(source: GuestReader, start: number, end: number): Promise<Content | null>;
}

/**
 * An offloader for a target whose data go to `target`.
 *
 * @param how `clone`: only where the two files can share their blocks, so that zeroes among them cost nothing
 */
export function offloaderTo(target: WritableStorage, how: HostCopy): Offloader {
  const offload: Offload = { how, refused: target.copyFrom === undefined };
  const shares = new Map<Storage, boolean>();
  const mayShare = (source: Storage): boolean => {
    const known = shares.get(source) ?? target.mayShareWith?.(source) ?? false;
    shares.set(source, known);
    return known;
  };
  return {
    async contentAt(source, start, end) {
      if (offload.refused) return null;
      const place = await source.placeOf?.(start, Math.min(end, start + PART));
      if (!place) return null;
      const { storage, fileStart } = place;
      if (how === "copy") return inFile(storage, fileStart, fileStart + place.end - start, offload);
      if (start % BLOCK !== 0 || fileStart % BLOCK !== 0 || !mayShare(storage)) return null;
      const length = alignDown(place.end - start, BLOCK);
      return length > 0 ? inFile(storage, fileStart, fileStart + length, offload) : null;
    },
  };
}
