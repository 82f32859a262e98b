/**
 * Checking a VDI image: every block has a place of its own in the file, and the header counts them.
 *
 * @module
 */
import type { CheckContext, CheckReport, Problem } from "../maintenance.ts";
import { MAX_PROBLEMS } from "../maintenance.ts";
import type { Storage } from "../storage/types.ts";
import { readImage } from "./open.ts";
import { type PlaceFault, placesOf } from "./block_allocation.ts";

/**
 * Checks the image in `storage`.
 *
 * @throws ImageError where it does not open
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
  const found: { readonly [Fault in PlaceFault]: string } = {
    outside: `and there are ${map.entries}`,
    shared: "where another block lies",
    lost: "which is past its end",
  };
  const places = await placesOf(image, context.checkpoint, (index, place, fault) => {
    note(`Block ${index} lies at place ${place} of the file, ${found[fault]}`, header.mapOffset + index * 4);
  });
  if (places.blocks !== header.allocated) {
    note(`The header counts ${header.allocated} blocks, and there are ${places.blocks}`, 388);
  }
  if (places.unused > 0) {
    problems.push({ kind: "leak", message: `No block lies in ${places.unused} of the places of the file` });
  }
  return { problems, corruptions, leaks: places.unused, checkErrors: 0 };
}
