/**
 * The command `plan`.
 *
 * @module
 */
import { allFormats, compressedSize, ImageError, jobFiles, planConversion, surveyConversion } from "../../mod.ts";
import type { ConversionPlan, ConvertJob, JobFiles, Survey } from "../../mod.ts";
import { optionsText } from "./convert.ts";
import { requestOf as convertRequestOf } from "../args/convert_args.ts";
import { outputForm } from "../args/read_args.ts";
import { planCommand } from "./plan_options.ts";
import { visible } from "../report/report.ts";
import type { ProgressView } from "../progress/progress.ts";
import { runCommand, watch } from "./run_command.ts";
import { bytesText, timeText } from "../report/units.ts";
import type { CommandContext, ParsedArgs } from "./command.ts";

interface PlanRequest {
  readonly job: ConvertJob;
  readonly form: "human" | "json";
  readonly warnings: readonly string[];
  readonly view: ProgressView;
}

async function requestOf(parsed: ParsedArgs): Promise<PlanRequest | string> {
  const request = await convertRequestOf(parsed, allFormats, Deno.build.os === "windows");
  if (request.kind === "options") return optionsText(request.format);
  const { job, view: { warnings, progress, quiet } } = request;
  if (job.target.create === false) {
    throw new ImageError("unsupported", "Cannot plan with -n: only new targets are planned");
  }
  return { job, form: outputForm(parsed, ["human", "json"]), warnings, view: { progress, quiet } };
}

/** Runs `plan` with the words after its name; the result is the exit code. */
export function runPlan(args: readonly string[], context: CommandContext): Promise<number> {
  return runCommand<PlanRequest>(
    {
      def: planCommand,
      read: requestOf,
      files: ({ job }) => jobFiles(job),
      work,
    },
    args,
    context,
  );
}

/** All that is told. */
interface Told {
  readonly plan: ConversionPlan;
  readonly survey: Survey;
  readonly files: JobFiles;
}

function work({ job, form, warnings, view }: PlanRequest, context: CommandContext): Promise<number> {
  return watch({ view, command: "plan", label: "Sampling" }, context, async (onEvent, telling) => {
    const { io, signal } = context;
    warnings.forEach(telling.warn);
    const plan = await planConversion(job, { signal, onEvent, onWarning: telling.warn });
    const told = { plan, survey: await surveyConversion(job, { signal, onEvent }), files: await jobFiles(job) };
    telling.end({ ok: true, code: 0, summary: undefined });
    io.out(form === "json" ? `${JSON.stringify(planJson(told), null, 4)}\n` : planText(told));
    return 0;
  });
}

function planJson({ plan, survey, files }: Told): { [name: string]: unknown } {
  const compressed = survey.compress && compressedSize(plan.predicted, plan.totals.data, survey.compress);
  return {
    sources: plan.sources,
    target: plan.target,
    status: survey.status,
    totals: plan.totals,
    "file-size": plan.predicted,
    ...(compressed && { "compressed-file-size": compressed.size, "compressed-file-size-error": compressed.error }),
    seconds: Math.round(survey.seconds * 1000) / 1000,
    sampled: survey.sampled,
    files,
  };
}

function planText({ plan, survey, files }: Told): string {
  const { totals, target, sources } = plan;
  const compressed = survey.compress && compressedSize(plan.predicted, totals.data, survey.compress);
  const status = Object.entries(survey.status).filter(([, { runs }]) => runs > 0)
    .map(([name, { runs, bytes }]) => `${bytesText(bytes)} ${name} in ${runs} ${runs === 1 ? "run" : "runs"}`);
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
    survey.seconds < 1 ? "time: less than a second" : `time: about ${timeText(survey.seconds)}`,
    ...files.read.map((path) => `must read: ${path}`),
    ...files.write.map((path) => `must write: ${path}`),
  ];
  return lines.map((line) => `${visible(line)}\n`).join("");
}
