/**
 * How a differencing image names its parent: up to eight parent locators and a Unicode name in the dynamic disk header.
 *
 * @module
 */
import { setU64, viewOf } from "../bytes.ts";
import type { NamedFile } from "../guest_reader.ts";
import { corrupt } from "../errors.ts";
import type { Storage } from "../storage/types.ts";
import { isNilUuid, uuidText } from "../shared/uuid.ts";

/** One parent locator: which platform's name of the parent it holds, and where. */
export interface ParentLocator {
  /** Four letters. */
  readonly platform: string;
  readonly fileOffset: number;
  /** Bytes. */
  readonly length: number;
}

/** What a dynamic disk header says of the parent. */
export interface ParentFields {
  readonly uuid: Uint8Array;
  /** File name as it was on the system that made the image; often without its folder. */
  readonly name: string;
  readonly locators: readonly ParentLocator[];
}

/** Parent locators of a header. */
const LOCATORS = 8;

/** A longer path is none: Windows has 32,767 characters at most. */
const MAX_PATH_BYTES = 65_534;

/** Best first: where both lie together the relative path stays true when they are moved. */
const PLATFORMS = ["W2ru", "W2ku", "Wi2r", "Wi2k", "MacX"];

/** The parent fields of a dynamic disk header. Pure. */
export function decodeParent(header: Uint8Array): ParentFields {
  return {
    uuid: header.slice(40, 56),
    name: untilNul(new TextDecoder("utf-16be").decode(header.subarray(64, 576))),
    locators: decodeLocators(header).filter(({ platform }) => PLATFORMS.includes(platform)),
  };
}

/** All eight parent locators of a dynamic disk header, whether in use or not. Pure. */
export function decodeLocators(header: Uint8Array): ParentLocator[] {
  const view = viewOf(header);
  return Array.from({ length: LOCATORS }, (_, index) => {
    const at = locatorAt(index);
    return {
      platform: String.fromCharCode(...header.subarray(at, at + 4)),
      length: view.getUint32(at + 8),
      // A number that is no offset lies past every file, where it is found out.
      fileOffset: Number(view.getBigUint64(at + 16)),
    };
  });
}

/** Says in the bytes of a dynamic disk header that what locator `index` names lies elsewhere, in place. */
export function setLocatorOffset(header: Uint8Array, index: number, fileOffset: number): void {
  setU64(viewOf(header), locatorAt(index) + 16, fileOffset);
}

function locatorAt(index: number): number {
  return 576 + index * 24;
}

/**
 * The parent as the engine looks for it: all paths that the image tells, then the bare names, which find a parent that
 * was moved together with the image.
 *
 * @throws ImageError `corrupt` for a locator that lies outside the file
 */
export async function parentOf(fields: ParentFields, storage: Storage): Promise<NamedFile> {
  const paths: string[] = [];
  const sorted = fields.locators.toSorted((a, b) => PLATFORMS.indexOf(a.platform) - PLATFORMS.indexOf(b.platform));
  for (const locator of sorted) paths.push(pathOf(locator.platform, await readLocator(locator, storage)));
  paths.push(fromWindows(fields.name));
  const [name = "", ...others] = new Set([...paths.filter(isFollowed), ...paths.map(bareName)].filter(Boolean));
  return {
    name,
    ...(others.length > 0 && { others }),
    format: "vpc",
    ...(!isNilUuid(fields.uuid) && { id: uuidText(fields.uuid, "big") }),
  };
}

async function readLocator({ platform, fileOffset, length }: ParentLocator, storage: Storage): Promise<Uint8Array> {
  if (length > MAX_PATH_BYTES || fileOffset + length > storage.size) {
    throw corrupt(
      `Cannot read the parent locator "${platform}" of "${storage.label}": it has ${length} bytes at ${fileOffset}, ` +
        `and must have ${MAX_PATH_BYTES} at most within the file (${storage.size})`,
      storage.label,
    );
  }
  const bytes = new Uint8Array(length);
  await storage.readAt(bytes, fileOffset);
  return bytes;
}

/** The path in a locator, with forward slashes. Pure. */
function pathOf(platform: string, bytes: Uint8Array): string {
  if (platform === "MacX") return fromUrl(untilNul(new TextDecoder().decode(bytes)));
  const encoding = platform.endsWith("u") ? "utf-16le" : "windows-1252";
  return fromWindows(untilNul(new TextDecoder(encoding).decode(bytes)));
}

function untilNul(text: string): string {
  const end = text.indexOf("\0");
  return end < 0 ? text : text.slice(0, end);
}

function fromWindows(path: string): string {
  return path.replaceAll("\\", "/").replace(/^(?:\.\/)+/, "");
}

/** A Macintosh path is a file URL; Xen writes relative ones (`file://./parent.vhd`). */
function fromUrl(text: string): string {
  try {
    const relative = /^file:\/\/(\.{1,2}\/.*)$/.exec(text)?.[1];
    if (relative !== undefined) return fromWindows(decodeURIComponent(relative));
    const url = new URL(text);
    return url.protocol === "file:" ? decodeURIComponent(url.pathname) : "";
  } catch {
    return "";
  }
}

/** A folder is no parent. A name on another machine (`//server/share`) would tell that server who reads its image. */
function isFollowed(path: string): boolean {
  return !path.startsWith("//") && !path.endsWith("/") && !path.includes("\0");
}

function bareName(path: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  return name === "." || name === ".." || name.includes("\0") ? "" : name;
}
