/**
 * What can be done with VHDX images that exist.
 *
 * @module
 */
import type { Maintenance } from "../maintenance.ts";
import { checkRuns } from "../check_runs.ts";

/** The verbs of VHDX. */
export const maintenance: Maintenance = {
  check: checkRuns(async (storage) => (await import("./disk.ts")).openVhdx(storage)),
  resize: async (storage, size, growth, context) =>
    (await import("./resize.ts")).resizeVhdx(storage, size, growth, context),
};
