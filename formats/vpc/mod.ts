/**
 * The VHD format of Virtual PC, Hyper-V and Azure: fixed, dynamic and differencing images.
 *
 * @module
 */
import type { Format, Peek } from "../contract.ts";
import { FIXED, FOOTER_BYTES, footerState, OLD_FOOTER_BYTES, typeOf } from "./footer.ts";
import { checkPlan, CREATE_OPTIONS, MAX_SIZE } from "./options.ts";

/** VHD images. */
export const vpc: Format = {
  name: "vpc",
  title: "Virtual PC, Hyper-V and Azure disk (VHD)",
  extensions: ["vhd", "vpc"],
  subformats: { written: ["dynamic", "fixed"], read: ["differencing"] },
  maxSize: MAX_SIZE,
  has: { backing: true, overlays: false, compression: false, snapshots: false, bitmaps: false },
  probe,
  open: async (storage, { sizeRule }) => (await import("./open.ts")).openVpc(storage, sizeRule),
  createOptions: CREATE_OPTIONS,
  checkPlan,
  create: async (storage, plan) => (await import("./create.ts")).createVpc(storage, plan),
  edit: async (storage, context) => (await import("./edit.ts")).editVpc(storage, context),
  maintenance: {
    check: async (storage, context) => (await import("./check.ts")).checkVpc(storage, context),
    repair: async (storage, ...how) => (await import("./repair.ts")).repairVpc(storage, ...how),
    resize: async (storage, ...how) => (await import("./resize.ts")).resizeVpc(storage, ...how),
  },
};

/**
 * Probes both ends of a file. A fixed image has its only footer at the end, and begins with guest bytes, so that a
 * footer at the beginning counts only for the other types.
 */
function probe({ head, tail }: Peek): "yes" | "maybe" | "no" {
  const ends = [FOOTER_BYTES, OLD_FOOTER_BYTES].map((length) => tail.subarray(Math.max(0, tail.length - length)));
  const atHead = footerState(head);
  for (const bytes of ends) {
    if (footerState(bytes) !== "valid") continue;
    // Another format may end with guest bytes: a footer there must be of a fixed image, or have a copy at the
    // beginning.
    return typeOf(bytes) === FIXED || atHead !== "none" ? "yes" : "maybe";
  }
  if (atHead === "valid" && typeOf(head) !== FIXED) return "yes";
  return atHead !== "none" || ends.some((bytes) => footerState(bytes) === "damaged") ? "maybe" : "no";
}
