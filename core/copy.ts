/**
 * The loop: one for every kind of target. Find the next run, read it only if there is something to read, write it only
 * if something must be written.
 *
 * @module
 */
import { alignDown, alignUp, type DiskWriter, type GuestReader, type WriterTraits } from "../formats/mod.ts";
import type { ConvertEvent, Totals } from "./events.ts";
import type { Pace } from "./pace.ts";
import { decide, type Policy, type Step, stepAt } from "./plan.ts";
import { splitZeroes, type ZeroRule } from "./zeroes.ts";

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
  readonly onEvent: (event: ConvertEvent) => void;
}

/** Copies everything; returns what was done, and how many zeroes were found inside the data. */
export async function copyAll(job: CopyJob): Promise<Totals & { readonly zeroes: number }> {
  const totals = { data: 0, zero: 0, skip: 0, zeroes: 0 };
  const rule = zeroRuleFor(job.traits, job.sparseSize);
  const buffer = new Uint8Array(pieceFor(job.traits, rule));
  for (let at = 0; at < job.source.size;) {
    const step = await stepAt(job.source, job.traits, job.policy, at);
    const zeroes = await carryOut(step, job, buffer, rule);
    totals[step.act === "copy" ? "data" : step.act] += step.end - step.start;
    totals.zeroes += zeroes;
    at = step.end;
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

async function carryOut(step: Step, job: CopyJob, buffer: Uint8Array, rule: ZeroRule | null): Promise<number> {
  const { act, kind } = step;
  const settle = async (start: number, end: number, zeroes: number) => {
    job.onEvent({ type: "run", start, end, kind, act, zeroes });
    await job.pace.pause();
    return zeroes;
  };
  if (act === "skip") return await settle(step.start, step.end, 0);
  const size = act === "zero" ? ZERO_PART : buffer.length;
  let zeroes = 0;
  for (let start = step.start; start < step.end;) {
    const end = Math.min(alignDown(start, size) + size, step.end);
    const found = act === "zero"
      ? await writeZeroes(start, end, job)
      : await copyPiece(buffer.subarray(0, end - start), start, job, rule);
    await settle(start, end, found);
    zeroes += found;
    start = end;
  }
  return zeroes;
}

/** Writes zeroes; none of them were found inside data. */
async function writeZeroes(start: number, end: number, job: CopyJob): Promise<0> {
  await job.writer.zero(start, end);
  if (job.traits.zeroes === "written") await job.pace.wrote(end - start);
  return 0;
}

/** Reads one piece and writes it; returns how many of its bytes were found to be zero. */
async function copyPiece(piece: Uint8Array, start: number, job: CopyJob, rule: ZeroRule | null): Promise<number> {
  await job.source.read(piece, start);
  if (!rule) {
    await job.writer.write(piece, start);
    await job.pace.wrote(piece.length);
    return 0;
  }
  let zeroes = 0;
  for (const part of splitZeroes(piece, start, rule)) {
    if (!part.zero) {
      await job.writer.write(piece.subarray(part.start - start, part.end - start), part.start);
      await job.pace.wrote(part.end - part.start);
      continue;
    }
    zeroes += part.end - part.start;
    const act = decide({ start: part.start, end: part.end, kind: "zero" }, job.traits, job.policy);
    if (act !== "skip") await writeZeroes(part.start, part.end, job);
  }
  return zeroes;
}
