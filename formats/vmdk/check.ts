/**
 * Checks an image: its grains, both copies of the grain tables of its sparse extent files, and unused bytes at the end
 * of those files.
 *
 * @module
 */
import { checkExtents } from "../shared/check_extents.ts";
import { type CheckContext, type CheckReport, MAX_PROBLEMS, type Problem } from "../maintenance.ts";
import type { Storage } from "../storage/types.ts";
import { openVmdk } from "./open.ts";
import { readLayout } from "./extent_files.ts";
import { type SparseExtentFile, sparseExtentFiles } from "./sparse_extent_files.ts";
import { findMetadataFaults } from "./metadata_overlap.ts";
import { overlapsIn, type TableFault, tableFaults, usedEnd } from "./grain_table_copies.ts";

/**
 * Checks everything. A table whose copies differ is one corruption; a leak is one grain size at the end of a file that
 * no structure and no grain uses.
 *
 * @throws ImageError if the image does not open
 */
export async function checkVmdk(storage: Storage, context: CheckContext): Promise<CheckReport> {
  const report = await checkExtents(openVmdk)(storage, context);
  const layout = await readLayout(storage, (file) => context.openNamed(file));
  const found: Problem[] = [];
  let [corruptions, leaks] = [report.corruptions, 0];
  const addCorruption = (message: string, fileOffset: number) => {
    if (found.length < MAX_PROBLEMS) found.push({ kind: "corruption", message, fileOffset });
  };
  for (const extent of await sparseExtentFiles(layout)) {
    const { label } = extent.storage;
    const misplaced = new Set<number>();
    for (const { message, fileOffset, replaceable } of await findMetadataFaults(extent, context)) {
      // The walk over the extents has reported the grains of such a table.
      if (replaceable?.copy === "first") continue;
      corruptions++;
      addCorruption(`In "${label}" ${message}`, fileOffset);
      if (replaceable !== null) misplaced.add(replaceable.index);
    }
    for await (const fault of tableFaults(extent, context, misplaced)) {
      // Reported already.
      if (misplaced.has(fault.index)) continue;
      corruptions++;
      addCorruption(`Grain table ${fault.index} of "${label}" ${faultText(fault)}`, fault.fileOffset);
    }
    // checkExtents finds overlaps only in images of one file.
    if (extent.storage !== storage || layout.extentFiles.length > 1) {
      const { count, starts } = await overlapsIn(extent, context);
      corruptions += count;
      for (const fileOffset of starts) addCorruption(`Two grains of "${label}" have the same location`, fileOffset);
    }
    const leaked = corruptions > 0 ? 0 : await leakedGrains(extent, context);
    leaks += leaked;
    if (leaked > 0) {
      found.push({ kind: "leak", message: `${leaked} grains at the end of "${label}" are in use by nothing` });
    }
  }
  return { ...report, problems: [...report.problems, ...found].slice(0, MAX_PROBLEMS), corruptions, leaks };
}

function faultText({ first, second }: TableFault): string {
  if (first === null) return "lacks its first copy";
  return second === null ? "lacks its second copy" : "has two different copies";
}

/** Returns how many whole grains fit into the unused end of the file. */
export async function leakedGrains<S extends Storage>(
  extent: SparseExtentFile<S>,
  context: Pick<CheckContext, "checkpoint">,
): Promise<number> {
  const unused = extent.storage.size - await usedEnd(extent, context);
  return Math.max(0, Math.floor(unused / extent.sparse.header.grainBytes));
}
