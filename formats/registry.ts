/**
 * The formats that this program knows. Adding one is a line here; probing, help and the conformance suite read it.
 *
 * @module
 */
import type { Format } from "./contract.ts";

/** In the order in which they are probed; raw is what is left and comes last. */
export const allFormats: readonly Format[] = [];
