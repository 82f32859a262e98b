/**
 * File access of one worker: it opens files itself, and so has file cursors of its own. Part of the program of workers.
 *
 * @module
 */
import { equalBytes } from "../../formats/bytes.ts";
import { decompressCluster } from "../../formats/codec/decompress.ts";
import type { Streams } from "../../formats/codec/zlib_streams.ts";
import { pageMemory } from "../../formats/page_memory.ts";
import { type BufferSpan, splitZeroes } from "../zeroes.ts";
import { BLOCK_DIGEST, blockDigests, HASH_BLOCK, type Sha256 } from "./hash_blocks.ts";
import type {
  CompareRequest,
  Copied,
  CopyRequest,
  DecompressIntoRequest,
  FileRange,
  Hashed,
  HashRequest,
} from "./protocol.ts";

/**
 * Bytes that a worker reads, compares or writes at once: they stay in its cache. One thread alone is fastest with 1
 * MiB; two threads that write into one file wait for each other, and took twice as long with 1 MiB as with 256 KiB.
 */
const PIECE_BYTES = 256 << 10;

/** The tasks of a worker that use files. They throw on any failure. */
export interface WorkerFiles {
  copy(request: CopyRequest): Copied;
  decompressInto(request: DecompressIntoRequest, streams: Streams): Copied;
  /** Returns the first byte that differs, counted from the start of both; -1 where none does. */
  compare(request: CompareRequest): number;
  /** Returns the digests of the blocks of the ranges together; the first block begins with the first range. */
  hash(request: HashRequest, sha256: Sha256): Hashed;
}

/** Returns the file access of a worker that opens its files when a request first names them. */
export function workerFiles(): WorkerFiles {
  const buffers: Uint8Array[] = [new Uint8Array(0), new Uint8Array(0)];
  const files = new Map<string, Deno.FsFile>();

  const bufferOf = (index: number, length: number): Uint8Array => {
    if (buffers[index].length < length) buffers[index] = pageMemory(length);
    return buffers[index];
  };
  const open = ({ path, identity }: FileRange, write: boolean): Deno.FsFile => {
    const key = `${write}${path}`;
    const known = files.get(key);
    if (known) return known;
    const file = Deno.openSync(path, { read: true, write });
    const found = file.statSync();
    if (found.dev !== identity?.dev || found.ino !== identity.ino) throw new Error("Another file has this name");
    files.set(key, file);
    return file;
  };

  /** Returns a function that fills its argument with the next bytes of `ranges`. */
  const rangeReader = (ranges: CopyRequest["from"]) => {
    let part = 0;
    let partDone = 0;
    return (into: Uint8Array): void => {
      for (let filled = 0; filled < into.length;) {
        const range = ranges[part];
        const count = Math.min(range.length - partDone, into.length - filled);
        readFully(open(range, false), into.subarray(filled, filled + count), range.offset + partDone);
        filled += count;
        partDone += count;
        if (partDone === range.length) [part, partDone] = [part + 1, 0];
      }
    };
  };

  return {
    copy(request) {
      const { from, guestStart } = request;
      const writer = zeroSkippingWriter(open(request.to, true), request);
      let read = 0;
      const end = guestStart + lengthOfAll(from);
      const readNext = rangeReader(from);
      for (let at = guestStart; at < end;) {
        const piece = bufferOf(0, PIECE_BYTES).subarray(0, Math.min(at - at % PIECE_BYTES + PIECE_BYTES, end) - at);
        const begun = performance.now();
        readNext(piece);
        read += secondsSince(begun);
        writer.write(piece, at);
        at += piece.length;
      }
      return { zeroes: writer.zeroes, read, decompress: 0, write: writer.seconds };
    },
    decompressInto(request, streams) {
      const { clusters } = request;
      const writer = zeroSkippingWriter(open(request.to, true), request);
      let decompress = 0;
      let at = request.guestStart;
      for (let next = 0; next < clusters.length;) {
        const begun = performance.now();
        const buffer = bufferOf(0, Math.max(PIECE_BYTES, clusters[next].length));
        let length = 0;
        do {
          const { codec, bytes, length: whole } = clusters[next++];
          const isWhole = decompressCluster(streams, codec, bytes, buffer.subarray(length, length + whole));
          if (!isWhole) throw new Error("A compressed cluster is damaged");
          length += whole;
        } while (next < clusters.length && length + clusters[next].length <= buffer.length);
        decompress += secondsSince(begun);
        writer.write(buffer.subarray(0, length), at);
        at += length;
      }
      return { zeroes: writer.zeroes, read: 0, decompress, write: writer.seconds };
    },
    compare({ one, other, length }) {
      const [first, second] = [open(one, false), open(other, false)];
      for (let at = 0; at < length; at += PIECE_BYTES) {
        const [a, b] = [0, 1].map((index) =>
          bufferOf(index, PIECE_BYTES).subarray(0, Math.min(PIECE_BYTES, length - at))
        );
        readFully(first, a, one.offset + at);
        readFully(second, b, other.offset + at);
        if (!equalBytes(a, b)) return at + a.findIndex((byte, index) => byte !== b[index]);
      }
      return -1;
    },
    hash({ from }, sha256) {
      const length = lengthOfAll(from);
      const digests = new Uint8Array(Math.ceil(length / HASH_BLOCK) * BLOCK_DIGEST);
      const readNext = rangeReader(from);
      let read = 0;
      for (let at = 0; at < length; at += PIECE_BYTES) {
        const piece = bufferOf(0, PIECE_BYTES).subarray(0, Math.min(PIECE_BYTES, length - at));
        const begun = performance.now();
        readNext(piece);
        read += secondsSince(begun);
        digests.set(blockDigests(piece, sha256), at / HASH_BLOCK * BLOCK_DIGEST);
      }
      return { digests, read, decompress: 0, write: 0 };
    },
  };
}

