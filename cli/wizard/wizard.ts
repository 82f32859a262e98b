/**
 * The dependencies of the wizard, and how its questions show errors.
 *
 * @module
 */
import { type Format, ImageError } from "../../mod.ts";
import { denoCommand, programPath } from "../permissions.ts";
import { diagnosticOf } from "../report/report.ts";
import type { NeededPermission, WizardHost } from "./host.ts";
import type { Prompter } from "./prompter.ts";

/** Dependencies and settings of the wizard. */
export interface Wizard {
  readonly prompter: Prompter;
  readonly host: WizardHost;
  readonly formats: readonly Format[];
  /** Whether characters beyond ASCII may be written. */
  readonly unicode: boolean;
  /** Paths of the sources; absent: ask for them. */
  readonly sources?: readonly string[] | undefined;
  /** Path of the target that is suggested. */
  readonly target?: string | undefined;
}

/** Writes an error. For a permission that was denied, also the command that starts the program anew with it. */
export async function reportError({ prompter, host }: Wizard, error: unknown, path?: string): Promise<void> {
  prompter.error(diagnosticOf(error, { command: "wizard", stage: "work" }).message);
  const denied = host.denied();
  if (denied.length === 0 || !(error instanceof ImageError) || error.kind !== "permission") return;
  prompter.lines(await restartLines(denied, path));
}

async function restartLines(denied: readonly NeededPermission[], source: string | undefined): Promise<string[]> {
  const paths = (name: "read" | "write") => denied.filter((one) => one.name === name).map(({ path }) => path);
  const args = ["wizard", ...(source === undefined ? [] : [source])];
  const { command } = denoCommand(
    { read: paths("read"), write: paths("write") },
    await programPath(),
    args,
    Deno.build.os === "windows",
  );
  return ["Deno keeps a denial until the program ends. To start anew with the permission:", "", command, ""];
}
