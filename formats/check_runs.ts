/**
 * Checking by walking: for formats whose tables say where blocks lie, and nothing that could be counted against it.
 *
 * @module
 */
import type { Disk, OpenContext } from "./contract.ts";
import { ImageError } from "./errors.ts";
import { type CheckContext, type CheckReport, type Problem, PROBLEMS_MAX } from "./maintenance.ts";
import type { Storage } from "./storage/types.ts";

/** Opens an image, as `Format.open`. */
type Open = (storage: Storage, context: OpenContext) => Promise<Disk>;

/** File bytes `[start, end)` that hold the guest bytes from `guest` on. */
interface Place {
  readonly start: number;
  end: number;
  readonly guest: number;
}

/**
 * A check that looks at the place of every block: it must be inside the file, and nobody else's.
 *
 * @example
 * ```ts
 * import { checkRuns } from "./check_runs.ts";
 * import { raw } from "./raw.ts";
 * import { MemoryStorage } from "./storage/memory.ts";
 * import assert from "node:assert/strict";
 *
 * const check = checkRuns(raw.open);
 * const context = { pause: () => Promise.resolve(), openNamed: () => Promise.reject() };
 * assert.equal((await check(new MemoryStorage(new Uint8Array(512)), context)).corruptions, 0);
 * ```
 */
export function checkRuns(open: Open): (storage: Storage, context: CheckContext) => Promise<CheckReport> {
  return async (storage, context) => {
    let several = false;
    await using disk = await open(storage, {
      openNamed(file) {
        several = true;
        return context.openNamed(file);
      },
    });
    const problems: Problem[] = [];
    const places: Place[] = [];
    let corruptions = 0;
    const note = (message: string, fileOffset?: number) => {
      corruptions++;
      if (problems.length >= PROBLEMS_MAX) return;
      problems.push({ kind: "corruption", message, ...(fileOffset !== undefined && { fileOffset }) });
    };
    await walk(disk, context, places, note);
    // Places in several files say nothing about each other.
    if (!several) findOverlaps(places, note);
    return { problems, corruptions, leaks: 0, checkErrors: 0 };
  };
}

type Note = (message: string, fileOffset?: number) => void;

async function walk(disk: Disk, context: CheckContext, places: Place[], note: Note): Promise<void> {
  const unit = Math.max(disk.unit, 512);
  for (let at = 0; at < disk.size;) {
    // Block by block, so that each that is wrong counts.
    const limit = Math.min(at - at % unit + unit, disk.size);
    let end = limit;
    try {
      const run = await disk.runAt(at, limit);
      end = run.end;
      if (run.kind === "data" && run.fileStart !== undefined) add(places, run.fileStart, run.end - run.start, at);
    } catch (error) {
      if (!(error instanceof ImageError && error.kind === "corrupt")) throw error;
      note(error.message, error.offset);
    }
    at = end;
    await context.pause(at / disk.size);
  }
}

/** Notes a place, joined with the last one where it continues it. */
function add(places: Place[], start: number, length: number, guest: number): void {
  const last = places.at(-1);
  if (last?.end === start) last.end = start + length;
  else places.push({ start, end: start + length, guest });
}

function findOverlaps(places: readonly Place[], note: Note): void {
  const sorted = places.toSorted((one, other) => one.start - other.start);
  for (let at = 1; at < sorted.length; at++) {
    const [one, other] = [sorted[at - 1]!, sorted[at]!];
    if (other.start < one.end) {
      note(`The guest bytes from ${other.guest} on lie in the same place as those from ${one.guest} on`, other.start);
    }
  }
}
