/**
 * Changing what was chosen when an image was created.
 *
 * @module
 */
import { type Format, ImageError } from "../formats/mod.ts";
import { atWork, type ChangeOptions, type ChangeSpec, openForChange, verbOf } from "./open_for_change.ts";
import { createOptions } from "./target/create_options.ts";

/** What {@linkcode amend} of `mod.ts` does. */
export async function amend(
  image: ChangeSpec,
  given: { readonly [name: string]: string | number | boolean },
  options: ChangeOptions = {},
): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const changed = await openForChange(image, options, stack);
  const { run } = verbOf(changed, "amend", "amend");
  const { format, storage, context } = changed;
  refuseFixed(format, given);
  const values = createOptions(format.name, format.maintenance?.amend?.options ?? [], given);
  await atWork(options, () => run(storage, values, context));
}

/** Refuses by name what is fixed once an image exists. */
function refuseFixed(format: Format, given: { readonly [name: string]: unknown }): void {
  const can = format.maintenance?.amend?.options?.map((spec) => spec.name) ?? [];
  const fixed = Object.keys(given).find((name) =>
    !can.includes(name) && format.createOptions.some((spec) => spec.name === name)
  );
  if (fixed === undefined) return;
  throw new ImageError(
    "unsupported",
    `Cannot amend "${fixed}": it is fixed once an image exists, convert it to a new one; ${
      can.join(", ")
    } can be amended`,
  );
}
