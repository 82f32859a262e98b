/**
 * Option lists of the command line, read as qemu-img reads them. Pure.
 *
 * @module
 */
import type { SnapshotChoice } from "../../mod.ts";
import { usageError } from "./usage.ts";

/** One item of an option list; `value` is absent where the item is a name alone. */
export interface ListItem {
  readonly key: string;
  readonly value: string | undefined;
}

/** Splits at single commas; a doubled comma is a comma of an item. */
function splitItems(text: string): string[] {
  const items: string[] = [];
  let item = "";
  for (let at = 0; at < text.length; at++) {
    if (text[at] !== ",") item += text[at];
    else if (text[at + 1] === ",") {
      item += ",";
      at++;
    } else {
      items.push(item);
      item = "";
    }
  }
  if (item !== "") items.push(item);
  return items;
}

/**
 * Splits a `key=value,key2=value2` list into its items. A doubled comma stands for one comma of a value.
 *
 * @example
 * ```ts
 * import { splitList } from "./option_list.ts";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual(splitList("a=1,,2,b"), [{ key: "a", value: "1,2" }, { key: "b", value: undefined }]);
 * ```
 */
export function splitList(text: string): ListItem[] {
  return splitItems(text).map((item) => {
    const at = item.indexOf("=");
    return at < 0 ? { key: item, value: undefined } : { key: item.slice(0, at), value: item.slice(at + 1) };
  });
}

/**
 * Joins `-o` lists into one.
 *
 * @throws ImageError `usage` for a list that is empty, begins with a comma or ends with a single comma
 */
export function parseOptionLists(lists: readonly string[]): ListItem[] {
  return lists.flatMap((list) => {
    const tail = /,*$/.exec(list)![0].length;
    if (list === "" || list.startsWith(",") || tail % 2 === 1) {
      throw usageError(
        `Cannot read the option list "${list}" of -o: it must be key=value[,key=value...]` +
          " (write a comma inside a value twice)",
      );
    }
    return splitList(list);
  });
}

/** Returns whether an option list asks for help instead of giving values. */
export function asksForHelp(items: readonly ListItem[]): boolean {
  return items.some((item) => item.value === undefined && (item.key === "help" || item.key === "?"));
}

/**
 * Returns the values by name. A name alone is `on`; `no` before a name that is not itself in `names` is `off`. The last
 * of several values counts.
 */
export function optionValues(items: readonly ListItem[], names: readonly string[]): { [name: string]: string } {
  const values: [string, string][] = items.map(({ key, value }) => {
    if (value !== undefined) return [key, value];
    if (!names.includes(key) && key.startsWith("no")) return [key.slice(2), "off"];
    return [key, "on"];
  });
  return Object.fromEntries(values);
}

/**
 * Parses the snapshot of `-l`: `snapshot.id=..,snapshot.name=..`, or an ID or name.
 *
 * @throws ImageError `usage`
 */
export function parseSnapshot(text: string): SnapshotChoice {
  if (!text.startsWith("snapshot.")) return { idOrName: text };
  const choice: { id?: string; name?: string } = {};
  for (const { key, value } of splitList(text)) {
    if (value !== undefined && key === "snapshot.id") choice.id = value;
    else if (value !== undefined && key === "snapshot.name") choice.name = value;
    else {
      throw usageError(
        `Cannot read "${key}" in -l "${text}": it must be snapshot.id=ID,snapshot.name=NAME,` +
          " or an ID or name alone",
      );
    }
  }
  return choice;
}
