/**
 * Sizes of the pieces into which a copy cuts its steps. Pure.
 *
 * @module
 */
import { alignUp, PIECE } from "../../formats/mod.ts";
import type { CopyJob } from "./job.ts";
import { zeroRuleFor } from "./zero_detection.ts";

/**
 * Bytes of a piece where clusters are compressed or decompressed: they pass through the caches of other processors in
 * any case.
 */
const COMPRESSED_PIECE = 512 << 10;

/**
 * A compressed cluster may be a little longer than its guest bytes: room for this excess in all clusters of a piece.
 */
const COMPRESSED_EXCESS = 64 << 10;

/** Bytes that are copied at once of uncompressed and of compressed data. */
export interface PieceSizes {
  readonly plain: number;
  readonly compressed: number;
}

/** Returns the sizes for a copy: whole blocks of zero detection, and whole clusters of a target that compresses. */
export function pieceSizesOf({ source, traits, sparseSize }: CopyJob): PieceSizes {
  const rule = zeroRuleFor(traits, sparseSize);
  const sizeFor = (least: number) =>
    alignUp(Math.max(least, rule?.grid ?? 0), traits.compress ? traits.clusterSize : 1);
  return {
    plain: sizeFor(traits.compress ? COMPRESSED_PIECE : PIECE),
    // Whole clusters of the source: one that is read in parts would be decompressed more than once.
    compressed: alignUp(sizeFor(COMPRESSED_PIECE), source.clusterSize),
  };
}

/** Returns the bytes of a buffer that holds any piece, also while it is still compressed. */
export function bufferSizeOf({ plain, compressed }: PieceSizes): number {
  return Math.max(plain, compressed + COMPRESSED_EXCESS);
}
