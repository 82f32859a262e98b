/**
 * Check of an image: each allocated block has a file block of its own, and the header counts them.
 *
 * @module
 */
import type { CheckContext, CheckReport, Problem } from "../maintenance.ts";
import { MAX_PROBLEMS } from "../maintenance.ts";
import type { Storage } from "../storage/types.ts";
import { readImage } from "./open.ts";
import { type AllocationFault, readAllocation } from "./block_allocation.ts";

/**
 * Checks the image in `storage`.
 *
 * @throws ImageError where the image does not open
 */
export async function checkVdi(storage: Storage, context: CheckContext): Promise<CheckReport> {
  const image = await readImage(storage);
  const { header, map } = image;
  const problems: Problem[] = [];
  let corruptions = 0;
  const note = (message: string, fileOffset: number) => {
    corruptions++;
    if (problems.length < MAX_PROBLEMS) problems.push({ kind: "corruption", message, fileOffset });
  };
  const found: { readonly [Fault in AllocationFault]: string } = {
    outside: `and there are ${map.entries}`,
    shared: "where another block lies",
    lost: "which is past its end",
  };
  const allocation = await readAllocation(image, context.checkpoint, (index, fileBlock, fault) => {
    note(`Block ${index} lies in file block ${fileBlock}, ${found[fault]}`, header.mapOffset + index * 4);
  });
  if (allocation.blocks !== header.allocated) {
    note(`The header counts ${header.allocated} blocks, and there are ${allocation.blocks}`, 388);
  }
  if (allocation.unused > 0) {
    problems.push({ kind: "leak", message: `${allocation.unused} blocks of the file are unused` });
  }
  return { problems, corruptions, leaks: allocation.unused, checkErrors: 0 };
}
