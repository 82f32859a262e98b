/**
 * Options of a new image.
 *
 * @module
 */
import { alignUp, SECTOR } from "../bytes.ts";
import type { CreatePlan } from "../contract.ts";
import type { OptionSpec } from "../options.ts";
import { ImageError } from "../errors.ts";
import { roundedToGeometry } from "./geometry.ts";

/** Most guest bytes: 2040 GiB, the limit of Hyper-V and of all known readers. */
export const MAX_SIZE = 2040 * 2 ** 30;

/** The field "Creator Application". For `vpc ` and `qemu` readers prefer the geometry to the current size. */
export const CREATOR = "dcst";

/** The options of `create`. */
export const CREATE_OPTIONS: readonly OptionSpec[] = [
  {
    name: "subformat",
    type: "choice",
    help: "dynamic grows with its data; fixed has its full size from the start (Azure takes only fixed)",
    values: ["dynamic", "fixed"],
    default: "dynamic",
  },
  {
    name: "force_size",
    type: "flag",
    help: "state the largest geometry, so that every reader uses the exact size, as qemu-img does; " +
      "without it the size is exact too, and the geometry agrees where one can",
    default: false,
  },
  {
    name: "chs_size",
    type: "flag",
    help: "round the disk up to a size that a geometry states, as qemu-img does without force_size",
    default: false,
  },
  {
    name: "sparse",
    type: "flag",
    help: "leave holes in the file where the disk is empty; off writes zeroes instead, " +
      "because Windows refuses to attach a VHD file that has holes",
    default: true,
  },
  {
    name: "creator",
    type: "choice",
    help: "the program that the image states as its creator; tap is XenServer and XCP-ng, " +
      "which resize only their own images: such an image has a batmap, as theirs",
    values: [CREATOR, "tap"],
    default: CREATOR,
  },
];

/** The options of a plan, with defaults for absent ones. */
export interface CreateSettings {
  /** Guest bytes, whole sectors. */
  readonly size: number;
  readonly isFixed: boolean;
  readonly forceSize: boolean;
  readonly isSparse: boolean;
  /** Whether the image states XenServer as its creator. */
  readonly isXen: boolean;
}

/** Returns the settings of a plan. */
export function settingsOf({ size, options }: CreatePlan): CreateSettings {
  const rounds = options.chs_size === true && options.force_size !== true;
  return {
    size: rounds ? roundedToGeometry(Math.ceil(size / SECTOR)) * SECTOR : alignUp(size, SECTOR),
    isFixed: options.subformat === "fixed",
    forceSize: options.force_size === true,
    isSparse: options.sparse !== false,
    isXen: options.creator === "tap",
  };
}

/** Throws `usage` for an impossible plan. */
export function checkPlan(plan: CreatePlan): void {
  if (plan.backing !== null) {
    throw new ImageError("usage", "Cannot create a VHD image with a backing file: differencing images are only read");
  }
  if (plan.compress) throw new ImageError("usage", "Cannot compress a VHD image: the format has no compression");
  if (plan.size <= MAX_SIZE) return;
  const message = `Cannot create a VHD image of ${plan.size} bytes: the format ends at ${MAX_SIZE} (2040 GiB); ` +
    `VHDX and qcow2 take more`;
  throw new ImageError("usage", message);
}
