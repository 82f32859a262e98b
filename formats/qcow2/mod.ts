/**
 * The qcow2 format, versions 2 and 3.
 *
 * @module
 */
import { viewOf } from "../bytes.ts";
import type { Format } from "../contract.ts";
import { MAGIC } from "./header/types.ts";
import type { Maintenance } from "../maintenance.ts";
import { AMEND_OPTIONS, CREATE_OPTIONS } from "./options.ts";

const backing = () => import("./backing.ts");
const snapshots = () => import("./snapshots/write.ts");

/** Operations on existing images. Each loads its module with the first call. */
const maintenance: Maintenance = {
  check: async (storage, context) => (await import("./check.ts")).checkQcow2(storage, context),
  repair: async (storage, scope, context) => (await import("./repair.ts")).repairQcow2(storage, scope, context),
  resize: async (storage, size, growth, context) =>
    (await import("./resize.ts")).resizeQcow2(storage, size, growth, context),
  setBacking: async (storage, file) => (await backing()).setQcow2Backing(storage, file),
  empty: async (storage, context) => (await backing()).emptyQcow2(storage, context),
  deallocate: async (storage, ranges, context) => (await backing()).deallocateQcow2(storage, ranges, context),
  snapshots: {
    create: async (storage, snapshot, context) => (await snapshots()).createSnapshot(storage, snapshot, context),
    apply: async (storage, choice, context) => (await snapshots()).applySnapshot(storage, choice, context),
    remove: async (storage, choice, context) => (await snapshots()).removeSnapshot(storage, choice, context),
  },
  bitmaps: {
    change: async (storage, name, actions, context) =>
      (await import("./bitmaps/change.ts")).applyBitmapActions(storage, name, actions, context),
  },
  amend: {
    options: AMEND_OPTIONS,
    run: async (storage, options, context) => (await import("./amend.ts")).amendQcow2(storage, options, context),
  },
};

/** The qcow2 format. */
export const qcow2: Format = {
  name: "qcow2",
  title: "QEMU copy-on-write disk, version 2 and 3",
  extensions: ["qcow2", "qcow"],
  subformats: { written: ["version 3", "version 2", "external data file"], read: [] },
  maxSize: 2 ** 51,
  has: { backing: true, overlays: true, compression: true, snapshots: true, bitmaps: true },
  probe({ head }) {
    if (head.length < 8) return "no";
    const view = viewOf(head);
    return view.getUint32(0) === MAGIC && view.getUint32(4) >= 2 ? "yes" : "no";
  },
  open: async (storage, context) => (await import("./open.ts")).openQcow2(storage, context),
  createOptions: CREATE_OPTIONS,
  checkPlan: async (plan) => (await import("./create_plan.ts")).checkPlan(plan),
  measure: async (plan) => (await import("./measure.ts")).measureQcow2(plan),
  create: async (storage, plan, context) => (await import("./create.ts")).createQcow2(storage, plan, context),
  edit: async (storage, context) => (await import("./edit.ts")).editQcow2(storage, context),
  maintenance,
};
