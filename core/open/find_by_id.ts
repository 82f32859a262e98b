/**
 * Finding a backing file of which only the ID is known: VDI names its parent by UUID alone.
 *
 * @module
 */
import {
  dirname,
  extname,
  type Files,
  type Format,
  hostError,
  hostFiles,
  ImageError,
  inlineDecompressor,
  join,
  type NamedFile,
} from "../../formats/mod.ts";
import { formatNamed } from "./probe.ts";

/** How many files beside an image are looked into. */
const MAX_LOOKED_AT = 1000;

/**
 * The file beside `imagePath` that has the ID which `file` states.
 *
 * @throws ImageError `missing` if there is none; `permission` if the folder may not be listed
 */
export async function findById(
  file: NamedFile,
  imagePath: string,
  options: { readonly formats: readonly Format[]; readonly files?: Files },
): Promise<string> {
  const format = formatNamed(file.format ?? "", options.formats, imagePath);
  let looked = 0;
  for (const path of await neighbours(imagePath, format)) {
    if (++looked > MAX_LOOKED_AT) break;
    if (await idOf(path, format, options.files ?? hostFiles) === file.id) return path;
  }
  const message = `Cannot find the image beneath "${imagePath}": it must have the ID "${file.id}", and none of the ` +
    `${looked} ${format.name} files beside it has; put it there, or state it (see --image-opts, backing.file.filename)`;
  throw new ImageError("missing", message, { path: imagePath });
}

async function neighbours(imagePath: string, format: Format): Promise<string[]> {
  try {
    const real = await Deno.realPath(imagePath);
    const folder = dirname(real);
    const found: string[] = [];
    for await (const { name, isFile } of Deno.readDir(folder)) {
      const path = join(folder, name);
      if (isFile && path !== real && format.extensions.includes(extname(name).slice(1).toLowerCase())) found.push(path);
    }
    return found.sort();
  } catch (error) {
    throw hostError(error, "look for the parent beside", imagePath);
  }
}

/** The ID of an image, `undefined` for a file that cannot be opened as one: it is not what is looked for. */
async function idOf(path: string, format: Format, files: Files): Promise<string | undefined> {
  try {
    await using storage = await files.open(path);
    const disk = await format.open(storage, {
      decompressor: inlineDecompressor,
      openNamed: () => Promise.reject(new ImageError("refused", "Only the ID is looked for")),
    });
    return disk.id;
  } catch (error) {
    if (error instanceof ImageError && error.kind !== "permission") return undefined;
    throw error;
  }
}
