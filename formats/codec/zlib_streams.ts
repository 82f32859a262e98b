/**
 * Streams of `node:zlib` that are used again and again: making one takes longer than compressing or decompressing many a unit.
 *
 * @module
 */
import type * as zlib from "node:zlib";

/** What a stream does, by its name in `node:zlib`. */
export type StreamKind = "deflate" | "deflateRaw" | "inflate" | "inflateRaw" | "zstdCompress" | "zstdDecompress";

/** Options of a stream, as `node:zlib` takes them. */
export type StreamOptions = zlib.ZlibOptions | zlib.ZstdOptions;

/**
 * Sends all of `bytes` through a stream of this kind. Returns how many bytes of `into` it filled; -1 where the bytes are
 * damaged, or give more than there is room for. Decompressing what ends early gives what there is of it.
 */
export type Streams = (kind: StreamKind, options: StreamOptions, bytes: Uint8Array, into: Uint8Array) => number;

/** What is in a stream of `node:zlib`. Much is built on it, but it is no part of the interface: it may be missing. */
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
  /** After a write: bytes left of `into`, bytes left of `from`. */
  readonly _writeState: Uint32Array;
}

/**
 * The streams of one thread, each made when first asked for. Knows {@linkcode openStream} and nothing else by name,
 * because workers run its text.
 *
 * @throws what `node:zlib` throws for options that it does not take
 *
 * @example
 * ```ts
 * import { reusedStreams } from "./zlib_streams.ts";
 * import * as zlib from "node:zlib";
 * import assert from "node:assert/strict";
 *
 * const run = reusedStreams(zlib);
 * const compressed = new Uint8Array(100);
 * const length = run("deflate", { level: 9 }, new Uint8Array(5000).fill(7), compressed);
 * const plain = new Uint8Array(5000);
 * assert.equal(run("inflate", {}, compressed.subarray(0, length), plain), 5000);
 * assert.equal(plain[4999], 7);
 * assert.equal(run("inflate", {}, compressed.subarray(0, length), plain.subarray(1)), -1, "no room");
 * ```
 */
export function reusedStreams(library: typeof zlib): Streams {
  const open = new Map<string, ReturnType<typeof openStream>>();
  return (kind, options, bytes, into) => {
    const key = kind + JSON.stringify(options);
    let stream = open.get(key);
    if (!stream) open.set(key, stream = openStream(library, kind, options));
    return stream(bytes, into);
  };
}

let own: Streams | undefined;

/** The streams of this thread; `node:zlib` is loaded with the first of them, because few programs need any. */
export async function ownStreams(): Promise<Streams> {
  return own ??= reusedStreams(await import("node:zlib"));
}

/** One stream that starts anew with each call. Stands alone, because workers run its text. */
export function openStream(
  library: typeof zlib,
  kind: StreamKind,
  options: StreamOptions,
): (bytes: Uint8Array, into: Uint8Array) => number {
  const { Z_FINISH, Z_SYNC_FLUSH, ZSTD_e_end } = library.constants;
  const flush = kind.startsWith("zstd") ? ZSTD_e_end : kind.startsWith("inflate") ? Z_SYNC_FLUSH : Z_FINISH;
  const make = library[`create${kind[0].toUpperCase()}${kind.slice(1)}` as "createDeflate"];
  const { _handle: handle, _writeState: left } = make(options) as unknown as Partial<Inner>;
  if (!handle?.reset || !handle.writeSync || !left) {
    // By what is promised: a stream for each call.
    return (bytes, into) => {
      try {
        const limits = { maxOutputLength: into.length, finishFlush: flush };
        const result = library[`${kind}Sync` as "deflateSync"](bytes, { ...options, ...limits });
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
      // Full: is there more?
      handle.writeSync(flush, bytes, bytes.length - left[1], left[1], spare, 0, 1);
      return failed || left[0] === 0 ? -1 : length;
    } catch {
      return -1;
    }
  };
}
