/**
 * Changes options that were chosen when an image was created.
 *
 * @module
 */
import { type Format, ImageError } from "../formats/mod.ts";
import { type ChangeOptions, type ChangeSpec, openForChange, verbOf, withPhases } from "./open_for_change.ts";
import { createOptions } from "./target/create_options.ts";

/** Implements `amend` of `mod.ts`. */
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
  await withPhases(options, () => run(storage, values, context));
}

/** Throws for the first option of `given` that an existing image cannot change. */
function refuseFixed(format: Format, given: { readonly [name: string]: unknown }): void {
  const amendable = format.maintenance?.amend?.options?.map((spec) => spec.name) ?? [];
  const fixed = Object.keys(given).find((name) =>
    !amendable.includes(name) && format.createOptions.some((spec) => spec.name === name)
  );
  if (fixed === undefined) return;
  throw new ImageError(
    "unsupported",
    `Cannot amend "${fixed}": it is fixed once an image exists, convert it to a new one; ${
      amendable.join(", ")
    } can be amended`,
  );
}
