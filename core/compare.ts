/**
 * Comparing two virtual disks. What both sides know to be zero is not read; of a side that knows it, nothing is.
 *
 * @module
 */
import {
  alignDown,
  type Disk,
  equalBytes,
  type GuestReader,
  type MaybePromise,
  pageMemory,
  PIECE,
  SECTOR,
  zeroes,
} from "../formats/mod.ts";
import { chainOf, resolve, type Resolved } from "./open/chain.ts";
import type { ScanEvent, Totals } from "./events.ts";
import { workerPoolOf } from "./workers/worker_pool.ts";
import { type CompareOrder, CREW_PIECE, placeIn, type WorkerIo, workerIo } from "./workers/worker_io.ts";
import type { ConvertContext, ImageSpec } from "./job.ts";
import { openImage } from "./open/open.ts";
import { type OpenDiskOptions, openOptions } from "./open/open_disk.ts";
import { type Throttle, throttleOf } from "./throttle.ts";
import { codecPoolOf } from "./workers/codec_pool.ts";

/** What {@linkcode compare} is doing: who must tell failures apart is told. */
export type CompareStage = "open" | "status" | "read";

/** What {@linkcode compare} may be told. */
export interface CompareOptions extends OpenDiskOptions, Pick<ConvertContext, "signal" | "paused"> {
  /** Sizes and the status of every byte must be equal as well. */
  readonly strict?: boolean;
  /** Hears how far it is. */
  readonly onEvent?: (event: ScanEvent) => void;
  /** Hears what is done next, so that a failure can be told as one of opening, of statuses or of data. */
  readonly onStage?: (stage: CompareStage) => void;
  /** How many workers at most, that decompress or compare. Default: as many as processors. */
  readonly workers?: number;
  /**
   * What compares by itself, instead of workers of its own; ended with it.
   *
   * @internal
   */
  readonly workerIo?: WorkerIo;
}

/** What {@linkcode compare} found. Guest bytes. */
export interface Comparison {
  /** Whether no difference was found. */
  readonly identical: boolean;
  /** What differs first: the sizes or the status (only with `strict`), or the content. */
  readonly difference?: "size" | "status" | "content";
  /** Where; the sector, for content. */
  readonly at?: number;
  /** Guest bytes of both. */
  readonly sizes: readonly [number, number];
  /** How long it took. */
  readonly seconds: number;
}

/** What {@linkcode compare} of `mod.ts` does. */
export async function compare(
  first: string | ImageSpec,
  second: string | ImageSpec,
  options: CompareOptions = {},
): Promise<Comparison> {
  const begun = performance.now();
  const { onEvent = () => {}, onStage = () => {} } = options;
  onStage("open");
  onEvent({ type: "phase", phase: "inspect" });
  const workers = workerPoolOf(options.workers);
  using pool = codecPoolOf(workers);
  using crew = options.workerIo ?? workerIo(workers, { workers: workers.count - 1 });
  await using stack = new AsyncDisposableStack();
  const sides: Side[] = [];
  for (const image of [first, second]) {
    const spec = typeof image === "string" ? { path: image } : image;
    const opened = stack.use(await openImage(spec, { ...openOptions(options), decompressor: pool.decompress }));
    sides.push(sideOf(opened.layers.map((layer) => layer.disk)));
  }
  crew.expects(Math.min(...sides.map(({ held }) => held)));
  const pair = new Pair(
    sides[0],
    sides[1],
    options.strict ?? false,
    throttleOf(options.signal, 0, options.paused),
    crew,
    onStage,
  );
  const found = await pair.differs(options.onEvent);
  onEvent({ type: "phase", phase: "finish" });
  return {
    identical: found === null,
    ...found,
    sizes: [sides[0].size, sides[1].size],
    seconds: (performance.now() - begun) / 1000,
  };
}

