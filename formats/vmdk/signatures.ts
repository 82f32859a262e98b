/**
 * How the files of a VMDK begin, apart from descriptors.
 *
 * @module
 */
import { viewOf } from "../bytes.ts";

/** `KDMV`, the first four bytes. */
export const SPARSE_MAGIC = 0x564d444b;
/** `COWD`, the first four bytes. */
export const COWD_MAGIC = 0x44574f43;
/** Of `seSparse`: the first eight bytes of the constant header, as two little-endian words. */
export const SESPARSE_MAGIC = 0xcafebabe;

/** Whether `bytes`, the first of a file, are those of a constant header of `seSparse`. */
export function isSeSparse(bytes: Uint8Array): boolean {
  if (bytes.length < 16) return false;
  const view = viewOf(bytes);
  return view.getUint32(0, true) === SESPARSE_MAGIC && view.getUint32(4, true) === 0 &&
    view.getUint32(12, true) === 2;
}
