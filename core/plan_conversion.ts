/**
 * Plans a conversion: does everything up to the plan, and writes nothing.
 *
 * @module
 */
import { alignDown, alignUp, ImageError } from "../formats/mod.ts";
import { reportingCheckpoint } from "./open_for_change.ts";
import { Conversion } from "./convert.ts";
import { dryOutput } from "./target/dry_output.ts";
import type { PlannedTarget, ScanEvent, SourceSummary, Totals, WarningListener } from "./events.ts";
import type { ConvertContext, ConvertJob } from "./job.ts";
import { missingBytes, stepsOf } from "./copy/plan.ts";

/** Result of {@linkcode planConversion}. Sizes are bytes. */
export interface ConversionPlan {
  /** The sources, in the order of the job. */
  readonly sources: readonly SourceSummary[];
  /** The target. */
  readonly target: PlannedTarget;
  /** Guest bytes by action. */
  readonly totals: Totals;
  /**
   * Upper estimate of the space that the target takes. Zeroes found inside data, and compression, make it smaller.
   */
  readonly predicted: number;
}

/** Bytes of tables for each allocated cluster; every format takes less. */
const TABLE_BYTES = 16;
/** Bytes of the tables of a small disk: a few clusters of the usual size. */
const FIRST_TABLES = 512 << 10;

/** Options of {@linkcode planConversion}. */
export interface PlanContext extends Pick<ConvertContext, "formats" | "files" | "signal"> {
  /** Called with warnings. */
  readonly onWarning?: WarningListener;
  /** Called with phases and progress. */
  readonly onEvent?: (event: ScanEvent) => void;
}

/** Implements `planConversion` of `mod.ts`. */
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
      if (event.type === "warning") onWarning?.(event.message, event.harmless);
      else if (event.type === "phase") onEvent?.(event);
    },
  }, dryOutput());
  const { sources, target, source, traits, policy, size } = await conversion.prepare(stack);
  const initialSize = target.storage.size;
  onEvent?.({ type: "phase", phase: "plan" });
  const checkpoint = reportingCheckpoint(conversion.throttle, onEvent);
  const totals = { data: 0, zero: 0, skip: 0 };
  const missing = missingBytes();
  let allocated = 0;
  let counted = 0;
  for await (const step of stepsOf(source, traits, policy)) {
    missing.add(step);
    totals[step.action === "copy" ? "data" : step.action] += step.end - step.start;
    const written = step.action === "copy" || (step.action === "zero" && traits.zeroes === "written");
    if (written) {
      // Steps may share a cluster, which is allocated once.
      const end = alignUp(step.end, traits.clusterSize);
      allocated += end - Math.max(alignDown(step.start, traits.clusterSize), counted);
      counted = end;
    }
    await checkpoint(step.end / source.size);
  }
  missing.check();
  const tables = traits.clusterSize > 1 ? FIRST_TABLES + Math.ceil(allocated / traits.clusterSize) * TABLE_BYTES : 0;
  // A fixed layout has its whole size from the start, most of it holes.
  const metadata = initialSize >= traits.size ? 0 : initialSize;
  return {
    sources: sources.summaries,
    target: { path: job.target.path, format: target.format.name, ...size },
    totals,
    predicted: metadata + allocated + tables,
  };
}
