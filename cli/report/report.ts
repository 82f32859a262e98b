/**
 * Output to the user: results on standard output, everything else on standard error, errors as diagnostics.
 *
 * @module
 */
import { ImageError, type WarningListener } from "../../mod.ts";
import { visible } from "../../tui/human.ts";
import type { AsyncSink } from "../../tui/bounded_output.ts";
import { isSet, programWords } from "../process.ts";

export { visible };

/** The output of a command, and the properties of its terminal. */
export interface Io {
  /** Writes results. */
  out(text: string): void;
  /** Writes everything else. */
  err(text: string): void;
  /** Writes bytes of progress without blocking this thread; absent: `out` and `err` write it. */
  readonly later?: { readonly out: AsyncSink; readonly err: AsyncSink };
  /** Whether the other end of `out` is closed, so that more results are useless. */
  outIsClosed?(): boolean;
  /** Whether `out` is a terminal. */
  readonly outIsTerminal?: boolean;
  /** Whether `err` is a terminal. */
  readonly errIsTerminal: boolean;
  /** Whether questions can be answered. */
  readonly inIsTerminal?: boolean;
  /** Whether the program behaves as qemu-img: see `cli/qemu_img_mode.ts`. */
  readonly asQemuImg?: boolean;
  /** Returns the arguments of this process as bytes; absent, or null, where they cannot be read. */
  commandLine?(): Uint8Array | null;
  /** Whether only plain characters may be written: no colours, no block letters. */
  readonly plain: boolean;
  /** Returns the columns of the terminal; 80 where unknown. */
  columns(): number;
  /** Returns the milliseconds of a monotonic clock. */
  now(): number;
}

/** A file that text is written to. */
export interface Sink {
  /** Writes some of the bytes and returns their number. */
  writeSync(bytes: Uint8Array): number;
}

/**
 * Returns a function that writes all of a text. A closed pipe is no error: `diskcast --help | head` ends quietly.
 *
 * @param onError called for other errors, at every later text again; nothing more is written
 * @param onClosed called for a closed pipe, at every later text again
 */
export function writer(
  sink: Sink,
  onError: (error: unknown) => void,
  onClosed: () => void = () => {},
): (text: string) => void {
  const encoder = new TextEncoder();
  let failure: { readonly error: unknown } | undefined;
  return (text) => {
    for (let rest = encoder.encode(text); !failure && rest.length > 0;) {
      try {
        rest = rest.subarray(sink.writeSync(rest));
      } catch (error) {
        if (error instanceof Deno.errors.WouldBlock) {
          // Another program that shares the pipe or terminal has made it non-blocking.
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
          continue;
        }
        failure = { error };
      }
    }
    if (failure?.error instanceof Deno.errors.BrokenPipe) onClosed();
    else if (failure) onError(failure.error);
  };
}

/** Throws: a command whose results cannot be written has failed. */
function throwOutputError(cause: unknown): never {
  const reason = (cause instanceof Error ? cause.message : String(cause)).replace(/ \(os error \d+\)$/, "");
  throw new ImageError("io", `Cannot write to standard output: ${reason.toLowerCase()}`, { cause });
}

function columns(): number {
  try {
    return Deno.consoleSize().columns || 80;
  } catch {
    return 80;
  }
}

/** Returns the terminal or pipes of this process. */
export function processIo(): Io {
  let isClosed = false;
  return {
    out: writer(Deno.stdout, throwOutputError, () => isClosed = true),
    outIsClosed: () => isClosed,
    // An error on standard error cannot be reported, and must not end the job.
    err: writer(Deno.stderr, () => {}),
    later: { out: Deno.stdout, err: Deno.stderr },
    outIsTerminal: Deno.stdout.isTerminal(),
    errIsTerminal: Deno.stderr.isTerminal(),
    inIsTerminal: Deno.stdin.isTerminal(),
    plain: Deno.noColor || Deno.build.os === "windows",
    columns,
    now: () => performance.now(),
  };
}

/** The report of an error. */
export interface Diagnostic {
  readonly kind: ImageError["kind"] | "bug";
  readonly message: string;
  /** A remedy for the user. */
  readonly hint: string | undefined;
  readonly path?: string;
  readonly offset?: number;
  /** In the qemu-img mode, the words of qemu-img. */
  readonly qemuImg?: string;
}

