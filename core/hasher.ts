/**
 * Digests of guest bytes. In a file of its own, because Node's modules take long to load.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { zeroes } from "../formats/mod.ts";
import type { Hasher } from "./copy/job.ts";
import type { DigestAlgorithm } from "./job.ts";
import type { DigestMember } from "./events.ts";

/** The digest of a job. */
export interface JobDigest {
  readonly hash: Hasher;
  /** Returns the digest under the name of its algorithm. Must be the last call. */
  result(): DigestMember;
}

/** Returns a new digest. */
export async function digestBy(algorithm: DigestAlgorithm): Promise<JobDigest> {
  if (algorithm === "sha256") {
    const hash = hasherOf();
    return { hash, result: () => ({ sha256: hash.hex() }) };
  }
  const hash = (await import("./blocks_hasher.ts")).blocksHasherOf();
  return { hash, result: () => ({ blocksSha256: hash.hex() }) };
}

/**
 * Returns a new SHA-256.
 *
 * @example
 * ```ts
 * import { hasherOf } from "./hasher.ts";
 * import assert from "node:assert/strict";
 *
 * const [one, other] = [hasherOf(), hasherOf()];
 * one.data(new Uint8Array(3_000_000));
 * other.zeroes(3_000_000);
 * assert.equal(one.hex(), other.hex());
 * ```
 */
export function hasherOf(): Hasher {
  const hash = createHash("sha256");
  // `Buffer.from` with an `ArrayBuffer` is a view: nothing is copied.
  const data = (bytes: Uint8Array) => void hash.update(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  return {
    data,
    zeroes(length) {
      for (let left = length; left > 0; left -= 1 << 20) data(zeroes(Math.min(left, 1 << 20)));
    },
    hex: () => hash.digest("hex"),
  };
}
