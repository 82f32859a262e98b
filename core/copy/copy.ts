/**
 * The loop: one for every kind of target. Find the next run, read it only if there is something to read, write it only
 * if something must be written.
 *
 * @module
 */
import { alignDown, alignUp, type Content, PIECE, type WriterTraits } from "../../formats/mod.ts";
import type { CopyJob } from "./copy_job.ts";
import type { Totals } from "../events.ts";
import { type Pipeline, pipelineOf } from "./pipeline.ts";
import { type StageTimes, stageTimesOf } from "./stage_times.ts";
import { type Step, stepsOf } from "./plan.ts";
import { errandAt, sendOut } from "./send_out.ts";
import { writePiece, writeZeroes, zeroRuleFor } from "./write_piece.ts";
import type { ZeroRule } from "../zeroes.ts";

/** Zeroes are written in parts of this size, so that cancelling is obeyed where they cost real writes. */
const ZERO_PART = 64 << 20;

/** Bytes at once where units are compressed or decompressed: those go through the caches of other processors in any case. */
const COMPRESSED_PIECE = 512 << 10;

/** Compressed units that have not become smaller are a little longer than what they decompress to, in bytes all together. */
const COMPRESSED_MORE = 64 << 10;

/** Copies everything; returns what was done, and how many zeroes were found inside the data. */
export async function copyAll(job: CopyJob): Promise<Totals & { readonly zeroes: number }> {
  const totals = { data: 0, zero: 0, skip: 0, zeroes: 0 };
  const rule = zeroRuleFor(job.traits, job.sparseSize);
  const size = pieceFor(job.traits, rule, job.traits.compress ? COMPRESSED_PIECE : PIECE);
  // A compressed clusterSize is decompressed whole: reading it piece by piece would decompress it more than once, or one by one.
  const compressedSize = alignUp(pieceFor(job.traits, rule, COMPRESSED_PIECE), job.source.clusterSize ?? 1);
  const lanes = pipelineOf(
    job.width,
    Math.max(size, compressedSize + COMPRESSED_MORE),
    ({ action, kind, start, end, zeroes, seconds }) => {
      totals[action === "copy" ? "data" : action] += end - start;
      totals.zeroes += zeroes;
      job.onEvent({ type: "extent", action, kind, start, end, zeroes, seconds });
    },
  );
  const load = stageTimesOf(job);
  const pieceLength = ({ action, kind, compressed }: Step): number => {
    if (action === "zero") return ZERO_PART;
    if (action === "copy" || (job.digest && kind === "hole")) return compressed ? compressedSize : size;
    return job.digest ? ZERO_PART : Infinity;
  };
  /** Carries out the part of `step` that begins at `start`; returns where it ends. */
  const carryOutFrom = async (step: Step, start: number): Promise<number> => {
    const content = await contentAt(step, start, job);
    if (content) {
      const piece = { ...step, start, end: start + content.length };
      await handOver(piece, content, job, lanes, load);
      return piece.end;
    }
    const length = pieceLength(step);
    const errand = await errandAt(step, start, job, rule, compressedSize);
    const end = errand?.end ?? Math.min(alignDown(start, length) + length, step.end);
    const piece = { ...step, start, end };
    if (errand) await sendOut(piece, errand, job, rule, lanes, load);
    else await carryOut(piece, job, lanes, rule, load);
    return end;
  };
  try {
    for await (const step of stepsOf(job.source, job.traits, job.policy)) {
      for (let at = step.start; at < step.end;) {
        at = await carryOutFrom(step, at);
        load.tell();
        await job.pace.checkpoint();
      }
    }
    await lanes.drained();
    load.tell(true);
  } finally {
    await lanes.quiet();
  }
  return totals;
}

/** A piece of `least` bytes or more holds whole blocks of the zero rule, and whole units of a compressing target. */
function pieceFor(traits: WriterTraits, rule: ZeroRule | null, least: number): number {
  return alignUp(Math.max(least, rule?.grid ?? 0), traits.compress ? traits.clusterSize : 1);
}

/** What the host can copy of `step` from `start` on, as far as it goes. */
async function contentAt(step: Step, start: number, { source, offload }: CopyJob): Promise<Content | null> {
  if (!offload || step.action !== "copy" || step.compressed) return null;
  return await offload.contentAt(source, start, step.end);
}

/** Lets the host copy a piece. */
async function handOver(piece: Step, content: Content, job: CopyJob, lanes: Pipeline, load: StageTimes): Promise<void> {
  job.onEvent({ type: "begin", start: piece.start, end: piece.end });
  const write = async () => {
    await load.time("write", async () => await job.writer.writeContent?.(content, piece.start));
    await job.pace.account(content.length);
    return 0;
  };
  await lanes.run({ piece, write }, { pieces: false, writes: false });
}

async function carryOut(
  piece: Step,
  job: CopyJob,
  lanes: Pipeline,
  rule: ZeroRule | null,
  load: StageTimes,
): Promise<void> {
  const { action, start, end } = piece;
  // A writer that compress takes overlapping calls; so does a reader that decompresses. What neither does stays in the cache.
  const overlap = { pieces: job.traits.compress || piece.compressed, writes: job.traits.compress };
  if (action === "skip") return await leave(piece, job, lanes);
  job.onEvent({ type: "begin", start, end });
  const length = end - start;
  if (action === "zero") {
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
async function leave(piece: Step, { digest, source }: CopyJob, lanes: Pipeline): Promise<void> {
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
