/**
 * `-o` lists: what is an option of the format, and what has a place of its own. Pure.
 *
 * @module
 */
import type { Format } from "../../mod.ts";
import { type ListItem, optionValues } from "./option_list.ts";

/** Creation options as given. */
export interface Creation {
  readonly options: { readonly [name: string]: string };
  readonly backing: string | undefined;
  readonly backingFormat: string | undefined;
  readonly size: string | undefined;
}

/** The items of `-o` for a format; `undefined`: for any, none of whose names are known. */
export function creationFrom(items: readonly ListItem[], format: Format | undefined): Creation {
  const names = format?.createOptions.map((spec) => spec.name) ?? [];
  const { backing_file, backing_fmt, size, ...options } = optionValues(items, names);
  return { options, backing: backing_file, backingFormat: backing_fmt, size };
}
