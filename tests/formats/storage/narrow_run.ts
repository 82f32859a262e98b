/**
 * Starts narrow.ts.
 *
 * @module
 */
import { fileURLToPath } from "node:url";

/** Path of narrow.ts. */
export const narrowScript: string = fileURLToPath(new URL("./narrow.ts", import.meta.url));

/** The process `narrow.ts VERB PATH…` with these Deno flags. Nothing is asked of a user. */
export function narrow(flags: readonly string[], ...args: string[]): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--cached-only", "--no-check", ...flags, narrowScript, ...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
    env: { NO_COLOR: "1" },
  });
}

/** Runs it to its end and returns what it printed. */
export async function narrowResult(flags: readonly string[], ...args: string[]): Promise<unknown> {
  const child = narrow(flags, ...args).spawn();
  await child.stdin.close();
  const output = await child.output();
  return JSON.parse(new TextDecoder().decode(output.stdout));
}
