/**
 * Compares two virtual disks by the loop of a copy, with movers that compare. Nothing is read where both disks are known
 * to be zero.
 *
 * @module
 */
import { alignDown, clipExtent, equalBytes, type Extent, pageMemory, PIECE, SECTOR, zeroes } from "../formats/mod.ts";
import { copy } from "./copy/copy.ts";
import { discardingWriter } from "./copy/discarding_writer.ts";
import type { Copy, MoverOf } from "./copy/job.ts";
import { countTotals, extentIn, extentIndexIn, joinContiguous, LEAST_ZEROES, type Step } from "./copy/plan.ts";
import { readStep } from "./copy/read_step.ts";
import type { ScanEvent } from "./events.ts";
import type { ConvertContext, ImageSpec } from "./job.ts";
import { type OpenDiskOptions, openOptions } from "./open/open_disk.ts";
import type { LayerExtent } from "./open/chain.ts";
import { openImage } from "./open/open.ts";
import { type PairExtent, pairOf, type Side, sideOf, statusFlags } from "./compare_pair.ts";
import { throttleOf } from "./throttle.ts";
import { codecPoolOf } from "./workers/codec_pool.ts";
import { type CompareRequest, fileRangeOf, WORKER_PIECE, type WorkerIo, workerIo } from "./workers/worker_io.ts";
import { workerPoolOf } from "./workers/worker_pool.ts";

/** The stage of {@linkcode compare} in which it may fail. */
export type CompareStage = "open" | "status" | "read";

/** Options of {@linkcode compare}. */
export interface CompareOptions extends OpenDiskOptions, Pick<ConvertContext, "signal" | "paused"> {
  /** Whether sizes and the status of every byte must be equal as well. */
  readonly strict?: boolean;
  /** Called with phases and progress. */
  readonly onEvent?: (event: ScanEvent) => void;
  /** Called before each stage, so that the caller can attribute a failure to opening, looking up statuses or reading. */
  readonly onStage?: (stage: CompareStage) => void;
  /** Most workers that decompress or compare. Default: one per processor. */
  readonly workers?: number;
  /**
   * Workers that compare, instead of workers of its own. Disposed at the end.
   *
   * @internal
   */
  readonly workerIo?: WorkerIo;
}

/** Result of {@linkcode compare}. Guest bytes. */
export interface Comparison {
  /** Whether no difference was found. */
  readonly identical: boolean;
  /** What differs: the sizes or the status (only with `strict`), or the content. */
  readonly difference?: "size" | "status" | "content";
  /** Guest byte of the first difference; for content, the start of its sector. */
  readonly at?: number;
  /** Sizes of both disks. */
  readonly sizes: readonly [number, number];
  /** Duration in seconds. */
  readonly seconds: number;
}

/** Implements `compare` of `mod.ts`. */
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
  using codecs = codecPoolOf(workers);
  // This thread compares beside the workers.
  using io = options.workerIo ?? workerIo(workers, { workers: workers.count - 1 });
  await using stack = new AsyncDisposableStack();
  const sides: BufferedSide[] = [];
  const fileBytes: number[] = [];
  for (const image of [first, second]) {
    const spec = typeof image === "string" ? { path: image } : image;
    const opened = stack.use(await openImage(spec, { ...openOptions(options), decompressor: codecs.decompress }));
    // Workers decompress into shared memory without a copy.
    sides.push({ ...sideOf(opened.layers.map((layer) => layer.disk)), buffer: pageMemory(PIECE) });
    fileBytes.push(opened.fileBytes);
  }
  // No more is read than the shorter files hold, but for clusters that are decompressed.
  io.expect(Math.min(...fileBytes));
  const difference = await firstDifference(sides[0], sides[1], io, options);
  onEvent({ type: "phase", phase: "finish" });
  return {
    identical: difference === null,
    ...difference,
    sizes: [sides[0].size, sides[1].size],
    seconds: (performance.now() - begun) / 1000,
  };
}

/** A difference, thrown by a mover: the pipeline throws that of the first piece that has one. */
class Difference extends Error {
  constructor(readonly found: Found) {
    super("The disks differ");
  }
}

