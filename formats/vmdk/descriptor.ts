/**
 * Parses the descriptor: the text that lists the extent files and properties of a VMDK, by VMware's "Virtual Disk
 * Format 5.0", "The Descriptor File". Spaces, comments and empty lines are allowed anywhere; keys are case-insensitive.
 *
 * @module
 */
import { SECTOR } from "../bytes.ts";
import { corrupt, ImageError } from "../errors.ts";

/** The longest descriptor that is read, in bytes: enough for the extent lines of a split disk of 62 TiB. */
export const MAX_DESCRIPTOR = 4 << 20;

/** The most extent lines that a descriptor may have. */
const MAX_EXTENTS = 1 << 15;

/** The most keys that are kept: a bound on memory. VMware writes about twenty. */
const MAX_KEYS = 4096;

/** The `parentCID` of a disk without a parent. */
export const NO_PARENT = "ffffffff";

/** The access mode of an extent line. */
export type Access = "RW" | "RDONLY" | "NOACCESS";

/** One extent line: `ACCESS SECTORS TYPE "NAME" OFFSET`. */
export interface ExtentLine {
  readonly access: Access;
  /** Guest bytes. */
  readonly size: number;
  /** In upper case: `FLAT`, `SPARSE`, `ZERO`, `VMFS`, `VMFSSPARSE`, `SESPARSE` and others. */
  readonly type: string;
  /** File name as the line states it; empty if it states none. */
  readonly name: string;
  /** File offset of the first guest byte of a flat extent, in bytes. */
  readonly fileOffset: number;
}

/** A parsed descriptor. */
export interface Descriptor {
  /** The whole text, decoded. */
  readonly text: string;
  /** Content ID: eight hex digits in lower case; null if it is not stated. */
  readonly cid: string | null;
  /** Content ID of the parent; {@linkcode NO_PARENT} for a disk without one; null if it is not stated. */
  readonly parentCid: string | null;
  readonly createType: string | null;
  readonly parentHint: string | null;
  readonly extents: readonly ExtentLine[];
  /** All values by key in lower case: `ddb.adaptertype`, `changetrackpath`. */
  readonly values: ReadonlyMap<string, string>;
}

/**
 * Returns whether a file that begins with `head` is a descriptor. `head` may end anywhere.
 *
 * @example
 * ```ts
 * import { looksLikeDescriptor } from "./descriptor.ts";
 * import assert from "node:assert/strict";
 *
 * const encode = (text: string) => new TextEncoder().encode(text);
 * assert.equal(looksLikeDescriptor(encode("# Disk DescriptorFile\nversion = 1\n")), true);
 * assert.equal(looksLikeDescriptor(encode("# settings\nversion=1\nname=x\n")), false);
 * ```
 */
