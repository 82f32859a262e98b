/**
 * Questions with @clack/prompts, which draws them in the terminal. No other file imports that package.
 *
 * @module
 */
import process from "node:process";
import { BACK, type ChoiceQuestion, LEAVE, type Navigation, type Prompter, type TextQuestion } from "./prompter.ts";
import { visible } from "../../tui/human.ts";

/** Characters and colours of the terminal. */
export interface PromptStyle {
  /** ASCII alone. */
  readonly ascii: boolean;
  readonly color: boolean;
}

/** Most visible lines of a list. */
const LIST_LINES = 12;

/**
 * Loads @clack/prompts. It reads environment variables while it loads, and Deno would prompt for each of them. The
 * variables affect colours and characters only, so the package gets an environment with those alone.
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

/** Glyphs that the package writes even to terminals without Unicode, and their replacements of the same width. */
const ASCII: { readonly [glyph: string]: string } = { "↑": "^", "↓": "v", "•": "-", "—": "-", "█": "_", "…": "." };

/** Returns a proxy of standard error that replaces the glyphs of {@linkcode ASCII}. */
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

/** Returns the names with the typed text among them, which is always a choice: first if it is a name, else last. */
function pathChoices(typed: string, names: readonly string[]): string[] {
  const others = names.filter((name) => name !== typed);
  if (typed === "") return others;
  return others.length === names.length ? [...others, typed] : [typed, ...others];
}

/** Returns a prompter for the terminal, on standard error. An aborted `signal` leaves. */
export async function clackPrompter(style: PromptStyle, signal: AbortSignal): Promise<Prompter> {
  const clack = await loadClack(style);
  const common = { output: style.ascii ? asciiOutput(process.stderr) : process.stderr, signal };
  let lastKey = "";
  // The package cancels a question for Esc and for Ctrl-C; here Esc goes back and Ctrl-C leaves.
  process.stdin.prependListener("keypress", (_: unknown, key?: { name?: string; sequence?: string }) => {
    lastKey = key?.name ?? key?.sequence ?? "";
  });
  const answerOf = (answer: string | symbol): string | Navigation => {
    if (typeof answer === "string") return answer;
    return lastKey === "escape" && !signal.aborted ? BACK : LEAVE;
  };
  const path = async ({ message, initial, validate, complete }: TextQuestion): Promise<string | Navigation> =>
    answerOf(
      await clack.autocomplete<string>({
        ...common,
        message,
        initialUserInput: initial ?? "",
        completeOnTab: true,
        maxItems: LIST_LINES,
        options() {
          const typed = this.userInput;
          return pathChoices(typed, complete?.(typed) ?? []).map((value) => ({ value, label: visible(value) }));
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
      return answerOf(
        await clack.text({
          ...common,
          message,
          ...(initial !== undefined && { initialValue: initial }),
          validate: (text) => validate?.(text ?? ""),
        }),
      );
    },
    async choose({ message, choices, initial }: ChoiceQuestion) {
      return answerOf(
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
    note: (title, lines) =>
      clack.note(lines.map(visible).join("\n"), visible(title), { ...common, format: (line) => line }),
    error: (message) => clack.log.error(visible(message), common),
    end(text) {
      clack.outro(visible(text), common);
      process.stdin.pause();
    },
  };
}
