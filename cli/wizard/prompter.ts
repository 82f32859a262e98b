/**
 * How the wizard asks: questions as values, so that a terminal, plain lines and a test can all answer them.
 *
 * @module
 */

/** Instead of an answer: the question before, or out. */
export const BACK = Symbol("back");
export const LEAVE = Symbol("leave");
/** What may come instead of an answer. */
export type Way = typeof BACK | typeof LEAVE;

/** One of several answers. */
export interface Choice {
  readonly value: string;
  readonly label: string;
  /** A few words more. */
  readonly hint?: string;
}

/** A question for a line of text. */
export interface TextQuestion {
  readonly message: string;
  readonly initial?: string;
  /** What is wrong with an answer; `undefined`: nothing. */
  readonly validate?: (text: string) => string | undefined;
  /** Names that begin like the answer so far, where it is a path. */
  readonly complete?: (text: string) => readonly string[];
}

/** A question with given answers. */
export interface ChoiceQuestion {
  readonly message: string;
  readonly choices: readonly Choice[];
  readonly initial?: string;
}

/** Asks one question at a time. Every answer may be {@linkcode BACK} or {@linkcode LEAVE} instead. */
export interface Prompter {
  /** The first words. */
  begin(title: string): void;
  text(question: TextQuestion): Promise<string | Way>;
  choose(question: ChoiceQuestion): Promise<string | Way>;
  /** Says something between questions. */
  note(title: string, lines: readonly string[]): void;
  /** Says what went wrong. */
  complain(message: string): void;
  /** The last words; gives the terminal back. */
  end(text: string): void;
}