/** One of the two disks. */
interface Side {
  readonly size: number;
  readonly reader: GuestReader;
  /** Bytes of its files: more is hardly read. */
  readonly held: number;
  /** What it says of a position; past its end, zero. */
  at(start: number, limit: number): MaybePromise<Resolved>;
  readonly buffer: Uint8Array;
}

function sideOf(layers: readonly Disk[]): Side {
  const reader = chainOf(layers);
  return {
    size: reader.size,
    reader,
    held: layers.reduce((sum, { data }) => sum + (data?.size ?? 0), 0),
    at: (start, limit) => resolve(layers, layers.length, start, limit),
    // Workers decompress into shared memory without a copy.
    buffer: pageMemory(PIECE),
  };
}

/** A difference. */
type Found = Pick<Comparison, "difference" | "at">;

/** Guest bytes `[start, end)` of one status on either side. */
interface Span {
  readonly start: number;
  readonly end: number;
  readonly a: Resolved;
  readonly b: Resolved;
}

/** Guest bytes `[start, end)` under comparison. */
interface Task {
  readonly start: number;
  readonly end: number;
  /** Whether either side has data there. */
  readonly reads: boolean;
  readonly begun: number;
  /** Where they differ, counted from `start`; -1: they do not; `null`: nobody has been able to tell. */
  differs: number | null | Promise<number | null>;
}

/** So many tasks may have been done while the one before them is under way. */
const AHEAD = 64;

class Pair {
  /** Tasks that workers have. */
  sent = 0;

  constructor(
    readonly a: Side,
    readonly b: Side,
    readonly strict: boolean,
    readonly pace: Throttle,
    readonly crew: WorkerIo,
    readonly onStage: (stage: CompareStage) => void,
  ) {}

  get size(): number {
    return Math.max(this.a.size, this.b.size);
  }

  /** The first difference, `null` where there is none. */
  async differs(onEvent: CompareOptions["onEvent"]): Promise<Found | null> {
    if (this.strict && this.a.size !== this.b.size) return { difference: "size" };
    if (onEvent) {
      onEvent({ type: "phase", phase: "plan" });
      onEvent({ type: "totals", totals: await this.totals() });
    }
    onEvent?.({ type: "phase", phase: "copy" });
    return await this.walk((event) => onEvent?.(event));
  }

  /**
   * Compares from front to end, workers and this thread beside each other. Several tasks may be under way, but the first
   * difference is the one that counts.
   */
  async walk(onEvent: (event: ScanEvent) => void): Promise<Found | null> {
    const tasks: Task[] = [];
    /** Settles what is done, and waits where more than `most` tasks are left. */
    const settle = async (most: number): Promise<Found | null> => {
      while (tasks.length > most || (tasks.length > 0 && !(tasks[0].differs instanceof Promise))) {
        const task = tasks.shift()!;
        const found = await this.verdictOf(task);
        if (found !== null) return { difference: "content", at: found };
        const { start, end, reads, begun } = task;
        const [action, kind] = reads ? ["copy", "data"] as const : ["skip", "zero"] as const;
        onEvent({ type: "extent", start, end, action, kind, zeroes: 0, seconds: (performance.now() - begun) / 1000 });
      }
      return null;
    };
    for (let at = 0; at < this.size;) {
      const next = await this.taskAt(at).catch((error) => ({ error }));
      if (!("differs" in next)) {
        const before = await settle(0);
        if (before || !("error" in next)) return before ?? next as Found;
        throw next.error;
      }
      tasks.push(next);
      at = next.end;
      const found = await settle(AHEAD);
      if (found) return found;
      // Workers are heard only when the event loop goes round.
      if (this.sent > 0) await new Promise((resolve) => setImmediate(resolve));
      await this.pace.checkpoint();
    }
    return await settle(0);
  }

