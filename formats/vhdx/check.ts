/**
 * Check of an image: blocks, both copies of headers and region tables, the log, and leaked space at the end of the file.
 *
 * @module
 */
import { MIB } from "../bytes.ts";
import { checkExtents } from "../shared/check_extents.ts";
import { ImageError } from "../errors.ts";
import { type CheckContext, type CheckReport, MAX_PROBLEMS, type Problem } from "../maintenance.ts";
import type { Storage } from "../storage/types.ts";
import { openVhdx } from "./open.ts";
import { damagedHeaders, HEADERS_AT } from "./header.ts";
import { type Image, readImage } from "./structures.ts";
import { usedEnd } from "./file_allocation.ts";
import { misplacedChange, readLog } from "./log.ts";
import { damagedTables } from "./regions.ts";

/**
 * Checks the image. An image that was not closed is checked with its log replayed in memory, and counts as one corruption.
 * A leak is a MiB after the last byte of the file that is in use.
 *
 * @throws ImageError where the image does not open
 */
export async function checkVhdx(storage: Storage, context: CheckContext): Promise<CheckReport> {
  const report = await checkExtents(openVhdx)(storage, context);
  const image = await readImage(storage);
  const found: Problem[] = [];
  if (image.dirty) {
    const message = "The image was not closed: its log holds changes that the file lacks";
    found.push({ kind: "corruption", message, fileOffset: image.header.logAt });
    const misplaced = misplacedChange(await readLog(storage, image.header), image.header);
    if (misplaced !== null) {
      const message = `The log changes the bytes ${misplaced.start} to ${misplaced.end}, where headers or the log lie`;
      found.push({ kind: "corruption", message, fileOffset: misplaced.start });
    }
  }
  for (const index of await damagedHeaders(storage)) {
    const message = `Header ${index + 1} is damaged; the other one counts`;
    found.push({ kind: "corruption", message, fileOffset: HEADERS_AT[index] });
  }
  for (const tableAt of await damagedTables(image.storage)) {
    const message = "A copy of the region table is damaged; the other one counts";
    found.push({ kind: "corruption", message, fileOffset: tableAt });
  }
  const corruptions = report.corruptions + found.length;
  const leaks = report.corruptions > 0 ? 0 : await leakedMib(storage, image, context);
  if (leaks > 0) found.push({ kind: "leak", message: `${leaks} MiB at the end of the file are in use by nothing` });
  return { ...report, problems: [...found, ...report.problems].slice(0, MAX_PROBLEMS), corruptions, leaks };
}

/** Returns the number of unused MiB at the end of the file. */
async function leakedMib(storage: Storage, { bat, dirty }: Image, context: CheckContext): Promise<number> {
  // Replay of the log may use that space.
  if (dirty) return 0;
  try {
    return Math.max(0, Math.floor((storage.size - await usedEnd(bat, context.checkpoint)) / MIB));
  } catch (error) {
    // The walk over the extents has reported it already.
    if (error instanceof ImageError && error.kind === "corrupt") return 0;
    throw error;
  }
}
