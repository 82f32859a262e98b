/**
 * The command `check`.
 *
 * @module
 */
import { changeFiles, check } from "../../mod.ts";
import type { CheckResult, RepairScope } from "../../mod.ts";
import { editOptions, type ImageToEdit, onlyImageToEdit, refuseForceShare } from "../args/edit_options.ts";
import { textOf } from "../args/parse_args.ts";
import {
  cacheOption,
  formatOption,
  OUTPUT,
  outputForm,
  outputOption,
  permissionsOption,
  progressOptions,
  progressView,
  READING,
} from "../args/read_options.ts";
import { usageError } from "../args/usage.ts";
import type { ProgressView } from "../progress/progress.ts";
import { visible } from "../report/report.ts";
import { type JobResult, runCommand, runJob } from "./run_command.ts";
import { halfEven } from "../../tui/human.ts";
import { qemuJson } from "../report/qemu_json.ts";
import type { CommandContext, LoadedCommand, ParsedArgs } from "./command.ts";

/** `check`. */
export const checkCommand: LoadedCommand = {
  options: [
    formatOption,
    {
      short: "r",
      long: "repair",
      arg: "what",
      group: READING,
      help: "repair leaks (deallocate leaked clusters) or all (also corruptions)",
    },
    {
      short: "U",
      long: "force-share",
      group: READING,
      help: "check the image although others are writing to it; not with -r",
    },
    cacheOption,
    ...editOptions,
    outputOption,
    ...progressOptions.filter(({ long }) => long !== "quiet"),
    { short: "q", long: "quiet", group: OUTPUT, help: "only errors, and the exit code" },
    permissionsOption,
  ],
  notes:
    `Exit codes: 0 no errors; 1 the check could not be completed; 2 the image is corrupt; 3 clusters are leaked, but no
data is in danger; 63 images of this format cannot be checked.

Examples:
  diskcast check disk.qcow2
  diskcast check --output=json disk.qcow2
  diskcast check -r leaks disk.qcow2`,
  run: (args, context) => runCommand({ read: checkRequest, files, work }, args, context),
};

/** The exit code for a format without checks. */
const UNSUPPORTED = 63;

interface CheckRequest extends ImageToEdit {
  readonly repair: RepairScope | undefined;
  readonly form: "human" | "json";
  readonly view: ProgressView;
}

function checkRequest(parsed: ParsedArgs): CheckRequest {
  const repair = repairScope(textOf(parsed, "repair"));
  refuseForceShare(parsed, repair !== undefined);
  return {
    ...onlyImageToEdit(parsed, "check", repair !== undefined),
    repair,
    form: outputForm(parsed, ["human", "json"]),
    view: progressView(parsed),
  };
}

function repairScope(text: string | undefined): RepairScope | undefined {
  if (text === undefined || text === "leaks" || text === "all") return text;
  throw usageError(`Cannot repair "${text}": -r must be leaks or all`);
}

async function files({ image, options, repair }: CheckRequest) {
  const touched = await changeFiles(image, { ...options, chain: false });
  return repair === undefined ? { read: touched.read, write: [] } : touched;
}

function work({ image, options, repair, form, view }: CheckRequest, context: CommandContext): Promise<number> {
  const label = repair === undefined ? "Checking" : "Repairing";
  return runJob({ view, label }, context, async (hooks): Promise<JobResult> => {
    const result = await check(image, { ...options, repair, ...hooks });
    if (result.unsupported) {
      // The words of qemu-img, by which callers recognise this case.
      const message = "This image format does not support checks";
      return { code: UNSUPPORTED, failure: { kind: "unsupported", message, hint: undefined } };
    }
    const code = codeOf(result);
    if (form === "json") return { code, out: `${qemuJson(checkJson(result))}\n` };
    return view.quiet ? { code } : { code, err: problemLines(result), out: checkText(result) };
  });
}

function codeOf({ checkErrors, corruptions, leaks }: CheckResult): number {
  if (checkErrors > 0) return 1;
  return corruptions > 0 ? 2 : leaks > 0 ? 3 : 0;
}

/** Returns a result under the names of `qemu-img check --output=json`. */
export function checkJson(result: CheckResult): { [name: string]: unknown } {
  const { path, format, clusters, imageEnd } = result;
  const some = (name: string, value: number | undefined) => value ? { [name]: value } : {};
  return {
    ...some("image-end-offset", imageEnd),
    ...some("total-clusters", clusters?.total),
    "check-errors": result.checkErrors,
    ...some("corruptions", result.corruptions),
    ...some("missing-bytes", result.missing),
    ...some("corruptions-fixed", result.corruptionsFixed),
    ...some("leaks", result.leaks),
    ...some("leaks-fixed", result.leaksFixed),
    ...some("allocated-clusters", clusters?.allocated),
    ...some("fragmented-clusters", clusters?.fragmented),
    ...some("compressed-clusters", clusters?.compressed),
    "filename": path,
    "format": format,
  };
}

const PROBLEM_LABELS = { corruption: "Error", leak: "Leak", "check-error": "Not checked" } as const;

function problemLines({ problems }: CheckResult): string {
  return problems.map(({ kind, message }) => `${PROBLEM_LABELS[kind]}: ${visible(message)}\n`).join("");
}

/** Returns a result as qemu-img prints it. */
function checkText(result: CheckResult): string {
  const { corruptions, leaks, checkErrors, clusters, imageEnd } = result;
  const lines: string[] = [];
  if (result.leaksFixed > 0 || result.corruptionsFixed > 0) {
    lines.push(
      "The following inconsistencies were found and repaired:",
      "",
      `    ${result.leaksFixed} leaked clusters`,
      `    ${result.corruptionsFixed} corruptions`,
      "",
    );
  }
  if (corruptions + leaks + checkErrors === 0) lines.push("No errors were found on the image.");
  if (corruptions > 0) {
    lines.push(
      "",
      `${corruptions} errors were found on the image.`,
      "Data may be corrupted, or further writes to the image may corrupt it.",
    );
  }
  if (result.missing !== undefined) {
    lines.push(
      `The file is cut off: ${result.missing} bytes of the disk are missing. "convert --salvage" copies the others.`,
    );
  }
  if (leaks > 0) {
    lines.push(
      "",
      `${leaks} leaked clusters were found on the image.`,
      "This means waste of disk space, but no harm to data.",
    );
  }
  if (checkErrors > 0) lines.push("", `${checkErrors} internal errors have occurred during the check.`);
  if (clusters && clusters.total > 0 && clusters.allocated > 0) {
    const share = (part: number, whole: number) => halfEven(part * 100 / whole, 2);
    lines.push(
      `${clusters.allocated}/${clusters.total} = ${share(clusters.allocated, clusters.total)}% allocated, ` +
        `${share(clusters.fragmented, clusters.allocated)}% fragmented, ` +
        `${share(clusters.compressed, clusters.allocated)}% compressed clusters`,
    );
  }
  if (imageEnd !== undefined && imageEnd > 0) lines.push(`Image end offset: ${imageEnd}`);
  return `${lines.join("\n")}\n`;
}
