/**
 * Structures of a sparse extent file that overlap one another, a grain, or the end of the file. A change of one would
 * change the other, so that no verb writes before they have been compared. Readers use the first copies of the tables: a
 * fault of a second copy can be repaired, any other cannot, because it is unknown which of both is right.
 *
 * @module
 */
import { alignUp, SECTOR, viewOf } from "../bytes.ts";
import { corrupt, type ImageError } from "../errors.ts";
import type { CheckContext } from "../maintenance.ts";
import type { Storage } from "../storage/types.ts";
import { forEachGrain, type OpenExtentFile, overlapsIn } from "./grain_table_copies.ts";
import { FLAG, HEADER_BYTES, type SparseHeader } from "./header.ts";
import { type HostedSparse, readRedundant, tableBytesOf } from "./hosted_sparse.ts";

/** A structure with a wrong location. */
export interface MetadataFault {
  /** The end of a sentence that begins with the structure. */
  readonly message: string;
  readonly fileOffset: number;
  /** The copy of a table that a repair replaces by a new one; `null` for all other structures. */
  readonly replaceable: TableCopy | null;
}

/** A copy of the grain table `index`. */
interface TableCopy {
  readonly copy: "first" | "second";
  readonly index: number;
}

interface Structure {
  readonly what: string;
  readonly start: number;
  readonly end: number;
  /** `null` for header, descriptor and directories. */
  readonly table: TableCopy | null;
}

type Checkpoint = Pick<CheckContext, "checkpoint">;

/** Finds the structures with a wrong location. Reads all grain tables. */
export async function findMetadataFaults<S extends Storage>(
  extent: OpenExtentFile<S>,
  context: Checkpoint,
): Promise<MetadataFault[]> {
  const { storage, sparse: { header } } = extent;
  const faults = new Map<Structure, MetadataFault>();
  const add = (structure: Structure, found: string, replaceable = isSecond(structure) ? structure.table : null) => {
    const fault = { message: `${structure.what} ${found}`, fileOffset: structure.start, replaceable };
    if (!faults.has(structure)) faults.set(structure, fault);
  };
  const all = structuresOf(extent).sort((a, b) => a.start - b.start);
  // No reader uses such a table, so that it may overlap others.
  const isUnused = ({ table, end }: Structure) => table !== null && end > storage.size;
  for (const structure of all) {
    if (structure.end > alignUp(storage.size, SECTOR) || isUnused(structure)) {
      add(structure, "ends past the end of the file", structure.table);
    }
  }
  const structures = all.filter((structure) => !isUnused(structure));
  const longest: { used: Structure | null; second: Structure | null } = { used: null, second: null };
  for (const structure of structures) {
    for (const other of [longest.used, longest.second]) {
      if (other === null || structure.start >= other.end) continue;
      // Where a second copy overlaps a structure that readers use, the second copy has the wrong location.
      const seconds = [structure, other].filter(isSecond);
      for (const one of seconds.length > 0 ? seconds : [structure, other]) {
        add(one, `overlaps ${(one === other ? structure : other).what}`);
      }
    }
    const kind = isSecond(structure) ? "second" : "used";
    if (structure.end > (longest[kind]?.end ?? -1)) longest[kind] = structure;
  }
  const compare = grainComparison(header, structures, add);
  await forEachGrain(extent, context, compare);
  return [...faults.values()];
}

/** Finds a structure that readers use and that overlaps one of `grains`, file offsets; `null` without one. */
export function structureOver<S extends Storage>(
  extent: OpenExtentFile<S>,
  grains: Iterable<number>,
): MetadataFault | null {
  const { storage, sparse: { header } } = extent;
  const used = structuresOf(extent).filter((structure) => !isSecond(structure) && structure.end <= storage.size)
    .sort((a, b) => a.start - b.start);
  const found: MetadataFault[] = [];
  const compare = grainComparison(header, used, ({ what, start }, problem) => {
    found.push({ message: `${what} ${problem}`, fileOffset: start, replaceable: null });
  });
  for (const grain of grains) compare(grain);
  return found[0] ?? null;
}

