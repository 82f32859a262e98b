/**
 * The digest `blocks-sha256`: a list of SHA-256 over blocks of the disk. Workers compute the digests of blocks at the same
 * time, and zero blocks need no computation, so that terabytes of zeroes take seconds.
 *
 * Definition: the disk of `size` guest bytes is divided into blocks of 65,536 bytes, of which the last may be shorter.
 * The digest is the SHA-256 of the SHA-256 digests (32 bytes each) of all blocks in order, followed by `size` as 8 bytes,
 * least significant first.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { alignDown, zeroes } from "../formats/mod.ts";
import type { BlocksHasher } from "./copy/job.ts";
import { BLOCK_DIGEST, blockDigests, HASH_BLOCK, type Sha256, zeroBlockDigest } from "./workers/hash_blocks.ts";

/** Digests of zero blocks that are hashed at once: those of 1 GiB. */
const ZERO_DIGESTS = 1 << 14;

/**
 * Returns a new `blocks-sha256`.
 *
 * @example
 * ```ts
 * import { blocksHasherOf } from "./blocks_hasher.ts";
 * import assert from "node:assert/strict";
 *
 * const [one, other] = [blocksHasherOf(), blocksHasherOf()];
 * one.data(new Uint8Array(3_000_000));
 * other.zeroes(3_000_000);
 * assert.equal(one.hex(), other.hex());
 * ```
 */
export function blocksHasherOf(): BlocksHasher {
  const sha256: Sha256 = (bytes) => createHash("sha256").update(bytes).digest();
  const list = createHash("sha256");
  let size = 0;
  /** The begun block: null while it has only zeroes. */
  let block: ReturnType<typeof createHash> | null = null;
  /** Whether a short last block is in the list already. */
  let isEnded = false;
  let zeroDigests: Uint8Array | null = null;

  /** Adds bytes to the begun block, which has `filled` bytes; null: `length` zeroes. */
  function fill(bytes: Uint8Array | null, length: number): void {
    const filled = size % HASH_BLOCK;
    if (bytes && !block) block = createHash("sha256").update(zeroes(filled));
    block?.update(bytes ?? zeroes(length));
    size += length;
    if (size % HASH_BLOCK === 0) endBlock();
  }

  function endBlock(): void {
    const filled = size % HASH_BLOCK;
    if (block) list.update(block.digest());
    else list.update(filled === 0 ? zeroBlockDigest(sha256) : sha256(zeroes(filled)));
    block = null;
  }

  function zeroBlocks(count: number): void {
    zeroDigests ??= repeated(zeroBlockDigest(sha256), ZERO_DIGESTS);
    for (let left = count; left > 0; left -= ZERO_DIGESTS) {
      list.update(zeroDigests.subarray(0, Math.min(left, ZERO_DIGESTS) * BLOCK_DIGEST));
    }
    size += count * HASH_BLOCK;
  }

  /** Returns how many of `length` bytes go into the begun block. */
  const restOf = (length: number) => Math.min(length, (HASH_BLOCK - size % HASH_BLOCK) % HASH_BLOCK);

  return {
    data(bytes) {
      const begun = restOf(bytes.length);
      if (begun > 0) fill(bytes.subarray(0, begun), begun);
      const whole = alignDown(bytes.length - begun, HASH_BLOCK);
      if (whole > 0) this.blocks(blockDigests(bytes.subarray(begun, begun + whole), sha256), whole);
      if (begun + whole < bytes.length) fill(bytes.subarray(begun + whole), bytes.length - begun - whole);
    },
    zeroes(length) {
      const begun = restOf(length);
      if (begun > 0) fill(null, begun);
      const whole = Math.floor((length - begun) / HASH_BLOCK);
      zeroBlocks(whole);
      const rest = length - begun - whole * HASH_BLOCK;
      if (rest > 0) fill(null, rest);
    },
    blocks(digests, length) {
      list.update(digests);
      size += length;
      isEnded = size % HASH_BLOCK !== 0;
    },
    hex() {
      if (size % HASH_BLOCK !== 0 && !isEnded) endBlock();
      const end = new DataView(new ArrayBuffer(8));
      end.setBigUint64(0, BigInt(size), true);
      return list.update(new Uint8Array(end.buffer)).digest("hex");
    },
  };
}

function repeated(bytes: Uint8Array, count: number): Uint8Array {
  const all = new Uint8Array(bytes.length * count);
  for (let at = 0; at < all.length; at += bytes.length) all.set(bytes, at);
  return all;
}