function lengthOfAll(ranges: CopyRequest["from"]): number {
  return ranges.reduce((sum, { length }) => sum + length, 0);
}

/** Writes guest bytes, except zeroes, into a file. */
interface ZeroSkippingWriter {
  /** Writes `bytes`; `guest`: guest offset of the first. */
  write(bytes: Uint8Array, guest: number): void;
  /** The zeroes that were not written. */
  readonly zeroes: BufferSpan[];
  readonly seconds: number;
}

function zeroSkippingWriter(
  file: Deno.FsFile,
  { to, guestStart, rule }: Omit<CopyRequest, "from">,
): ZeroSkippingWriter {
  const zeroes: BufferSpan[] = [];
  let seconds = 0;
  return {
    zeroes,
    get seconds() {
      return seconds;
    },
    write(bytes, guest) {
      const begun = performance.now();
      const whole = { zero: false, start: guest, end: guest + bytes.length };
      for (const part of rule ? splitZeroes(bytes, guest, rule) : [whole]) {
        const { zero, start, end } = part;
        if (zero) zeroes.push(part);
        else writeFully(file, bytes.subarray(start - guest, end - guest), to.offset + start - guestStart);
      }
      seconds += secondsSince(begun);
    },
  };
}

function secondsSince(begun: number): number {
  return (performance.now() - begun) / 1000;
}

function readFully(file: Deno.FsFile, into: Uint8Array, offset: number): void {
  file.seekSync(offset, 0);
  for (let done = 0; done < into.length;) {
    const count = file.readSync(into.subarray(done));
    if (count === null) throw new Error("The file ends before");
    done += count;
  }
}

function writeFully(file: Deno.FsFile, bytes: Uint8Array, offset: number): void {
  file.seekSync(offset, 0);
  for (let done = 0; done < bytes.length;) {
    const count = file.writeSync(bytes.subarray(done));
    if (count === 0) throw new Error("The host takes no more bytes");
    done += count;
  }
}
