/**
 * What a conversion would do: everything up to the plan, and nothing written.
 *
 * @module
 */
import { alignDown, alignUp, ImageError } from "../formats/mod.ts";
import { reportingCheckpoint } from "./open_for_change.ts";
import { Conversion } from "./convert.ts";
import { dryOutput } from "./target/dry_output.ts";
import type { PlannedTarget, ScanEvent, SourceSummary, Totals } from "./events.ts";
import type { ConvertContext, ConvertJob } from "./job.ts";
import { stepsOf } from "./copy/plan.ts";

/** What a conversion would do. Bytes. */
export interface ConversionPlan {
  /** The sources, in the order of the job. */
  readonly sources: readonly SourceSummary[];
  /** What would be written. */
  readonly target: PlannedTarget;
  /** Guest bytes, by what would be done with them. */
  readonly totals: Totals;
  /**
   * About how much space the target takes at most: zeroes that are only found while copying, and compressing, make it less.
   */
  readonly predicted: number;
}

/** Of each clusterSize that holds something, tables of any format take less than this. */
const TABLE_BYTES = 16;
/** And all of them together, for a small disk, less than this: a few clusters of the usual size. */
const FIRST_TABLES = 512 << 10;

/** What {@linkcode planConversion} may be told. */
export interface PlanContext extends Pick<ConvertContext, "formats" | "files" | "signal"> {
  /** Hears what the user should know. */
  readonly onWarning?: (message: string) => void;
  /** Hears how far it is. */
  readonly onEvent?: (event: ScanEvent) => void;
}

/** What {@linkcode planConversion} of `mod.ts` does. */
export async function planConversion(
  job: ConvertJob,
  context: PlanContext = {},
): Promise<ConversionPlan> {
  if (job.target.create === false) {
    throw new ImageError("unsupported", `Cannot plan to write into "${job.target.path}": only new targets are planned`);
  }
  await using stack = new AsyncDisposableStack();
  const { onWarning, onEvent, ...rest } = context;
  const conversion = new Conversion({ ...job, workers: 1 }, {
    ...rest,
    onEvent: (event) => {
      if (event.type === "warning") onWarning?.(event.message);
      else if (event.type === "phase") onEvent?.(event);
    },
  }, dryOutput());
  const { sources, target, source, traits, policy, size } = await conversion.prepare(stack);
  const begun = target.storage.size;
  onEvent?.({ type: "phase", phase: "plan" });
  const checkpoint = reportingCheckpoint(conversion.throttle, onEvent);
  const totals = { data: 0, zero: 0, skip: 0 };
  let taken = 0;
  let counted = 0;
  for await (const step of stepsOf(source, traits, policy)) {
    totals[step.action === "copy" ? "data" : step.action] += step.end - step.start;
    const written = step.action === "copy" || (step.action === "zero" && traits.zeroes === "written");
    if (written) {
      // Steps may share a clusterSize, which is taken once.
      const end = alignUp(step.end, traits.clusterSize);
      taken += end - Math.max(alignDown(step.start, traits.clusterSize), counted);
      counted = end;
    }
    await checkpoint(step.end / source.size);
  }
  const tables = traits.clusterSize > 1 ? FIRST_TABLES + Math.ceil(taken / traits.clusterSize) * TABLE_BYTES : 0;
  // A format that lays out the whole disk at once has its size from the start, most of it holes.
  const metadata = begun >= traits.size ? 0 : begun;
  return {
    sources: sources.summaries,
    target: { path: job.target.path, format: target.format.name, ...size },
    totals,
    predicted: metadata + taken + tables,
  };
}
