/**
 * Checking by walking: for formats whose tables say where blocks lie, and nothing that could be counted against it.
 *
 * @module
 */
import type { Disk, OpenContext } from "../contract.ts";
import { ImageError } from "../errors.ts";
import { type CheckContext, type CheckReport, type Problem, PROBLEMS_MAX } from "../maintenance.ts";
import { fileRanges, NO_OVERLAPS } from "./overlaps.ts";
import type { Storage } from "../storage/types.ts";

/** Opens an image, as `Format.open`. */
type Open = (storage: Storage, context: OpenContext) => Promise<Disk>;

/**
 * A check that looks at the place of every block: it must be inside the file, and nobody else's.
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
    let several = false;
    await using disk = await open(storage, {
      openNamed(file) {
        several = true;
        return context.openNamed(file);
      },
    });
    const problems: Problem[] = [];
    const places = fileRanges();
    let corruptions = 0;
    const note = (message: string, fileOffset?: number) => {
      corruptions++;
      if (problems.length >= PROBLEMS_MAX) return;
      problems.push({ kind: "corruption", message, ...(fileOffset !== undefined && { fileOffset }) });
    };
    await walk(disk, context, ({ start, end, fileStart }) => places.add(fileStart, fileStart + end - start), note);
    // Places in several files say nothing about each other.
    const { count, starts } = several ? NO_OVERLAPS : places.overlaps();
    const guests = count === 0 ? [] : await guestsAt(disk, context, starts);
    corruptions += count;
    for (const [nth, fileStart] of starts.entries()) {
      if (problems.length >= PROBLEMS_MAX) break;
      const [one, other] = guests[nth];
      const message = `The guest bytes from ${other} on lie in the same place as those from ${one} on`;
      problems.push({ kind: "corruption", message, fileOffset: fileStart });
    }
    return { problems, corruptions, leaks: 0, checkErrors: 0 };
  };
}

type Note = (message: string, fileOffset?: number) => void;

/** Guest bytes `[start, end)` that lie at `fileStart` on. */
interface Placed {
  readonly start: number;
  readonly end: number;
  readonly fileStart: number;
}

async function walk(disk: Disk, context: CheckContext, visit: (placed: Placed) => void, note: Note): Promise<void> {
  const unit = Math.max(disk.clusterSize, 512);
  for (let at = 0; at < disk.size;) {
    // Block by block, so that each that is wrong counts.
    const limit = Math.min(at - at % unit + unit, disk.size);
    let end = limit;
    try {
      const run = await disk.extentAt(at, limit);
      end = run.end;
      if (run.kind === "data" && run.fileStart !== undefined) visit({ start: at, end, fileStart: run.fileStart });
    } catch (error) {
      if (!(error instanceof ImageError && error.kind === "corrupt")) throw error;
      note(error.message, error.offset);
    }
    at = end;
    await context.checkpoint(at / disk.size);
  }
}

/** The first two guest bytes that lie at each of these file offsets. */
async function guestsAt(disk: Disk, context: CheckContext, fileOffsets: readonly number[]): Promise<number[][]> {
  const guests = fileOffsets.map((): number[] => []);
  const visit = ({ start, end, fileStart }: Placed) => {
    const fileEnd = fileStart + end - start;
    // They are in rising order.
    for (let nth = firstFrom(fileOffsets, fileStart); fileOffsets[nth] < fileEnd; nth++) {
      if (guests[nth].length < 2) guests[nth].push(start + fileOffsets[nth] - fileStart);
    }
  };
  await walk(disk, context, visit, () => {});
  return guests;
}

/** The index of the first of `sorted` that is not less than `value`. */
function firstFrom(sorted: readonly number[], value: number): number {
  let from = 0;
  for (let to = sorted.length; from < to;) {
    const middle = (from + to) >>> 1;
    if (sorted[middle] < value) from = middle + 1;
    else to = middle;
  }
  return from;
}
