/**
 * The qcow2 format, versions 2 and 3.
 *
 * @module
 */
import { viewOf } from "../bytes.ts";
import type { Format } from "../contract.ts";
import { createQcow2 } from "./create.ts";
import { openQcow2 } from "./disk.ts";
import { editQcow2 } from "./edit.ts";
import { MAGIC } from "./header.ts";
import { maintenance } from "./maintenance.ts";
import { measureQcow2 } from "./measure.ts";
import { CREATE_OPTIONS } from "./options.ts";
import { checkPlan } from "./plan_check.ts";

/** qcow2 images. */
export const qcow2: Format = {
  name: "qcow2",
  title: "QEMU copy-on-write disk, version 2 and 3",
  extensions: ["qcow2", "qcow"],
  kinds: { written: ["version 3", "version 2", "external data file"], read: [] },
  maxSize: 2 ** 51,
  has: { backing: true, overlays: true, packing: true, snapshots: true, bitmaps: true },
  probe({ head }) {
    if (head.length < 8) return "no";
    const view = viewOf(head);
    return view.getUint32(0) === MAGIC && view.getUint32(4) >= 2 ? "yes" : "no";
  },
  open: openQcow2,
  createOptions: CREATE_OPTIONS,
  checkPlan,
  measure: measureQcow2,
  create: createQcow2,
  edit: editQcow2,
  maintenance,
};
