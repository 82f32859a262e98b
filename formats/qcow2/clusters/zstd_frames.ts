/**
 * Length of zstd frames. The platform's decoder accepts whole frames only, while the range of a compressed cluster ends
 * with a sector: bytes after the last frame belong to other clusters. Format: RFC 8878, section 3.1. Pure.
 *
 * @module
 */
import { viewOf } from "../../bytes.ts";

const MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;
const DICTIONARY_ID_BYTES = [0, 1, 2, 4] as const;
const BLOCK_RLE = 1;
const BLOCK_RESERVED = 3;

/**
 * Returns the length in bytes of the frame (data or skippable) that begins at `start`, or null where no whole frame
 * lies there.
 */
export function zstdFrameLength(bytes: Uint8Array, start: number): number | null {
  if (start + 8 > bytes.length) return null;
  const view = viewOf(bytes);
  const magic = view.getUint32(start, true);
  if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC) {
    const end = start + 8 + view.getUint32(start + 4, true);
    return end > bytes.length ? null : end - start;
  }
  if (magic !== MAGIC) return null;
  const descriptor = view.getUint8(start + 4);
  const blocks = blocksEnd(view, start + 5 + frameHeaderRest(descriptor));
  if (blocks === null) return null;
  const end = blocks + ((descriptor & 4) !== 0 ? 4 : 0);
  return end > bytes.length ? null : end - start;
}

/** Returns the bytes of the frame header after its descriptor: window descriptor, dictionary ID, content size. */
function frameHeaderRest(descriptor: number): number {
  const single = (descriptor & 0x20) !== 0;
  const sizeFlag = descriptor >>> 6;
  const contentSize = sizeFlag === 0 ? (single ? 1 : 0) : 1 << sizeFlag;
  return (single ? 0 : 1) + (DICTIONARY_ID_BYTES[descriptor & 3] ?? 0) + contentSize;
}

function blocksEnd(view: DataView, start: number): number | null {
  let at = start;
  while (at + 3 <= view.byteLength) {
    const header = view.getUint8(at) | view.getUint8(at + 1) << 8 | view.getUint8(at + 2) << 16;
    const type = header >>> 1 & 3;
    if (type === BLOCK_RESERVED) return null;
    at += 3 + (type === BLOCK_RLE ? 1 : header >>> 3);
    if ((header & 1) !== 0) return at;
  }
  return null;
}
