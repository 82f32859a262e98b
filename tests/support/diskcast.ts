/**
 * Runs the program: in this process, or as a user starts it, in a new process with the permissions of the test and no
 * others.
 *
 * @module
 */
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { type Outcome, readEnv, run } from "./qemu.ts";

/** What the program may do; nothing else is granted and nothing is asked. */
export interface Grants {
  /** Paths that it may read. */
  readonly read?: readonly string[];
  /** Paths that it may write. */
  readonly write?: readonly string[];
  readonly ffi?: boolean;
  /** Working directory. */
  readonly cwd?: string;
  /** Further environment variables. */
  readonly env?: Record<string, string>;
}

/** The module that starts the program: mod.ts, or another where DISKCAST_PROGRAM names one (`deno task test:built`). */
export const program: string = resolve(
  readEnv("DISKCAST_PROGRAM") || fileURLToPath(new URL("../../mod.ts", import.meta.url)),
);

/** The arguments for Deno that start the program with these grants; `diskcast`'s own arguments follow them. */
export function denoArgs(grants: Grants): string[] {
  const args = ["run", "--no-prompt", "--cached-only"];
  if (grants.read?.length) args.push(`--allow-read=${list(grants.read)}`);
  if (grants.write?.length) args.push(`--allow-write=${list(grants.write)}`);
  if (grants.ffi) args.push("--allow-ffi");
  return [...args, program];
}

/**
 * Runs `diskcast ...args` in this process, as if its output were pipes; where DISKCAST_PROGRAM is set, in a new process of
 * that program with all permissions. For everything but permissions, environment, working directory, signals and streams.
 */
export async function diskcast(...args: string[]): Promise<Outcome> {
  if (readEnv("DISKCAST_PROGRAM")) {
    return await run(Deno.execPath(), ["run", "-A", "--cached-only", program, ...args], { env: { NO_COLOR: "1" } });
  }
  const { main } = await import("../../cli/main.ts");
  const text = { stdout: "", stderr: "" };
  const code = await main(args, {
    out: (more) => void (text.stdout += more),
    err: (more) => void (text.stderr += more),
    errIsTerminal: false,
    plain: true,
    columns: () => 80,
    now: () => performance.now(),
  });
  return { code, ...text };
}

/** Runs `diskcast ...args` to its end in a new process. */
export function diskcastProcess(args: readonly string[], grants: Grants = {}): Promise<Outcome> {
  const env = { NO_COLOR: "1", ...grants.env };
  return run(Deno.execPath(), [...denoArgs(grants), ...args], { cwd: grants.cwd, env });
}

/** Starts `diskcast ...args` and hands over the process, for tests of signals and pipes. */
export function startDiskcast(args: readonly string[], grants: Grants = {}): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: [...denoArgs(grants), ...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1", ...grants.env },
    ...(grants.cwd !== undefined && { cwd: grants.cwd }),
  }).spawn();
}

/** Deno separates paths by commas and has no way to write one inside a path. */
function list(paths: readonly string[]): string {
  const comma = paths.find((path) => path.includes(","));
  if (comma !== undefined) throw new Error(`Deno cannot be allowed the path "${comma}"`);
  return paths.join(",");
}
