/**
 * Writing with zeroes found inside data: they become zeroes of the target, which cost less than data.
 *
 * @module
 */
import type { WriterTraits } from "../../formats/mod.ts";
import { type BufferSpan, splitZeroes, type ZeroRule } from "../zeroes.ts";
import type { CopyJob, CopyTarget } from "./job.ts";
import { decide } from "./plan.ts";

/** Returns which zeroes count: whole clusters of a target that compresses, else `sparseSize` bytes; null: none. */
export function zeroRuleFor(traits: WriterTraits, sparseSize: number): ZeroRule | null {
  if (sparseSize === 0) return null;
  // Where zeroes cost as much as data and must be written, looking for them gains nothing.
  if (!traits.startsZeroed && traits.zeroes === "written") return null;
  if (traits.compress) return { grid: traits.clusterSize, least: traits.clusterSize };
  return { grid: 2 ** Math.floor(Math.log2(sparseSize)), least: sparseSize };
}

/** Returns the target of a copy: its writer, with zero detection and the rate limit. */
export function copyTargetOf(job: CopyJob): CopyTarget {
  const { writer, throttle, traits, sparseSize } = job;
  const rule = zeroRuleFor(traits, sparseSize);
  const writeData = async (bytes: Uint8Array, start: number) => {
    await writer.write(bytes, start);
    await throttle.account(bytes.length);
  };
  return {
    async write(bytes, start) {
      if (!rule) {
        await writeData(bytes, start);
        return 0;
      }
      let zeroes = 0;
      const writes: Promise<void>[] = [];
      for (const part of splitZeroes(bytes, start, rule)) {
        if (part.zero) zeroes += part.end - part.start;
        const written = part.zero
          ? writeFoundZeroes(part, job)
          : writeData(bytes.subarray(part.start - start, part.end - start), part.start);
        // A target that compresses gets all parts at once: its calls then come in order, whichever cluster is done
        // first.
        if (traits.compress) writes.push(written);
        else await written;
      }
      await Promise.all(writes);
      return zeroes;
    },
    zero: (start, end) => writeZeroes(start, end, job),
  };
}

/** Treats zeroes that were found inside data as if the source had stated them. */
export async function writeFoundZeroes({ start, end }: Omit<BufferSpan, "zero">, job: CopyJob): Promise<void> {
  const action = decide({ start, end, kind: "zero" }, job.traits, job.policy);
  if (action !== "skip") await writeZeroes(start, end, job);
}

async function writeZeroes(start: number, end: number, { writer, traits, throttle }: CopyJob): Promise<void> {
  await writer.zero(start, end);
  if (traits.zeroes === "written") await throttle.account(end - start);
}
