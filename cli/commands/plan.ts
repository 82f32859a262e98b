/**
 * The command `plan`.
 *
 * @module
 */
import {
  allFormats,
  compressedSize,
  estimateConversion,
  ImageError,
  jobFiles,
  openDisk,
  planConversion,
} from "../../mod.ts";
import type { ConversionPlan, ConvertJob, Estimate, JobFiles } from "../../mod.ts";
import { convertRequest } from "../args/convert_args.ts";
import { creationOptionsText } from "../args/creation_options.ts";
import { outputForm, outputOption } from "../args/read_options.ts";
import type { Destination } from "../destinations/check.ts";
import type { ProgressView } from "../progress/progress.ts";
import { visible } from "../report/report.ts";
import { bytesText, timeText } from "../../tui/human.ts";
import { convertCommand } from "./convert.ts";
import { runCommand, runJob } from "./run_command.ts";
import type { Io } from "../report/report.ts";
import type { CommandContext, LoadedCommand, ParsedArgs } from "./command.ts";
import { jsonText } from "../report/json.ts";

/** `plan`. */
export const planCommand: LoadedCommand = {
  options: [...convertCommand.options, outputOption],
  notes:
    `Takes the arguments of "diskcast convert". The output shows the extents of the source, the data that would be read
and written, the size of the target, an estimate of the time, and the files that are touched. The sources are read, a few
megabytes of their data as well; the time assumes that the target is written as fast as the source is read. With --for it
says whether the disk has a boot loader for the firmware of the destination.

Examples:
  diskcast plan -c -O qcow2 disk.vmdk disk.qcow2
  diskcast plan --output=json -O raw disk.qcow2 disk.raw`,
  run: (args, context) =>
    runCommand<PlanRequest>({ read: planRequest, files: ({ job }) => jobFiles(job), work }, args, context),
};

interface PlanRequest {
  readonly job: ConvertJob;
  readonly form: "human" | "json";
  readonly warnings: readonly string[];
  readonly view: ProgressView;
  readonly destination: Destination | undefined;
}

async function planRequest(parsed: ParsedArgs, io: Io): Promise<PlanRequest | string> {
  const request = await convertRequest(parsed, allFormats, Deno.build.os === "windows", io.asQemuImg);
  if (request.kind === "options") return creationOptionsText(request.format);
  const { job, view: { warnings, progress, quiet, destination } } = request;
  if (job.target.create === false) {
    throw new ImageError("unsupported", "Cannot plan with -n: only new targets are planned");
  }
  return { job, form: outputForm(parsed, ["human", "json"]), warnings, view: { progress, quiet }, destination };
}

/** The plan of a conversion, with an estimate and the files that it touches. */
interface PlanReport {
  readonly plan: ConversionPlan;
  readonly estimate: Estimate;
  readonly files: JobFiles;
  readonly boot: BootPlan | undefined;
}

/** Whether the disk may boot at the destination. */
interface BootPlan {
  /** The kinds of firmware there that find a boot loader. */
  readonly loaders: readonly string[];
  /** Why it may not boot. */
  readonly why?: string;
}

/** Returns whether the disk may boot at the destination; `undefined` without one, or with several sources. */
async function bootPlan({ job, destination }: PlanRequest): Promise<BootPlan | undefined> {
  const [source, ...more] = job.sources;
  if (destination === undefined || source === undefined || more.length > 0) return undefined;
  const [{ firmwareThatBoots, mayNotBoot }, { contentsOf }] = await Promise.all([
    import("../destinations/boot.ts"),
    import("../destinations/contents.ts"),
  ]);
  const { allowRefs, forceShare } = job;
  await using disk = await openDisk(source, { ...(allowRefs && { allowRefs }), ...(forceShare && { forceShare }) });
  const contents = await contentsOf(disk);
  const view = typeof contents === "string" ? { table: "none" as const, boot: contents } : contents;
  const why = mayNotBoot(destination.preset, view);
  return { loaders: firmwareThatBoots(destination.preset, view), ...(why !== undefined && { why }) };
}

function work(request: PlanRequest, context: CommandContext): Promise<number> {
  const { job, form, warnings, view } = request;
  return runJob({ view, label: "Sampling" }, context, async (hooks) => {
    warnings.forEach((message) => hooks.onWarning(message, true));
    const plan = await planConversion(job, hooks);
    // `planConversion` has reported the warnings already, so the estimate gets no `onWarning`.
    const { signal, onEvent } = hooks;
    const report = {
      plan,
      estimate: await estimateConversion(job, { signal, onEvent }),
      files: await jobFiles(job),
      boot: await bootPlan(request),
    };
    return { out: form === "json" ? `${jsonText(planJson(report), 4)}\n` : planText(report) };
  });
}

function planJson({ plan, estimate, files, boot }: PlanReport): { [name: string]: unknown } {
  const compressed = estimate.compression && compressedSize(plan.predicted, plan.totals.data, estimate.compression);
  return {
    sources: plan.sources,
    target: plan.target,
    status: estimate.status,
    totals: plan.totals,
    "file-size": plan.predicted,
    ...(compressed && { "compressed-file-size": compressed.size, "compressed-file-size-error": compressed.error }),
    seconds: Math.round(estimate.seconds * 1000) / 1000,
    sampled: estimate.sampled,
    files,
    ...(boot && { boot }),
  };
}

function planText({ plan, estimate, files, boot }: PlanReport): string {
  const { totals, target, sources } = plan;
  const compressed = estimate.compression && compressedSize(plan.predicted, totals.data, estimate.compression);
  const status = Object.entries(estimate.status).filter(([, { extents }]) => extents > 0)
    .map(([name, { extents, bytes }]) =>
      `${bytesText(bytes)} ${name} in ${extents} ${extents === 1 ? "extent" : "extents"}`
    );
  const lines = [
    ...sources.map(({ layers }) =>
      `source: ${layers.map(({ path, format, size }) => `${path} (${format}, ${bytesText(size)})`).join(" over ")}`
    ),
    `target: ${target.path} (${target.format}, ${bytesText(target.size)})`,
    `in the source: ${status.join(", ") || "nothing"}`,
    `to read and write: ${bytesText(totals.data)}`,
    `to write as zeroes: ${bytesText(totals.zero)}`,
    `to leave alone: ${bytesText(totals.skip)}`,
    compressed
      ? `file size: about ${bytesText(compressed.size)} (give or take ${bytesText(compressed.error)}), from samples`
      : `file size: at most about ${bytesText(plan.predicted)}`,
    estimate.seconds < 1 ? "time: less than a second" : `time: about ${timeText(estimate.seconds)}`,
    ...(boot === undefined ? [] : [bootLine(boot)]),
    ...files.read.map((path) => `must read: ${path}`),
    ...files.write.map((path) => `must write: ${path}`),
  ];
  return lines.map((line) => `${visible(line)}\n`).join("");
}

function bootLine({ loaders, why }: BootPlan): string {
  return `boot: ${
    why === undefined ? `there is a boot loader for ${loaders.join(" and ")}` : `it may not boot there, because ${why}`
  }`;
}
