/**
 * The formats that this program knows. Adding one is a line here; probing, help and the conformance suite read it.
 * Every program evaluates what stands here, so a format's own module holds facts, and its verbs load their code when
 * they are called.
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

/** In the order in which they are probed; raw is what is left and comes last. */
export const allFormats: readonly Format[] = [vpc, qcow2, vdi, vhdx, vmdk, raw];