/** Returns a function that compares a grain, by its file offset, with `structures` in ascending order. */
function grainComparison(
  header: SparseHeader,
  structures: readonly Structure[],
  add: (structure: Structure, problem: string) => void,
): (grain: number) => void {
  // The length of a compressed grain is not known before it is read.
  const grainBytes = header.compressed ? SECTOR : header.grainBytes;
  const ends = endsOf(structures);
  return (grain) => {
    for (let nth = firstEndingAfter(ends, grain); nth < structures.length; nth++) {
      const structure = structures[nth]!;
      if (structure.start >= grain + grainBytes) break;
      if (structure.end > grain) add(structure, `overlaps a grain at ${grain}`);
    }
  };
}

/**
 * Refuses an extent file in which a structure has a wrong location, or grains overlap.
 *
 * @throws ImageError `corrupt`
 */
export async function refuseMetadataFaults<S extends Storage>(
  storage: S,
  sparse: HostedSparse,
  context: Checkpoint = { checkpoint: () => Promise.resolve() },
): Promise<void> {
  const redundant = await readRedundant(storage, sparse.header);
  const faults = await findMetadataFaults({ storage, sparse, redundant }, context);
  const fault = faults.find(({ replaceable }) => replaceable === null) ?? faults[0];
  if (fault !== undefined) throw metadataError(storage.label, fault);
  if (sparse.header.compressed) return;
  const [start] = (await overlapsIn({ storage, sparse }, context)).starts;
  if (start === undefined) return;
  throw metadataError(storage.label, { message: "two grains overlap", fileOffset: start, replaceable: null });
}

/** Returns the error for a structure with a wrong location. */
export function metadataError(label: string, { message, fileOffset, replaceable }: MetadataFault): ImageError {
  const advice = replaceable === null
    ? "convert the image into a new one"
    : `"check -r all" replaces it, as far as the other copy is valid`;
  return corrupt(`Cannot change "${label}": ${message}; ${advice}`, label, fileOffset);
}

function structuresOf<S extends Storage>({ sparse: { header, directory }, redundant }: OpenExtentFile<S>): Structure[] {
  const found: Structure[] = [{ what: "the header", start: 0, end: HEADER_BYTES, table: null }];
  const add = (what: string, start: number, length: number, table: TableCopy | null = null) => {
    if (length > 0) found.push({ what, start, end: start + length, table });
  };
  if (header.descriptor !== null) add("the descriptor", header.descriptor.fileOffset, header.descriptor.length);
  add("the grain directory", header.directory ?? 0, directory.byteLength);
  if (redundant !== null) add("the redundant grain directory", header.redundantDirectory, redundant.length);
  const isTable = (sector: number) => sector > 1 || sector === 1 && (header.flags & FLAG.zeroed) === 0;
  for (let at = 0; at < directory.byteLength; at += 4) {
    const [index, first] = [at / 4, directory.getUint32(at, true)];
    if (isTable(first)) add(`grain table ${index}`, first * SECTOR, tableBytesOf(header), { copy: "first", index });
    const second = redundant === null ? 0 : viewOf(redundant).getUint32(at, true);
    if (second === first || !isTable(second)) continue;
    add(`the second copy of grain table ${index}`, second * SECTOR, tableBytesOf(header), {
      copy: "second",
      index,
    });
  }
  return found;
}

function isSecond({ table }: Structure): boolean {
  return table?.copy === "second";
}

/** Returns, for each structure, the greatest end of it and those before it. */
function endsOf(structures: readonly Structure[]): number[] {
  let end = 0;
  return structures.map((structure) => end = Math.max(end, structure.end));
}

/** Returns the index of the first element of ascending `ends` above `fileOffset`. */
function firstEndingAfter(ends: readonly number[], fileOffset: number): number {
  let from = 0;
  for (let to = ends.length; from < to;) {
    const middle = (from + to) >>> 1;
    if (ends[middle]! > fileOffset) to = middle;
    else from = middle + 1;
  }
  return from;
}
