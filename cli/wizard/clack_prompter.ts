/**
 * The one file that knows @clack/prompts: questions as a rail of answers in the terminal.
 *
 * @module
 */
import process from "node:process";
import { BACK, type ChoiceQuestion, LEAVE, type Prompter, type TextQuestion, type Way } from "./prompter.ts";
import { visible } from "../report/report.ts";

/** What the terminal is to show. */
export interface PromptStyle {
  /** Only ASCII. */
  readonly ascii: boolean;
  readonly color: boolean;
}

/** Most lines of a list that are shown at once. */
const LIST_LINES = 12;

/**
 * Loads @clack/prompts. It reads the environment as soon as it is loaded, and Deno would ask the user for each variable;
 * what it would find decides about colours and characters only, so it gets an environment that says just that.
 */
async function loadClack({ ascii, color }: PromptStyle): Promise<typeof import("@clack/prompts")> {
  const env: Record<string, string> = {
    NODE_ENV: "production",
    TERM: ascii ? "linux" : "xterm-256color",
    ...(color ? {} : { NO_COLOR: "1" }),
  };
  Object.defineProperty(process, "env", { value: env, writable: true, configurable: true });
  return await import("@clack/prompts");
}

/** Glyphs that the package shows in every terminal, and characters of the same width for them. */
const ASCII: { readonly [glyph: string]: string } = { "↑": "^", "↓": "v", "•": "-", "—": "-", "█": "_", "…": "." };

/** Standard error with {@linkcode ASCII} alone. */
function asciiOutput(output: typeof process.stderr): typeof process.stderr {
  const plain = (text: string) => text.replace(/[↑↓•—█…]/g, (glyph) => ASCII[glyph]!);
  return new Proxy(output, {
    get(target, name) {
      if (name === "write") return (text: string, ...rest: []) => target.write(plain(text), ...rest);
      const value = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** What is typed can always be taken, also where nothing may be listed; where it is no name yet, names come first. */
function offers(typed: string, names: readonly string[]): string[] {
  const others = names.filter((name) => name !== typed);
  if (typed === "") return others;
  return others.length === names.length ? [...others, typed] : [typed, ...others];
}

/** Asks in the terminal, on standard error. A raised `signal` leaves. */
export async function clackPrompter(style: PromptStyle, signal: AbortSignal): Promise<Prompter> {
  const clack = await loadClack(style);
  const common = { output: style.ascii ? asciiOutput(process.stderr) : process.stderr, signal };
  let lastKey = "";
  // Esc and Ctrl-C both cancel a question; here the one goes back and the other leaves.
  process.stdin.prependListener("keypress", (_: unknown, key?: { name?: string; sequence?: string }) => {
    lastKey = key?.name ?? key?.sequence ?? "";
  });
  const wayOf = (answer: string | symbol): string | Way => {
    if (typeof answer === "string") return answer;
    return lastKey === "escape" && !signal.aborted ? BACK : LEAVE;
  };
  const path = async ({ message, initial, validate, complete }: TextQuestion): Promise<string | Way> =>
    wayOf(
      await clack.autocomplete<string>({
        ...common,
        message,
        initialUserInput: initial ?? "",
        completeOnTab: true,
        maxItems: LIST_LINES,
        options() {
          const typed = this.userInput;
          return offers(typed, complete?.(typed) ?? []).map((value) => ({ value, label: visible(value) }));
        },
        filter: () => true,
        validate: (value) => typeof value === "string" ? validate?.(value) : "Give a path",
      }),
    );
  return {
    begin: (title) => clack.intro(`${title} (Esc: the question before, Ctrl-C: leave)`, common),
    async text(question) {
      if (question.complete !== undefined) return await path(question);
      const { message, initial, validate } = question;
      return wayOf(
        await clack.text({
          ...common,
          message,
          ...(initial !== undefined && { initialValue: initial }),
          validate: (text) => validate?.(text ?? ""),
        }),
      );
    },
    async choose({ message, choices, initial }: ChoiceQuestion) {
      return wayOf(
        await clack.select<string>({
          ...common,
          message,
          options: choices.map(({ value, label, hint }) => ({
            value,
            label: visible(label),
            ...(hint !== undefined && { hint: visible(hint) }),
          })),
          maxItems: LIST_LINES,
          ...(initial !== undefined && { initialValue: initial }),
        }),
      );
    },
    note: (title, lines) => clack.note(lines.map(visible).join("\n"), title, { ...common, format: (line) => line }),
    complain: (message) => clack.log.error(visible(message), common),
    end(text) {
      clack.outro(visible(text), common);
      process.stdin.pause();
    },
  };
}
