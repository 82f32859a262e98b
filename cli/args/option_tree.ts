/**
 * Keys with dots as a tree, and a reader of it that knows which keys nobody has asked for. Pure.
 *
 * @module
 */
import { ImageError, parseFlag, parseSize } from "../../mod.ts";
import { splitList } from "./option_list.ts";

/** A value of a description: JSON without lists. */
export type OptionValue = string | number | boolean | null | OptionTree;
/** Values by key. */
export interface OptionTree {
  readonly [key: string]: OptionValue;
}

type Building = Map<string, string | number | boolean | null | Building>;

function put(tree: Building, key: string, value: OptionValue): void {
  const dot = key.indexOf(".");
  if (dot >= 0) {
    const head = key.slice(0, dot);
    const beneath = tree.get(head) ?? new Map();
    if (!(beneath instanceof Map)) throw mixed(head);
    tree.set(head, beneath);
    put(beneath, key.slice(dot + 1), value);
  } else if (value !== null && typeof value === "object") {
    for (const [inner, one] of Object.entries(value)) put(tree, `${key}.${inner}`, one);
  } else if (tree.get(key) instanceof Map) {
    throw mixed(key);
  } else {
    tree.set(key, value);
  }
}

function mixed(key: string): ImageError {
  return new ImageError(
    "usage",
    `Cannot use "${key}" both as a name and as a group: it must be ${key}=... or ${key}.KEY=..., not both`,
  );
}

function built(tree: Building): OptionTree {
  return Object.fromEntries(
    [...tree].map(([key, value]) => [key, value instanceof Map ? built(value) : value]),
  );
}

/**
 * The tree of a `key=value,key.inner=value` string. A first item without `=` is `file=ITEM`; another one is `on`, or
 * `off` after `no`.
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
    throw new ImageError("usage", "Cannot use an empty image description: give driver=...,file.filename=...");
  }
  // The last of several values counts, before any nesting: a.b=1,a.b=2 is no contradiction.
  const flat = new Map<string, string>();
  splitList(text).forEach(({ key, value }, index) => {
    if (value !== undefined) flat.set(key, value);
    else if (index === 0) flat.set("file", key);
    else if (key.startsWith("no") && key !== "node-name") flat.set(key.slice(2), "off");
    else flat.set(key, "on");
  });
  const tree: Building = new Map();
  for (const [key, value] of flat) put(tree, key, value);
  return built(tree);
}

/**
 * The tree of the text after `json:`.
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
    throw new ImageError("usage", 'Cannot use the json: name: it must be an object such as {"driver": "raw", ...}');
  }
  const tree: Building = new Map();
  for (const [key, one] of Object.entries(value)) {
    refuseLists(one, key);
    put(tree, key, one);
  }
  return built(tree);
}

function refuseLists(value: unknown, key: string): void {
  if (Array.isArray(value)) throw new ImageError("usage", `Cannot honour the list in "${key}" of the json: name`);
  if (value === null || typeof value !== "object") return;
  for (const [inner, one] of Object.entries(value)) refuseLists(one, `${key}.${inner}`);
}

/** Reads a tree key by key; {@linkcode Fields.done} complains about keys that were never read. */
export interface Fields {
  /** The full name of a key, for messages. */
  name(key: string): string;
  text(key: string): string | undefined;
  /** Bytes. */
  size(key: string): number | undefined;
  flag(key: string): boolean | undefined;
  kind(key: string): "absent" | "none" | "name" | "group";
  /** Takes a key that says "none". */
  none(key: string): null;
  /** The fields beneath a key, which must be there. `wanted` is the key to name where they are not. */
  group(key: string, wanted: string): Fields;
  /** Refuses the keys that are left. */
  done(possible: string): void;
}

/** A reader of `tree`; `prefix` is the full name of the group, with its final dot. */
export function fieldsOf(tree: OptionTree, prefix = ""): Fields {
  const left = new Map(Object.entries(tree));
  const name = (key: string) => `"${prefix}${key}"`;
  const take = (key: string): string | undefined => {
    const value = left.get(key);
    if (value === undefined) return undefined;
    left.delete(key);
    if (value !== null && typeof value !== "object") return String(value);
    throw new ImageError("usage", `Cannot use the value of ${name(key)}: it must be a single value`);
  };
  const kind = (key: string): "absent" | "none" | "name" | "group" => {
    const value = left.get(key);
    if (value === undefined) return "absent";
    if (value === null || value === "") return "none";
    return typeof value === "object" ? "group" : "name";
  };
  return {
    name,
    kind,
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
        throw new ImageError("usage", `Cannot find the file of the image: ${name(`${key}.${wanted}`)} must be given`);
      }
      throw new ImageError(
        "usage",
        `Cannot use ${name(key)}=${value}: that would be the name of a node, and there are none here;` +
          ` for a file write ${prefix}${key}.${wanted}=${value}`,
      );
    },
    done(possible) {
      const keys = [...left].map(([key, value]) =>
        value !== null && typeof value === "object" ? name(`${key}.${Object.keys(value)[0] ?? ""}`) : name(key)
      );
      if (keys.length === 0) return;
      throw new ImageError("usage", `Cannot honour ${keys.join(", ")}: possible here are ${possible}`);
    },
  };
}

function mapped<In, Out>(value: In | undefined, map: (value: In) => Out): Out | undefined {
  return value === undefined ? undefined : map(value);
}
