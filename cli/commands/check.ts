/**
 * The command `check`.
 *
 * @module
 */
import { changeFiles, check, ImageError } from "../../mod.ts";
import type { CheckResult, RepairKind } from "../../mod.ts";
import { type Changing, changingOne, refuseShared } from "../args/edit_args.ts";
import { checkCommand } from "./check_options.ts";
import { outputForm, textOf, viewOf } from "../args/read_args.ts";
import { type Io, visible } from "../report/report.ts";
import type { ProgressView } from "../progress/progress.ts";
import { runCommand, watch } from "./run_command.ts";
import type { CommandContext, ParsedArgs } from "./command.ts";

/** The exit code for a format without checks. */
const UNSUPPORTED = 63;

interface CheckRequest extends Changing {
  readonly repair: RepairKind | undefined;
  readonly form: "human" | "json";
  readonly view: ProgressView;
}

function requestOf(parsed: ParsedArgs): CheckRequest {
  const repair = repairKind(textOf(parsed, "repair"));
  refuseShared(parsed, repair !== undefined);
  return {
    ...changingOne(parsed, "check", repair !== undefined),
    repair,
    form: outputForm(parsed, ["human", "json"]),
    view: viewOf(parsed),
  };
}

function repairKind(text: string | undefined): RepairKind | undefined {
  if (text === undefined || text === "leaks" || text === "all") return text;
  throw new ImageError("usage", `Cannot repair "${text}": -r must be leaks or all`);
}

/** Runs `check` with the words after its name; the result is the exit code. */
export function runCheck(args: readonly string[], context: CommandContext): Promise<number> {
  return runCommand({ def: checkCommand, read: requestOf, files, work }, args, context);
}

async function files({ image, options, repair }: CheckRequest) {
  const touched = await changeFiles(image, { ...options, chain: false });
  return repair === undefined ? { read: touched.read, write: [] } : touched;
}

function work({ image, options, repair, form, view }: CheckRequest, context: CommandContext): Promise<number> {
  const { io, signal } = context;
  const label = repair === undefined ? "Checking" : "Mending";
  return watch({ view, command: "check", label }, context, async (onEvent, telling) => {
    const result = await check(image, { ...options, repair, signal, onEvent, onWarning: telling.warn });
    if (result.unsupported) {
      const message = `Images of format "${result.format}" have nothing to check`;
      telling.end({ ok: false, code: UNSUPPORTED, complaint: { kind: "unsupported", message, hint: undefined } });
      return UNSUPPORTED;
    }
    const code = codeOf(result);
    telling.end({ ok: true, code, summary: undefined });
    if (form === "json") io.out(`${JSON.stringify(checkJson(result), null, 4)}\n`);
    else if (!view.quiet) showHuman(result, io);
    return code;
  });
}

function codeOf({ checkErrors, corruptions, leaks }: CheckResult): number {
  if (checkErrors > 0) return 1;
  return corruptions > 0 ? 2 : leaks > 0 ? 3 : 0;
}

/** A result under the names of `qemu-img check --output=json`. */
export function checkJson(result: CheckResult): { [name: string]: unknown } {
  const { path, format, clusters: units, imageEnd } = result;
  const some = (name: string, value: number | undefined) => value ? { [name]: value } : {};
  return {
    ...some("image-end-offset", imageEnd),
    ...some("total-clusters", units?.total),
    "check-errors": result.checkErrors,
    ...some("corruptions", result.corruptions),
    ...some("corruptions-fixed", result.corruptionsFixed),
    ...some("leaks", result.leaks),
    ...some("leaks-fixed", result.leaksFixed),
    ...some("allocated-clusters", units?.allocated),
    ...some("fragmented-clusters", units?.fragmented),
    ...some("compressed-clusters", units?.compressed),
    "filename": path,
    "format": format,
  };
}

function showHuman(result: CheckResult, io: Io): void {
  for (const { kind, message } of result.problems) io.err(`${KINDS[kind]}: ${visible(message)}\n`);
  io.out(`${humanLines(result).join("\n")}\n`);
}

const KINDS = { corruption: "Error", leak: "Leak", "check-error": "Not checked" } as const;

function humanLines(result: CheckResult): string[] {
  const { corruptions, leaks, checkErrors, clusters: units, imageEnd } = result;
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
  if (leaks > 0) {
    lines.push(
      "",
      `${leaks} leaked clusters were found on the image.`,
      "This means waste of disk space, but no harm to data.",
    );
  }
  if (checkErrors > 0) lines.push("", `${checkErrors} internal errors have occurred during the check.`);
  if (units && units.total > 0 && units.allocated > 0) {
    const share = (part: number, whole: number) => (part * 100 / whole).toFixed(2);
    lines.push(
      `${units.allocated}/${units.total} = ${share(units.allocated, units.total)}% allocated, ` +
        `${share(units.fragmented, units.allocated)}% fragmented, ` +
        `${share(units.compressed, units.allocated)}% compressed clusters`,
    );
  }
  if (imageEnd !== undefined && imageEnd > 0) lines.push(`Image end offset: ${imageEnd}`);
  return lines;
}
