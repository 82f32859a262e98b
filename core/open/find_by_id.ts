/**
 * Finds a backing file by its ID: a VDI stores only the UUID of its parent.
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

/** Most files in the folder of an image that are opened. */
const MAX_OPENED = 1000;

/**
 * Returns the path of the file in the folder of `imagePath` whose ID is that of `file`.
 *
 * @throws ImageError `missing` if there is none; `permission` if the folder may not be listed
 */
export async function findById(
  file: NamedFile,
  imagePath: string,
  options: { readonly formats: readonly Format[]; readonly files?: Files },
): Promise<string> {
  const format = formatNamed(file.format ?? "", options.formats, imagePath);
  let opened = 0;
  for (const path of await siblings(imagePath, format)) {
    if (++opened > MAX_OPENED) break;
    if (await idOf(path, format, options.files ?? hostFiles) === file.id) return path;
  }
  const message = `Cannot find the backing file of "${imagePath}": it must have the ID "${file.id}", and none of the ` +
    `${opened} ${format.name} files beside it has; put it there, or state it (see --image-opts, backing.file.filename)`;
  throw new ImageError("missing", message, { path: imagePath });
}

/** Returns the other files in the folder of an image that have an extension of `format`, sorted. */
async function siblings(imagePath: string, format: Format): Promise<string[]> {
  try {
    const real = await Deno.realPath(imagePath);
    const folder = dirname(real);
    const found: string[] = [];
    for await (const { name, isFile } of Deno.readDir(folder)) {
      // U+FFFD may stand for bytes that are not UTF-8: another file would be opened.
      if (name.includes("\ufffd")) continue;
      const path = join(folder, name);
      if (isFile && path !== real && format.extensions.includes(extname(name).slice(1).toLowerCase())) found.push(path);
    }
    return found.sort();
  } catch (error) {
    throw hostError(error, "look for the parent beside", imagePath);
  }
}

/** Returns the ID of an image; `undefined` for a file that does not open as one. */
async function idOf(path: string, format: Format, files: Files): Promise<string | undefined> {
  try {
    await using storage = await files.open(path);
    const disk = await format.open(storage, {
      decompressor: inlineDecompressor,
      openNamed: () => Promise.reject(new ImageError("refused", "Only the ID is read")),
    });
    return disk.id;
  } catch (error) {
    if (error instanceof ImageError && error.kind !== "permission") return undefined;
    throw error;
  }
}
