/**
 * Exit codes.
 *
 * @module
 */
import { ImageError } from "../mod.ts";
import type { ErrorKind } from "../mod.ts";

/** Exit codes of `convert`, as those of qemu-img; a signal that ended the job has its own code. */
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

/** Signals that cancel a job, and the exit code for each: 128 plus the number of the signal. */
export const SIGNAL_EXIT: { readonly [signal in "SIGINT" | "SIGTERM" | "SIGHUP"]: number } = {
  SIGINT: 130,
  SIGTERM: 143,
  SIGHUP: 129,
};

/** Returns the exit code of a failed `convert`. The reason of `signal` is the name of the signal that aborted it. */
export function convertExit(error: unknown, signal: AbortSignal): number {
  if (!(error instanceof ImageError)) return 1;
  const raised = SIGNAL_EXIT[signal.reason as keyof typeof SIGNAL_EXIT];
  return error.kind === "cancelled" && signal.aborted && raised !== undefined ? raised : CONVERT_EXIT[error.kind];
}
