/**
 * The parent of a differencing image: up to eight parent locators and a Unicode name in the dynamic disk header.
 *
 * @module
 */
import { setU64, viewOf } from "../bytes.ts";
import type { NamedFile } from "../guest_reader.ts";
import { corrupt } from "../errors.ts";
import type { Storage } from "../storage/types.ts";
import { isNilUuid, uuidText } from "../shared/uuid.ts";

/** A parent locator: the location of a path of the parent in the style of one platform. */
export interface ParentLocator {
  /** Four characters. */
  readonly platform: string;
  readonly fileOffset: number;
  /** Bytes. */
  readonly length: number;
}

/** The parent fields of a dynamic disk header. */
export interface ParentFields {
  readonly uuid: Uint8Array;
  /** File name on the system that created the image; often without its folder. */
  readonly name: string;
  readonly locators: readonly ParentLocator[];
}

/** Parent locators of a header. */
const LOCATORS = 8;

/** Most bytes of a path: Windows has 32,767 characters at most. */
const MAX_PATH_BYTES = 65_534;

/** In the order of preference: a relative path stays right when both files move together. */
const PLATFORMS = ["W2ru", "W2ku", "Wi2r", "Wi2k", "MacX"];

/** Returns the parent fields of a dynamic disk header. Pure. */
export function decodeParent(header: Uint8Array): ParentFields {
  return {
    uuid: header.slice(40, 56),
    name: untilNul(new TextDecoder("utf-16be").decode(header.subarray(64, 576))),
    locators: decodeLocators(header).filter(({ platform }) => PLATFORMS.includes(platform)),
  };
}

/** Returns all eight parent locators of a dynamic disk header, unused ones included. Pure. */
export function decodeLocators(header: Uint8Array): ParentLocator[] {
  const view = viewOf(header);
  return Array.from({ length: LOCATORS }, (_, index) => {
    const at = locatorAt(index);
    return {
      platform: String.fromCharCode(...header.subarray(at, at + 4)),
      length: view.getUint32(at + 8),
      // A number above 2^53 lies past the end of every file, and is refused for that.
      fileOffset: Number(view.getBigUint64(at + 16)),
    };
  });
}

/** Sets the file offset of locator `index` in the bytes of a dynamic disk header. */
export function setLocatorOffset(header: Uint8Array, index: number, fileOffset: number): void {
  setU64(viewOf(header), locatorAt(index) + 16, fileOffset);
}

function locatorAt(index: number): number {
  return 576 + index * 24;
}

/**
 * Returns the parent as a named file: all paths that the image states, then their bare names, which find a parent that
 * was moved together with the image.
 *
 * @throws ImageError `corrupt` for a locator that lies outside the file
 */
export async function readParent(fields: ParentFields, storage: Storage): Promise<NamedFile> {
  const paths: string[] = [];
  const sorted = fields.locators.toSorted((a, b) => PLATFORMS.indexOf(a.platform) - PLATFORMS.indexOf(b.platform));
  for (const locator of sorted) paths.push(pathOf(locator.platform, await readLocator(locator, storage)));
  paths.push(fromWindows(fields.name));
  const [name = "", ...others] = new Set([...paths.filter(isUsablePath), ...paths.map(bareName)].filter(Boolean));
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

/** Returns the path in a locator, with forward slashes. Pure. */
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

/** Returns the path of a file URL, the form of Macintosh paths; Xen writes relative ones (`file://./parent.vhd`). */
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

/**
 * Returns whether a path can be opened: no folder, and not on a server (`//server/share`), which would see the access.
 */
function isUsablePath(path: string): boolean {
  return !path.startsWith("//") && !path.endsWith("/") && !path.includes("\0");
}

function bareName(path: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  return name === "." || name === ".." || name.includes("\0") ? "" : name;
}
