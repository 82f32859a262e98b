/**
 * How digests are printed.
 *
 * @module
 */
import { visible } from "./report.ts";

/** A digest in the form of sha256sum. */
export function digestLine(sha256: string, path: string): string {
  return `${sha256}  ${visible(path)}\n`;
}
