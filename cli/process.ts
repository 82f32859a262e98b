/**
 * Signals, environment and start of this process, as far as host and permissions give them.
 *
 * @module
 */

/**
 * Returns whether an environment variable is set and not empty, or has the given value; `false` without the permission
 * to read it, which is not asked for.
 */
export function isSet(variable: string, value?: string): boolean {
  if (Deno.permissions.querySync({ name: "env", variable }).state !== "granted") return false;
  const text = Deno.env.get(variable) ?? "";
  return value === undefined ? text !== "" : text === value;
}

/**
 * Returns the arguments of this process as bytes; `null` where the host does not show them, or without the permission,
 * which is not asked for.
 */
export function commandLine(): Uint8Array | null {
  const path = "/proc/self/cmdline";
  if (Deno.build.os !== "linux" || Deno.permissions.querySync({ name: "read", path }).state !== "granted") return null;
  try {
    return Deno.readFileSync(path);
  } catch {
    return null;
  }
}

/** Signals on which qemu-img and dd report their progress; SIGINFO (Ctrl-T) exists on BSD and macOS only. */
export const STATUS_SIGNALS: readonly Deno.Signal[] = ["SIGUSR1", "SIGINFO"];

/** Calls `listener` for each of the signals; returns a function that removes the listeners. */
export function onSignals<Name extends Deno.Signal>(
  names: readonly Name[],
  listener: (name: Name) => void,
): () => void {
  const removers: (() => void)[] = [];
  for (const name of names) {
    const call = () => listener(name);
    try {
      Deno.addSignalListener(name, call);
      removers.push(() => Deno.removeSignalListener(name, call));
    } catch {
      // No host has all signals, and Windows has few.
    }
  }
  return () => removers.forEach((remove) => remove());
}

/**
 * The option of a task, shim or launcher that states how a user types the command of this program. It stands before the
 * command and the other options there.
 */
const PROGRAM = "--program=";

/** Returns the arguments without the option. */
export function withoutProgramName(args: readonly string[]): readonly string[] {
  return args[0]?.startsWith(PROGRAM) ? args.slice(1) : args;
}

/** The process that the name follows from. */
export interface Started {
  readonly args: readonly string[];
  /** The address of the module that Deno has started. */
  readonly main: string;
  /** Returns whether all of a permission is granted. */
  granted(name: "read" | "write" | "ffi" | "net"): boolean;
}

const thisProcess: Started = {
  args: Deno.args,
  get main() {
    return Deno.mainModule;
  },
  granted: (name) => Deno.permissions.querySync({ name }).state === "granted",
};

/**
 * Returns the words before the name of a command: those that the option states; `deno run FLAGS mod.ts` where the source
 * is run, with the flags that are granted as a whole; else `diskcast`, the name under which the built form and standalone
 * programs are installed. A permission that the flags do not cover is asked for in a terminal.
 *
 * @example
 * ```ts
 * import { programWords } from "./process.ts";
 * import assert from "node:assert/strict";
 *
 * const started = { args: ["info", "a"], main: "file:///src/mod.ts", granted: () => false };
 * assert.deepEqual(programWords(started), ["deno", "run", "/src/mod.ts"]);
 * assert.deepEqual(programWords({ ...started, main: "file:///dist/diskcast.js" }), ["diskcast"]);
 * assert.deepEqual(programWords({ ...started, args: ["--program=deno task", "info", "a"] }), ["deno", "task"]);
 * ```
 */
export function programWords({ args, main, granted }: Started = thisProcess): string[] {
  const [first = ""] = args;
  if (first.startsWith(PROGRAM)) return first.slice(PROGRAM.length).split(" ");
  if (!main.endsWith("/mod.ts")) return ["diskcast"];
  const flags = granted("net")
    ? ["-A"]
    : (["read", "write", "ffi"] as const).filter(granted).map((name) => `--allow-${name}`);
  return ["deno", "run", ...flags, pathOf(main)];
}

/** Whether `deno task` has started this process. It does not stop for Ctrl-Z, so that its shell would not get the terminal. */
export function isTask(): boolean {
  return programWords().slice(0, 2).join(" ") === "deno task";
}

/** Returns the path in the address of a file; another address as it is. */
function pathOf(address: string): string {
  const url = new URL(address);
  if (url.protocol !== "file:") return address;
  const path = decodeURIComponent(url.pathname);
  return Deno.build.os === "windows" ? path.slice(1).replaceAll("/", "\\") : path;
}
