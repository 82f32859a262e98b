/**
 * The formats of this program. A new format needs one line here; probing, help, the wizard and the conformance suite use
 * this list. Every start of the program evaluates the modules imported here, so the module of a format holds properties
 * only, and its verbs import their code when they are called.
 *
 * @module
 */
import type { Format } from "./contract.ts";
import { qcow2 } from "./qcow2/mod.ts";
import { raw } from "./raw.ts";
import { vdi } from "./vdi/mod.ts";
import { vhdx } from "./vhdx/mod.ts";
import { vmdk } from "./vmdk/mod.ts";
import { vpc } from "./vpc/mod.ts";

/** In the order of probing. Raw comes last: it is the format of a file that no other format recognises. */
export const allFormats: readonly Format[] = [vpc, qcow2, vdi, vhdx, vmdk, raw];
