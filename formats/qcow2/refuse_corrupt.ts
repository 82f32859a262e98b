/**
 * Errors for images that must be repaired before they can be changed.
 *
 * @module
 */
import { corrupt, ImageError } from "../errors.ts";
import type { Storage } from "../storage/types.ts";
import type { Header } from "./header/header.ts";

/** The advice at the end of every such message. */
export const REPAIR_FIRST = 'run "diskcast check -r all" (or "qemu-img check -r all") on it first';

/** Returns the error for an image with wrong tables or refcounts. */
export function corruptImage({ label }: Storage, problem: string, fileOffset?: number): ImageError {
  return corrupt(`Cannot change "${label}": ${problem}; ${REPAIR_FIRST}`, label, fileOffset);
}

/**
 * Refuses an image whose header has the dirty or corrupt bit set.
 *
 * @throws ImageError `unsupported`
 */
export function refuseCorrupt({ label }: Storage, header: Header): void {
  const problem = header.corrupt
    ? "it is marked corrupt"
    : header.dirty
    ? "it was not closed properly, so its refcounts may be wrong (dirty bit)"
    : null;
  if (problem === null) return;
  throw new ImageError("unsupported", `Cannot change "${label}": ${problem}; ${REPAIR_FIRST}`, { path: label });
}

/**
 * Refuses an image whose header names a table with the refcount 0: its clusters would be allocated as free.
 *
 * @param blocks file offsets of the refcount blocks
 * @throws ImageError `corrupt`
 */
export async function checkMetadataRefcounts(
  storage: Storage,
  header: Header,
  blocks: readonly number[],
  countOf: (cluster: number) => Promise<number> | number,
): Promise<void> {
  const { clusterSize, l1, refcountTable, snapshots, bitmaps } = header;
  const tables: [what: string, fileOffset: number, bytes: number][] = [
    ["header", 0, clusterSize],
    ["L1 table", l1.fileOffset, l1.entries * 8],
    ["refcount table", refcountTable.fileOffset, refcountTable.clusters * clusterSize],
    ["snapshot table", snapshots.fileOffset, snapshots.count],
    ["bitmap directory", bitmaps?.directoryFileOffset ?? 0, header.bitmapsConsistent ? bitmaps?.directorySize ?? 0 : 0],
    ...blocks.map((fileOffset): [string, number, number] => ["refcount block", fileOffset, 1]),
  ];
  for (const [what, fileOffset, bytes] of tables) {
    for (let at = fileOffset; at < fileOffset + bytes; at += clusterSize) {
      if (await countOf(at / clusterSize) > 0) continue;
      throw corruptImage(storage, `the refcount of its ${what} is 0, must be 1`, at);
    }
  }
}
