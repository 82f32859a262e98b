/**
 * Compares the two copies of the grain tables of an extent file. Readers use the first copy, and writers write it
 * first: its valid entries take precedence over the second.
 *
 * @module
 */
import { equalBytes, SECTOR, viewOf } from "../bytes.ts";
import type { CheckContext } from "../maintenance.ts";
import { fileRanges, type Overlaps } from "../shared/overlaps.ts";
import type { Storage } from "../storage/types.ts";
import { FLAG, tableCount } from "./header.ts";
import { type HostedSparse, tableBytesOf } from "./hosted_sparse.ts";

/** An open sparse extent file with its directories. */
export interface OpenExtentFile<S extends Storage> {
  readonly storage: S;
  readonly sparse: HostedSparse;
  /** The redundant grain directory; null if there is none. */
  readonly redundant: Uint8Array | null;
}

/** A grain table whose copies differ. */
export interface TableFault {
  readonly index: number;
  /** File offset of the table. */
  readonly fileOffset: number;
  /** The copies; `null` if the directory entry points at none. At least one is not null. */
  readonly first: Uint8Array | null;
  readonly second: Uint8Array | null;
}

/**
 * Yields the tables whose copies differ, by ascending directory index.
 *
 * @param misplaced indices of second copies with a wrong location, which count as missing
 */
export async function* tableFaults<S extends Storage>(
  extent: OpenExtentFile<S>,
  { checkpoint }: Pick<CheckContext, "checkpoint">,
  misplaced: ReadonlySet<number> = new Set(),
): AsyncGenerator<TableFault> {
  const { sparse: { header, directory }, redundant } = extent;
  if (redundant === null) return;
  for (let index = 0; index < tableCount(header); index++) {
    if (index % 64 === 0) await checkpoint();
    const fileOffsets = [directory, viewOf(redundant)].map((view) => view.getUint32(index * 4, true) * SECTOR);
    if (fileOffsets[0] === fileOffsets[1]) continue;
    const first = await readTable(extent, fileOffsets[0]);
    const second = misplaced.has(index) ? null : await readTable(extent, fileOffsets[1]);
    if (first === null && second === null) continue;
    if (first !== null && second !== null && equalBytes(first, second)) continue;
    yield { index, fileOffset: first === null ? fileOffsets[1] : fileOffsets[0], first, second };
  }
}

/** Reads the table at `fileOffset`; `null` if no table can lie there. */
export async function readTable<S extends Storage>(
  { storage, sparse: { header } }: Pick<OpenExtentFile<S>, "storage" | "sparse">,
  fileOffset: number,
): Promise<Uint8Array | null> {
  const length = tableBytesOf(header);
  if (fileOffset < 2 * SECTOR || fileOffset + length > storage.size) return null;
  const bytes = new Uint8Array(length);
  await storage.readAt(bytes, fileOffset);
  return bytes;
}

/** Returns whether a table entry is valid: a hole, zeroes, or a grain that begins inside the file. */
export function isValidEntry<S extends Storage>(
  { storage, sparse: { header } }: OpenExtentFile<S>,
  entry: number,
): boolean {
  if (entry === 0) return true;
  if (entry === 1) return (header.flags & FLAG.zeroed) !== 0;
  return entry * SECTOR < storage.size;
}

/**
 * Returns the end of the used part of the file: the greatest end of a structure or grain. All entries must be valid.
 */
export async function usedEnd<S extends Storage>(
  extent: OpenExtentFile<S>,
  { checkpoint }: Pick<CheckContext, "checkpoint">,
): Promise<number> {
  const { sparse: { header, directory }, redundant } = extent;
  const tableBytes = tableBytesOf(header);
  const { descriptor } = header;
  let end = Math.max(header.overhead, descriptor === null ? 0 : descriptor.fileOffset + descriptor.length);
  for (
    const [view, fileOffset] of [[directory, header.directory], [
      redundant && viewOf(redundant),
      header.redundantDirectory,
    ]] as const
  ) {
    if (view === null || fileOffset === null) continue;
    end = Math.max(end, fileOffset + view.byteLength);
    for (let at = 0; at < view.byteLength; at += 4) {
      const table = view.getUint32(at, true) * SECTOR;
      if (table !== 0) end = Math.max(end, table + tableBytes);
    }
  }
  await forEachGrain(extent, { checkpoint }, (grain) => end = Math.max(end, grain + header.grainBytes));
  return end;
}

/** Calls `visit` with the file offset of each grain that the first copies of the tables point at. */
export async function forEachGrain<S extends Storage>(
  extent: Pick<OpenExtentFile<S>, "storage" | "sparse">,
  { checkpoint }: Pick<CheckContext, "checkpoint">,
  visit: (fileOffset: number) => void,
): Promise<void> {
  const { directory, header } = extent.sparse;
  // Without the flag, an entry of 1 is the sector behind the header.
  const least = (header.flags & FLAG.zeroed) === 0 ? 1 : 2;
  for (let index = 0; index * 4 < directory.byteLength; index++) {
    if (index % 64 === 0) await checkpoint();
    const table = await readTable(extent, directory.getUint32(index * 4, true) * SECTOR);
    if (table === null) continue;
    const view = viewOf(table);
    for (let at = 0; at < view.byteLength; at += 4) {
      const entry = view.getUint32(at, true);
      if (entry >= least) visit(entry * SECTOR);
    }
  }
}

/** Finds grains that begin inside another one. */
export async function overlapsIn<S extends Storage>(
  extent: Pick<OpenExtentFile<S>, "storage" | "sparse">,
  context: Pick<CheckContext, "checkpoint">,
): Promise<Overlaps> {
  const ranges = fileRanges();
  const { grainBytes } = extent.sparse.header;
  await forEachGrain(extent, context, (grain) => ranges.add(grain, grain + grainBytes));
  return ranges.overlaps();
}