/** A difference and its position. */
type Found = Pick<Comparison, "difference" | "at">;

async function firstDifference(
  one: BufferedSide,
  other: BufferedSide,
  io: WorkerIo,
  options: CompareOptions,
): Promise<Found | null> {
  const { strict = false, onEvent, onStage = () => {} } = options;
  if (strict && one.size !== other.size) return { difference: "size" };
  const throttle = throttleOf(options.signal, 0, options.paused);
  const source = pairOf(one, other, () => onStage("status"));
  const writer = discardingWriter(source.size, true);
  const { traits } = writer;
  const policy = { keepsBacking: false, backingEnd: 0, writesZeroes: false, leastZeroes: LEAST_ZEROES };
  if (onEvent) {
    onEvent({ type: "phase", phase: "plan" });
    onEvent({ type: "totals", totals: await countTotals(source, traits, policy, () => throttle.checkpoint()) });
    onEvent({ type: "phase", phase: "copy" });
  }
  const pair: Pair = { one, other, strict, io, inFlight: 0, onRead: () => onStage("read") };
  try {
    await copy({
      source,
      writer,
      traits,
      // With `strict` the movers also get what is zero on both sides: its status may differ.
      policy: { ...policy, writesZeroes: strict },
      sparseSize: 0,
      throttle,
      movers: [byWorkers(pair), inThisThread(pair)],
      width: PIECES_IN_FLIGHT,
      codecSeconds: () => ({ compress: 0, decompress: 0 }),
      onEvent(event) {
        if (event.type === "plan" || event.type === "load" || event.type === "begin") return;
        if (event.type === "extent" && event.kind === "zero") onEvent?.({ ...event, action: "skip" });
        else onEvent?.(event);
      },
    });
    return null;
  } catch (error) {
    if (error instanceof Difference) return error.found;
    throw error;
  }
}

/** This thread compares shorter extents with those that follow them. */
const LEAST_LENGTH = 256 << 10;

/** Most pieces in flight: those of this thread end while workers still compare earlier ones. */
const PIECES_IN_FLIGHT = 64;

/** A side with a buffer. */
interface BufferedSide extends Side {
  readonly buffer: Uint8Array;
}

/** The two disks, and the state that the movers share. */
interface Pair {
  readonly one: BufferedSide;
  readonly other: BufferedSide;
  readonly strict: boolean;
  readonly io: WorkerIo;
  /** Requests that workers have. */
  inFlight: number;
  readonly onRead: () => void;
}

/** Returns a mover that compares by workers, where both sides have a location. */
function byWorkers(pair: Pair): MoverOf {
  const { io } = pair;
  return (copying) => async (step, start) => {
    const extent = extentIn(step, start) as PairExtent;
    if (extent.kind !== "data" || pair.inFlight >= io.width) return null;
    const limit = Math.min(extent.end, alignDown(start, WORKER_PIECE) + WORKER_PIECE);
    if (limit - start < LEAST_LENGTH && limit < step.end) return null;
    if (!io.accepts(Math.min(limit, alignDown(start, PIECE) + PIECE) - start)) return null;
    const request = requestFor(extent, start, limit);
    if (!request) return null;
    checkStatus(pair, extent, start);
    const end = start + request.length;
    pair.inFlight++;
    const result = io.compare(request).finally(() => pair.inFlight--);
    await settle(copying, step, start, end, async () => {
      // This thread may be comparing another piece in the buffers of `pair`.
      return await result ?? await compareHere({ ...pair, ...withOwnBuffers(pair) }, step, start, end);
    });
    return end;
  };
}

function withOwnBuffers({ one, other }: Pair): Pick<Pair, "one" | "other"> {
  return { one: { ...one, buffer: pageMemory(PIECE) }, other: { ...other, buffer: pageMemory(PIECE) } };
}

