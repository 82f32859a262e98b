/**
 * The parts of a stream-optimized extent: markers, compressed grains, and a writer that only appends; by VMware's
 * "Virtual Disk Format 5.0", "Stream-Optimized Compressed Sparse Extents".
 *
 * @module
 */
import { alignUp, SECTOR, setU64, viewOf, zeroes } from "../bytes.ts";
import { ImageError } from "../errors.ts";
import type { Codec, Compressor } from "../codec/compress.ts";
import type { WritableStorage } from "../storage/types.ts";
import { GRAIN_MARKER_BYTES } from "./grain_reader.ts";
import { checkAddressable } from "./grain_tables.ts";
import type { MARKER } from "./header.ts";

/**
 * Readers expect zlib streams (RFC 1950), although the specification says RFC 1951; the window is zlib's largest. Every
 * grain must be such a stream, even if compression does not make it smaller.
 */
const CODEC: Codec = { name: "zlib", windowBits: 15, level: -1, stores: true };

/** Bytes that the appender buffers before it writes. */
const CHUNK = 1 << 20;

/** Returns a metadata marker: the number of sectors that follow, and their type. */
export function marker(type: typeof MARKER[keyof typeof MARKER], sectors: number): Uint8Array {
  const bytes = new Uint8Array(SECTOR);
  const view = viewOf(bytes);
  setU64(view, 0, sectors, true);
  view.setUint32(12, type, true);
  return bytes;
}

/** Returns the parts of a grain record: marker, compressed grain, and padding to whole sectors. */
export function grainRecord(guestStart: number, stream: Uint8Array): Uint8Array[] {
  const marker = new Uint8Array(GRAIN_MARKER_BYTES);
  const view = viewOf(marker);
  setU64(view, 0, guestStart / SECTOR, true);
  view.setUint32(8, stream.length, true);
  const length = GRAIN_MARKER_BYTES + stream.length;
  return [marker, stream, zeroes(alignUp(length, SECTOR) - length)];
}

/** Returns `bytes`, padded with zeroes to whole sectors. */
export function padToSectors(bytes: Uint8Array): Uint8Array {
  if (bytes.length % SECTOR === 0) return bytes;
  const whole = new Uint8Array(alignUp(bytes.length, SECTOR));
  whole.set(bytes);
  return whole;
}

/** A grain to append. */
export interface CompressedGrain {
  /** First guest byte. */
  readonly start: number;
  /** Null: a grain of zeroes, which needs only a table entry. */
  readonly stream: Uint8Array | null;
}

/**
 * Compresses whole grains; the last one of a disk is padded with zeroes. All are started before the first is awaited,
 * so that workers compress them at the same time.
 */
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
  let grain = part;
  if (part.length < grainBytes) {
    grain = new Uint8Array(grainBytes);
    grain.set(part);
  }
  const stream = await compress(CODEC, grain);
  // A null stream would mean zeroes.
  if (stream === null) throw new ImageError("io", `Cannot compress the grain at guest byte ${start}: it has no stream`);
  return { start, stream };
}

/** Appends to a file. */
export interface Appender {
  /** File offset of the next byte. */
  readonly fileOffset: number;
  append(...parts: readonly Uint8Array[]): Promise<void>;
  /** Writes the buffered bytes. */
  flush(): Promise<void>;
}

/** Creates an appender to `storage` from `fileOffset` on, with large requests. Calls must not overlap. */
export function appender(storage: WritableStorage, fileOffset: number): Appender {
  const buffered = new Uint8Array(CHUNK);
  let bufferedBytes = 0;
  let written = fileOffset;

  async function flush(): Promise<void> {
    if (bufferedBytes === 0) return;
    await storage.writeAt(buffered.subarray(0, bufferedBytes), written);
    written += bufferedBytes;
    bufferedBytes = 0;
  }

  async function buffer(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const part = bytes.subarray(at, at + CHUNK - bufferedBytes);
      buffered.set(part, bufferedBytes);
      bufferedBytes += part.length;
      at += part.length;
      if (bufferedBytes === CHUNK) await flush();
    }
  }

  return {
    get fileOffset() {
      return written + bufferedBytes;
    },
    async append(...parts) {
      const length = parts.reduce((sum, part) => sum + part.length, 0);
      checkAddressable(storage, written + bufferedBytes + length);
      for (const part of parts) await buffer(part);
    },
    flush,
  };
}
