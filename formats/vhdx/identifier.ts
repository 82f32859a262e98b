/**
 * The file type identifier at the start of the file ([MS-VHDX] 2.2.1): a signature, and the name of the creator in UTF-16.
 *
 * @module
 */
import { viewOf } from "../bytes.ts";

/** Length of the identifier in bytes, without the zeroes that follow it in its 64 KiB. */
export const IDENTIFIER_BYTES = 4096;

/** The first eight bytes of the file. */
const SIGNATURE = "vhdxfile";

/** Returns whether the file begins with the signature of VHDX. */
export function hasSignature(head: Uint8Array): boolean {
  return [...SIGNATURE].every((letter, index) => head[index] === letter.charCodeAt(0));
}

/** Encodes an identifier. */
export function encodeIdentifier(creator: string): Uint8Array {
  const bytes = new Uint8Array(IDENTIFIER_BYTES);
  const view = viewOf(bytes);
  [...SIGNATURE].forEach((letter, index) => bytes[index] = letter.charCodeAt(0));
  [...creator].slice(0, 255).forEach((letter, index) => view.setUint16(8 + 2 * index, letter.charCodeAt(0), true));
  return bytes;
}

/** Returns the name of the creator; characters other than printable ASCII become `?`. */
export function creatorOf(identifier: Uint8Array): string {
  const view = viewOf(identifier);
  let text = "";
  for (let at = 8; at < 8 + 512; at += 2) {
    const code = view.getUint16(at, true);
    if (code === 0) break;
    text += code >= 0x20 && code < 0x7f ? String.fromCharCode(code) : "?";
  }
  return text;
}
