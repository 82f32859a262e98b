/**
 * Names in an image: UTF-8 by convention, other bytes by accident. A name that is not UTF-8 is shown with U+FFFD, and its
 * bytes are kept, so that a change of the image does not change the name.
 *
 * @module
 */

/** Decodes a name. */
export function decodeName(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

/** Returns the bytes of a name that are not its text in UTF-8; `undefined` where they are. */
export function bytesOfName(bytes: Uint8Array, name: string): Uint8Array | undefined {
  const encoded = new TextEncoder().encode(name);
  const isSame = encoded.length === bytes.length && encoded.every((byte, at) => byte === bytes[at]);
  return isSame ? undefined : bytes.slice();
}

/** Encodes a name: as the one of `kept` that reads as `name`, or in UTF-8. */
export function encodeName(name: string, kept: readonly Uint8Array[] = []): Uint8Array {
  return kept.find((bytes) => decodeName(bytes) === name) ?? new TextEncoder().encode(name);
}
