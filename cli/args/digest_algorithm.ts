/**
 * Names of digests in arguments.
 *
 * @module
 */
import type { DigestAlgorithm } from "../../mod.ts";
import { usageError } from "./usage.ts";

/** In the order of the help. */
const ALGORITHMS: readonly DigestAlgorithm[] = ["sha256", "blocks-sha256"];

/**
 * Returns the digest with the given name.
 *
 * @throws ImageError `usage` where there is none
 */
export function digestAlgorithm(name: string, option: string): DigestAlgorithm {
  const found = ALGORITHMS.find((one) => one === name);
  if (found === undefined) {
    throw usageError(`Unknown digest "${name}" in ${option}: it must be ${ALGORITHMS.join(" or ")}`);
  }
  return found;
}
