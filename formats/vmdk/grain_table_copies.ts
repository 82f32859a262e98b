/**
 * The two copies of the grain tables of an extent: where they differ, and what each of them is worth. Readers use the
 * first copy, and writers write it first: what it says is true, unless it cannot be.
 *
 * @module
 */
import { equalBytes, SECTOR, viewOf } from "../bytes.ts";
import type { CheckContext } from "../maintenance.ts";
import { fileRanges, type Overlaps } from "../shared/overlaps.ts";
import type { Storage } from "../storage/types.ts";
import { FLAG, tablesOf } from "./header.ts";
import { tableBytesOf } from "./hosted_sparse.ts";
import type { SparseExtent } from "./sparse_extents.ts";

/** A table of which the copies do not say the same. */
export interface TableFault {
  readonly index: number;
  /** File offset of the table. */
  readonly fileOffset: number;
  /** The copies; `null` where the directory leads to none. One at least is there. */
  readonly first: Uint8Array | null;
  readonly second: Uint8Array | null;
}

/** The tables whose copies differ, in the order of their numbers. */
export async function* tableFaults<S extends Storage>(
  extent: SparseExtent<S>,
  { checkpoint }: Pick<CheckContext, "checkpoint">,
): AsyncGenerator<TableFault> {
  const { sparse: { header, directory }, redundant } = extent;
  if (redundant === null) return;
  for (let index = 0; index < tablesOf(header); index++) {
    if (index % 64 === 0) await checkpoint();
    const places = [directory, viewOf(redundant)].map((view) => view.getUint32(index * 4, true) * SECTOR);
    if (places[0] === places[1]) continue;
    const [first, second] = await Promise.all(places.map((place) => tableAt(extent, place)));
    if (first === null && second === null) continue;
    if (first !== null && second !== null && equalBytes(first, second)) continue;
    yield { index, fileOffset: first === null ? places[1] : places[0], first, second };
  }
}

/** The table at `place`; `null` where none can be. */
export async function tableAt<S extends Storage>(
  { storage, sparse: { header } }: SparseExtent<S>,
  place: number,
): Promise<Uint8Array | null> {
  const length = tableBytesOf(header);
  if (place < 2 * SECTOR || place + length > storage.size) return null;
  const bytes = new Uint8Array(length);
  await storage.readAt(bytes, place);
  return bytes;
}

/** Whether an entry of a table can be: a hole, stated zeroes, or a grain that begins inside the file. */
export function isPossible<S extends Storage>(
  { storage, sparse: { header } }: SparseExtent<S>,
  entry: number,
): boolean {
  if (entry === 0) return true;
  if (entry === 1) return (header.flags & FLAG.zeroed) !== 0;
  return entry * SECTOR < storage.size;
}

/**
 * Returns the file offset behind the last part of the file that is in use. All entries must be valid.
 */
export async function usedEnd<S extends Storage>(
  extent: SparseExtent<S>,
  { checkpoint }: Pick<CheckContext, "checkpoint">,
): Promise<number> {
  const { sparse: { header, directory }, redundant } = extent;
  const tableBytes = tableBytesOf(header);
  const { descriptor } = header;
  let end = Math.max(header.overhead, descriptor === null ? 0 : descriptor.fileOffset + descriptor.length);
  for (
    const [view, place] of [[directory, header.directory], [
      redundant && viewOf(redundant),
      header.redundantDirectory,
    ]] as const
  ) {
    if (view === null || place === null) continue;
    end = Math.max(end, place + view.byteLength);
    for (let at = 0; at < view.byteLength; at += 4) {
      const table = view.getUint32(at, true) * SECTOR;
      if (table !== 0) end = Math.max(end, table + tableBytes);
    }
  }
  await eachGrain(extent, { checkpoint }, (grain) => end = Math.max(end, grain + header.grainBytes));
  return end;
}

/** Calls `visit` with the file offset of each grain that the first copies of the tables point at. */
export async function eachGrain<S extends Storage>(
  extent: SparseExtent<S>,
  { checkpoint }: Pick<CheckContext, "checkpoint">,
  visit: (fileOffset: number) => void,
): Promise<void> {
  const { directory } = extent.sparse;
  for (let index = 0; index * 4 < directory.byteLength; index++) {
    if (index % 64 === 0) await checkpoint();
    const table = await tableAt(extent, directory.getUint32(index * 4, true) * SECTOR);
    if (table === null) continue;
    const view = viewOf(table);
    for (let at = 0; at < view.byteLength; at += 4) {
      const entry = view.getUint32(at, true);
      if (entry > 1) visit(entry * SECTOR);
    }
  }
}

/** The grains that begin inside another one. */
export async function overlapsIn<S extends Storage>(
  extent: SparseExtent<S>,
  context: Pick<CheckContext, "checkpoint">,
): Promise<Overlaps> {
  const places = fileRanges();
  const { grainBytes } = extent.sparse.header;
  await eachGrain(extent, context, (grain) => places.add(grain, grain + grainBytes));
  return places.overlaps();
}
