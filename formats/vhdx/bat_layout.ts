/**
 * How a disk is cut into blocks, and where in the BAT they stand ([MS-VHDX] 2.5): after the entries of one chunk's
 * payload blocks follows that of its sector bitmap.
 *
 * @module
 */
import { ceilDiv } from "../bytes.ts";
import type { Metadata } from "./metadata.ts";

/** Sectors that one sector bitmap block, of 1 MiB, describes ([MS-VHDX] 2.4). */
const SECTORS_OF_CHUNK = 2 ** 23;

/** The cut of a disk. Sizes in bytes. */
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

/** The cut that the metadata ask for. */
export function geometryOf(metadata: Pick<Metadata, "size" | "blockSize" | "logicalSector" | "parent">): Geometry {
  const { size, blockSize, logicalSector: sectorSize } = metadata;
  const blocks = ceilDiv(size, blockSize);
  const chunkRatio = SECTORS_OF_CHUNK * sectorSize / blockSize;
  // Only a differencing image needs the bitmap of the last chunk.
  const bitmaps = metadata.parent ? ceilDiv(blocks, chunkRatio) : Math.floor(Math.max(0, blocks - 1) / chunkRatio);
  const entries = metadata.parent ? bitmaps * (chunkRatio + 1) : blocks + bitmaps;
  return { size, blockSize, sectorSize, blocks, chunkRatio, entries };
}

/** The BAT entry of a payload block. */
export function payloadIndex({ chunkRatio }: Geometry, block: number): number {
  return block + Math.floor(block / chunkRatio);
}

/** The BAT entry of the sector bitmap of a payload block. */
export function bitmapIndex({ chunkRatio }: Geometry, block: number): number {
  return Math.floor(block / chunkRatio) * (chunkRatio + 1) + chunkRatio;
}

/** Guest bytes of a block; the last may be short. */
export function bytesOfBlock({ size, blockSize }: Geometry, block: number): number {
  return Math.min(blockSize, size - block * blockSize);
}

/** The parts of `[start, end)` by blocks; all in guest bytes, `within` from the start of the block. */
export function* piecesOf(
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
