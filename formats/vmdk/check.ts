/**
 * Checking an image: its grains, both copies of the tables of its sparse extents, and what their files have too much.
 *
 * @module
 */
import { checkExtents } from "../shared/check_extents.ts";
import { type CheckContext, type CheckReport, MAX_PROBLEMS, type Problem } from "../maintenance.ts";
import type { Storage } from "../storage/types.ts";
import { openVmdk } from "./open.ts";
import { readLayout } from "./extent_files.ts";
import { type SparseExtent, sparseExtents } from "./sparse_extents.ts";
import { overlapsIn, type TableFault, tableFaults, usedEnd } from "./grain_table_copies.ts";

/**
 * Looks at everything. A table whose copies differ is one corruption; a leak is a grain's length at the end of a file
 * that nothing is in.
 *
 * @throws ImageError where it does not open
 */
export async function checkVmdk(storage: Storage, context: CheckContext): Promise<CheckReport> {
  const report = await checkExtents(openVmdk)(storage, context);
  const layout = await readLayout(storage, (file) => context.openNamed(file));
  const found: Problem[] = [];
  let [corruptions, leaks] = [report.corruptions, 0];
  const tell = (message: string, fileOffset: number) => {
    if (found.length < MAX_PROBLEMS) found.push({ kind: "corruption", message, fileOffset });
  };
  for (const extent of await sparseExtents(layout)) {
    const { label } = extent.storage;
    for await (const fault of tableFaults(extent, context)) {
      corruptions++;
      tell(`Grain table ${fault.index} of "${label}" ${what(fault)}`, fault.fileOffset);
    }
    // The runs of extents in files of their own do not tell in which file they lie.
    if (extent.storage !== storage || layout.parts.length > 1) {
      const { count, starts } = await overlapsIn(extent, context);
      corruptions += count;
      for (const fileOffset of starts) tell(`Two grains of "${label}" lie in the same place`, fileOffset);
    }
    const leaked = corruptions > 0 ? 0 : await leakedGrains(extent, context);
    leaks += leaked;
    if (leaked > 0) {
      found.push({ kind: "leak", message: `${leaked} grains at the end of "${label}" are in use by nothing` });
    }
  }
  return { ...report, problems: [...report.problems, ...found].slice(0, MAX_PROBLEMS), corruptions, leaks };
}

function what({ first, second }: TableFault): string {
  if (first === null) return "lacks its first copy";
  return second === null ? "lacks its second copy" : "has two different copies";
}

/** Whole grains at the end of the file that nothing is in. */
export async function leakedGrains<S extends Storage>(
  extent: SparseExtent<S>,
  context: Pick<CheckContext, "checkpoint">,
): Promise<number> {
  const spare = extent.storage.size - await usedEnd(extent, context);
  return Math.max(0, Math.floor(spare / extent.sparse.header.grainBytes));
}
