/**
 * What can be done with qcow2 images that exist.
 *
 * @module
 */
import type { Maintenance } from "../maintenance.ts";
import { checkQcow2 } from "./check.ts";
import { AMEND_OPTIONS, amendQcow2 } from "./amend.ts";
import { administerBitmap } from "./bitmaps_admin.ts";
import { emptyQcow2, forgetQcow2, setQcow2Backing } from "./beneath.ts";
import { repairQcow2 } from "./repair.ts";
import { resizeQcow2 } from "./resize.ts";
import { applySnapshot, createSnapshot, removeSnapshot } from "./snapshot_write.ts";

/** The verbs of qcow2. */
export const maintenance: Maintenance = {
  check: checkQcow2,
  repair: repairQcow2,
  resize: resizeQcow2,
  setBacking: setQcow2Backing,
  empty: emptyQcow2,
  forget: forgetQcow2,
  snapshots: { create: createSnapshot, apply: applySnapshot, remove: removeSnapshot },
  administerBitmap,
  amendOptions: AMEND_OPTIONS,
  amend: amendQcow2,
};
