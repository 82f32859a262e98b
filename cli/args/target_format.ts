/**
 * The format of a target by the ending of its name. Pure.
 *
 * @module
 */
import type { Format } from "../../mod.ts";

/** Endings that files of every format have: their disagreement with `-O` is no mistake. */
const GENERIC: readonly string[] = ["img"];

/** Names of the extent files of a VMDK. They hold raw data or parts of a disk, not a whole image. */
const EXTENT_FILE = /-(flat|rdmp?|s\d{3}|f\d{3})\.vmdk$/i;

/** Returns the format whose files have the ending of `path`; `undefined` where the ending is of no format. */
export function formatOfEnding(path: string, formats: readonly Format[]): Format | undefined {
  const ending = /\.([^./\\]+)$/.exec(path)?.[1]?.toLowerCase();
  if (ending === undefined || EXTENT_FILE.test(path)) return undefined;
  return formats.find(({ extensions }) => extensions.includes(ending));
}

/** Returns the warning about a name whose ending is that of another format; `undefined`: they agree. */
export function endingWarning(path: string, format: string, formats: readonly Format[]): string | undefined {
  const byEnding = formatOfEnding(path, formats);
  const ending = path.replace(/^.*\./, "").toLowerCase();
  if (byEnding === undefined || byEnding.name === format || GENERIC.includes(ending)) return undefined;
  return `"${path}" has the ending of ${byEnding.name} and gets the format ${format}; -O ${byEnding.name} or another ` +
    `name would agree`;
}