function requestFor({ start, one, other }: PairExtent, from: number, limit: number): CompareRequest | null {
  const ranges = [one.extent, other.extent].map(({ kind, location }) =>
    kind === "data" && location ? fileRangeOf(location.storage, location.offset + from - start) : null
  );
  const inFile = [one.extent, other.extent].map(({ location }) =>
    location ? location.storage.size - location.offset + start - from : 0
  );
  const length = Math.min(limit - from, ...inFile);
  const [first, second] = ranges;
  return first && second && length > 0 ? { one: first, other: second, length } : null;
}

/** Returns a mover that compares in this thread; it takes every step. */
function inThisThread(pair: Pair): MoverOf {
  return (copying) => async (step, start) => {
    const end = step.kind === "data" ? Math.min(step.end, alignDown(start, PIECE) + PIECE) : step.end;
    const found = await compareHere(pair, step, start, end);
    await settle(copying, step, start, end, () => Promise.resolve(found));
    // Messages of workers arrive only when the event loop turns.
    if (pair.inFlight > 0) await new Promise((resolve) => setImmediate(resolve));
    return end;
  };
}

/** Adds a piece to the pipeline; `result` is the first byte that differs, counted from `start`, -1 where none does. */
async function settle(
  { pipeline }: Copy,
  step: Step,
  start: number,
  end: number,
  result: () => Promise<number>,
): Promise<void> {
  await pipeline.run({
    piece: { ...step, start, end },
    async write() {
      const found = await result();
      if (found >= 0) throw new Difference({ difference: "content", at: start + alignDown(found, SECTOR) });
      return 0;
    },
  }, { pieces: true, writes: true });
}

/** Throws if the status differs at guest byte `start`, where `extent` begins there. */
function checkStatus(pair: Pair, extent: PairExtent, start: number): void {
  if (start === extent.start && differsInStatus(pair, extent)) {
    throw new Difference({ difference: "status", at: start });
  }
}

function differsInStatus({ strict }: Pair, { one, other }: PairExtent): boolean {
  return strict && statusFlags(one) !== statusFlags(other);
}

/** Returns the first byte of `[start, end)` that differs, counted from `start`; -1 where none does. */
async function compareHere(pair: Pair, step: Step, start: number, end: number): Promise<number> {
  for (let at = start; at < end;) {
    const partEnd = step.kind === "data" ? Math.min(end, alignDown(at, PIECE) + PIECE) : end;
    const extents = step.extents.slice(extentIndexIn(step, at), extentIndexIn(step, partEnd - 1) + 1) as PairExtent[];
    // A status that differs counts only where all bytes before it are equal.
    const status = extents.find((extent) => extent.start >= at && differsInStatus(pair, extent));
    const found = await compareExtents(pair, extents, at, status?.start ?? partEnd);
    if (found >= 0) return at - start + found;
    if (status) checkStatus(pair, status, status.start);
    at = partEnd;
  }
  return -1;
}

/** Returns the first byte of `[start, end)`, inside `extents`, that differs, counted from `start`; -1 where none does. */
async function compareExtents(
  pair: Pair,
  extents: readonly PairExtent[],
  start: number,
  end: number,
): Promise<number> {
  if (start === end || extents.every(({ kind }) => kind === "zero")) return -1;
  pair.onRead();
  const [a, b] = await Promise.all([
    bytesOf(pair.one, extents.map((extent) => sideExtent(extent.one, extent)), start, end),
    bytesOf(pair.other, extents.map((extent) => sideExtent(extent.other, extent)), start, end),
  ]);
  return equalBytes(a, b) ? -1 : a.findIndex((byte, index) => byte !== b[index]);
}

function sideExtent({ extent }: LayerExtent, { start, end }: PairExtent): Extent {
  return clipExtent(extent, start, end);
}

async function bytesOf(
  side: BufferedSide,
  extents: readonly Extent[],
  start: number,
  end: number,
): Promise<Uint8Array> {
  if (extents.every(({ kind }) => kind !== "data")) return zeroes(end - start);
  const bytes = side.buffer.subarray(0, end - start);
  await readStep(side.reader, { extents: joinContiguous(extents) }, start, bytes);
  return bytes;
}
