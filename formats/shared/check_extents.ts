/**
 * Checks of images whose only metadata is a table of block locations, without refcounts to compare with.
 *
 * @module
 */
import { inlineDecompressor } from "../codec/decompress.ts";
import type { Disk, OpenContext } from "../contract.ts";
import { ImageError } from "../errors.ts";
import type { Extent, Location } from "../extent.ts";
import { SECTOR } from "../bytes.ts";
import { type CheckContext, type CheckReport, MAX_PROBLEMS, type Problem } from "../maintenance.ts";
import { fileRanges } from "./overlaps.ts";
import type { Storage } from "../storage/types.ts";

/** Opens an image, as `Format.open`. */
type Open = (storage: Storage, context: OpenContext) => Promise<Disk>;

/**
 * Returns a check of the location of every block: it must lie inside the file, and must not overlap another block.
 *
 * @example
 * ```ts
 * import { checkExtents } from "./check_extents.ts";
 * import { raw } from "../raw.ts";
 * import { MemoryStorage } from "../storage/memory.ts";
 * import assert from "node:assert/strict";
 *
 * const check = checkExtents(raw.open);
 * const context = { checkpoint: () => Promise.resolve(), openNamed: () => Promise.reject() };
 * assert.equal((await check(new MemoryStorage(new Uint8Array(512)), context)).corruptions, 0);
 * ```
 */
export function checkExtents(open: Open): (storage: Storage, context: CheckContext) => Promise<CheckReport> {
  return async (storage, context) => {
    let severalFiles = false;
    const disk = await open(storage, {
      decompressor: inlineDecompressor,
      openNamed(file) {
        severalFiles = true;
        return context.openNamed(file);
      },
    });
    const problems: Problem[] = [];
    const ranges = fileRanges();
    let corruptions = 0;
    const note = (message: string, fileOffset?: number) => {
      corruptions++;
      if (problems.length >= MAX_PROBLEMS) return;
      problems.push({ kind: "corruption", message, ...(fileOffset !== undefined && { fileOffset }) });
    };
    const add = ({ start, end, location: { offset } }: Located) => ranges.add(offset, offset + end - start);
    await walk(disk, context, add, note);
    // The check of a format with several files finds the overlaps in each file itself.
    const { count, starts } = severalFiles ? { count: 0, starts: [] } : ranges.overlaps();
    const guests = count === 0 ? [] : await guestsAt(disk, context, starts);
    corruptions += count;
    for (const [index, fileOffset] of starts.entries()) {
      if (problems.length >= MAX_PROBLEMS) break;
      const [one, other] = guests[index];
      const message = `The guest bytes from ${other} on have the same location as those from ${one} on`;
      problems.push({ kind: "corruption", message, fileOffset });
    }
    return { problems, corruptions, leaks: 0, checkErrors: 0 };
  };
}

type Note = (message: string, fileOffset?: number) => void;

/** A data extent with a location. */
type Located = Extent & { readonly location: Location };

async function walk(disk: Disk, context: CheckContext, visit: (located: Located) => void, note: Note): Promise<void> {
  const clusterSize = Math.max(disk.clusterSize, SECTOR);
  for (let at = 0; at < disk.size;) {
    // Cluster by cluster, so that each wrong entry is counted.
    const limit = Math.min(at - at % clusterSize + clusterSize, disk.size);
    let end = limit;
    try {
      const extent = await disk.extentAt(at, limit);
      end = extent.end;
      if (extent.kind === "data" && extent.location) {
        const { storage, offset } = extent.location;
        if (offset + end - at > storage.size) note(truncatedText(disk, at, extent as Located), offset);
        visit(extent as Located);
      }
    } catch (error) {
      if (!(error instanceof ImageError && error.kind === "corrupt")) throw error;
      note(error.message, error.offset);
    }
    at = end;
    await context.checkpoint(at / disk.size);
  }
}

function truncatedText({ clusterSize }: Disk, at: number, { end, location: { storage, offset } }: Located): string {
  const missing = Math.min(end - at, offset + end - at - storage.size);
  const name = clusterSize > 1 ? `Block ${Math.floor(at / clusterSize)}` : `Guest byte ${at}`;
  return `${name} lies at byte ${offset} of "${storage.label}", which ends at ${storage.size}: ${missing} bytes are missing`;
}

/** Returns, for each of these ascending file offsets, the first two guest bytes with that location. */
async function guestsAt(
  disk: Disk,
  context: CheckContext,
  fileOffsets: readonly number[],
): Promise<number[][]> {
  const guests = fileOffsets.map((): number[] => []);
  const visit = ({ start, end, location: { offset } }: Located) => {
    const fileEnd = offset + end - start;
    for (let nth = firstFrom(fileOffsets, offset); fileOffsets[nth] < fileEnd; nth++) {
      if (guests[nth].length < 2) guests[nth].push(start + fileOffsets[nth] - offset);
    }
  };
  await walk(disk, context, visit, () => {});
  return guests;
}

/** Returns the index of the first element of `sorted` that is not less than `value`. */
function firstFrom(sorted: readonly number[], value: number): number {
  let from = 0;
  for (let to = sorted.length; from < to;) {
    const middle = (from + to) >>> 1;
    if (sorted[middle] < value) from = middle + 1;
    else to = middle;
  }
  return from;
}
