/**
 * Questions as plain lines: numbered choices, typed answers, no glyphs and nothing that is drawn over.
 *
 * @module
 */
import { BACK, type ChoiceQuestion, LEAVE, type Prompter, type TextQuestion, type Way } from "./prompter.ts";
import { visible } from "../report/report.ts";

/** Where lines come from and go to; `null`: there will be no more. */
export interface Lines {
  read(): Promise<string | null>;
  write(text: string): void;
}

/** Asks with lines. "back" or "b" goes back, the end of the input leaves. */
export function plainPrompter(lines: Lines): Prompter {
  const say = (text: string) => lines.write(`${visible(text)}\n`);
  const answer = async (prompt: string): Promise<string | Way> => {
    lines.write(prompt);
    const line = (await lines.read())?.trim();
    if (line === undefined) return LEAVE;
    return /^(b|back)$/i.test(line) ? BACK : line;
  };
  return {
    begin: (title) => say(`${title}. Type "back" for the question before; Ctrl-C leaves.`),
    async text(question: TextQuestion) {
      for (;;) {
        say("");
        say(question.message);
        const initial = question.initial ? ` (Enter: ${visible(question.initial)})` : "";
        const given = await answer(`Answer${initial}: `);
        if (typeof given === "symbol") return given;
        const text = given === "" ? question.initial ?? "" : given;
        const fault = question.validate?.(text);
        if (fault === undefined) return text;
        say(fault);
      }
    },
    async choose({ message, choices, initial }: ChoiceQuestion) {
      const usual = choices.findIndex(({ value }) => value === initial);
      for (;;) {
        say("");
        say(message);
        choices.forEach(({ label, hint }, at) => say(`${at + 1}. ${label}${hint === undefined ? "" : ` (${hint})`}`));
        const given = await answer(`Number${usual < 0 ? "" : ` (Enter: ${usual + 1})`}: `);
        if (typeof given === "symbol") return given;
        const at = given === "" ? usual : /^\d+$/.test(given) ? Number(given) - 1 : -1;
        if (choices[at] !== undefined) return choices[at].value;
        say(`Type a number from 1 to ${choices.length}`);
      }
    },
    note(title, text) {
      say("");
      say(`${title}:`);
      text.forEach(say);
    },
    complain: (message) => say(`Error: ${message}`),
    end: say,
  };
}

/** Lines of the terminal; they end when `signal` is raised. */
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
