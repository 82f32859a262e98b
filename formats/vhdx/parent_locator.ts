/**
 * The parent locator of a differencing image ([MS-VHDX] 2.6.2.6): keys and values that identify its parent.
 *
 * @module
 */
import { viewOf } from "../bytes.ts";
import type { NamedFile } from "../guest_reader.ts";
import { corrupt, ImageError } from "../errors.ts";
import { NIL_UUID, parseUuid, uuidAt } from "../shared/uuid.ts";

/** The only locator type of the specification. */
const VHDX_LOCATOR = "b04aefb7-d19e-4a81-b789-25b8e9445913";

/** Keys of paths, in the order in which the specification tries them. */
const PATHS = ["relative_path", "volume_path", "absolute_win32_path"] as const;
const LINKAGES = ["parent_linkage", "parent_linkage2"] as const;

/** The identity of a parent. */
export interface ParentLocator {
  /** The data write GUID that the parent must have. */
  readonly linkage: string;
  /** An alternative data write GUID, which is set while the parent is being changed. */
  readonly linkage2: string | null;
  /** Paths as the image states them, best first. */
  readonly paths: readonly string[];
}

/** Parses a locator. `bytes` is the whole item. */
export function parseParentLocator(bytes: Uint8Array, label: string): ParentLocator {
  const type = uuidAt(bytes, 0, "mixed");
  if (type !== VHDX_LOCATOR) {
    const message = `Cannot open "${label}": the locator of its parent has the type ${type}, only VHDX files are known`;
    throw new ImageError("unsupported", message, { path: label });
  }
  const values = valuesOf(bytes, label);
  const [linkage = null, linkage2 = null] = LINKAGES.map((key) => parseUuid(values.get(key) ?? ""));
  if (linkage === null) {
    throw corrupt(`Cannot open "${label}": the locator of its parent has no "parent_linkage" that is a GUID`, label);
  }
  const paths = PATHS.map((key) => values.get(key) ?? "").filter((path) => path !== "");
  return { linkage, linkage2: linkage2 === NIL_UUID || linkage2 === linkage ? null : linkage2, paths };
}

/** Returns the values of the known keys. Offsets count from the start of the item. */
function valuesOf(bytes: Uint8Array, label: string): Map<string, string> {
  const view = viewOf(bytes);
  const count = view.getUint16(18, true);
  if (20 + 12 * count > bytes.length) throw broken(label, `its ${count} entries need more than ${bytes.length} bytes`);
  const values = new Map<string, string>();
  for (let at = 20; at < 20 + 12 * count; at += 12) {
    const key = textAt(bytes, view.getUint32(at, true), view.getUint16(at + 8, true), label, 64);
    // Other programs may add keys. Only known ones are decoded, each once, so that a long table takes no time.
    if (key === null || ![...PATHS, ...LINKAGES].some((known) => known === key)) continue;
    if (values.has(key)) throw broken(label, `it has two entries "${key}"`);
    values.set(key, textAt(bytes, view.getUint32(at + 4, true), view.getUint16(at + 10, true), label) ?? "");
  }
  return values;
}

/** Returns UTF-16 text; `null` where it is longer than `most` bytes. */
function textAt(bytes: Uint8Array, at: number, length: number, label: string, most = 65_535): string | null {
  if (at + length > bytes.length) {
    throw broken(label, `an entry ends at ${at + length}, past its ${bytes.length} bytes`);
  }
  if (length > most) return null;
  const text = new TextDecoder("utf-16le").decode(bytes.subarray(at, at + length));
  // deno-lint-ignore no-control-regex
  if (length % 2 !== 0 || /[\u0000-\u001f]/.test(text)) throw broken(label, "an entry is not text");
  return text;
}

function broken(label: string, found: string): ImageError {
  return corrupt(`Cannot use the parent locator of "${label}": ${found}`, label);
}

/** Returns the parent as a named file. */
export function backingOf(parent: ParentLocator): NamedFile {
  const [name = "", ...others] = parent.paths;
  return {
    name,
    ...(others.length > 0 && { others }),
    format: "vhdx",
    id: parent.linkage,
    ...(parent.linkage2 !== null && { otherIds: [parent.linkage2] }),
  };
}
