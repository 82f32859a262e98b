/**
 * Reading the grains of a sparse extent, plain or compressed, with few large requests. Guest positions count from the
 * start of the extent.
 *
 * @module
 */
import { inflateSync } from "node:zlib";
import { alignDown, viewOf } from "../bytes.ts";
import { corrupt } from "../errors.ts";
import type { Storage } from "../storage/types.ts";
import { type GrainMap, grainsOf } from "./grain_map.ts";

/** Before each compressed grain: its first guest sector (8 bytes) and the length of the stream (4 bytes). */
export const GRAIN_MARKER_BYTES = 12;

/** Compressed grains are read together up to this many bytes. */
const MAX_SPAN = 4 << 20;

/** Reads a range that lies within data runs. */
export interface GrainReader {
  read(into: Uint8Array, start: number): Promise<void>;
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
 * Reads compressed grains. Where `hasMarkers`, the length of a stream stands before it; else it is found by unpacking.
 */
export function packedReader(map: GrainMap, storage: Storage, hasMarkers: boolean): GrainReader {
  const { grainBytes, label } = map;
  // Streams of data that do not pack are a little longer than the grain.
  const most = 2 * grainBytes + 1024;
  let kept: { readonly fileOffset: number; readonly bytes: Uint8Array } | null = null;

  function unpack(stream: Uint8Array, fileOffset: number): Uint8Array {
    try {
      return inflateSync(stream, { maxOutputLength: grainBytes });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw corrupt(`Cannot unpack the grain at ${fileOffset} of "${label}": ${reason}`, label, fileOffset);
    }
  }

  /** Length of the stream of a grain, whose marker is the beginning of `bytes`. */
  function streamLength(bytes: Uint8Array, fileOffset: number): number {
    const length = viewOf(bytes).getUint32(8, true);
    if (length > 0 && length <= most) return length;
    const message = `Cannot read the grain at ${fileOffset} of "${label}": its stream has ${length} bytes, ` +
      `must be 1 to ${most}`;
    throw corrupt(message, label, fileOffset);
  }

  /** The stream of one grain, from `span`, which begins at `spanStart`, or from the file. */
  async function streamAt(fileOffset: number, span: Uint8Array, spanStart: number): Promise<Uint8Array> {
    const inSpan = span.subarray(fileOffset - spanStart);
    if (!hasMarkers) return inSpan.length >= most ? inSpan : await bytesAt(fileOffset, most);
    const marker = inSpan.length >= GRAIN_MARKER_BYTES ? inSpan : await bytesAt(fileOffset, GRAIN_MARKER_BYTES);
    const length = streamLength(checkedMarker(marker, fileOffset), fileOffset);
    const end = GRAIN_MARKER_BYTES + length;
    if (inSpan.length >= end) return inSpan.subarray(GRAIN_MARKER_BYTES, end);
    const stream = await bytesAt(fileOffset + GRAIN_MARKER_BYTES, length);
    if (stream.length === length) return stream;
    throw corrupt(`Cannot read the grain at ${fileOffset} of "${label}": the file ends inside it`, label, fileOffset);
  }

  function checkedMarker(bytes: Uint8Array, fileOffset: number): Uint8Array {
    if (bytes.length >= GRAIN_MARKER_BYTES) return bytes;
    throw corrupt(`Cannot read the grain at ${fileOffset} of "${label}": the file ends inside it`, label, fileOffset);
  }

  /** `length` bytes, or what the file has of them. */
  async function bytesAt(fileOffset: number, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(Math.max(0, Math.min(length, storage.size - fileOffset)));
    await storage.readAt(bytes, fileOffset);
    return bytes;
  }

  /** Whole grains as they unpack, one after another. */
  async function* unpacked(grains: readonly number[]): AsyncGenerator<Uint8Array> {
    let span: Uint8Array = new Uint8Array(0);
    let spanStart = 0;
    for (const [index, fileOffset] of grains.entries()) {
      if (kept?.fileOffset === fileOffset) {
        yield kept.bytes;
        continue;
      }
      if (fileOffset < spanStart || fileOffset >= spanStart + span.length) {
        spanStart = fileOffset;
        span = await bytesAt(fileOffset, spanLength(grains, index));
      }
      const bytes = unpack(await streamAt(fileOffset, span, spanStart), fileOffset);
      kept = { fileOffset, bytes };
      yield bytes;
    }
  }

  /** How much to read from the grain `index` on: as long as the grains follow each other closely. */
  function spanLength(grains: readonly number[], index: number): number {
    let end = grains[index];
    for (let next = index + 1; next < grains.length; next++) {
      if (grains[next] <= end || grains[next] - end > most || grains[next] - grains[index] > MAX_SPAN) break;
      end = grains[next];
    }
    // The last one is of unknown length; what it leaves over is likely the next one to be read.
    return end - grains[index] + Math.min(most, grainBytes + 1024);
  }

  return {
    async read(into, start) {
      const end = start + into.length;
      const grains = await grainsOf(map, start, end);
      let at = alignDown(start, grainBytes);
      for await (const bytes of unpacked(grains)) {
        const from = Math.max(start, at);
        const to = Math.min(end, at + grainBytes);
        if (bytes.length < to - at) {
          const message = `Cannot read guest byte ${at} of "${label}": its grain unpacks to ${bytes.length} bytes, ` +
            `must be at least ${to - at}`;
          throw corrupt(message, label);
        }
        into.set(bytes.subarray(from - at, to - at), from - start);
        at += grainBytes;
      }
    },
  };
}
