/**
 * A copy with its plan, for jobs that change or read an existing image: counts the work if the caller takes events,
 * then copies.
 *
 * @module
 */
import type { ScanEvent } from "../events.ts";
import type { CodecPool } from "../workers/codec_pool.ts";
import { copy, type CopyTotals } from "./copy.ts";
import type { CopyJob } from "./job.ts";
import { countTotals } from "./plan.ts";

/** A {@linkcode CopyJob} whose width and codec times are those of `pool`. */
export interface CountedCopy extends Omit<CopyJob, "width" | "codecSeconds" | "onEvent"> {
  readonly pool: CodecPool;
  readonly onEvent: ((event: ScanEvent) => void) | undefined;
  /** As in the event `totals`. */
  readonly hashesAll?: boolean;
}

/** Counts and copies, with the phases `plan` and `copy`, and enters the phase `finish`. */
export async function countAndCopy({ pool, onEvent, hashesAll, ...job }: CountedCopy): Promise<CopyTotals> {
  const { source, traits, policy, throttle } = job;
  if (onEvent) {
    onEvent({ type: "phase", phase: "plan" });
    const totals = await countTotals(source, traits, policy, () => throttle.checkpoint());
    onEvent({ type: "totals", totals, ...(hashesAll && { hashesAll }) });
  }
  onEvent?.({ type: "phase", phase: "copy" });
  const totals = await copy({
    ...job,
    width: pool.width,
    codecSeconds: () => pool.seconds,
    onEvent: (event) => event.type !== "plan" && onEvent?.(event),
  });
  onEvent?.({ type: "phase", phase: "finish" });
  return totals;
}
