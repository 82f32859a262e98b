/**
 * Runs a command and tells what it cost.
 *
 * @module
 */

/** What one run cost. */
export interface Cost {
  /** Seconds by the clock. */
  readonly wall: number;
  /** Seconds of all processors, user and system. */
  readonly cpu: number;
  /** Peak resident bytes; `null` where the host does not tell. */
  readonly memory: number | null;
}

/** Runs a command to its end; throws with its stderr if it fails. The shell's own clock counts processor time. */
export async function measure(program: string, args: readonly string[]): Promise<Cost> {
  const script = `TIMEFORMAT='%3U %3S'; exec 3>&2; { time "$@" 2>&3 3>&-; } 2>&4`;
  const times = await Deno.makeTempFile();
  try {
    const child = new Deno.Command("bash", {
      args: ["-c", `exec 4>"$0"; ${script}`, times, program, ...args],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const stop = new AbortController();
    const memory = peakOf(child.pid, stop.signal);
    const begun = performance.now();
    const output = await child.output();
    const wall = (performance.now() - begun) / 1000;
    stop.abort();
    if (!output.success) {
      throw new Error(`${program} ${args.join(" ")} failed:\n${new TextDecoder().decode(output.stderr)}`);
    }
    const [user, system] = (await Deno.readTextFile(times)).trim().split("\n").at(-1)!.split(" ").map(Number);
    return { wall, cpu: user + system, memory: await memory };
  } finally {
    await Deno.remove(times);
  }
}

/** The highest `VmHWM` of the shell's child, which the kernel itself keeps at the peak; Linux only. */
async function peakOf(shell: number, stop: AbortSignal): Promise<number | null> {
  let peak: number | null = null;
  while (!stop.aborted) {
    try {
      const child = Deno.readTextFileSync(`/proc/${shell}/task/${shell}/children`).trim().split(" ")[0];
      const found = child && /VmHWM:\s*(\d+) kB/.exec(Deno.readTextFileSync(`/proc/${child}/status`));
      if (found) peak = Math.max(peak ?? 0, Number(found[1]) * 1024);
    } catch {
      // Not Linux, or the child has gone.
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return peak;
}

/** The value in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
