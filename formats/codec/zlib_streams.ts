/**
 * Reusable streams of `node:zlib`: creating one takes longer than compressing or decompressing many a cluster.
 *
 * @module
 */
import type * as zlib from "node:zlib";

/** The type of a stream, by its name in `node:zlib`. */
export type StreamType = "deflate" | "deflateRaw" | "inflate" | "inflateRaw" | "zstdCompress" | "zstdDecompress";

/** Options of a stream, as `node:zlib` takes them. */
export type StreamOptions = zlib.ZlibOptions | zlib.ZstdOptions;

/**
 * Processes all of `bytes` with a stream of this type. Returns the number of bytes written to `into`; -1 where `bytes` is
 * damaged, or the result does not fit. Decompression of a truncated stream returns the bytes before its end.
 */
export type Streams = (type: StreamType, options: StreamOptions, bytes: Uint8Array, into: Uint8Array) => number;

/** Internals of a stream of `node:zlib`. Many programs use them, but they are not documented, and may be missing. */
interface Inner {
  readonly _handle: {
    onerror: () => void;
    reset(): void;
    writeSync(
      flush: number,
      from: Uint8Array,
      fromStart: number,
      fromLength: number,
      into: Uint8Array,
      intoStart: number,
      intoLength: number,
    ): void;
  };
  /** After a write: unused bytes of `into`, unread bytes of `from`. */
  readonly _writeState: Uint32Array;
}

/**
 * Returns the streams of one thread, each created on first use.
 *
 * @throws the errors of `node:zlib` for invalid options
 *
 * @example
 * ```ts
 * import { reusedStreams } from "./zlib_streams.ts";
 * import * as zlib from "node:zlib";
 * import assert from "node:assert/strict";
 *
 * const streams = reusedStreams(zlib);
 * const compressed = new Uint8Array(100);
 * const length = streams("deflate", { level: 9 }, new Uint8Array(5000).fill(7), compressed);
 * const plain = new Uint8Array(5000);
 * assert.equal(streams("inflate", {}, compressed.subarray(0, length), plain), 5000);
 * assert.equal(plain[4999], 7);
 * assert.equal(streams("inflate", {}, compressed.subarray(0, length), plain.subarray(1)), -1, "no room");
 * ```
 */
export function reusedStreams(library: typeof zlib): Streams {
  const open = new Map<string, ReturnType<typeof openStream>>();
  return (type, options, bytes, into) => {
    const key = type + JSON.stringify(options);
    let stream = open.get(key);
    if (!stream) open.set(key, stream = openStream(library, type, options));
    return stream(bytes, into);
  };
}

let own: Streams | undefined;

/** Returns the streams of this thread. The first call loads `node:zlib`. */
export async function ownStreams(): Promise<Streams> {
  return own ??= reusedStreams(await import("node:zlib"));
}

/** Opens one stream, which is reset for each call. */
export function openStream(
  library: typeof zlib,
  type: StreamType,
  options: StreamOptions,
): (bytes: Uint8Array, into: Uint8Array) => number {
  const { Z_FINISH, Z_SYNC_FLUSH, ZSTD_e_end } = library.constants;
  const flush = type.startsWith("zstd") ? ZSTD_e_end : type.startsWith("inflate") ? Z_SYNC_FLUSH : Z_FINISH;
  const make = library[`create${type[0].toUpperCase()}${type.slice(1)}` as "createDeflate"];
  const { _handle: handle, _writeState: left } = make(options) as unknown as Partial<Inner>;
  if (!handle?.reset || !handle.writeSync || !left) {
    // Without the internals: the documented functions, which create a stream for each call.
    return (bytes, into) => {
      try {
        const limits = { maxOutputLength: into.length, finishFlush: flush };
        const result = library[`${type}Sync` as "deflateSync"](bytes, { ...options, ...limits });
        if (result.length > into.length) return -1;
        into.set(result);
        return result.length;
      } catch {
        return -1;
      }
    };
  }
  const spare = new Uint8Array(1);
  let failed = false;
  handle.onerror = () => failed = true;
  return (bytes, into) => {
    failed = false;
    try {
      handle.reset();
      handle.writeSync(flush, bytes, 0, bytes.length, into, 0, into.length);
      const length = into.length - left[0];
      if (left[0] > 0 || failed) return failed ? -1 : length;
      // `into` is full: one more byte shows whether the result would be longer.
      handle.writeSync(flush, bytes, bytes.length - left[1], left[1], spare, 0, 1);
      return failed || left[0] === 0 ? -1 : length;
    } catch {
      return -1;
    }
  };
}
