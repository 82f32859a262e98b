/**
 * The qcow2 format, versions 2 and 3.
 *
 * @module
 */
import { viewOf } from "../bytes.ts";
import type { Format } from "../contract.ts";
import { MAGIC } from "./header/types.ts";
import { maintenance } from "./maintenance.ts";
import { CREATE_OPTIONS } from "./options.ts";

/** qcow2 images. */
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
  checkPlan: async (plan) => (await import("./plan_check.ts")).checkPlan(plan),
  measure: async (plan) => (await import("./measure.ts")).measureQcow2(plan),
  create: async (storage, plan, context) => (await import("./create.ts")).createQcow2(storage, plan, context),
  edit: async (storage, context) => (await import("./edit.ts")).editQcow2(storage, context),
  maintenance,
};
