/**
 * Options of a new image, and the check of a plan.
 *
 * @module
 */
import type { CreatePlan } from "../contract.ts";
import type { OptionSpec } from "../options.ts";
import { ImageError } from "../errors.ts";

/** Guest bytes of the largest disk: 512 TiB less 128 MiB, where the block map ends at 2 GiB. */
export const MAX_SIZE = 0x1_ffff_f800_0000;

/** The options of a new image. */
export const CREATE_OPTIONS: readonly OptionSpec[] = [
  {
    name: "static",
    type: "flag",
    help: "give the image its full size from the start, all blocks in order; off lets it grow with its data",
    default: false,
  },
];

/** Throws `usage` for a plan that cannot be carried out. */
export function checkPlan(plan: CreatePlan): void {
  if (plan.backing !== null) {
    throw new ImageError("usage", "Cannot create a VDI image with a backing file: differencing images are only read");
  }
  if (plan.compress) throw new ImageError("usage", "Cannot compress a VDI image: the format has no compression");
  if (plan.size <= MAX_SIZE) return;
  const message = `Cannot create a VDI image of ${plan.size} bytes: the format ends at ${MAX_SIZE} ` +
    `(512 TiB less 128 MiB); qcow2 takes more`;
  throw new ImageError("usage", message);
}
