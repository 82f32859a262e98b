/**
 * The blocks of a disk, and their entries in the BAT ([MS-VHDX] 2.5): the entries of the payload blocks of one chunk are
 * followed by the entry of the sector bitmap of that chunk.
 *
 * @module
 */
import { ceilDiv } from "../bytes.ts";
import type { Metadata } from "./metadata.ts";

/** Sectors of a chunk: one bit each in a sector bitmap block of 1 MiB ([MS-VHDX] 2.4). */
const SECTORS_OF_CHUNK = 2 ** 23;

/** The blocks of a disk. Sizes in bytes. */
export interface Geometry {
  /** Guest bytes. */
  readonly size: number;
  readonly blockSize: number;
  readonly sectorSize: number;
  /** Payload blocks of the disk. */
  readonly blocks: number;
  /** Payload blocks that share a sector bitmap block. */
  readonly chunkRatio: number;
  /** Entries of the BAT. */
  readonly entries: number;
}

/** Returns the geometry that the metadata state. */
export function geometryOf(metadata: Pick<Metadata, "size" | "blockSize" | "logicalSector" | "parent">): Geometry {
  const { size, blockSize, logicalSector: sectorSize } = metadata;
  const blocks = ceilDiv(size, blockSize);
  const chunkRatio = SECTORS_OF_CHUNK * sectorSize / blockSize;
  // Only a differencing image needs the bitmap of the last chunk.
  const bitmaps = metadata.parent ? ceilDiv(blocks, chunkRatio) : Math.floor(Math.max(0, blocks - 1) / chunkRatio);
  const entries = metadata.parent ? bitmaps * (chunkRatio + 1) : blocks + bitmaps;
  return { size, blockSize, sectorSize, blocks, chunkRatio, entries };
}

/** Returns the index of the BAT entry of a payload block. */
export function payloadIndex({ chunkRatio }: Geometry, block: number): number {
  return block + Math.floor(block / chunkRatio);
}

/** Returns the index of the BAT entry of the sector bitmap for a payload block. */
export function bitmapIndex({ chunkRatio }: Geometry, block: number): number {
  return Math.floor(block / chunkRatio) * (chunkRatio + 1) + chunkRatio;
}

/** Returns the guest bytes of a block; the last one may be short. */
export function bytesOfBlock({ size, blockSize }: Geometry, block: number): number {
  return Math.min(blockSize, size - block * blockSize);
}

/** Splits `[start, end)` at block boundaries. All in guest bytes; `within` is the offset in the block. */
export function* blockPartsOf(
  { blockSize }: Geometry,
  start: number,
  end: number,
): Generator<{ block: number; within: number; begin: number; end: number }> {
  for (let begin = start; begin < end;) {
    const block = Math.floor(begin / blockSize);
    const pieceEnd = Math.min(end, (block + 1) * blockSize);
    yield { block, within: begin - block * blockSize, begin, end: pieceEnd };
    begin = pieceEnd;
  }
}
