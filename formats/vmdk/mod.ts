/**
 * The VMDK format: VMware's virtual disks of all kinds.
 *
 * @module
 */
import { checkRuns } from "../check_runs.ts";
import { viewOf } from "../bytes.ts";
import type { Format } from "../contract.ts";
import { COWD_MAGIC } from "./cowd.ts";
import { createVmdk } from "./create.ts";
import { looksLikeDescriptor } from "./descriptor.ts";
import { openVmdk } from "./disk.ts";
import { editVmdk } from "./edit.ts";
import { HEADER_BYTES, SPARSE_MAGIC } from "./header.ts";
import { checkPlan, CREATE_OPTIONS, MAX_SIZE } from "./options.ts";
import { isSeSparse } from "./sesparse.ts";

/** VMDK images. */
export const vmdk: Format = {
  name: "vmdk",
  title: "VMware virtual disk",
  extensions: ["vmdk"],
  kinds: {
    written: ["monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "streamOptimized"],
    read: ["vmfs", "vmfsSparse (COWD)", "seSparse"],
  },
  maxSize: MAX_SIZE,
  has: { backing: true, overlays: true, packing: true, snapshots: false, bitmaps: false },
  probe({ head }) {
    if (head.length >= HEADER_BYTES) {
      const view = viewOf(head);
      const magic = view.getUint32(0, true);
      const version = view.getUint32(4, true);
      if ((magic === SPARSE_MAGIC || magic === COWD_MAGIC) && version >= 1 && version <= 3) return "yes";
      if (isSeSparse(head)) return "yes";
    }
    return looksLikeDescriptor(head) ? "yes" : "no";
  },
  open: openVmdk,
  createOptions: CREATE_OPTIONS,
  checkPlan,
  create: createVmdk,
  edit: editVmdk,
  maintenance: { check: checkRuns(openVmdk) },
};
