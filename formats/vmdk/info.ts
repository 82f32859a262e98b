/**
 * The properties of a VMDK for the `info` command.
 *
 * @module
 */
import type { FormatInfo, InfoValue } from "../contract.ts";
import type { Storage } from "../storage/types.ts";
import type { Descriptor, ExtentLine } from "./descriptor.ts";

/** Properties of one extent file. */
export interface ExtentFileInfo {
  readonly format: string;
  /** Guest bytes. */
  readonly size: number;
  readonly line: ExtentLine | null;
  readonly storage: Storage | null;
  readonly compressed?: boolean;
  readonly grainBytes?: number;
}

/** Returns the info of an image; `descriptor` is null if it has none. */
export function infoOf(
  descriptor: Descriptor | null,
  extents: readonly ExtentFileInfo[],
  image: Storage,
): FormatInfo {
  const value = (key: string) => descriptor?.values.get(key);
  const stated: { readonly [name: string]: string | number | null | undefined } = {
    "create-type": descriptor?.createType,
    "cid": numberOf(descriptor?.cid),
    "parent-cid": numberOf(descriptor?.parentCid),
    "adapter-type": value("ddb.adaptertype"),
    "hardware-version": value("ddb.virtualhwversion"),
    "tools-version": value("ddb.toolsversion"),
  };
  const info: { [name: string]: InfoValue } = {};
  for (const [name, entry] of Object.entries(stated)) if (entry !== null && entry !== undefined) info[name] = entry;
  return { ...info, extents: extents.map((file) => extentFileInfo(file, image)) };
}

/** Returns a content ID, eight hexadecimal digits, as a number, as qemu-img shows it. */
function numberOf(id: string | null | undefined): number | null {
  return id === null || id === undefined ? null : parseInt(id, 16);
}

/** The image file itself has no name, which it may have lost by renaming, and no format, as for qemu-img. */
function extentFileInfo(
  { format, size, line, storage, compressed, grainBytes }: ExtentFileInfo,
  image: Storage,
): FormatInfo {
  const isImage = storage === image;
  return {
    ...(isImage ? { filename: "" } : line !== null && line.name !== "" && { filename: line.name }),
    format: isImage ? "" : format,
    ...(line !== null && { access: line.access }),
    "virtual-size": size,
    ...(grainBytes !== undefined && { "cluster-size": grainBytes }),
    ...(compressed && { compressed }),
  };
}
