/**
 * Reading the grains of a sparse extent, plain or compressed, with few large requests. Guest positions count from the
 * start of the extent.
 *
 * @module
 */
import { alignDown, bufferAllocator, viewOf } from "../bytes.ts";
import type { CompressedCluster } from "../guest_reader.ts";
import { corrupt } from "../errors.ts";
import type { Storage } from "../storage/types.ts";
import type { Decompressor } from "../codec/decompress.ts";
import { type GrainMap, grainsOf } from "./grain_directory.ts";

/** Before each compressed grain: its first guest sector (8 bytes) and the length of the stream (4 bytes). */
export const GRAIN_MARKER_BYTES = 12;

/** Compressed grains are read together up to this many bytes. */
const MAX_SPAN = 4 << 20;

/** Reads a range that lies within data runs. */
export interface GrainReader {
  read(into: Uint8Array, start: number): Promise<void>;
  /** As in the contract; for compressed grains. */
  readCompressed?(room: Uint8Array, start: number, end: number): Promise<readonly CompressedCluster[] | null>;
}

/** Reads grains that lie in the file as they are. */
export function plainReader(map: GrainMap, storage: Storage): GrainReader {
  return {
    async read(into, start) {
      const grains = await grainsOf(map, start, start + into.length);
      let skip = start % map.grainBytes;
      let done = 0;
      for (let first = 0; first < grains.length;) {
        let last = first + 1;
        while (last < grains.length && grains[last] === grains[last - 1] + map.grainBytes) last++;
        const length = Math.min((last - first) * map.grainBytes - skip, into.length - done);
        await storage.readAt(into.subarray(done, done + length), grains[first] + skip);
        done += length;
        skip = 0;
        first = last;
      }
    },
  };
}

/**
 * Reads compressed grains. Where `hasMarkers`, the length of a stream stands before it; else it is found by decompressing.
 */
export function compressedReader(
  map: GrainMap,
  storage: Storage,
  hasMarkers: boolean,
  decompress: Decompressor,
): GrainReader {
  const { grainBytes, label } = map;
  const streams = streamReader(map, storage, hasMarkers);
  let kept: { readonly fileOffset: number; readonly grain: Uint8Array } | null = null;

  /** Fills `into`, a whole grain; `needed` bytes of it must be there, what follows may lack at the end of the disk. */
  async function decompressInto(
    stream: Uint8Array,
    fileOffset: number,
    into: Uint8Array,
    needed: number,
  ): Promise<void> {
    if (await decompress("zlib", stream, into)) return;
    const grain = await inflate(stream, fileOffset, grainBytes, label);
    if (grain.length < needed) {
      const message = `Cannot decompress the grain at ${fileOffset} of "${label}": it gives ${grain.length} bytes, ` +
        `must be at least ${needed}`;
      throw corrupt(message, label, fileOffset);
    }
    into.set(grain);
  }

  /** Reads the part of the grain at the guest byte `at` that begins with its byte `from`. */
  async function readPart({ stream, fileOffset }: Stream, at: number, into: Uint8Array, from: number) {
    const needed = Math.min(grainBytes, map.size - at);
    if (into.length === grainBytes) return await decompressInto(stream, fileOffset, into, needed);
    let grain = kept?.fileOffset === fileOffset ? kept.grain : null;
    if (grain === null) {
      grain = new Uint8Array(grainBytes);
      await decompressInto(stream, fileOffset, grain, needed);
      // The rest of it is likely to be asked for next.
      kept = { fileOffset, grain };
    }
    into.set(grain.subarray(from, from + into.length));
  }

  return {
    async read(into, start) {
      const end = start + into.length;
      const found: Stream[] = [];
      for await (const stream of streams(await grainsOf(map, start, end))) found.push(stream);
      // Handed in together, so that they go to a worker together.
      const parts = found.map((stream, index) => {
        const at = alignDown(start, grainBytes) + index * grainBytes;
        const [from, to] = [Math.max(start, at), Math.min(end, at + grainBytes)];
        return readPart(stream, at, into.subarray(from - start, to - start), from - at);
      });
      // All parts end before this call does: the caller may reuse `into` then.
      await Promise.allSettled(parts);
      await Promise.all(parts);
    },
    async readCompressed(room, start, end) {
      // Where no marker tells its length, and at the end of the disk, what a grain gives shows when it is decompressed.
      if (!hasMarkers || start % grainBytes !== 0 || end % grainBytes !== 0) return null;
      const units: CompressedCluster[] = [];
      for await (const { stream } of streams(await grainsOf(map, start, end), bufferAllocator(room))) {
        units.push({ codec: "zlib", bytes: stream, length: grainBytes });
      }
      return units;
    },
  };
}

