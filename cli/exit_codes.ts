/**
 * Exit codes: what a script can tell from how the program ended.
 *
 * @module
 */
import { ImageError } from "../mod.ts";
import type { ErrorKind } from "../mod.ts";

/** Exit codes of `convert`, as those of qemu-img; a signal that ended the job sets its own code. */
export const CONVERT_EXIT: { readonly [kind in ErrorKind]: number } = {
  usage: 1,
  missing: 1,
  permission: 1,
  refused: 1,
  corrupt: 1,
  unsupported: 1,
  io: 1,
  cancelled: 130,
};

/** Signals that end a job in good order, and the exit code for each: 128 and the signal's number. */
export const SIGNAL_EXIT: { readonly [signal in "SIGINT" | "SIGTERM" | "SIGHUP"]: number } = {
  SIGINT: 130,
  SIGTERM: 143,
  SIGHUP: 129,
};

/** The exit code of a failed `convert`. `signal` is that of the command, its reason the name of what raised it. */
export function convertExit(error: unknown, signal: AbortSignal): number {
  if (!(error instanceof ImageError)) return 1;
  const raised = SIGNAL_EXIT[signal.reason as keyof typeof SIGNAL_EXIT];
  return error.kind === "cancelled" && signal.aborted && raised !== undefined ? raised : CONVERT_EXIT[error.kind];
}
