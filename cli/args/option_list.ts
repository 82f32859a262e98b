/**
 * Option lists of the command line, read as qemu-img reads them. Pure.
 *
 * @module
 */
import { ImageError } from "../../mod.ts";
import type { SnapshotChoice } from "../../mod.ts";

function usage(message: string): ImageError {
  return new ImageError("usage", message);
}

/** One item of an option list; `value` is absent where the item is a name alone. */
export interface ListItem {
  readonly key: string;
  readonly value: string | undefined;
}

/** Cuts at single commas; a doubled comma is a comma of the text. */
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
 * The items of a `key=value,key2=value2` list, in their order. A doubled comma stands for one comma of a value.
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
 * The items of the given `-o` lists, as one list.
 *
 * @throws ImageError `usage` for an empty list, one that begins with a comma, or one that ends with a single comma.
 */
export function parseOptionLists(lists: readonly string[]): ListItem[] {
  return lists.flatMap((list) => {
    const tail = /,*$/.exec(list)![0].length;
    if (list === "" || list.startsWith(",") || tail % 2 === 1) {
      throw usage(
        `Cannot read the option list "${list}" of -o: it must be key=value[,key=value...]` +
          " (write a comma inside a value twice)",
      );
    }
    return splitList(list);
  });
}

/** Whether an option list asks for help instead of giving values. */
export function asksForHelp(items: readonly ListItem[]): boolean {
  return items.some((item) => item.value === undefined && (item.key === "help" || item.key === "?"));
}

/**
 * Values by name. A name alone is `on`; `no` before a name that is not itself in `names` is `off`. The last one counts.
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
 * What `-l` names: `snapshot.id=..,snapshot.name=..`, or an ID or name.
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
      throw usage(
        `Cannot read "${key}" in -l "${text}": it must be snapshot.id=ID,snapshot.name=NAME,` +
          " or an ID or name alone",
      );
    }
  }
  return choice;
}
