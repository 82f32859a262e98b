/**
 * Checking a VDI image: every block has a place of its own in the file, and the header counts them.
 *
 * @module
 */
import type { CheckContext, CheckReport, Problem } from "../maintenance.ts";
import { PROBLEMS_MAX } from "../maintenance.ts";
import type { Storage } from "../storage/types.ts";
import { isAllocated, readImage } from "./disk.ts";

/**
 * Checks the image in `storage`.
 *
 * @throws ImageError where it does not open
 */
export async function checkVdi(storage: Storage, context: CheckContext): Promise<CheckReport> {
  const { header, map } = await readImage(storage);
  const problems: Problem[] = [];
  let corruptions = 0;
  const note = (message: string, fileOffset: number) => {
    corruptions++;
    if (problems.length < PROBLEMS_MAX) problems.push({ kind: "corruption", message, fileOffset });
  };
  const used = new Set<number>();
  let allocated = 0;
  for (let index = 0; index < map.entries;) {
    const page = await map.load(index);
    for (; index < page.end; index++) {
      const entry = page.entry(index);
      if (!isAllocated(entry)) continue;
      const at = header.mapOffset + index * 4;
      if (entry >= map.entries) {
        note(`Block ${index} lies at place ${entry} of the file, and there are ${map.entries}`, at);
        continue;
      }
      allocated++;
      if (used.has(entry)) note(`Block ${index} lies at place ${entry} of the file, where another block lies`, at);
      used.add(entry);
    }
    await context.pause();
  }
  if (allocated !== header.allocated) {
    note(`The header counts ${header.allocated} blocks, and there are ${allocated}`, 388);
  }
  return { problems, corruptions, leaks: 0, checkErrors: 0 };
}
