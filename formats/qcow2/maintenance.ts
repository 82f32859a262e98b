/**
 * What can be done with qcow2 images that exist.
 *
 * @module
 */
import type { Maintenance } from "../maintenance.ts";
import { AMEND_OPTIONS } from "./options.ts";

const beneath = () => import("./backing.ts");
const snapshots = () => import("./snapshots/write.ts");

/** The verbs of qcow2. */
export const maintenance: Maintenance = {
  check: async (storage, context) => (await import("./check.ts")).checkQcow2(storage, context),
  repair: async (storage, what, context) => (await import("./repair.ts")).repairQcow2(storage, what, context),
  resize: async (storage, size, growth, context) =>
    (await import("./resize.ts")).resizeQcow2(storage, size, growth, context),
  setBacking: async (storage, backing) => (await beneath()).setQcow2Backing(storage, backing),
  empty: async (storage, context) => (await beneath()).emptyQcow2(storage, context),
  forget: async (storage, ranges, context) => (await beneath()).forgetQcow2(storage, ranges, context),
  snapshots: {
    create: async (storage, snapshot, context) => (await snapshots()).createSnapshot(storage, snapshot, context),
    apply: async (storage, choice, context) => (await snapshots()).applySnapshot(storage, choice, context),
    remove: async (storage, choice, context) => (await snapshots()).removeSnapshot(storage, choice, context),
  },
  administerBitmap: async (storage, name, actions, context) =>
    (await import("./bitmaps/change.ts")).administerBitmap(storage, name, actions, context),
  amendOptions: AMEND_OPTIONS,
  amend: async (storage, options, context) => (await import("./amend.ts")).amendQcow2(storage, options, context),
};
