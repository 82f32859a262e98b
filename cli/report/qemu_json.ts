/**
 * JSON as qemu-img prints it: four spaces, empty lists and objects on two lines, and the keys in its order, which is that
 * of a hash table and the same in every version. Pure.
 *
 * @module
 */

/** The keys of `info`, `check` and `measure` in the order of qemu-img. */
const KEYS: readonly string[] = [
  "compat",
  "icount",
  "flags",
  "vm-clock-nsec",
  "image-end-offset",
  "name",
  "compressed-clusters",
  "compression-type",
  "compressed",
  "cid",
  "lazy-refcounts",
  "date-sec",
  "bitmaps",
  "refcount-bits",
  "parent-cid",
  "total-clusters",
  "corruptions",
  "data-file",
  "corruptions-fixed",
  "check-errors",
  "children",
  "backing-filename-format",
  "date-nsec",
  "granularity",
  "required",
  "leaks",
  "create-type",
  "snapshots",
  "leaks-fixed",
  "allocated-clusters",
  "virtual-size",
  "filename",
  "cluster-size",
  "fully-allocated",
  "format",
  "actual-size",
  "data-file-raw",
  "format-specific",
  "full-backing-filename",
  "vm-clock-sec",
  "type",
  "extents",
  "backing-filename",
  "corrupt",
  "fragmented-clusters",
  "id",
  "vm-state-size",
  "info",
  "dirty-flag",
  "extended-l2",
  "data",
];

const POSITIONS: ReadonlyMap<string, number> = new Map(KEYS.map((key, index) => [key, index]));

/** Returns the members of an object in the order of qemu-img, then those that qemu-img lacks. */
export function inQemuOrder<T>(object: { readonly [key: string]: T }): [key: string, value: T][] {
  const position = (key: string) => POSITIONS.get(key) ?? KEYS.length;
  return Object.entries(object).sort(([one], [other]) => position(one) - position(other));
}

/**
 * Returns `value` as qemu-img prints it, without a newline at the end.
 *
 * @example
 * ```ts
 * import { qemuJson } from "./qemu_json.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(qemuJson({ format: "raw", children: [], name: "a" }), '{\n    "name": "a",\n    "children": [\n    ],\n    "format": "raw"\n}');
 * ```
 */
export function qemuJson(value: unknown, indent = ""): string {
  if (value === null || typeof value !== "object") return asciiJson(value);
  const inner = `${indent}    `;
  const [open, close, items] = Array.isArray(value) ? ["[", "]", value.map((item) => qemuJson(item, inner))] : [
    "{",
    "}",
    inQemuOrder(value as { [key: string]: unknown })
      .filter(([, member]) => member !== undefined)
      .map(([key, member]) => `${asciiJson(key)}: ${qemuJson(member, inner)}`),
  ];
  return `${open}\n${items.map((item) => `${inner}${item}`).join(",\n")}${
    items.length === 0 ? "" : "\n"
  }${indent}${close}`;
}

/** Returns a value as JSON of ASCII characters: as qemu-img, and so that no name from an image acts on a terminal. */
function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[^\x20-\x7e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`,
  );
}
