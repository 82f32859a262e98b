/**
 * A copy with its plan, for jobs that change or read an existing image: the work is counted first if the caller wants
 * events, then done.
 *
 * @module
 */
import type { ScanEvent } from "../events.ts";
import type { CodecPool } from "../workers/codec_pool.ts";
import { copy, type CopyTotals } from "./copy.ts";
import type { CopyJob } from "./job.ts";
import { countTotals } from "./plan.ts";

/** The copy; `pool` states what else a {@linkcode CopyJob} needs. */
export interface CountedCopy extends Omit<CopyJob, "width" | "codecSeconds" | "onEvent"> {
  readonly pool: CodecPool;
  readonly onEvent: ((event: ScanEvent) => void) | undefined;
}

/** Counts, copies, and reports that only the end is left. Returns what was done. */
export async function countAndCopy({ pool, onEvent, ...job }: CountedCopy): Promise<CopyTotals> {
  const { source, traits, policy, throttle } = job;
  if (onEvent) {
    onEvent({ type: "phase", phase: "plan" });
    onEvent({ type: "totals", totals: await countTotals(source, traits, policy, () => throttle.checkpoint()) });
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
