/**
 * The digest of a virtual disk: the same for every format that holds the same disk.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { type DiskWriter, zeroes } from "../formats/mod.ts";
import { chainOf } from "./open/chain.ts";
import { countAndCopy } from "./copy/count_and_copy.ts";
import type { ScanEvent, Totals } from "./events.ts";
import type { ConvertContext, ImageSpec } from "./job.ts";
import { openImage } from "./open/open.ts";
import { type OpenDiskOptions, openOptions } from "./open/open_disk.ts";
import { type Throttle, throttleOf } from "./throttle.ts";
import { workerPool } from "./workers/codec_pool.ts";

/** Takes guest bytes in their order. */
export interface Hasher {
  data(bytes: Uint8Array): void;
  /** `length` zero bytes, which nobody had to read. */
  zeroes(length: number): void;
  /** The SHA-256 of all that came, in hex. The last call. */
  hex(): string;
}

/**
 * A new SHA-256.
 *
 * @example
 * ```ts
 * import { hasher } from "./digest.ts";
 * import assert from "node:assert/strict";
 *
 * const [one, other] = [hasher(), hasher()];
 * one.data(new Uint8Array(3_000_000));
 * other.zeroes(3_000_000);
 * assert.equal(one.hex(), other.hex());
 * ```
 */
export function hasher(): Hasher {
  const hash = createHash("sha256");
  // Without a copy, whatever the memory is.
  const data = (bytes: Uint8Array) => void hash.update(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  return {
    data,
    zeroes(length) {
      for (let left = length; left > 0; left -= 1 << 20) data(zeroes(Math.min(left, 1 << 20)));
    },
    hex: () => hash.digest("hex"),
  };
}

/** What {@linkcode digest} may be told. */
export interface DigestOptions extends OpenDiskOptions, Pick<ConvertContext, "signal" | "paused"> {
  /** Hears how far it is. */
  readonly onEvent?: (event: ScanEvent) => void;
  /** How many decompressing workers at most. Default: as many as processors. */
  readonly workers?: number;
}

/** A disk's digest. */
export interface DigestSummary {
  /** SHA-256 of all guest bytes, in hex. */
  readonly sha256: string;
  /** Guest bytes. */
  readonly size: number;
  /** What was done: `data` was read, `zero` was known to be zero. */
  readonly totals: Totals;
  /** How long it took. */
  readonly seconds: number;
}

/** Zeroes are hashed in parts of this size, so that cancelling is obeyed: a tenth of a second of work. */
const ZERO_PART = 64 << 20;

/** What {@linkcode digest} of `mod.ts` does. */
export async function digest(image: string | ImageSpec, options: DigestOptions = {}): Promise<DigestSummary> {
  const begun = performance.now();
  const { onEvent } = options;
  const spec = typeof image === "string" ? { path: image } : image;
  using pool = workerPool(options.workers);
  onEvent?.({ type: "phase", phase: "inspect" });
  await using opened = await openImage(spec, { ...openOptions(options), decompressor: pool.decompress });
  const source = chainOf(opened.layers.map((layer) => layer.disk));
  const pace = throttleOf(options.signal, 0, options.paused);
  const hash = hasher();
  const writer = hashingWriter(source.size, hash, pace);
  const { traits } = writer;
  const policy = { keepsBacking: false, backingEnd: 0, writesZeroes: false };
  const totals = await countAndCopy({ source, writer, traits, policy, sparseSize: 0, pace, pool, onEvent });
  const seconds = (performance.now() - begun) / 1000;
  return { sha256: hash.hex(), size: source.size, totals, seconds };
}

/** A target that only hashes what it is told: the copying loop does the rest. */
function hashingWriter(size: number, hash: Hasher, pace: Throttle): DiskWriter {
  return {
    // As a target full of garbage: every zero run must be told, in order.
    traits: {
      size,
      clusterSize: 1,
      sector: 1,
      compress: false,
      order: "ascending",
      startsZeroed: false,
      zeroes: "cheap",
    },
    write: (from) => Promise.resolve(hash.data(from)),
    async zero(start, end) {
      for (let at = start; at < end; at += ZERO_PART) {
        hash.zeroes(Math.min(ZERO_PART, end - at));
        await pace.checkpoint();
      }
    },
    finish: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
