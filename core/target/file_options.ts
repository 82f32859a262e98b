/**
 * Attributes of the files of a new image, which are set before anything is written.
 *
 * @module
 */
import type { Format, OptionValues, StoredFile, WritableStorage } from "../../formats/mod.ts";

/** Returns those of the given options that are the format's own. */
export function optionsOfFormat({ createOptions }: Pick<Format, "createOptions">, given: OptionValues): OptionValues {
  return Object.fromEntries(Object.entries(given).filter(([name]) => createOptions.some((own) => own.name === name)));
}

/** A file with the attributes that the options set. */
export type AttributedFile = WritableStorage & Pick<StoredFile, "switchOffCopyOnWrite" | "setExtentSizeHint">;

/**
 * Gives an empty file the attributes that `options` ask for. Returns a sentence for each that the host refuses or that Deno
 * may not set: the image is the same without them.
 */
export function setFileAttributes(
  file: AttributedFile,
  path: string,
  { nocow, extent_size_hint: hint }: OptionValues,
): string[] {
  const refused = (what: string) =>
    `${what} of "${path}" was not set: the file system has none, or Deno is not allowed to set it (--allow-ffi)`;
  return [
    ...(nocow === true && !file.switchOffCopyOnWrite?.() ? [refused("The attribute nocow")] : []),
    ...(typeof hint === "number" && hint > 0 && !file.setExtentSizeHint?.(hint)
      ? [refused("The extent size hint")]
      : []),
  ];
}