export function looksLikeDescriptor(head: Uint8Array): boolean {
  // The first byte rules out most binary files. 0xef begins a UTF-8 byte order mark.
  if (head.length === 0 || head[0] === 0 || (head[0] > 0x7e && head[0] !== 0xef)) return false;
  const lines = [...linesOf(decode(textPart(head), "latin1").replace(/^\u00ef\u00bb\u00bf/, ""))];
  const first = lines.find((line) => line !== "");
  if (first === undefined) return false;
  if (/^#\s*disk\s*descriptorfile$/i.test(first.slice(0, 100))) return true;
  const body = lines.filter((line) => line !== "" && !line.startsWith("#"));
  if (body.length === 0 || keyOf(body[0])?.key !== "version") return false;
  return body.some((line) => ["cid", "parentcid", "createtype"].includes(keyOf(line)?.key ?? ""));
}

/**
 * Parses a descriptor. Bytes after the first zero byte are padding.
 *
 * @throws ImageError `corrupt` if `bytes` are no descriptor or a line is invalid, `unsupported` for unknown versions
 *
 * @example
 * ```ts
 * import { parseDescriptor } from "./descriptor.ts";
 * import assert from "node:assert/strict";
 *
 * const text = 'version = 1\nCID = 1a2b3c4d\nparentCID=ffffffff\nRW 8 FLAT "a b-flat.vmdk" 0\n';
 * const { cid, extents } = parseDescriptor(new TextEncoder().encode(text), "a.vmdk");
 * assert.equal(cid, "1a2b3c4d");
 * assert.deepEqual(extents, [{ access: "RW", size: 4096, type: "FLAT", name: "a b-flat.vmdk", fileOffset: 0 }]);
 * ```
 */
export function parseDescriptor(bytes: Uint8Array, label: string): Descriptor {
  const text = textOf(textPart(bytes));
  const values = new Map<string, string>();
  const extents: ExtentLine[] = [];
  let total = 0;
  for (const line of linesOf(text)) {
    if (line === "" || line.startsWith("#")) continue;
    const extent = parseExtentLine(line, label);
    if (extent !== null) {
      total += extent.size;
      if (extents.push(extent) > MAX_EXTENTS) throw tooMany(label);
      if (!Number.isSafeInteger(total)) throw corrupt(`Cannot open "${label}": its extents pass 2^53 bytes`, label);
      continue;
    }
    const pair = values.size < MAX_KEYS ? keyOf(line) : null;
    // Of a repeated key the first value counts: the one that VMware writes.
    if (pair !== null && !values.has(pair.key)) values.set(pair.key, pair.value);
  }
  checkVersion(values.get("version"), label);
  if (extents.length === 0 && !values.has("createtype")) {
    throw corrupt(`Cannot open "${label}" as vmdk: its text states neither a createType nor an extent`, label);
  }
  return {
    text,
    cid: contentId(values.get("cid"), "CID", label),
    parentCid: contentId(values.get("parentcid"), "parentCID", label),
    createType: values.get("createtype") ?? null,
    parentHint: values.get("parentfilenamehint") || null,
    extents,
    values,
  };
}

function tooMany(label: string): ImageError {
  return new ImageError("unsupported", `Cannot open "${label}": it has more than ${MAX_EXTENTS} extents`, {
    path: label,
  });
}

function checkVersion(version: string | undefined, label: string): void {
  if (version === undefined) {
    const message = `Cannot open "${label}" as vmdk: it begins with no magic of a sparse extent, ` +
      `and it is no descriptor, which must state a version`;
    throw corrupt(message, label);
  }
  if (/^0*[123]$/.test(version)) return;
  const found = version.slice(0, 40);
  const message = `Cannot open "${label}": its descriptor has version "${found}", must be 1 to 3`;
  throw new ImageError("unsupported", message, { path: label });
}

/** Returns a content ID as eight hex digits in lower case, because IDs are compared as text. */
function contentId(value: string | undefined, what: string, label: string): string | null {
  if (value === undefined) return null;
  const digits = value.replace(/^0x/i, "");
  if (!/^[0-9a-f]{1,8}$/i.test(digits)) {
    throw corrupt(`Cannot open "${label}": its ${what} is "${value.slice(0, 40)}", must be up to 8 hex digits`, label);
  }
  return digits.toLowerCase().padStart(8, "0");
}

/** Returns the bytes before the first zero byte. */
function textPart(bytes: Uint8Array): Uint8Array {
  const end = bytes.indexOf(0);
  return end < 0 ? bytes : bytes.subarray(0, end);
}

/** Decodes the text with the encoding that its `encoding` line states; UTF-8 if that is absent or unknown. */
function textOf(bytes: Uint8Array): string {
  const stated = /^[ \t]*encoding[ \t]*=[ \t]*"?([\w-]+)/im.exec(decode(bytes, "latin1"));
  return decode(bytes, stated?.[1] ?? "utf-8");
}

function decode(bytes: Uint8Array, encoding: string): string {
  let decoder: TextDecoder;
  try {
    decoder = new TextDecoder(encoding);
  } catch {
    decoder = new TextDecoder();
  }
  return decoder.decode(bytes);
}

/** Yields trimmed lines one at a time: a hostile text may have millions. */
function* linesOf(text: string): Generator<string> {
  for (let at = 0; at < text.length;) {
    const found = text.indexOf("\n", at);
    const end = found < 0 ? text.length : found;
    yield text.slice(at, end).trim();
    at = end + 1;
  }
}

/** Parses `key = "value"` into the key in lower case and the value without quotes; null for other lines. */
function keyOf(line: string): { readonly key: string; readonly value: string } | null {
  const at = line.indexOf("=");
  if (at < 0 || line.startsWith("#")) return null;
  const key = line.slice(0, at).trim().toLowerCase();
  return /^[\w.]+$/.test(key) ? { key, value: unquoted(line.slice(at + 1).trim()) } : null;
}

function unquoted(value: string): string {
  return value.length >= 2 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value;
}

/** Parses an extent line; null for other lines. */
function parseExtentLine(line: string, label: string): ExtentLine | null {
  if (!/^(rw|rdonly|noaccess)(\s|$)/i.test(line)) return null;
  const [access, sectors = "", type = ""] = line.split(/\s+/, 3);
  const bad = (problem: string) => {
    return corrupt(`Cannot open "${label}": its extent line "${line.slice(0, 100)}" ${problem}`, label);
  };
  if (!/^\d{1,15}$/.test(sectors)) throw bad("must state a number of sectors");
  if (!/^\w+$/.test(type)) throw bad("must state a type");
  // The text after the type, found by position because any spaces may separate the first three fields.
  const rest = line.slice(line.indexOf(type, line.indexOf(sectors, access.length) + sectors.length) + type.length);
  const { name, offset } = nameAndOffset(rest.trim());
  if (name.startsWith('"')) throw bad("must end its file name with a quote");
  if (!/^\d{0,15}$/.test(offset)) throw bad("must state its offset in the file as a number");
  const size = Number(sectors) * SECTOR;
  const fileOffset = Number(offset) * SECTOR;
  if (!Number.isSafeInteger(size) || !Number.isSafeInteger(fileOffset + size)) throw bad("passes 2^53 bytes");
  return { access: access.toUpperCase() as Access, size, type: type.toUpperCase(), name, fileOffset };
}

/**
 * Splits the file name, which may contain spaces and quotes, from the offset after it. Further values of physical disks
 * (`partitionUUID "…"`) may follow.
 */
function nameAndOffset(rest: string): { readonly name: string; readonly offset: string } {
  const whole = /^"(.*?)"(?:\s+(\d+)(?:\s.*)?)?$/.exec(rest);
  if (whole) return { name: whole[1], offset: whole[2] ?? "" };
  const last = rest.lastIndexOf('"');
  const quoted = rest.startsWith('"') && last > 0;
  const name = quoted ? rest.slice(1, last) : rest.split(/\s+/, 1)[0];
  const after = quoted ? rest.slice(last + 1) : rest.slice(name.length);
  return { name, offset: after.trim().split(/\s+/, 1)[0] };
}
