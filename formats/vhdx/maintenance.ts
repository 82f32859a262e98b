/**
 * What can be done with VHDX images that exist.
 *
 * @module
 */
import type { Maintenance } from "../maintenance.ts";

/** The verbs of VHDX. */
export const maintenance: Maintenance = {
  check: async (storage, context) => (await import("./check.ts")).checkVhdx(storage, context),
  repair: async (storage, what, context) => (await import("./repair.ts")).repairVhdx(storage, what, context),
  resize: async (storage, size, growth, context) =>
    (await import("./resize.ts")).resizeVhdx(storage, size, growth, context),
};
