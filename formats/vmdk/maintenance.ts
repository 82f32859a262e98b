/**
 * What can be done with VMDK images that exist.
 *
 * @module
 */
import type { Maintenance } from "../maintenance.ts";
import { checkRuns } from "../check_runs.ts";

const beneath = () => import("./beneath.ts");

/** The verbs of VMDK. */
export const maintenance: Maintenance = {
  check: checkRuns(async (storage, context) => (await import("./disk.ts")).openVmdk(storage, context)),
  resize: async (storage, size, growth, context) =>
    (await import("./resize.ts")).resizeVmdk(storage, size, growth, context),
  setBacking: async (storage, backing) => (await beneath()).setVmdkBacking(storage, backing),
  empty: async (storage, context) => (await beneath()).emptyVmdk(storage, context),
  forget: async (storage, ranges, context) => (await beneath()).forgetVmdk(storage, ranges, context),
};
