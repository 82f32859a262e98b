/**
 * Checking an image: its blocks, the second copies of its structures, its log, and what its file has too much.
 *
 * @module
 */
import { checkExtents } from "../shared/check_extents.ts";
import { ImageError } from "../errors.ts";
import { type CheckContext, type CheckReport, MAX_PROBLEMS, type Problem } from "../maintenance.ts";
import type { Storage } from "../storage/types.ts";
import { openVhdx } from "./open.ts";
import { damagedHeaders, HEADERS_AT } from "./header.ts";
import { type Image, readImage } from "./structures.ts";
import { MIB } from "./limits.ts";
import { usedEnd } from "./file_allocation.ts";
import { damagedTables } from "./regions.ts";

/**
 * Looks at everything. One that was not closed is checked as its log says, and that it was not closed counts as one
 * corruption. A leak is a MiB behind the last part of the file that is in use.
 *
 * @throws ImageError where it does not open
 */
export async function checkVhdx(storage: Storage, context: CheckContext): Promise<CheckReport> {
  const report = await checkExtents(openVhdx)(storage, context);
  const image = await readImage(storage);
  const found: Problem[] = [];
  if (image.dirty) {
    const message = "The image was not closed: its log holds changes that are not in their places yet";
    found.push({ kind: "corruption", message, fileOffset: image.header.logAt });
  }
  for (const place of await damagedHeaders(storage)) {
    const message = `Header ${place + 1} is damaged; the other one counts`;
    found.push({ kind: "corruption", message, fileOffset: HEADERS_AT[place] });
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

/** Whole MiB at the end of the file that nothing is in. */
async function leakedMib(storage: Storage, { bat, dirty }: Image, context: CheckContext): Promise<number> {
  // What the log is going to put there is not known to be too much.
  if (dirty) return 0;
  try {
    return Math.max(0, Math.floor((storage.size - await usedEnd(bat, context.checkpoint)) / MIB));
  } catch (error) {
    // A contradiction in the BAT was found before.
    if (error instanceof ImageError && error.kind === "corrupt") return 0;
    throw error;
  }
}
