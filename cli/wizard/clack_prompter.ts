/**
 * Questions with @clack/prompts, which draws them in the terminal. No other file imports that package.
 *
 * @module
 */
import process from "node:process";
import { BACK, type ChoiceQuestion, LEAVE, type Navigation, type Prompter, type TextQuestion } from "./prompter.ts";
import { completed } from "./paths.ts";
import { visible } from "../../tui/human.ts";
import { onUnread } from "../../tui/screen.ts";

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

/** Returns the typed text and the names below it; names that continue it come first, so that Enter takes them. */
function pathChoices(typed: string, names: readonly string[], isNew: boolean): string[] {
  const others = names.filter((name) => name !== typed);
  if (typed === "") return others;
  const continues = !isNew && others.length === names.length && others.some((name) => name.startsWith(typed));
  return continues ? [...others, typed] : [typed, ...others];
}

/** Returns the text after Tab: as far as names continue it, or the name that is most like it. */
function tabbed(typed: string, names: readonly string[]): string {
  return names.some((name) => name.startsWith(typed)) ? completed(typed, names) : names[0] ?? typed;
}

/** Whether the line of a question may show a text: the package writes it there as it is. */
function isTypeable(text: string): boolean {
  return visible(text) === text;
}

/**
 * Returns the text that stands in the line of a question at first. A name on which the terminal would act is left out; that
 * of a new file has other characters.
 */
export function typeable(text: string, isNew: boolean): string {
  if (isTypeable(text)) return text;
  return isNew ? Array.from(text, (one) => isTypeable(one) ? one : "_").join("") : "";
}

/** Returns whether every word that is typed occurs in a choice. */
function matches(typed: string, choice: string): boolean {
  const text = choice.toLowerCase();
  return typed.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

/** Returns the control sequence that puts a text on the clipboard: OSC 52 of xterm. */
export function clipboardSequence(text: string): string {
  const bytes = new TextEncoder().encode(text);
  return `\x1b]52;c;${btoa(String.fromCharCode(...bytes))}\x07`;
}

/** Returns a prompter for the terminal, on standard error. An aborted `signal` leaves. */
export async function clackPrompter(style: PromptStyle, signal: AbortSignal): Promise<Prompter> {
  const clack = await loadClack(style);
  const common = { output: style.ascii ? asciiOutput(process.stderr) : process.stderr, signal };
  onUnread((bytes) => void process.stdin.emit("data", Buffer.from(bytes)));
  let lastKey = "";
  // The package cancels a question for Esc and for Ctrl-C; here Esc goes back and Ctrl-C leaves.
  process.stdin.prependListener("keypress", (_: unknown, key?: { name?: string; sequence?: string }) => {
    lastKey = key?.name ?? key?.sequence ?? "";
  });
  const answerOf = (answer: string | symbol): string | Navigation => {
    if (typeof answer === "string") return answer;
    return lastKey === "escape" && !signal.aborted ? BACK : LEAVE;
  };
  const path = async (question: TextQuestion): Promise<string | Navigation> => {
    const { message, initial, validate, complete, isNew = false } = question;
    let typedBefore: string | undefined;
    return answerOf(
      await clack.autocomplete<string>({
        ...common,
        message,
        initialUserInput: typeable(initial ?? "", isNew),
        completeOnTab: true,
        maxItems: LIST_LINES,
        options() {
          const typed = this.userInput;
          const names = complete?.(typed) ?? [];
          if (lastKey === "tab") {
            // The package asks for the choices before it completes to the one in focus.
            lastKey = "";
            const more = tabbed(typed, names);
            if (more !== typed) this.focusedValue = isTypeable(more) ? more : typed;
          }
          const paths = pathChoices(typed, names, isNew);
          // Without this the focus stays on a path that it was on before.
          if (typed !== typedBefore) this.focusedValue = paths[0];
          typedBefore = typed;
          return paths.map((value) => ({ value, label: visible(value) }));
        },
        filter: () => true,
        validate: (value) => typeof value === "string" ? validate?.(value) : "Give a path",
      }),
    );
  };
  const choose = async ({ message, choices, initial, filters }: ChoiceQuestion): Promise<string | Navigation> => {
    const keys = new Map(choices.flatMap(({ key, value }) => key === undefined ? [] : [[key, value]]));
    const ended = new AbortController();
    let chosen: string | undefined;
    // The package has no keys for answers: the question is cancelled, and the answer is that of the key.
    const onKey = (_: unknown, key?: { name?: string; ctrl?: boolean }) => {
      chosen = key?.ctrl ? undefined : keys.get(key?.name ?? "");
      if (chosen !== undefined) ended.abort();
    };
    if (keys.size > 0) process.stdin.on("keypress", onKey);
    // An empty value cannot be in focus.
    const options = choices.map(({ value, label, hint }) => ({
      value: `=${value}`,
      label: visible(label),
      ...(hint !== undefined && { hint: visible(hint) }),
    }));
    const shared = {
      ...common,
      signal: AbortSignal.any([signal, ended.signal]),
      message,
      options,
      maxItems: LIST_LINES,
      ...(initial !== undefined && { initialValue: `=${initial}` }),
    };
    try {
      const answer = filters
        ? await clack.autocomplete<string>({
          ...shared,
          placeholder: "type to filter",
          filter: (typed, { label, hint, value }) => matches(typed, `${label} ${hint} ${value}`),
          validate: (value) =>
            typeof value === "string" ? undefined : "Nothing has this in its name: delete some letters",
        })
        : await clack.select<string>(shared);
      if (chosen !== undefined && !signal.aborted) return chosen;
      return answerOf(typeof answer === "string" ? answer.slice(1) : answer);
    } finally {
      process.stdin.removeListener("keypress", onKey);
    }
  };
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
    choose,
    note: (title, lines) =>
      clack.note(lines.map(visible).join("\n"), visible(title), { ...common, format: (line) => line }),
    lines: (lines) => common.output.write(lines.map((line) => `${visible(line)}\n`).join("")),
    copy: (text) => common.output.write(clipboardSequence(text)),
    error: (message) => clack.log.error(visible(message), common),
    end(text) {
      clack.outro(visible(text), common);
      process.stdin.pause();
    },
  };
}
