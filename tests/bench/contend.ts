/**
 * Programs that do the same job, run in turn.
 *
 * @module
 */
import { denoArgs } from "../support/diskcast.ts";
import { type Cost, measure } from "./measure.ts";
import type { Row } from "./results.ts";

/** One program with its arguments. */
export interface Contender {
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  /** Before each run; does not count. */
  readonly prepare?: () => Promise<void>;
}

/** What is to be run. */
export interface Contest {
  readonly contenders: readonly Contender[];
  /** Runs that count, after one that does not. */
  readonly runs: number;
  /** The file that each writes; removed after each run. */
  readonly target?: string;
  /** Judges what the first run of each has written. */
  readonly judge?: () => Promise<unknown>;
}

/** Runs all in turn; every round begins with another one, so that none always finds the cache as the same other left it. */
export async function contend({ contenders, runs, target, judge }: Contest): Promise<Row[]> {
  const costs = contenders.map((): Cost[] => []);
  const stored = contenders.map((): number | undefined => undefined);
  for (let round = 0; round <= runs; round++) {
    for (let turn = 0; turn < contenders.length; turn++) {
      const index = (turn + round) % contenders.length;
      const { program, args, prepare } = contenders[index];
      await prepare?.();
      const cost = await measure(program, args);
      if (round > 0) costs[index].push(cost);
      else if (judge) await judge();
      if (target === undefined) continue;
      const { blocks } = await Deno.stat(target);
      if (blocks !== null) stored[index] = blocks * 512;
      await Deno.remove(target);
    }
  }
  return contenders.map(({ name }, index) => ({
    name,
    costs: costs[index],
    ...(stored[index] !== undefined && { stored: stored[index] }),
  }));
}

/** qemu-img with these arguments, and diskcast with the same ones, without and with leave to call the C library. */
export function both(folder: string, args: readonly string[], ffiOnly = false): Contender[] {
  const grants = { read: [folder], write: [folder] };
  const deno = Deno.execPath();
  return [
    { name: "qemu-img", program: "qemu-img", args },
    ...(ffiOnly ? [] : [{ name: "diskcast", program: deno, args: [...denoArgs(grants), ...args] }]),
    { name: "diskcast, ffi", program: deno, args: [...denoArgs({ ...grants, ffi: true }), ...args] },
  ];
}

/** `cp` and `nbdcopy`, which ends on stable storage as the others do where `syncs`. */
export function otherCopier(
  name: "cp" | "nbdcopy",
  format: string,
  source: string,
  target: string,
  syncs: boolean,
): Contender {
  if (name === "cp") {
    const script = `cp --sparse=always "$0" "$1"${syncs ? ' && sync "$1"' : ""}`;
    return { name: "cp --sparse=always", program: "bash", args: ["-c", script, source, target] };
  }
  // It reads images through a server, and refuses to copy files without one.
  const server = ["--", "[", "qemu-nbd", "-r", "-f", format, source, "]"];
  return { name: "nbdcopy", program: "nbdcopy", args: [...(syncs ? ["--flush"] : []), ...server, target] };
}

/** Whether a program is installed. */
export function installed(program: string): boolean {
  try {
    return new Deno.Command(program, { args: ["--version"], stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
}
