/**
 * Changes the size of the disk of an existing image.
 *
 * @module
 */
import { ImageError, type Preallocation } from "../formats/mod.ts";
import { type ChangeOptions, type ChangeSpec, openForChange, verbOf, withPhases } from "./open_for_change.ts";

/** Options of {@linkcode resize}. */
export interface ResizeOptions extends ChangeOptions {
  /** Whether the disk may become shorter; data past the new end is lost. */
  readonly shrink?: boolean;
  /** Preallocation of the new end. Default: `off`. */
  readonly preallocation?: Preallocation;
}

/** Result of {@linkcode resize}. Guest bytes. */
export interface ResizeSummary {
  /** The image, absolute. */
  readonly path: string;
  /** Name of its format. */
  readonly format: string;
  /** Guest bytes before. */
  readonly before: number;
  /** Guest bytes after. */
  readonly after: number;
}

/** Implements `resize` of `mod.ts`. */
export async function resize(
  image: ChangeSpec,
  size: number | { readonly by: number },
  options: ResizeOptions = {},
): Promise<ResizeSummary> {
  await using stack = new AsyncDisposableStack();
  const changed = await openForChange(image, options, stack);
  const { path, format, guessed, storage, context, open } = changed;
  if (guessed) {
    open.onWarning(`no format is recognised in "${path}"; taken as raw (-f raw says so)`);
  }
  const verb = verbOf(changed, "resize", "resize");
  const before = (await changed.read()).size;
  const after = typeof size === "number" ? size : before + size.by;
  check(path, before, after, options);
  await withPhases(options, () => verb(storage, after, options.preallocation ?? "off", context));
  await storage.sync();
  return { path, format: format.name, before, after };
}

function check(path: string, before: number, after: number, { shrink, preallocation }: ResizeOptions): void {
  const refuse = (why: string) => {
    throw new ImageError("usage", `Cannot resize "${path}": ${why}`, { path });
  };
  if (!Number.isSafeInteger(after) || after <= 0) refuse(`its size would be ${after}`);
  if (after < before && !shrink) {
    refuse(`it has ${before} bytes, and what lies after byte ${after} would be lost; add --shrink to do that`);
  }
  if (after <= before && preallocation !== undefined && preallocation !== "off") {
    refuse("only a disk that grows can be preallocated");
  }
}
