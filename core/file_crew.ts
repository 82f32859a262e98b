/**
 * Workers that read and write files by themselves: bytes that lie plainly in the source, and have a fixed place in the
 * target, are copied on every core, each piece within the cache of one.
 *
 * Whatever a worker cannot do is done again by the thread that has sent it, which then finds the same fault, and has the
 * words for it. So a worker only ever says whether it has done its work.
 *
 * @module
 */
import { alignDown, type Origin, PIECE, type Storage, zeroes } from "../formats/mod.ts";
import { isZero, type Part, splitZeroes, type ZeroRule } from "./zeroes.ts";

/** Bytes in a file that workers can open. */
export interface FilePlace extends Pick<Origin, "path" | "identity"> {
  /** File offset of the first. */
  readonly fileStart: number;
}

/** Bytes of one length in two files. */
interface Pair {
  readonly from: FilePlace;
  readonly to: FilePlace;
  readonly length: number;
}

/** Bytes to be copied. */
export interface CopyOrder extends Pair {
  /** Guest byte at which they stand: zeroes are looked for on the guest's grid. */
  readonly guestStart: number;
  /** Zeroes that are not to be written; `null`: all bytes are. */
  readonly rule: ZeroRule | null;
}

/** What was copied. */
export interface Copied {
  /** Guest bytes that were found to be zero and not written. */
  readonly zeroes: readonly Part[];
  /** How long reading and writing took, in seconds. */
  readonly read: number;
  readonly write: number;
}

/** The workers. */
export interface FileCrew extends Disposable {
  /** How many orders are worth giving at once. */
  readonly width: number;
  /**
   * Whether the next `length` bytes of a job should go to the workers: only long jobs are worth starting them, and until
   * they have started the caller goes on alone.
   */
  takes(length: number): boolean;
  /** Copies; `null` where the caller must. */
  copy(order: CopyOrder): Promise<Copied | null>;
  /** The first byte, counted from the start of both, that differs; -1 where none does; `null` where the caller must look. */
  compare(pair: Pair): Promise<number | null>;
}

/** What a worker takes at once, in bytes: few messages, and a stop is heard soon. */
export const CREW_PIECE = 4 << 20;

/** After so many bytes of one job the workers are started: in the time that this takes they copy as many. */
const WORTH = 64 << 20;

/** Orders that wait at each worker, so that it need not wait for the next. */
const DEPTH = 2;

/** What a worker is sent and what it answers; `id` tells orders apart, and 0 says that it has started. */
type Order = { readonly id: number } & ({ readonly copy: CopyOrder } | { readonly compare: Pair });
interface Answer {
  readonly id: number;
  readonly result: Copied | number | null;
}

/**
 * A crew of `count` workers; of none where that is one or less.
 *
 * @param worth for so many bytes nobody is started
 */
export function fileCrew(count: number, worth: number = WORTH): FileCrew {
  let passed = 0;
  let ready = 0;
  let next = 0;
  let failed = Deno.build.os === "windows" || count < 2;
  let workers: Worker[] = [];
  let url: string | null = null;
  let lastId = 0;
  const waiting = new Map<number, (result: Answer["result"]) => void>();

  const give = (order: { readonly copy: CopyOrder } | { readonly compare: Pair }): Promise<Answer["result"]> => {
    if (failed) return Promise.resolve(null);
    const id = ++lastId;
    workers[next = (next + 1) % workers.length].postMessage({ id, ...order } satisfies Order);
    return new Promise((resolve) => waiting.set(id, resolve));
  };
  const end = () => {
    failed = true;
    for (const worker of workers) worker.terminate();
    if (url) URL.revokeObjectURL(url);
    for (const resolve of waiting.values()) resolve(null);
    waiting.clear();
  };
  const heard = ({ id, result }: Answer) => {
    if (id === 0) ready++;
    else {
      // What one worker may not do, none may.
      if (result === null) failed = true;
      waiting.get(id)?.(result);
      waiting.delete(id);
    }
  };
  const start = () => {
    const program = url = workerUrl();
    workers = Array.from({ length: count }, () => new Worker(program, { type: "module", name: "copier" }));
    for (const worker of workers) {
      worker.onmessage = ({ data }: MessageEvent<Answer>) => heard(data);
      worker.onerror = (event) => {
        event.preventDefault();
        end();
      };
    }
  };
  return {
    width: count * DEPTH,
    takes(length) {
      passed += length;
      if (passed < worth || failed) return false;
      if (workers.length === 0) start();
      return ready === workers.length;
    },
    copy: (copy) => give({ copy }) as Promise<Copied | null>,
    compare: (compare) => give({ compare }) as Promise<number | null>,
    [Symbol.dispose]: end,
  };
}

/** Where workers find byte `fileStart` of `storage`; `null` where they cannot: what has no identity may be another file. */
export function placeIn({ origin }: Storage, fileStart: number): FilePlace | null {
  if (!origin?.identity) return null;
  return { path: origin.path, identity: origin.identity, fileStart: origin.start + fileStart };
}

/** The worker's program as a blob: a worker from a file would need read access to this program's own folder. */
function workerUrl(): string {
  const text = `import { Buffer } from "node:buffer";
    const ZEROES = new Uint8Array(${1 << 20});
    ${alignDown} ${zeroes} ${isZero} ${splitZeroes}
    (${serve})(splitZeroes, ${PIECE});`;
  return URL.createObjectURL(new Blob([text], { type: "application/javascript" }));
}

/** Runs in the worker: stands alone but for what it is handed, and the names that its text begins with. */
function serve(split: typeof splitZeroes, most: number): void {
  const scope = self as unknown as {
    onmessage: (event: MessageEvent<Order>) => void;
    postMessage(answer: Answer): void;
  };
  const buffers = [new Uint8Array(most), new Uint8Array(most)];
  const files = new Map<string, Deno.FsFile>();

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
  const copy = ({ from, to, length, guestStart, rule }: CopyOrder): Copied => {
    const source = open(from, false);
    const target = open(to, true);
    const result = { zeroes: [] as Part[], read: 0, write: 0 };
    const end = guestStart + length;
    for (let at = guestStart; at < end;) {
      const pieceEnd = Math.min(at - at % most + most, end);
      const piece = buffers[0].subarray(0, pieceEnd - at);
      const begun = performance.now();
      read(source, piece, from.fileStart + at - guestStart);
      const middle = performance.now();
      for (const part of rule ? split(piece, at, rule) : [{ zero: false, start: at, end: pieceEnd }]) {
        if (part.zero) result.zeroes.push(part);
        else write(target, piece.subarray(part.start - at, part.end - at), to.fileStart + part.start - guestStart);
      }
      result.read += (middle - begun) / 1000;
      result.write += (performance.now() - middle) / 1000;
      at = pieceEnd;
    }
    return result;
  };
  const compare = ({ from, to, length }: Pair): number => {
    const [one, other] = [open(from, false), open(to, false)];
    for (let at = 0; at < length; at += most) {
      const [a, b] = buffers.map((buffer) => buffer.subarray(0, Math.min(most, length - at)));
      read(one, a, from.fileStart + at);
      read(other, b, to.fileStart + at);
      if (Buffer.compare(a, b) === 0) continue;
      return at + a.findIndex((byte, index) => byte !== b[index]);
    }
    return -1;
  };
  scope.onmessage = ({ data }) => {
    try {
      scope.postMessage({ id: data.id, result: "copy" in data ? copy(data.copy) : compare(data.compare) });
    } catch {
      scope.postMessage({ id: data.id, result: null });
    }
  };
  scope.postMessage({ id: 0, result: null });
}