/** Where an error happened; the hint depends on it. */
export interface Where {
  readonly command: string | undefined;
  /** Reading the arguments, computing the permissions, or the work itself. */
  readonly stage: "arguments" | "permissions" | "work";
}

/** Returns the diagnostic of any thrown value. */
export function diagnosticOf(error: unknown, where: Where): Diagnostic {
  if (!(error instanceof ImageError)) return diagnosticOfOther(error, where);
  return {
    kind: error.kind,
    message: withPath(error),
    hint: hintFor(error.kind, where),
    ...(error.path !== undefined && { path: error.path }),
    ...(error.offset !== undefined && { offset: error.offset }),
  };
}

/** Returns the diagnostic of any thrown value; in the qemu-img mode with the words of qemu-img. */
export async function diagnosticFor(
  error: unknown,
  where: Where,
  { asQemuImg }: Pick<Io, "asQemuImg">,
): Promise<Diagnostic> {
  const diagnostic = diagnosticOf(error, where);
  const qemuImg = asQemuImg ? (await import("./qemu_phrases.ts")).qemuPhrase(diagnostic) : undefined;
  return qemuImg === undefined ? diagnostic : { ...diagnostic, qemuImg };
}

function withPath(error: ImageError): string {
  const { message, path } = error;
  return path === undefined || message.includes(path) ? message : `${message} (in "${path}")`;
}

function diagnosticOfOther(error: unknown, where: Where): Diagnostic {
  const text = error instanceof Error ? error.message : String(error);
  if (error instanceof Deno.errors.NotCapable) {
    return { kind: "permission", message: text, hint: hintFor("permission", where) };
  }
  return {
    kind: "bug",
    message: `Internal error: ${text}`,
    hint: "this is a fault of diskcast, please report it; DISKCAST_DEBUG=1 with --allow-env=DISKCAST_DEBUG shows where",
  };
}

function hintFor(kind: ImageError["kind"], { command, stage }: Where): string | undefined {
  if (kind === "usage" && stage === "arguments") {
    return `see "${[...programWords(), ...(command ? [command] : []), "--help"].join(" ")}"`;
  }
  if (kind === "permission" && stage === "permissions") {
    return "to find what the job needs, the images must be read: add --allow-read to this command";
  }
  if (kind === "permission" && stage === "work") {
    return 'the same command with --print-permissions shows the "deno run" flags that it needs';
  }
  return undefined;
}

/** Formats a diagnostic as lines. */
export function diagnosticText({ message, hint, qemuImg }: Diagnostic): string {
  const phrase = qemuImg === undefined ? "" : `qemu-img: ${qemuImg.split("\n").map(visible).join("\n")}\n`;
  return `diskcast: ${visible(message)}\n${hint === undefined ? "" : `Hint: ${hint}\n`}${phrase}`;
}

/** Formats a warning, without a line feed. */
export function warningText(message: string): string {
  return `diskcast: warning: ${visible(message)}`;
}

/**
 * Returns whether a warning is written: in the qemu-img mode harmless ones are not, because qemu-img does not write them
 * and programs take output on standard error for a failure.
 */
export function isWritten(harmless: boolean, { asQemuImg }: Pick<Io, "asQemuImg">): boolean {
  return !(asQemuImg && harmless);
}

/** Returns a listener that writes warnings, for a command without progress. */
export function warningWriter(io: Io): WarningListener {
  return (message, harmless = false) => {
    if (isWritten(harmless, io)) io.err(`${warningText(message)}\n`);
  };
}

/** Whether DISKCAST_DEBUG is set and may be read; never prompts for a permission. */
export function wantsDebug(): boolean {
  return isSet("DISKCAST_DEBUG");
}

/** Formats the stack of an error and of its causes. */
export function stackText(error: unknown): string {
  const lines: string[] = [];
  for (let at: unknown = error; at instanceof Error; at = at.cause) lines.push(at.stack ?? at.message);
  return lines.join("\ncaused by: ") + "\n";
}
