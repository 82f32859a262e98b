/**
 * Keys with dots as a tree, and a reader of the tree that refuses the keys that were not read. Pure.
 *
 * @module
 */
import { ImageError, parseFlag, parseSize } from "../../mod.ts";
import { splitList } from "./option_list.ts";
import { usageError } from "./usage.ts";

/** A value of a description: JSON without lists. */
export type OptionValue = string | number | boolean | null | OptionTree;
/** Values by key. */
export interface OptionTree {
  readonly [key: string]: OptionValue;
}

/** A tree in the making. */
type TreeMap = Map<string, string | number | boolean | null | TreeMap>;

/** Adds a value; each dot in the key opens a group, and a group as value adds its keys. */
function put(tree: TreeMap, key: string, value: OptionValue): void {
  const dot = key.indexOf(".");
  if (dot >= 0) {
    const head = key.slice(0, dot);
    const group = tree.get(head) ?? new Map();
    if (!(group instanceof Map)) throw nameAndGroup(head);
    tree.set(head, group);
    put(group, key.slice(dot + 1), value);
  } else if (value !== null && typeof value === "object") {
    for (const [inner, one] of Object.entries(value)) put(tree, `${key}.${inner}`, one);
  } else if (tree.get(key) instanceof Map) {
    throw nameAndGroup(key);
  } else {
    tree.set(key, value);
  }
}

function nameAndGroup(key: string): ImageError {
  return usageError(
    `Cannot use "${key}" both as a name and as a group: it must be ${key}=... or ${key}.KEY=..., not both`,
  );
}

function plain(tree: TreeMap): OptionTree {
  return Object.fromEntries(
    [...tree].map(([key, value]) => [key, value instanceof Map ? plain(value) : value]),
  );
}

/**
 * Returns the tree of a `key=value,key.inner=value` string. A first item without `=` is `file=ITEM`; another one is
 * `on`, or `off` after `no`.
 *
 * @throws ImageError `usage`
 *
 * @example
 * ```ts
 * import { treeOfOptions } from "./option_tree.ts";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual(treeOfOptions("driver=qcow2,file.filename=a"), { driver: "qcow2", file: { filename: "a" } });
 * ```
 */
export function treeOfOptions(text: string): OptionTree {
  if (text === "") {
    throw usageError("Cannot use an empty image description: give driver=...,file.filename=...");
  }
  // The last of several values counts, before any nesting: a.b=1,a.b=2 is no contradiction.
  const flat = new Map<string, string>();
  splitList(text).forEach(({ key, value }, index) => {
    if (value !== undefined) flat.set(key, value);
    else if (index === 0) flat.set("file", key);
    else if (key.startsWith("no") && key !== "node-name") flat.set(key.slice(2), "off");
    else flat.set(key, "on");
  });
  const tree: TreeMap = new Map();
  for (const [key, value] of flat) put(tree, key, value);
  return plain(tree);
}

/**
 * Returns the tree of the text after `json:`.
 *
 * @throws ImageError `usage`
 */
export function treeOfJson(text: string): OptionTree {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ImageError("usage", `Cannot read the json: name: ${(cause as Error).message}`, { cause });
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    throw usageError('Cannot use the json: name: it must be an object such as {"driver": "raw", ...}');
  }
  const tree: TreeMap = new Map();
  for (const [key, one] of Object.entries(value)) {
    refuseLists(one, key);
    put(tree, key, one);
  }
  return plain(tree);
}

function refuseLists(value: unknown, key: string): void {
  if (Array.isArray(value)) throw usageError(`Cannot honour the list in "${key}" of the json: name`);
  if (value === null || typeof value !== "object") return;
  for (const [inner, one] of Object.entries(value)) refuseLists(one, `${key}.${inner}`);
}

/** Reads a tree key by key; {@linkcode Fields.done} refuses the keys that were not read. */
export interface Fields {
  /** The key with its groups, quoted for messages. */
  name(key: string): string;
  text(key: string): string | undefined;
  /** Bytes. */
  size(key: string): number | undefined;
  flag(key: string): boolean | undefined;
  /** "none" is null or the empty text. */
  type(key: string): "absent" | "none" | "name" | "group";
  /** Reads a key of type "none". */
  none(key: string): null;
  /** Reads a group, which must be there; the message names its key `wanted` where it is not. */
  group(key: string, wanted: string): Fields;
  /** Throws `usage` for keys that were not read. */
  done(possible: string): void;
}

/** Returns a reader of `tree`; `prefix`: the name of the group, with its final dot. */
export function fieldsOf(tree: OptionTree, prefix = ""): Fields {
  const left = new Map(Object.entries(tree));
  const name = (key: string) => `"${prefix}${key}"`;
  const take = (key: string): string | undefined => {
    const value = left.get(key);
    if (value === undefined) return undefined;
    left.delete(key);
    if (value !== null && typeof value !== "object") return String(value);
    throw usageError(`Cannot use the value of ${name(key)}: it must be a single value`);
  };
  const type = (key: string): "absent" | "none" | "name" | "group" => {
    const value = left.get(key);
    if (value === undefined) return "absent";
    if (value === null || value === "") return "none";
    return typeof value === "object" ? "group" : "name";
  };
  return {
    name,
    type,
    text: take,
    size: (key) => mapped(take(key), (text) => parseSize(text, name(key))),
    flag: (key) => mapped(take(key), (text) => parseFlag(text, name(key))),
    none(key) {
      left.delete(key);
      return null;
    },
    group(key, wanted) {
      const value = left.get(key);
      left.delete(key);
      if (value !== null && typeof value === "object") return fieldsOf(value, `${prefix}${key}.`);
      if (value === undefined) {
        throw usageError(`Cannot find the file of the image: ${name(`${key}.${wanted}`)} must be given`);
      }
      throw usageError(
        `Cannot use ${name(key)}=${value}: that would be the name of a node, and there are none here;` +
          ` for a file write ${prefix}${key}.${wanted}=${value}`,
      );
    },
    done(possible) {
      const keys = [...left].map(([key, value]) =>
        value !== null && typeof value === "object" ? name(`${key}.${Object.keys(value)[0] ?? ""}`) : name(key)
      );
      if (keys.length === 0) return;
      throw usageError(`Cannot honour ${keys.join(", ")}: possible here are ${possible}`);
    },
  };
}

function mapped<In, Out>(value: In | undefined, map: (value: In) => Out): Out | undefined {
  return value === undefined ? undefined : map(value);
}
