/**
 * The loop: one for every kind of target. Find the next run, read it only if there is something to read, write it only
 * if something must be written.
 *
 * @module
 */
import {
  alignDown,
  alignUp,
  type Content,
  type DiskWriter,
  type GuestReader,
  type WriterTraits,
} from "../formats/mod.ts";
import type { ConvertEvent, Totals } from "./events.ts";
import type { Offloader } from "./offload.ts";
import type { Pace } from "./pace.ts";
import { decide, type Policy, type Step, stepAt } from "./plan.ts";
import { type Lanes, lanesOf } from "./lanes.ts";
import { type Part, splitZeroes, type ZeroRule } from "./zeroes.ts";

/**
 * Bytes read and written at once. A piece of this size stays in the processor's second-level cache between reading,
 * looking for zeroes and writing; pieces of 2 MiB were two to four times as slow.
 */
const PIECE = 256 << 10;

/** Zeroes are written in parts of this size, so that cancelling is obeyed where they cost real writes. */
const ZERO_PART = 64 << 20;

/** What a copy needs to know. */
export interface CopyJob {
  readonly source: GuestReader;
  readonly writer: DiskWriter;
  /** The writer's traits, with what the user knows better. */
  readonly traits: WriterTraits;
  readonly policy: Policy;
  /** Least length of zeroes that become a hole, in bytes; 0: none do. */
  readonly sparseSize: number;
  readonly pace: Pace;
  /** Lets the host copy what it can without its passing through this program, zeroes and all. */
  readonly offload?: Offloader;
  /** How many pieces may be under way at once where units are packed or unpacked. */
  readonly width: number;
  /** How long packing and unpacking have taken so far, in seconds, all cores together. */
  readonly busy: () => { readonly pack: number; readonly unpack: number };
  readonly onEvent: (event: ConvertEvent) => void;
  /** Hears of all guest bytes, in order. What is left to a backing file is read for it. */
  readonly digest?: {
    data(bytes: Uint8Array): void;
    zeroes(length: number): void;
  };
}

/** Copies everything; returns what was done, and how many zeroes were found inside the data. */
export async function copyAll(job: CopyJob): Promise<Totals & { readonly zeroes: number }> {
  const totals = { data: 0, zero: 0, skip: 0, zeroes: 0 };
  const rule = zeroRuleFor(job.traits, job.sparseSize);
  const size = pieceFor(job.traits, rule);
  // A packed unit is unpacked whole: reading it piece by piece would unpack it more than once, or one by one.
  const packedSize = alignUp(size, job.source.unit ?? 1);
  const lanes = lanesOf(job.width, packedSize, ({ act, kind, start, end, zeroes, seconds }) => {
    totals[act === "copy" ? "data" : act] += end - start;
    totals.zeroes += zeroes;
    job.onEvent({ type: "run", act, kind, start, end, zeroes, seconds });
  });
  const load = loadOf(job);
  const pieceLength = ({ act, kind, packed }: Step): number => {
    if (act === "zero") return ZERO_PART;
    if (act === "copy" || (job.digest && kind === "hole")) return packed ? packedSize : size;
    return job.digest ? ZERO_PART : Infinity;
  };
  /** Carries out the part of `step` that begins at `start`; returns where it ends. */
  const carryOutFrom = async (step: Step, start: number): Promise<number> => {
    const content = await contentAt(step, start, job);
    const length = pieceLength(step);
    const end = content ? start + content.length : Math.min(alignDown(start, length) + length, step.end);
    const piece = { ...step, start, end };
    if (content) await handOver(piece, content, job, lanes, load);
    else await carryOut(piece, job, lanes, rule, load);
    return end;
  };
  try {
    for (let at = 0; at < job.source.size;) {
      const step = await stepAt(job.source, job.traits, job.policy, at);
      while (at < step.end) {
        at = await carryOutFrom(step, at);
        load.tell();
        await job.pace.pause();
      }
    }
    await lanes.drained();
    load.tell(true);
  } finally {
    await lanes.quiet();
  }
  return totals;
}

/** The piece holds whole blocks of the zero rule, and whole units of a packing target. */
function pieceFor(traits: WriterTraits, rule: ZeroRule | null): number {
  return alignUp(Math.max(PIECE, rule?.grid ?? 0), traits.packs ? traits.unit : 1);
}

/** Which zeroes inside data count: whole units of a packing target, else what the user asked for. */
function zeroRuleFor(traits: WriterTraits, sparseSize: number): ZeroRule | null {
  if (sparseSize === 0) return null;
  // Where zeroes cost as much as data and must be written, looking for them gains nothing.
  if (!traits.startsZeroed && traits.zeroes === "written") return null;
  if (traits.packs) return { grid: traits.unit, least: traits.unit };
  return { grid: 2 ** Math.floor(Math.log2(sparseSize)), least: sparseSize };
}

/** What the host can copy of `step` from `start` on, as far as it goes. */
async function contentAt(step: Step, start: number, { source, offload }: CopyJob): Promise<Content | null> {
  if (!offload || step.act !== "copy" || step.packed) return null;
  return await offload.contentAt(source, start, step.end);
}