  /** Begins to compare what lies at `at`. */
  async taskAt(at: number): Promise<Task | Found> {
    const begun = performance.now();
    const span = await this.spanAt(at);
    if (this.strict && flags(span.a) !== flags(span.b)) return { difference: "status", at };
    if (!isData(span)) return { start: at, end: span.end, reads: false, begun, differs: -1 };
    const end = Math.min(span.end, alignDown(at, PIECE) + PIECE);
    if (this.sent < this.crew.width && this.crew.takes(end - at)) {
      const order = await this.orderFor(span);
      if (order) return this.send(at, order);
    }
    return { start: at, end, reads: true, begun, differs: await this.firstDifference(span, end) };
  }

  /** What a worker can compare of a span, from its start on: where both sides lie plainly in files. */
  async orderFor({ start, end }: Span): Promise<CompareOrder | null> {
    const limit = Math.min(end, alignDown(start, CREW_PIECE) + CREW_PIECE);
    const places = [await this.a.reader.placeOf?.(start, limit), await this.b.reader.placeOf?.(start, limit)];
    const [from, to] = places.map((place) => place ? placeIn(place.storage, place.fileStart) : null);
    return from && to ? { from, to, length: Math.min(...places.map((place) => place!.end)) - start } : null;
  }

  /** Lets a worker compare what begins at `start`. */
  send(start: number, order: CompareOrder): Task {
    this.sent++;
    const task: Task = { start, end: start + order.length, reads: true, begun: performance.now(), differs: null };
    task.differs = this.crew.compare(order).then((found) => {
      this.sent--;
      return task.differs = found;
    });
    return task;
  }

  /** The first sector of a task that differs, `null` where none does. */
  async verdictOf({ start, end, differs }: Task): Promise<number | null> {
    const found = await differs;
    if (found !== null) return found < 0 ? null : start + alignDown(found, SECTOR);
    for (let at = start; at < end;) {
      const span = await this.spanAt(at);
      const pieceEnd = Math.min(span.end, end, alignDown(at, PIECE) + PIECE);
      const byte = isData(span) ? await this.firstDifference(span, pieceEnd) : -1;
      if (byte >= 0) return at + alignDown(byte, SECTOR);
      at = pieceEnd;
    }
    return null;
  }

  async totals(): Promise<Totals> {
    const totals = { data: 0, zero: 0, skip: 0 };
    for (let at = 0; at < this.size;) {
      const span = await this.spanAt(at);
      totals[isData(span) ? "data" : "skip"] += span.end - at;
      at = span.end;
      await this.pace.checkpoint();
    }
    return totals;
  }

  async spanAt(start: number): Promise<Span> {
    this.onStage("status");
    const a = await this.a.at(start, this.size);
    const b = await this.b.at(start, a.run.end);
    return { start, end: Math.min(a.run.end, b.run.end), a, b };
  }

  /** The first byte before `end` that differs, counted from the start of the span; -1 where none does. */
  async firstDifference({ start, a, b }: Span, end: number): Promise<number> {
    this.onStage("read");
    const [one, other] = await Promise.all([this.bytesOf(this.a, a, start, end), this.bytesOf(this.b, b, start, end)]);
    if (equalBytes(one, other)) return -1;
    return one.findIndex((byte, index) => byte !== other[index]);
  }

  async bytesOf(side: Side, { run }: Resolved, start: number, end: number): Promise<Uint8Array> {
    if (run.kind !== "data") return zeroes(end - start);
    const bytes = side.buffer.subarray(0, end - start);
    await side.reader.read(bytes, start);
    return bytes;
  }
}

/** Whether anything must be read. */
function isData({ a, b }: Span): boolean {
  return a.run.kind === "data" || b.run.kind === "data";
}

/** What strict comparing compares of a status. */
function flags({ run, stated }: Resolved): string {
  const data = run.kind === "data" || (run.kind === "zero" && run.unfilled === true);
  const plain = run.kind === "data" ? !run.compressed : run.fileStart !== undefined;
  return `${data} ${run.kind !== "data"} ${stated} ${plain}`;
}
