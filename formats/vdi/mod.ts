/**
 * The VDI format of VirtualBox: dynamic, static and differencing images.
 *
 * @module
 */
import { viewOf } from "../bytes.ts";
import type { Format } from "../contract.ts";
import { HEADER_BYTES, SIGNATURE, SIGNATURE_AT } from "./header.ts";
import { checkPlan, CREATE_OPTIONS, MAX_SIZE } from "./options.ts";

/** VDI images. */
export const vdi: Format = {
  name: "vdi",
  title: "VirtualBox disk (VDI)",
  extensions: ["vdi"],
  subformats: { written: ["dynamic", "static"], read: ["differencing", "undo"] },
  maxSize: MAX_SIZE,
  has: { backing: true, overlays: false, compression: false, snapshots: false, bitmaps: false },
  probe({ head }) {
    if (head.length < HEADER_BYTES) return "no";
    return viewOf(head).getUint32(SIGNATURE_AT, true) === SIGNATURE ? "yes" : "no";
  },
  open: async (storage) => (await import("./open.ts")).openVdi(storage),
  createOptions: CREATE_OPTIONS,
  checkPlan,
  create: async (storage, plan) => (await import("./create.ts")).createVdi(storage, plan),
  edit: async (storage, context) => (await import("./edit.ts")).editVdi(storage, context),
  maintenance: {
    check: async (storage, context) => (await import("./check.ts")).checkVdi(storage, context),
    repair: async (storage, ...how) => (await import("./repair.ts")).repairVdi(storage, ...how),
    resize: async (storage, ...how) => (await import("./resize.ts")).resizeVdi(storage, ...how),
  },
};
