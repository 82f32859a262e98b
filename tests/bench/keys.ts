/**
 * How long the screen lets a key wait while a copy runs: keys are typed into a terminal made by `script` (util-linux), and
 * the answer is looked for in what the program writes there.
 *
 * @module
 */
import type { Rng } from "../support/qemu.ts";

/** Milliseconds from each key to its answer. */
export type Answers = readonly number[];

/** `?` opens the help and leaves it again; this is written by the one and by the other, and by no other frame. */
const OPENED = "this help";
const LEFT = "one letter = ";

/** Types keys at odd moments of a conversion until it ends. `shell` runs it on its terminal, with the screen. */
export async function keyAnswers(shell: string, random: Rng): Promise<Answers> {
  const child = new Deno.Command("script", {
    args: ["-qefc", shell, "/dev/null"],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const typing = child.stdin.getWriter();
  const shown = textOf(child.stdout);
  const answers: number[] = [];
  const press = async (wanted: string): Promise<boolean> => {
    shown.forget();
    const begun = performance.now();
    await typing.write(new TextEncoder().encode("?"));
    if (!await shown.until(wanted)) return false;
    answers.push(performance.now() - begun);
    await new Promise((resolve) => setTimeout(resolve, random.int(20, 90)));
    return true;
  };
  try {
    if (!await shown.until("Copying")) return answers;
    while (await press(OPENED) && await press(LEFT));
  } catch (error) {
    // The terminal has gone with the program.
    if (!(error instanceof Deno.errors.BrokenPipe || error instanceof TypeError)) throw error;
  } finally {
    await typing.close().catch(() => {});
    await child.status;
  }
  return answers;
}

/** What a program writes, as it comes. */
function textOf(stream: ReadableStream<Uint8Array>) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  return {
    forget: () => void (text = ""),
    /** Waits for a text; `false`: it will not come any more. */
    async until(wanted: string): Promise<boolean> {
      while (!text.includes(wanted)) {
        const { value, done } = await reader.read();
        if (done) return false;
        text += value;
      }
      return true;
    },
  };
}

/** How the answers lie, in one line. */
export function answersText(answers: Answers): string {
  const sorted = answers.toSorted((a, b) => a - b);
  const at = (part: number) => `${Math.round(sorted[Math.ceil(part * sorted.length) - 1])} ms`;
  return sorted.length === 0
    ? "no key was answered: the copy is too short"
    : `${sorted.length} keys: half of them answered within ${at(0.5)}, 95 of 100 within ${at(0.95)}, all within ${
      at(1)
    }`;
}
