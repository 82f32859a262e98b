/**
 * Comparing two virtual disks. What both sides know to be zero is not read; of a side that knows it, nothing is.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { alignDown, type Disk, type GuestReader, SECTOR, zeroes } from "../formats/mod.ts";
import { chainOf, resolve, type Resolved } from "./chain.ts";
import type { ScanEvent, Totals } from "./events.ts";
import type { ConvertContext, ImageSpec } from "./job.ts";
import { openImage } from "./open.ts";
import { type OpenDiskOptions, openOptions } from "./open_disk.ts";
import { type Pace, paceOf } from "./pace.ts";
import { workerPool } from "./pool.ts";

/** Bytes compared at once, of each side: both stay in the processor's cache. */
const PIECE = 256 << 10;

/** What {@linkcode compare} is doing: who must tell failures apart is told. */
export type CompareStage = "open" | "status" | "read";

/** What {@linkcode compare} may be told. */
export interface CompareOptions extends OpenDiskOptions, Pick<ConvertContext, "signal" | "paused"> {
  /** Sizes and the status of every byte must be equal as well. */
  readonly strict?: boolean;
  readonly onEvent?: (event: ScanEvent) => void;
  readonly onStage?: (stage: CompareStage) => void;
  /** How many unpacking workers at most. Default: as many as processors. */
  readonly workers?: number;
}

/** What {@linkcode compare} found. Guest bytes. */
export interface Comparison {
  readonly identical: boolean;
  /** What differs first: the sizes or the status (only with `strict`), or the content. */
  readonly difference?: "size" | "status" | "content";
  /** Where; the sector, for content. */
  readonly at?: number;
  readonly sizes: readonly [number, number];
  readonly seconds: number;
}

/**
 * Compares two images with everything beneath them. Without `strict`, a longer one must be zero in what it has more.
 *
 * @throws ImageError as `openDisk`; `cancelled`
 *
 * @example
 * ```ts
 * import { compare } from "./compare.ts";
 * import assert from "node:assert/strict";
 *
 * const sample = "tests/samples/sample.qcow2";
 * assert.equal((await compare(sample, sample)).identical, true);
 * ```
 */
export async function compare(
  first: string | ImageSpec,
  second: string | ImageSpec,
  options: CompareOptions = {},
): Promise<Comparison> {
  const begun = performance.now();
  const { onEvent = () => {}, onStage = () => {} } = options;
  onStage("open");
  onEvent({ type: "phase", phase: "inspect" });
  using pool = workerPool(options.workers);
  await using stack = new AsyncDisposableStack();
  const sides: Side[] = [];
  for (const image of [first, second]) {
    const spec = typeof image === "string" ? { path: image } : image;
    const opened = stack.use(await openImage(spec, { ...openOptions(options), unpack: pool.unpack }));
    sides.push(sideOf(opened.layers.map((layer) => layer.disk)));
  }
  const pair = new Pair(
    sides[0],
    sides[1],
    options.strict ?? false,
    paceOf(options.signal, 0, options.paused),
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
  /** What it says of a position; past its end, zero. */
  at(start: number, limit: number): Promise<Resolved>;
  readonly buffer: Uint8Array;
}

function sideOf(layers: readonly Disk[]): Side {
  const reader = chainOf(layers);
  return {
    size: reader.size,
    reader,
    at: (start, limit) => resolve(layers, layers.length, start, limit),
    // Workers unpack into shared memory without a copy.
    buffer: new Uint8Array(new SharedArrayBuffer(PIECE)),
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

class Pair {
  constructor(
    readonly a: Side,
    readonly b: Side,
    readonly strict: boolean,
    readonly pace: Pace,
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
    for (let at = 0; at < this.size;) {
      const span = await this.spanAt(at);
      const begun = performance.now();
      if (this.strict && flags(span.a) !== flags(span.b)) return { difference: "status", at };
      const reads = isData(span);
      const end = reads ? Math.min(span.end, alignDown(at, PIECE) + PIECE) : span.end;
      const found = reads ? await this.contentDiffers(span, end) : null;
      if (found !== null) return { difference: "content", at: found };
      const [act, kind] = reads ? ["copy", "data"] as const : ["skip", "zero"] as const;
      const seconds = (performance.now() - begun) / 1000;
      onEvent?.({ type: "run", start: at, end, act, kind, zeroes: 0, seconds });
      at = end;
      await this.pace.pause();
    }
    return null;
  }

  async totals(): Promise<Totals> {
    const totals = { data: 0, zero: 0, skip: 0 };
    for (let at = 0; at < this.size;) {
      const span = await this.spanAt(at);
      totals[isData(span) ? "data" : "skip"] += span.end - at;
      at = span.end;
      await this.pace.pause();
    }
    return totals;
  }

  async spanAt(start: number): Promise<Span> {
    this.onStage("status");
    const a = await this.a.at(start, this.size);
    const b = await this.b.at(start, a.run.end);
    return { start, end: Math.min(a.run.end, b.run.end), a, b };
  }

  /** The first sector before `end` that differs, `null` where there is none. */
  async contentDiffers({ start, a, b }: Span, end: number): Promise<number | null> {
    this.onStage("read");
    const [one, other] = await Promise.all([this.bytesOf(this.a, a, start, end), this.bytesOf(this.b, b, start, end)]);
    if (Buffer.compare(one, other) === 0) return null;
    for (let at = 0; at < one.length; at += SECTOR) {
      if (Buffer.compare(one.subarray(at, at + SECTOR), other.subarray(at, at + SECTOR)) !== 0) return start + at;
    }
    return null;
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
  const plain = run.kind === "data" ? !run.packed : run.fileStart !== undefined;
  return `${data} ${run.kind !== "data"} ${stated} ${plain}`;
}
