/**
 * Lists the files that reading images touches.
 *
 * @module
 */
import { resolve } from "../formats/mod.ts";
import { inspect } from "./inspect.ts";
import type { ImageSpec } from "./job.ts";
import type { JobFiles } from "./target/job_files.ts";
import { openImage } from "./open/open.ts";
import { type OpenDiskOptions, openOptions } from "./open/open_disk.ts";

/** Implements `imageFiles` of `mod.ts`. */
export async function imageFiles(
  images: readonly ImageSpec[],
  options: OpenDiskOptions & { readonly chain?: boolean } = {},
): Promise<JobFiles> {
  const read = new Set((options.allowRefs ?? []).map((folder) => resolve(folder)));
  for (const image of images) {
    if (options.chain === false) {
      const { names } = await inspect(image, options);
      read.add(resolve(image.path));
      for (const { role, path } of names) if (role === "data file" && path !== undefined) read.add(path);
      continue;
    }
    await using opened = await openImage(image, openOptions(options));
    for (const path of opened.paths) read.add(path);
  }
  return { read: [...read], write: [] };
}
