/**
 * Changes the text of an existing descriptor. All other bytes are kept, whatever its encoding.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { SECTOR } from "../bytes.ts";
import { ImageError } from "../errors.ts";
import { extentLine, newContentId, type NewExtentLine, randomHex } from "./descriptor_create.ts";
import { type Descriptor, NO_PARENT } from "./descriptor.ts";

/**
 * Returns the descriptor with a new content ID. Overlays of this image state the old ID, so that readers refuse them.
 */
export function withNewContentId(descriptor: Uint8Array): Uint8Array {
  const cid = newContentId();
  const text = charsOf(descriptor)
    .replace(/^([ \t]*CID[ \t]*=[ \t]*"?)(?:0x)?[0-9a-f]{1,8}/im, `$1${cid}`)
    .replace(/^([ \t]*ddb\.longContentID[ \t]*=[ \t]*")[0-9a-f]{32}/im, `$1${randomHex(12)}${cid}`);
  return bytesOf(text);
}

/**
 * Returns the descriptor with `lastSize` guest bytes in its last extent line and the lines `added` after it. The
 * cylinders follow from `size`, the guest bytes of the whole disk. A descriptor without extent lines gets none.
 *
 * @example
 * ```ts
 * import { withExtents } from "./descriptor_edit.ts";
 * import assert from "node:assert/strict";
 *
 * const old = new TextEncoder().encode('version=1\nRW 8 FLAT "a-f001.vmdk" 0\n');
 * const added = [{ access: "RW", size: 512, type: "FLAT", name: "a-f002.vmdk" }] as const;
 * const text = new TextDecoder().decode(withExtents(old, { lastSize: 8192, added, size: 8704 }));
 * assert.equal(text, 'version=1\nRW 16 FLAT "a-f001.vmdk" 0\nRW 1 FLAT "a-f002.vmdk" 0\n');
 * ```
 */
export function withExtents(
  descriptor: Uint8Array,
  { lastSize, added, size }: {
    readonly lastSize: number;
    readonly added: readonly NewExtentLine[];
    readonly size: number;
  },
): Uint8Array {
  const lines = linesOf(descriptor);
  const last = lines.findLastIndex((line) => /^\s*(rw|rdonly|noaccess)\s/i.test(line));
  if (last >= 0) {
    lines[last] = lines[last].replace(/^(\s*\w+\s+)\d+/, `$1${lastSize / SECTOR}`);
    const end = lines[last].endsWith("\r") ? "\r" : "";
    lines.splice(last + 1, 0, ...added.map((extent) => bytesText(extentLine(extent)) + end));
  }
  return bytesOf(withGeometry(lines, size).join("\n"));
}

/** Sets the cylinders for `size` guest bytes; heads and sectors per track stay. */
function withGeometry(lines: readonly string[], size: number): string[] {
  const valueOf = (name: string) => {
    const pattern = new RegExp(`^\\s*ddb\\.geometry\\.${name}\\s*=\\s*"?(\\d+)`, "i");
    return Number(lines.map((line) => pattern.exec(line)).find((found) => found)?.[1] ?? 0);
  };
  const [heads, sectors] = [valueOf("heads"), valueOf("sectors")];
  if (heads * sectors === 0) return [...lines];
  const cylinders = Math.floor(size / SECTOR / (heads * sectors));
  // 16383 cylinders is the limit of ATA.
  const shown = heads === 16 ? Math.min(cylinders, 16383) : cylinders;
  return lines.map((line) => line.replace(/^(\s*ddb\.geometry\.cylinders\s*=\s*"?)\d+/i, `$1${shown}`));
}

/** A parent to name in a descriptor; without a content ID, readers do not check the parent. */
export interface Parent {
  readonly name: string;
  readonly cid?: string | undefined;
}

/**
 * Returns the descriptor with `parent` as its parent, or with none.
 *
 * @throws ImageError `usage` for a name that the descriptor cannot hold
 *
 * @example
 * ```ts
 * import { withParent } from "./descriptor_edit.ts";
 * import { parseDescriptor } from "./descriptor.ts";
 * import assert from "node:assert/strict";
 *
 * const text = 'version=1\nCID=00000001\nparentCID=ffffffff\ncreateType="monolithicSparse"\n';
 * const old = parseDescriptor(new TextEncoder().encode(text), "a.vmdk");
 * const changed = withParent(new TextEncoder().encode(text), old, { name: "b.vmdk", cid: "0000abcd" }, "a.vmdk");
 * const { parentHint, parentCid } = parseDescriptor(changed, "a.vmdk");
 * assert.deepEqual([parentHint, parentCid], ["b.vmdk", "0000abcd"]);
 * ```
 */
export function withParent(
  descriptor: Uint8Array,
  parsed: Descriptor,
  parent: Parent | null,
  label: string,
): Uint8Array {
  const lines = linesOf(descriptor);
  const hint = parent && `parentFileNameHint="${nameChars(parent.name, parsed, label)}"`;
  const cid = parent === null ? NO_PARENT : parent.cid;
  setLine(lines, "parentCID", cid === undefined ? null : `parentCID=${cid}`, "CID");
  setLine(lines, "parentFileNameHint", hint, "createType");
  return bytesOf(lines.join("\n"));
}

/** Replaces the lines of `key` by `line`, or inserts it after the line of `after`; `null` removes the lines. */
function setLine(lines: string[], key: string, line: string | null, after: string): void {
  const isOf = (wanted: string) => (one: string) => keyOf(one) === wanted.toLowerCase();
  const at = lines.findIndex(isOf(key));
  const insertAt = at >= 0 ? at : lines.findIndex(isOf(after)) + 1 || lines.findIndex(isOf("version")) + 1;
  const end = (lines[insertAt] ?? lines[0]).endsWith("\r") ? "\r" : "";
  for (let index = lines.length - 1; index >= 0; index--) if (isOf(key)(lines[index])) lines.splice(index, 1);
  if (line !== null) lines.splice(insertAt, 0, line + end);
}

function keyOf(line: string): string {
  return /^\s*([\w.]+)\s*=/.exec(line)?.[1].toLowerCase() ?? "";
}

/** Encodes a file name in the encoding of the descriptor, one character for each byte. */
function nameChars(name: string, { values }: Descriptor, label: string): string {
  const refuse = (why: string) =>
    new ImageError("usage", `Cannot name ${JSON.stringify(name)} in the descriptor of "${label}": ${why}`, {
      path: label,
    });
  // deno-lint-ignore no-control-regex
  if (/["\x00-\x1f]/.test(name)) throw refuse("leave quotes and control characters out of it");
  const encoding = (values.get("encoding") ?? "UTF-8").toLowerCase();
  if (/^utf-?8$/.test(encoding) || /^[\x20-\x7e]*$/.test(name)) return bytesText(name);
  throw refuse(`its text has the encoding ${encoding}, so only ASCII is written`);
}

/** Returns the lines before the first zero byte as latin1, so that every byte survives whatever the encoding is. */
function linesOf(descriptor: Uint8Array): string[] {
  return charsOf(descriptor).split("\n");
}

function charsOf(descriptor: Uint8Array): string {
  const end = descriptor.indexOf(0);
  return Buffer.from(end < 0 ? descriptor : descriptor.subarray(0, end)).toString("latin1");
}

function bytesText(text: string): string {
  return Buffer.from(text).toString("latin1");
}

function bytesOf(chars: string): Uint8Array {
  return new Uint8Array(Buffer.from(chars, "latin1"));
}
