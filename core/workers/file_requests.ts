/**
 * What a worker does with files: it opens them itself, and has cursors of its own.
 *
 * @module
 */
import type {
  CompressedCluster,
  decompressCluster,
  equalBytes,
  Origin,
  pageMemory,
  Streams,
} from "../../formats/mod.ts";
import type { Part, splitZeroes, ZeroRule } from "../zeroes.ts";

/** Bytes in a file that workers can open. */
export interface FilePlace extends Pick<Origin, "path" | "identity"> {
  /** File offset of the first. */
  readonly fileStart: number;
}

/** Bytes of one length in two files. */
export interface CompareRequest {
  readonly from: FilePlace;
  readonly to: FilePlace;
  readonly length: number;
}

/** Guest bytes that are to be written, but for zeroes. */
interface WriteOrder {
  readonly to: FilePlace;
  /** The first of them: zeroes are looked for on the guest's grid. */
  readonly guestStart: number;
  /** Zeroes that are not to be written; `null`: all bytes are. */
  readonly rule: ZeroRule | null;
}

/** Bytes to be copied. */
export interface CopyRequest extends WriteOrder {
  /** Where they lie, one part behind the other. */
  readonly from: readonly (FilePlace & { readonly length: number })[];
}

/** Units to be decompressed and written, one behind the other. */
export interface DecompressIntoRequest extends WriteOrder {
  readonly units: readonly CompressedCluster[];
}

/** What was written. */
export interface Copied {
  /** Guest bytes that were found to be zero and not written. */
  readonly zeroes: readonly Part[];
  /** How long reading, decompressing and writing took, in seconds. */
  readonly read: number;
  readonly decompress: number;
  readonly write: number;
}

/**
 * The hands of one worker. Stands alone but for what it is handed, because workers run its text; what goes wrong it
 * throws, in no particular words.
 *
 * @param most bytes that it reads, compares or writes at once: they stay in the cache
 */
export function fileHands(
  split: typeof splitZeroes,
  decompress: typeof decompressCluster,
  equal: typeof equalBytes,
  memory: typeof pageMemory,
  most: number,
): {
  copy(order: CopyRequest): Copied;
  unload(order: DecompressIntoRequest, run: Streams): Copied;
  compare(order: CompareRequest): number;
} {
  const buffers: Uint8Array[] = [new Uint8Array(0), new Uint8Array(0)];
  const files = new Map<string, Deno.FsFile>();

  const bufferOf = (nth: number, length: number): Uint8Array => {
    if (buffers[nth].length < length) buffers[nth] = memory(length);
    return buffers[nth];
  };
  const open = ({ path, identity }: FilePlace, write: boolean): Deno.FsFile => {
    const key = `${write}${path}`;
    const known = files.get(key);
    if (known) return known;
    const file = Deno.openSync(path, { read: true, write });
    const found = file.statSync();
    if (found.dev !== identity?.dev || found.ino !== identity.ino) throw new Error("another file has its name");
    files.set(key, file);
    return file;
  };
  const read = (file: Deno.FsFile, into: Uint8Array, at: number): void => {
    file.seekSync(at, 0);
    for (let done = 0; done < into.length;) {
      const count = file.readSync(into.subarray(done));
      if (count === null) throw new Error("it ends before");
      done += count;
    }
  };
  const write = (file: Deno.FsFile, bytes: Uint8Array, at: number): void => {
    file.seekSync(at, 0);
    for (let done = 0; done < bytes.length;) {
      const count = file.writeSync(bytes.subarray(done));
      if (count === 0) throw new Error("the host takes no more bytes");
      done += count;
    }
  };
  /** Writes what is not zero of `bytes`, which stand at the guest byte `at`; returns what is. */
  const writeParts = (file: Deno.FsFile, bytes: Uint8Array, at: number, { to, guestStart, rule }: WriteOrder) => {
    const found: Part[] = [];
    for (const part of rule ? split(bytes, at, rule) : [{ zero: false, start: at, end: at + bytes.length }]) {
      if (part.zero) found.push(part);
      else write(file, bytes.subarray(part.start - at, part.end - at), to.fileStart + part.start - guestStart);
    }
    return found;
  };
  const seconds = (from: number, to: number) => (to - from) / 1000;

  return {
    copy(order) {
      const { from, to, guestStart } = order;
      const target = open(to, true);
      const copied = { zeroes: [] as Part[], read: 0, decompress: 0, write: 0 };
      const end = from.reduce((at, { length }) => at + length, guestStart);
      let part = 0;
      let passed = 0;
      for (let at = guestStart; at < end;) {
        const piece = bufferOf(0, most).subarray(0, Math.min(at - at % most + most, end) - at);
        const begun = performance.now();
        for (let filled = 0; filled < piece.length;) {
          const place = from[part];
          const count = Math.min(place.length - passed, piece.length - filled);
          read(open(place, false), piece.subarray(filled, filled + count), place.fileStart + passed);
          filled += count;
          passed += count;
          if (passed === place.length) [part, passed] = [part + 1, 0];
        }
        const middle = performance.now();
        copied.zeroes.push(...writeParts(target, piece, at, order));
        copied.read += seconds(begun, middle);
        copied.write += seconds(middle, performance.now());
        at += piece.length;
      }
      return copied;
    },
    unload(order, run) {
      const { units, to } = order;
      const target = open(to, true);
      const copied = { zeroes: [] as Part[], read: 0, decompress: 0, write: 0 };
      let at = order.guestStart;
      for (let next = 0; next < units.length;) {
        const begun = performance.now();
        const buffer = bufferOf(0, Math.max(most, units[next].length));
        let length = 0;
        do {
          const { codec, bytes, length: whole } = units[next++];
          if (!decompress(run, codec, bytes, buffer.subarray(length, length + whole))) throw new Error("it is damaged");
          length += whole;
        } while (next < units.length && length + units[next].length <= buffer.length);
        const middle = performance.now();
        copied.zeroes.push(...writeParts(target, buffer.subarray(0, length), at, order));
        copied.decompress += seconds(begun, middle);
        copied.write += seconds(middle, performance.now());
        at += length;
      }
      return copied;
    },
    compare({ from, to, length }) {
      const [one, other] = [open(from, false), open(to, false)];
      for (let at = 0; at < length; at += most) {
        const [a, b] = [0, 1].map((nth) => bufferOf(nth, most).subarray(0, Math.min(most, length - at)));
        read(one, a, from.fileStart + at);
        read(other, b, to.fileStart + at);
        if (equal(a, b)) continue;
        return at + a.findIndex((byte, index) => byte !== b[index]);
      }
      return -1;
    },
  };
}
