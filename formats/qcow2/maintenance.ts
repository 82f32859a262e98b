/**
 * What can be done with qcow2 images that exist.
 *
 * @module
 */
import type { Maintenance } from "../maintenance.ts";
import { checkQcow2 } from "./check.ts";
import { repairQcow2 } from "./repair.ts";

/** The verbs of qcow2. */
export const maintenance: Maintenance = {
  check: checkQcow2,
  repair: repairQcow2,
};
