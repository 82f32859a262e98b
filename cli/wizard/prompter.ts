/**
 * Questions of the wizard as values: a terminal, plain lines and a test can answer them.
 *
 * @module
 */

/** Goes back to the previous question, instead of an answer. */
export const BACK = Symbol("back");
/** Leaves the wizard, instead of an answer. */
export const LEAVE = Symbol("leave");
/** A step away from a question without an answer. */
export type Navigation = typeof BACK | typeof LEAVE;

/** One of several answers. */
export interface Choice {
  readonly value: string;
  readonly label: string;
  /** A short explanation. */
  readonly hint?: string;
  /** A letter that gives this answer at once. */
  readonly key?: string;
}

/** A question for a line of text. */
export interface TextQuestion {
  readonly message: string;
  readonly initial?: string;
  /** Returns the problem of an answer; `undefined`: none. */
  readonly validate?: (text: string) => string | undefined;
  /** For a path: returns the names that begin with the text so far, or names like it where there are none. */
  readonly complete?: (text: string) => readonly string[];
  /** Whether the path is that of a new file, so that Enter takes the text and not a name that continues it. */
  readonly isNew?: boolean;
}

/** A question with fixed answers. */
export interface ChoiceQuestion {
  readonly message: string;
  readonly choices: readonly Choice[];
  readonly initial?: string;
  /** Whether typed text chooses among the answers: for long lists. */
  readonly filters?: boolean;
}

/** Asks one question at a time. */
export interface Prompter {
  /** Writes the title. */
  begin(title: string): void;
  text(question: TextQuestion): Promise<string | Navigation>;
  choose(question: ChoiceQuestion): Promise<string | Navigation>;
  /** Writes lines between questions. */
  note(title: string, lines: readonly string[]): void;
  /** Writes lines as they are, with nothing before them, so that they can be copied. */
  lines(lines: readonly string[]): void;
  /**
   * Puts text on the clipboard of the terminal, where it takes any; see OSC 52 of xterm's control sequences. Absent where
   * no control sequences are written.
   */
  copy?(text: string): void;
  /** Writes an error message. */
  error(message: string): void;
  /** Writes the last line and restores the terminal. */
  end(text: string): void;
}
