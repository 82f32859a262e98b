/**
 * The VMDK format: VMware's virtual disks of all subformats.
 *
 * @module
 */
import { SECTOR, viewOf } from "../bytes.ts";
import type { Format } from "../contract.ts";
import { looksLikeDescriptor } from "./descriptor.ts";
import { checkPlan, CREATE_OPTIONS, MAX_SIZE } from "./options.ts";
import { COWD_MAGIC, isSeSparse, SPARSE_MAGIC } from "./header.ts";

const backingModule = () => import("./backing.ts");

/** VMDK images. */
export const vmdk: Format = {
  name: "vmdk",
  title: "VMware virtual disk",
  extensions: ["vmdk"],
  subformats: {
    written: ["monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "streamOptimized"],
    read: ["vmfs", "vmfsSparse (COWD)", "seSparse"],
  },
  maxSize: MAX_SIZE,
  has: { backing: true, overlays: true, compression: true, snapshots: false, bitmaps: false },
  probe({ head }) {
    if (head.length >= SECTOR) {
      const view = viewOf(head);
      const magic = view.getUint32(0, true);
      const version = view.getUint32(4, true);
      if ((magic === SPARSE_MAGIC || magic === COWD_MAGIC) && version >= 1 && version <= 3) return "yes";
      if (isSeSparse(head)) return "yes";
    }
    return looksLikeDescriptor(head) ? "yes" : "no";
  },
  open: async (storage, context) => (await import("./open.ts")).openVmdk(storage, context),
  createOptions: CREATE_OPTIONS,
  checkPlan,
  create: async (storage, plan, context) => (await import("./create.ts")).createVmdk(storage, plan, context),
  edit: async (storage, context) => (await import("./edit.ts")).editVmdk(storage, context),
  maintenance: {
    check: async (storage, context) => (await import("./check.ts")).checkVmdk(storage, context),
    repair: async (storage, ...how) => (await import("./repair.ts")).repairVmdk(storage, ...how),
    resize: async (storage, ...how) => (await import("./resize.ts")).resizeVmdk(storage, ...how),
    setBacking: async (storage, backing) => (await backingModule()).setVmdkBacking(storage, backing),
    empty: async (storage, context) => (await backingModule()).emptyVmdk(storage, context),
    deallocate: async (storage, ranges, context) => (await backingModule()).deallocateVmdk(storage, ranges, context),
  },
};