/** Decompresses what did not give a whole grain: the last grain of a disk may be short. */
async function inflate(stream: Uint8Array, fileOffset: number, most: number, label: string): Promise<Uint8Array> {
  const { inflateSync } = await import("node:zlib");
  try {
    return inflateSync(stream, { maxOutputLength: most });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw corrupt(`Cannot decompress the grain at ${fileOffset} of "${label}": ${reason}`, label, fileOffset);
  }
}

const ownMemory = (length: number): Uint8Array => new Uint8Array(length);

/** A compressed grain. */
interface Stream {
  readonly fileOffset: number;
  readonly stream: Uint8Array;
}

/** Reads the streams of grains, those that follow each other closely with one request. */
function streamReader(
  { grainBytes, label }: GrainMap,
  storage: Storage,
  hasMarkers: boolean,
): (grains: readonly number[], take?: (length: number) => Uint8Array) => AsyncGenerator<Stream> {
  // Streams of data that do not compress are a little longer than the grain.
  const most = 2 * grainBytes + 1024;

  /** `length` bytes, or what the file has of them. */
  async function bytesAt(fileOffset: number, length: number, take = ownMemory): Promise<Uint8Array> {
    const bytes = take(Math.max(0, Math.min(length, storage.size - fileOffset)));
    await storage.readAt(bytes, fileOffset);
    return bytes;
  }

  function cutShort(fileOffset: number): Error {
    return corrupt(`Cannot read the grain at ${fileOffset} of "${label}": the file ends inside it`, label, fileOffset);
  }

  /** Length of the stream of a grain, whose marker is the beginning of `bytes`. */
  function streamLength(bytes: Uint8Array, fileOffset: number): number {
    if (bytes.length < GRAIN_MARKER_BYTES) throw cutShort(fileOffset);
    const length = viewOf(bytes).getUint32(8, true);
    if (length > 0 && length <= most) return length;
    const message = `Cannot read the grain at ${fileOffset} of "${label}": its stream has ${length} bytes, ` +
      `must be 1 to ${most}`;
    throw corrupt(message, label, fileOffset);
  }

  /** The stream of one grain, from `span`, which begins with it, or from the file. */
  async function streamAt(fileOffset: number, span: Uint8Array): Promise<Uint8Array> {
    if (!hasMarkers) return span.length >= most ? span : await bytesAt(fileOffset, most);
    const marker = span.length >= GRAIN_MARKER_BYTES ? span : await bytesAt(fileOffset, GRAIN_MARKER_BYTES);
    const length = streamLength(marker, fileOffset);
    const end = GRAIN_MARKER_BYTES + length;
    if (span.length >= end) return span.subarray(GRAIN_MARKER_BYTES, end);
    const stream = await bytesAt(fileOffset + GRAIN_MARKER_BYTES, length);
    if (stream.length < length) throw cutShort(fileOffset);
    return stream;
  }

  /** How much to read from the grain `index` on: as long as the grains follow each other closely. */
  function spanLength(grains: readonly number[], index: number): number {
    const start = grains[index];
    let end = start;
    for (let next = index + 1; next < grains.length; next++) {
      if (grains[next] <= end || grains[next] - end > most || grains[next] - start > MAX_SPAN) break;
      end = grains[next];
    }
    // The last one is of unknown length.
    return end - start + Math.min(most, grainBytes + 1024);
  }

  return async function* streams(grains, take) {
    let span: Uint8Array = new Uint8Array(0);
    let spanStart = 0;
    for (const [index, fileOffset] of grains.entries()) {
      if (fileOffset < spanStart || fileOffset >= spanStart + span.length) {
        spanStart = fileOffset;
        span = await bytesAt(fileOffset, spanLength(grains, index), take);
      }
      yield { fileOffset, stream: await streamAt(fileOffset, span.subarray(fileOffset - spanStart)) };
    }
  };
}
