/**
 * What can be done with VMDK images that exist.
 *
 * @module
 */
import type { Maintenance } from "../maintenance.ts";

const beneath = () => import("./beneath.ts");

/** The verbs of VMDK. */
export const maintenance: Maintenance = {
  check: async (storage, context) => (await import("./check.ts")).checkVmdk(storage, context),
  repair: async (storage, what, context) => (await import("./repair.ts")).repairVmdk(storage, what, context),
  resize: async (storage, size, growth, context) =>
    (await import("./resize.ts")).resizeVmdk(storage, size, growth, context),
  setBacking: async (storage, backing) => (await beneath()).setVmdkBacking(storage, backing),
  empty: async (storage, context) => (await beneath()).emptyVmdk(storage, context),
  forget: async (storage, ranges, context) => (await beneath()).forgetVmdk(storage, ranges, context),
};
