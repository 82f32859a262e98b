/**
 * The digests of blocks for the digest `blocks-sha256`. Part of the program of workers.
 *
 * @module
 */
import { isZero } from "../zeroes.ts";

/** Bytes of a block. */
export const HASH_BLOCK = 64 << 10;

/** Bytes of the digest of a block. */
export const BLOCK_DIGEST = 32;

/** Returns the SHA-256 of bytes. */
export type Sha256 = (bytes: Uint8Array) => Uint8Array;

/** Returns SHA-256 of `node:crypto`, which takes long to load. */
export async function ownSha256(): Promise<Sha256> {
  const { createHash } = await import("node:crypto");
  return (bytes) => createHash("sha256").update(bytes).digest();
}

/** The digest of a block of zeroes. */
let zeroBlock: Uint8Array | null = null;

/** Returns the digest of a whole block of zeroes. */
export function zeroBlockDigest(sha256: Sha256): Uint8Array {
  return zeroBlock ??= sha256(new Uint8Array(HASH_BLOCK));
}

/** Returns the digests of the blocks of `bytes`, one after the other; the last block may be short. Zeroes are not hashed. */
export function blockDigests(bytes: Uint8Array, sha256: Sha256): Uint8Array {
  const digests = new Uint8Array(Math.ceil(bytes.length / HASH_BLOCK) * BLOCK_DIGEST);
  for (let at = 0, to = 0; at < bytes.length; at += HASH_BLOCK, to += BLOCK_DIGEST) {
    const end = Math.min(at + HASH_BLOCK, bytes.length);
    const zero = end - at === HASH_BLOCK && isZero(bytes, at, end);
    digests.set(zero ? zeroBlockDigest(sha256) : sha256(bytes.subarray(at, end)), to);
  }
  return digests;
}
