/**
 * Questions as plain lines: numbered choices, typed answers, ASCII alone and nothing overwritten.
 *
 * @module
 */
import { BACK, type ChoiceQuestion, LEAVE, type Navigation, type Prompter, type TextQuestion } from "./prompter.ts";
import { visible } from "../../tui/human.ts";

/** Input and output in lines. */
export interface Lines {
  /** Reads a line; `null`: the input has ended. */
  read(): Promise<string | null>;
  write(text: string): void;
}

/** Returns a prompter for lines. "back" or "b" goes back, the end of the input leaves. */
export function plainPrompter(lines: Lines): Prompter {
  const writeLine = (text: string) => lines.write(`${visible(text)}\n`);
  const answer = async (prompt: string): Promise<string | Navigation> => {
    lines.write(prompt);
    const line = (await lines.read())?.trim();
    if (line === undefined) return LEAVE;
    return /^(b|back)$/i.test(line) ? BACK : line;
  };
  return {
    begin: (title) => writeLine(`${title}. Type "back" for the question before; Ctrl-C leaves.`),
    async text(question: TextQuestion) {
      for (;;) {
        writeLine("");
        writeLine(question.message);
        const initial = question.initial ? ` (Enter: ${visible(question.initial)})` : "";
        const given = await answer(`Answer${initial}: `);
        if (typeof given === "symbol") return given;
        const text = given === "" ? question.initial ?? "" : given;
        const problem = question.validate?.(text);
        if (problem === undefined) return text;
        writeLine(problem);
      }
    },
    async choose({ message, choices, initial }: ChoiceQuestion) {
      const initialAt = choices.findIndex(({ value }) => value === initial);
      for (;;) {
        writeLine("");
        writeLine(message);
        choices.forEach(({ label, hint }, at) =>
          writeLine(`${at + 1}. ${label}${hint === undefined ? "" : ` (${hint})`}`)
        );
        const given = await answer(`Number${initialAt < 0 ? "" : ` (Enter: ${initialAt + 1})`}: `);
        if (typeof given === "symbol") return given;
        const at = given === ""
          ? initialAt
          : /^\d+$/.test(given)
          ? Number(given) - 1
          : choices.findIndex(({ key }) => key === given);
        if (choices[at] !== undefined) return choices[at].value;
        writeLine(`Type a number from 1 to ${choices.length}`);
      }
    },
    note(title, text) {
      writeLine("");
      writeLine(`${title}:`);
      text.forEach(writeLine);
    },
    lines: (text) => text.forEach(writeLine),
    error: (message) => writeLine(`Error: ${message}`),
    end: writeLine,
  };
}

/** Returns the lines of standard input; they end when `signal` is aborted. */
export function terminalLines(write: (text: string) => void, signal: AbortSignal): Lines {
  const decoder = new TextDecoder();
  const aborted = new Promise<null>((resolve) => signal.addEventListener("abort", () => resolve(null), { once: true }));
  let rest = "";
  return {
    write,
    async read() {
      const buffer = new Uint8Array(1024);
      while (!rest.includes("\n")) {
        const count = signal.aborted ? null : await Promise.race([Deno.stdin.read(buffer), aborted]);
        if (count === null) return null;
        rest += decoder.decode(buffer.subarray(0, count), { stream: true });
      }
      const at = rest.indexOf("\n");
      const line = rest.slice(0, at);
      rest = rest.slice(at + 1);
      return line;
    },
  };
}
