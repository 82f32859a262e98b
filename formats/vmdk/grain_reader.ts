/**
 * Reads the grains of a sparse extent file, uncompressed or compressed, with few large requests. Guest bytes count from
 * the start of the extent file.
 *
 * @module
 */
import { alignDown, bufferAllocator, viewOf } from "../bytes.ts";
import type { CompressedCluster } from "../guest_reader.ts";
import { corrupt } from "../errors.ts";
import type { Storage } from "../storage/types.ts";
import type { Decompressor } from "../codec/decompress.ts";
import { readData } from "../shared/truncated_file.ts";
import { type GrainMap, grainOffsets } from "./grain_directory.ts";

/** The marker before a compressed grain: its first guest sector (8 bytes) and the length of its stream (4 bytes). */
export const GRAIN_MARKER_BYTES = 12;

/** The most bytes that one request reads of neighbouring compressed grains. */
const MAX_SPAN = 4 << 20;

/** Reads ranges that lie within data extents. */
export interface GrainReader {
  read(into: Uint8Array, start: number): Promise<void>;
  /** As {@linkcode Disk.readCompressed}; only for compressed grains. */
  readCompressed?(room: Uint8Array, start: number, end: number): Promise<readonly CompressedCluster[] | null>;
}

/** Returns a reader of uncompressed grains; contiguous ones are read with one request. */
export function uncompressedReader(map: GrainMap, storage: Storage): GrainReader {
  return {
    async read(into, start) {
      const grains = await grainOffsets(map, start, start + into.length);
      let skip = start % map.grainBytes;
      let done = 0;
      for (let first = 0; first < grains.length;) {
        let last = first + 1;
        while (last < grains.length && grains[last] === grains[last - 1] + map.grainBytes) last++;
        const length = Math.min((last - first) * map.grainBytes - skip, into.length - done);
        await readData(storage, into.subarray(done, done + length), grains[first] + skip, `guest byte ${start + done}`);
        done += length;
        skip = 0;
        first = last;
      }
    },
  };
}

/**
 * Returns a reader of compressed grains. With `hasMarkers`, a marker states the length of each stream; without, only
 * decompression finds it.
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

  /** Fills `into`, a whole grain. The stream must yield `needed` bytes: the last grain of a disk may be short. */
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

  /** Fills `into` from byte `from` of the grain at guest byte `at` on. */
  async function readPart({ stream, fileOffset }: Stream, at: number, into: Uint8Array, from: number) {
    const needed = Math.min(grainBytes, map.size - at);
    if (into.length === grainBytes) return await decompressInto(stream, fileOffset, into, needed);
    let grain = kept?.fileOffset === fileOffset ? kept.grain : null;
    if (grain === null) {
      grain = new Uint8Array(grainBytes);
      await decompressInto(stream, fileOffset, grain, needed);
      // The next read is likely to need the rest of this grain.
      kept = { fileOffset, grain };
    }
    into.set(grain.subarray(from, from + into.length));
  }

  return {
    async read(into, start) {
      const end = start + into.length;
      const found: Stream[] = [];
      for await (const stream of streams(await grainOffsets(map, start, end))) found.push(stream);
      // All are started before the first is awaited, so that one message to a worker carries them.
      const parts = found.map((stream, index) => {
        const at = alignDown(start, grainBytes) + index * grainBytes;
        const [from, to] = [Math.max(start, at), Math.min(end, at + grainBytes)];
        return readPart(stream, at, into.subarray(from - start, to - start), from - at);
      });
      // Waits for all parts even if one fails: the caller may reuse `into` after this call.
      await Promise.allSettled(parts);
      await Promise.all(parts);
    },
    async readCompressed(room, start, end) {
      // Without a marker the length of a stream is unknown, and so is the decompressed length of a short last grain.
      if (!hasMarkers || start % grainBytes !== 0 || end % grainBytes !== 0) return null;
      const grains: CompressedCluster[] = [];
      for await (const { stream } of streams(await grainOffsets(map, start, end), bufferAllocator(room))) {
        grains.push({ codec: "zlib", bytes: stream, length: grainBytes });
      }
      return grains;
    },
  };
}

/** Decompresses a stream that does not yield a whole grain: the last grain of a disk may be short. */
async function inflate(stream: Uint8Array, fileOffset: number, most: number, label: string): Promise<Uint8Array> {
  const { inflateSync } = await import("node:zlib");
  try {
    return inflateSync(stream, { maxOutputLength: most });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw corrupt(`Cannot decompress the grain at ${fileOffset} of "${label}": ${reason}`, label, fileOffset);
  }
}

const newBuffer = (length: number): Uint8Array => new Uint8Array(length);

/** The stream of a compressed grain. */
interface Stream {
  readonly fileOffset: number;
  readonly stream: Uint8Array;
}

/** Returns a generator that reads the streams of grains; grains that lie close together are read with one request. */
function streamReader(
  { grainBytes, label }: GrainMap,
  storage: Storage,
  hasMarkers: boolean,
): (grains: readonly number[], take?: (length: number) => Uint8Array) => AsyncGenerator<Stream> {
  // Incompressible data gives streams a little longer than the grain; twice the grain size is generous.
  const most = 2 * grainBytes + 1024;

  /** Reads `length` bytes, or fewer at the end of the file. */
  async function bytesAt(fileOffset: number, length: number, take = newBuffer): Promise<Uint8Array> {
    const bytes = take(Math.max(0, Math.min(length, storage.size - fileOffset)));
    await storage.readAt(bytes, fileOffset);
    return bytes;
  }

  function cutShort(fileOffset: number): Error {
    return corrupt(`Cannot read the grain at ${fileOffset} of "${label}": the file ends inside it`, label, fileOffset);
  }

  /** Returns the length of the stream that the marker at the start of `bytes` states. */
  function streamLength(bytes: Uint8Array, fileOffset: number): number {
    if (bytes.length < GRAIN_MARKER_BYTES) throw cutShort(fileOffset);
    const length = viewOf(bytes).getUint32(8, true);
    if (length > 0 && length <= most) return length;
    const message = `Cannot read the grain at ${fileOffset} of "${label}": its stream has ${length} bytes, ` +
      `must be 1 to ${most}`;
    throw corrupt(message, label, fileOffset);
  }

  /** Returns the stream of one grain from `span`, which begins at its file offset, or else reads it from the file. */
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

  /** Returns how many bytes to read from the grain `index` on: up to the last grain that lies close behind it. */
  function spanLength(grains: readonly number[], index: number): number {
    const start = grains[index];
    let end = start;
    for (let next = index + 1; next < grains.length; next++) {
      if (grains[next] <= end || grains[next] - end > most || grains[next] - start > MAX_SPAN) break;
      end = grains[next];
    }
    // The length of the last stream is unknown.
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
