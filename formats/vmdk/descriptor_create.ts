/**
 * Composes the descriptors of new images, by VMware's "Virtual Disk Format 5.0", "The Descriptor File".
 *
 * @module
 */
import { SECTOR } from "../bytes.ts";
import { ImageError } from "../errors.ts";
import { NO_PARENT } from "./descriptor.ts";
import type { Settings } from "./options.ts";

/** An extent line to write. */
export interface NewExtentLine {
  readonly access: "RW" | "RDONLY";
  /** Guest bytes. */
  readonly size: number;
  readonly type: "FLAT" | "SPARSE";
  readonly name: string;
}

/** The parent of a new image: its file name and content ID. */
export interface NewParent {
  readonly name: string;
  readonly cid: string;
}

/** Returns the descriptor of a new image as UTF-8, with a new random content ID. */
export function newDescriptor(
  settings: Settings,
  extents: readonly NewExtentLine[],
  parent: NewParent | null,
): Uint8Array {
  const cid = newContentId();
  const { cylinders, heads, sectors } = geometryOf(settings);
  const lines = [
    "# Disk DescriptorFile",
    "version=1",
    'encoding="UTF-8"',
    `CID=${cid}`,
    `parentCID=${parent?.cid ?? NO_PARENT}`,
    `createType="${settings.subformat}"`,
    ...(parent ? [`parentFileNameHint="${parent.name}"`] : []),
    "",
    "# Extent description",
    ...extents.map(extentLine),
    "",
    "# The Disk Data Base",
    "#DDB",
    "",
    `ddb.adapterType = "${settings.adapterType}"`,
    `ddb.geometry.cylinders = "${cylinders}"`,
    `ddb.geometry.heads = "${heads}"`,
    `ddb.geometry.sectors = "${sectors}"`,
    `ddb.longContentID = "${randomHex(12)}${cid}"`,
    `ddb.toolsVersion = "${settings.toolsVersion}"`,
    `ddb.virtualHWVersion = "${settings.hardwareVersion}"`,
    "",
  ];
  return new TextEncoder().encode(lines.join("\n"));
}

/**
 * Returns the file name of an image, from which its descriptor names the extent files.
 *
 * @param label the label of its storage
 * @param given the name that the finished file gets, if it is not that of the storage
 * @throws ImageError `usage` for a name that a descriptor cannot hold
 */
export function imageName(label: string, given?: string): string {
  const name = given ?? label.slice(Math.max(label.lastIndexOf("/"), label.lastIndexOf("\\")) + 1);
  // deno-lint-ignore no-control-regex
  if (!/["\x00-\x1f]/.test(name)) return name;
  const message = `Cannot name ${JSON.stringify(name)} in a descriptor: it must have no quotes and control characters`;
  throw new ImageError("usage", message, { path: label });
}

/** Returns the name of an extent file: `disk-flat.vmdk`, `disk-s001.vmdk` for `disk.vmdk`. */
export function extentFileName(image: string, suffix: string): string {
  const dot = image.lastIndexOf(".");
  return `${dot > 0 ? image.slice(0, dot) : image}-${suffix}.vmdk`;
}

/** Formats an extent line. */
export function extentLine({ access, size, type, name }: NewExtentLine): string {
  return `${access} ${size / SECTOR} ${type} "${name}"${type === "FLAT" ? " 0" : ""}`;
}

/** Returns the geometry that a virtual machine's BIOS derives from the size: 16 heads for IDE, else 255; 63 sectors. */
function geometryOf({ adapterType, size }: Settings): { cylinders: number; heads: number; sectors: number } {
  const heads = adapterType === "ide" ? 16 : 255;
  const cylinders = Math.floor(size / SECTOR / (heads * 63));
  return { cylinders: adapterType === "ide" ? Math.min(cylinders, 16383) : cylinders, heads, sectors: 63 };
}

/** Returns a random content ID, except `ffffffff` (no content ID) and `fffffffe` (see `ddb.longContentID`). */
export function newContentId(): string {
  for (;;) {
    const cid = randomHex(4);
    if (!cid.startsWith("fffffff")) return cid;
  }
}

/** Returns `bytes` random bytes as hexadecimal digits. */
export function randomHex(bytes: number): string {
  return crypto.getRandomValues(new Uint8Array(bytes)).toHex();
}
