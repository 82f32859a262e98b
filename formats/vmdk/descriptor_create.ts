/**
 * Descriptors of new images; by VMware's "Virtual Disk Format 5.0", "The Descriptor File".
 *
 * @module
 */
import { SECTOR } from "../bytes.ts";
import { ImageError } from "../errors.ts";
import { NO_PARENT } from "./descriptor.ts";
import type { Settings } from "./options.ts";

/** One extent line to write. */
export interface NewExtent {
  readonly access: "RW" | "RDONLY";
  /** Guest bytes. */
  readonly size: number;
  readonly type: "FLAT" | "SPARSE";
  readonly name: string;
}

/** The parent, as the descriptor names it. */
export interface NewParent {
  readonly name: string;
  readonly cid: string;
}

/** The descriptor of a new image, with a content ID of its own. */
export function describe(settings: Settings, extents: readonly NewExtent[], parent: NewParent | null): Uint8Array {
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
 * The name of an image file as its descriptor and its extents use it.
 *
 * @param label what its storage is called
 * @param given under which name it will appear, where that is another one
 * @throws ImageError `usage` for a name that cannot stand in a descriptor
 */
export function imageName(label: string, given?: string): string {
  const name = given ?? label.slice(Math.max(label.lastIndexOf("/"), label.lastIndexOf("\\")) + 1);
  // deno-lint-ignore no-control-regex
  if (!/["\x00-\x1f]/.test(name)) return name;
  const message = `Cannot name ${JSON.stringify(name)} in a descriptor: it must have no quotes and control characters`;
  throw new ImageError("usage", message, { path: label });
}

/** The name of an extent: `disk-flat.vmdk`, `disk-s001.vmdk` for `disk.vmdk`. */
export function extentName(image: string, suffix: string): string {
  const dot = image.lastIndexOf(".");
  return `${dot > 0 ? image.slice(0, dot) : image}-${suffix}.vmdk`;
}

/** An extent as a line of the descriptor. */
export function extentLine({ access, size, type, name }: NewExtent): string {
  return `${access} ${size / SECTOR} ${type} "${name}"${type === "FLAT" ? " 0" : ""}`;
}

/** What the BIOS of a virtual machine makes of the disk: 16 heads for IDE, else 255. */
function geometryOf({ adapterType, size }: Settings): { cylinders: number; heads: number; sectors: number } {
  const heads = adapterType === "ide" ? 16 : 255;
  const cylinders = Math.floor(size / SECTOR / (heads * 63));
  return { cylinders: adapterType === "ide" ? Math.min(cylinders, 16383) : cylinders, heads, sectors: 63 };
}

/** Any but the two that have a meaning of their own: no content ID, and see the long one. */
export function newContentId(): string {
  for (;;) {
    const cid = randomHex(4);
    if (!cid.startsWith("fffffff")) return cid;
  }
}

/** So many random bytes as hexadecimal digits. */
export function randomHex(bytes: number): string {
  return crypto.getRandomValues(new Uint8Array(bytes)).toHex();
}
