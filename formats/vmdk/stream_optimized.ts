/**
 * The parts of a stream-optimized extent: markers, compressed grains, and a file that is only appended to; by VMware's
 * "Virtual Disk Format 5.0", "Stream-Optimized Compressed Sparse Extents".
 *
 * @module
 */
import { alignUp, SECTOR, setU64, viewOf, zeroes } from "../bytes.ts";
import { ImageError } from "../errors.ts";
import type { Codec, Compressor } from "../codec/compress.ts";
import type { WritableStorage } from "../storage/types.ts";
import { GRAIN_MARKER_BYTES } from "./grain_reader.ts";
import { checkReach } from "./grain_tables.ts";

/** What follows a marker. */
export const MARKER = { endOfStream: 0, table: 1, directory: 2, footer: 3 } as const;

/**
 * Readers expect zlib streams (RFC 1950) in spite of the specification's RFC 1951; the window is zlib's largest. Every
 * grain must be such a stream, also one that does not get smaller.
 */
const CODEC: Codec = { name: "zlib", windowBits: 15, level: -1, stores: true };

/** Bytes are written together up to this many. */
const CHUNK = 1 << 20;

/** One metadata marker: how many sectors follow, and what they are. */
export function marker(type: typeof MARKER[keyof typeof MARKER], sectors: number): Uint8Array {
  const bytes = new Uint8Array(SECTOR);
  const view = viewOf(bytes);
  setU64(view, 0, sectors, true);
  view.setUint32(12, type, true);
  return bytes;
}

/** A compressed grain behind its marker, filled up to whole sectors, in parts. */
export function grainRecord(guestStart: number, stream: Uint8Array): Uint8Array[] {
  const marker = new Uint8Array(GRAIN_MARKER_BYTES);
  const view = viewOf(marker);
  setU64(view, 0, guestStart / SECTOR, true);
  view.setUint32(8, stream.length, true);
  const length = GRAIN_MARKER_BYTES + stream.length;
  return [marker, stream, zeroes(alignUp(length, SECTOR) - length)];
}

/** Whole sectors: `bytes` and zeroes. */
export function padded(bytes: Uint8Array): Uint8Array {
  if (bytes.length % SECTOR === 0) return bytes;
  const whole = new Uint8Array(alignUp(bytes.length, SECTOR));
  whole.set(bytes);
  return whole;
}

/** One grain on its way into the file. */
export interface CompressedGrain {
  /** First guest byte. */
  readonly start: number;
  /** Null: zeroes, by a table entry alone. */
  readonly stream: Uint8Array | null;
}

/** Compresses whole grains; the last of a disk is filled up with zeroes. All are handed in before the first is waited for. */
export async function compressGrains(
  compress: Compressor,
  from: Uint8Array,
  start: number,
  grainBytes: number,
): Promise<CompressedGrain[]> {
  const grains: Promise<CompressedGrain>[] = [];
  for (let at = 0; at < from.length; at += grainBytes) {
    grains.push(compressGrain(compress, from.subarray(at, at + grainBytes), start + at, grainBytes));
  }
  return await Promise.all(grains);
}

async function compressGrain(
  compress: Compressor,
  part: Uint8Array,
  start: number,
  grainBytes: number,
): Promise<CompressedGrain> {
  let unit = part;
  if (part.length < grainBytes) {
    unit = new Uint8Array(grainBytes);
    unit.set(part);
  }
  const stream = await compress(CODEC, unit);
  // Not to be taken for zeroes.
  if (stream === null) throw new ImageError("io", `Cannot compress the grain at guest byte ${start}: it has no stream`);
  return { start, stream };
}

/** A file that only grows. */
export interface Appender {
  /** Where the next byte goes. */
  readonly fileOffset: number;
  append(...parts: readonly Uint8Array[]): Promise<void>;
  /** Writes what is still held. */
  flush(): Promise<void>;
}

/** Appends to `storage` from `fileOffset` on, with large requests. One call at a time. */
export function appender(storage: WritableStorage, fileOffset: number): Appender {
  const held = new Uint8Array(CHUNK);
  let heldBytes = 0;
  let written = fileOffset;

  async function flush(): Promise<void> {
    if (heldBytes === 0) return;
    await storage.writeAt(held.subarray(0, heldBytes), written);
    written += heldBytes;
    heldBytes = 0;
  }

  async function hold(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const part = bytes.subarray(at, at + CHUNK - heldBytes);
      held.set(part, heldBytes);
      heldBytes += part.length;
      at += part.length;
      if (heldBytes === CHUNK) await flush();
    }
  }

  return {
    get fileOffset() {
      return written + heldBytes;
    },
    async append(...parts) {
      const length = parts.reduce((sum, part) => sum + part.length, 0);
      checkReach(storage, written + heldBytes + length);
      for (const part of parts) await hold(part);
    },
    flush,
  };
}