/** Lets the host copy a piece. */
async function handOver(piece: Step, content: Content, job: CopyJob, lanes: Lanes, load: Load): Promise<void> {
  job.onEvent({ type: "begin", start: piece.start, end: piece.end });
  const write = async () => {
    await load.time("write", async () => await job.writer.writeContent?.(content, piece.start));
    await job.pace.wrote(content.length);
    return 0;
  };
  await lanes.run({ piece, write }, { pieces: false, writes: false });
}

async function carryOut(piece: Step, job: CopyJob, lanes: Lanes, rule: ZeroRule | null, load: Load): Promise<void> {
  const { act, start, end } = piece;
  // A writer that packs takes overlapping calls; so does a reader that unpacks. What neither does stays in the cache.
  const overlap = { pieces: job.traits.packs || piece.packed, writes: job.traits.packs };
  if (act === "skip") return await leave(piece, job, lanes);
  job.onEvent({ type: "begin", start, end });
  const length = end - start;
  if (act === "zero") {
    const write = () => {
      job.digest?.zeroes(length);
      return writeZeroes(start, end, job);
    };
    return await lanes.run({ piece, write }, overlap);
  }
  await lanes.run({
    piece,
    read: (buffer) => load.time("read", () => job.source.read(buffer.subarray(0, length), start)),
    write: (buffer) => {
      const bytes = buffer.subarray(0, length);
      job.digest?.data(bytes);
      return load.time("write", () => writePiece(bytes, start, job, rule));
    },
  }, overlap);
}

/** Leaves a piece alone; only a digest wants to know what is in it. */
async function leave(piece: Step, { digest, source }: CopyJob, lanes: Lanes): Promise<void> {
  const { start, end, kind } = piece;
  const overlap = { pieces: true, writes: true };
  if (digest && kind === "hole") {
    const part = (buffer: Uint8Array) => buffer.subarray(0, end - start);
    const write = (buffer: Uint8Array) => {
      digest.data(part(buffer));
      return Promise.resolve(0);
    };
    return await lanes.run({ piece, read: (buffer) => source.read(part(buffer), start), write }, overlap);
  }
  const write = () => {
    digest?.zeroes(end - start);
    return Promise.resolve(0);
  };
  await lanes.run({ piece, write }, overlap);
}

/** How busy the stages are. */
interface Load {
  /** Runs `action` and counts its time. */
  time<T>(stage: "read" | "write", action: () => Promise<T>): Promise<T>;
  /** Tells it, if it was not told lately. */
  tell(now?: boolean): void;
}

/** Milliseconds between two tellings. */
const LOAD_TOLD = 200;

function loadOf(job: CopyJob): Load {
  const busy = { read: 0, write: 0 };
  let told = 0;
  return {
    async time(stage, action) {
      const begun = performance.now();
      try {
        return await action();
      } finally {
        busy[stage] += performance.now() - begun;
      }
    },
    tell(now = false) {
      const time = performance.now();
      if (!now && time - told < LOAD_TOLD) return;
      told = time;
      const { pack, unpack } = job.busy();
      // Pieces that wait for workers at the same time are each counted: what is left is reading and writing alone.
      const alone = (ms: number, elsewhere: number) =>
        Math.max(0, ms / 1000 / (elsewhere > 0 ? job.width : 1) - elsewhere);
      job.onEvent({ type: "load", read: alone(busy.read, unpack), unpack, pack, write: alone(busy.write, pack) });
    },
  };
}

/** Writes zeroes; none of them were found inside data. */
async function writeZeroes(start: number, end: number, job: CopyJob): Promise<0> {
  await job.writer.zero(start, end);
  if (job.traits.zeroes === "written") await job.pace.wrote(end - start);
  return 0;
}

/** Writes one piece; returns how many of its bytes were found to be zero. */
async function writePiece(piece: Uint8Array, start: number, job: CopyJob, rule: ZeroRule | null): Promise<number> {
  if (!rule) {
    await job.writer.write(piece, start);
    await job.pace.wrote(piece.length);
    return 0;
  }
  let zeroes = 0;
  const writes: Promise<unknown>[] = [];
  for (const part of splitZeroes(piece, start, rule)) {
    if (part.zero) zeroes += part.end - part.start;
    const write = writePart(part, piece.subarray(part.start - start, part.end - start), job);
    // A target that packs gets all parts at once, so that its calls come in the order of the disk whatever packs first.
    if (job.traits.packs) writes.push(write);
    else await write;
  }
  await Promise.all(writes);
  return zeroes;
}

async function writePart(part: Part, bytes: Uint8Array, job: CopyJob): Promise<void> {
  if (!part.zero) {
    await job.writer.write(bytes, part.start);
    await job.pace.wrote(bytes.length);
    return;
  }
  const act = decide({ start: part.start, end: part.end, kind: "zero" }, job.traits, job.policy);
  if (act !== "skip") await writeZeroes(part.start, part.end, job);
}
