/**
 * The VHDX format of Hyper-V, version 1 ([MS-VHDX]): dynamic, fixed and differencing images.
 *
 * @module
 */
import type { Format } from "../contract.ts";
import { createVhdx } from "./create.ts";
import { openVhdx } from "./disk.ts";
import { editVhdx } from "./edit.ts";
import { hasSignature } from "./header.ts";
import { checkPlan, CREATE_OPTIONS } from "./options.ts";

/** VHDX images. */
export const vhdx: Format = {
  name: "vhdx",
  title: "Hyper-V virtual hard disk, version 2",
  extensions: ["vhdx", "avhdx"],
  has: { backing: true, overlays: false, packing: false, snapshots: false, bitmaps: false },
  probe: ({ head }) => hasSignature(head) ? "yes" : "no",
  open: openVhdx,
  createOptions: CREATE_OPTIONS,
  checkPlan,
  create: createVhdx,
  edit: editVhdx,
};
