/**
 * A copy with its telling, for jobs that have no target to plan: the work is counted first, if somebody listens, then done.
 *
 * @module
 */
import { copyAll } from "./copy.ts";
import type { CopyJob } from "./copy_job.ts";
import type { ScanEvent, Totals } from "../events.ts";
import { countTotals } from "./plan.ts";
import type { CodecPool } from "../workers/codec_pool.ts";

/** The copy; what a pool says of itself is taken from it. */
export interface CountedCopy extends Omit<CopyJob, "width" | "busy" | "onEvent"> {
  readonly pool: CodecPool;
  readonly onEvent: ((event: ScanEvent) => void) | undefined;
}

/** Counts, copies, and tells that only the end is left. Returns what was done. */
export async function countAndCopy({ pool, onEvent, ...copy }: CountedCopy): Promise<Totals> {
  const { source, traits, policy, pace } = copy;
  if (onEvent) {
    onEvent({ type: "phase", phase: "plan" });
    onEvent({ type: "totals", totals: await countTotals(source, traits, policy, () => pace.checkpoint()) });
  }
  onEvent?.({ type: "phase", phase: "copy" });
  const { data, zero, skip } = await copyAll({
    ...copy,
    width: pool.width,
    busy: () => pool.seconds,
    onEvent: (event) => event.type !== "plan" && onEvent?.(event),
  });
  onEvent?.({ type: "phase", phase: "finish" });
  return { data, zero, skip };
}
