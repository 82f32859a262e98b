/**
 * How a VHDX file begins ([MS-VHDX] 2.2.1).
 *
 * @module
 */

/** The first eight bytes of the file. */
export const SIGNATURE = "vhdxfile";

/** Whether the file begins as a VHDX file must. */
export function hasSignature(head: Uint8Array): boolean {
  return [...SIGNATURE].every((letter, index) => head[index] === letter.charCodeAt(0));
}
