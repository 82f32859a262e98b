/**
 * Runs a command and tells what it cost.
 *
 * @module
 */

/** What one run cost. */
export interface Cost {
  /** Seconds by the clock. */
  readonly wall: number;
  /** Seconds of all processors, user and system, of the command and its children. */
  readonly cpu: number;
  /** Peak resident bytes, all its processes together; `null` where the host does not tell, or it was too quick. */
  readonly memory: number | null;
}

/** Milliseconds between two looks at a command's memory. */
const LOOK = 10;

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

/** The highest sum of `VmHWM`, which the kernel itself keeps at the peak, of all that the shell has started; Linux only. */
async function peakOf(shell: number, stop: AbortSignal): Promise<number | null> {
  let peak: number | null = null;
  while (!stop.aborted) {
    const found = childrenOf(shell).map(peakOfTree).reduce((sum, bytes) => sum + bytes, 0);
    if (found > 0) peak = Math.max(peak ?? 0, found);
    await new Promise((resolve) => setTimeout(resolve, LOOK));
  }
  return peak;
}

function peakOfTree(process: number): number {
  const own = /VmHWM:\s*(\d+) kB/.exec(textOf(`/proc/${process}/status`));
  return childrenOf(process).map(peakOfTree).reduce((sum, bytes) => sum + bytes, own ? Number(own[1]) * 1024 : 0);
}

/** Of its first thread; no contender starts programs from others. */
function childrenOf(process: number): number[] {
  return textOf(`/proc/${process}/task/${process}/children`).split(" ").filter((word) => word !== "").map(Number);
}

/** Empty where there is no such file: not Linux, or the process has gone. */
function textOf(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}

/** The value in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
