/**
 * What people see: results to stdout, talk to stderr.
 *
 * @module
 */
import { ImageError } from "../../mod.ts";
import { isSet } from "../process.ts";

/** Where a command writes, and what it may know of the terminal. */
export interface Io {
  /** Results. */
  out(text: string): void;
  /** Everything else. */
  err(text: string): void;
  /** Whether the reader of `out` has left: more results are for nobody. */
  outHasLeft?(): boolean;
  /** Whether `out` is a terminal. */
  readonly outIsTerminal?: boolean;
  /** Whether `err` is a terminal. */
  readonly errIsTerminal: boolean;
  /** Whether somebody can answer questions. */
  readonly inIsTerminal?: boolean;
  /** Whether plain characters are wanted: no colours, no block letters. */
  readonly plain: boolean;
  /** Columns of the terminal; 80 where unknown. */
  columns(): number;
  /** Milliseconds of a clock that never goes back. */
  now(): number;
}

/** Where text goes. */
export interface Sink {
  /** Returns how many of the bytes it took. */
  writeSync(bytes: Uint8Array): number;
}

/**
 * Writes all of `text`. A reader that has left is no failure: `diskcast --help | head` ends quietly.
 *
 * @param failed hears of other failures, each time that something more is to be written; nothing is
 * @param left hears of that
 */
export function writer(
  sink: Sink,
  failed: (error: unknown) => void,
  left: () => void = () => {},
): (text: string) => void {
  const encoder = new TextEncoder();
  let gone: { readonly error: unknown } | undefined;
  return (text) => {
    for (let rest = encoder.encode(text); !gone && rest.length > 0;) {
      try {
        rest = rest.subarray(sink.writeSync(rest));
      } catch (error) {
        if (error instanceof Deno.errors.WouldBlock) {
          // Another program has made the pipe or terminal, which it shares, non-blocking.
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
          continue;
        }
        gone = { error };
      }
    }
    if (gone?.error instanceof Deno.errors.BrokenPipe) left();
    else if (gone) failed(gone.error);
  };
}

/** Results that nobody gets are a failure of the command. */
function outputFailed(cause: unknown): never {
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

/** The terminal or pipes of this process. */
export function processIo(): Io {
  let hasLeft = false;
  return {
    out: writer(Deno.stdout, outputFailed, () => hasLeft = true),
    outHasLeft: () => hasLeft,
    // There is nowhere left to tell of it, and talk is not worth a job.
    err: writer(Deno.stderr, () => {}),
    outIsTerminal: Deno.stdout.isTerminal(),
    errIsTerminal: Deno.stderr.isTerminal(),
    inIsTerminal: Deno.stdin.isTerminal(),
    plain: Deno.noColor || Deno.build.os === "windows",
    columns,
    now: () => performance.now(),
  };
}

/** What is told of a failure. */
export interface Complaint {
  readonly kind: ImageError["kind"] | "bug";
  readonly message: string;
  /** What the user can do. */
  readonly hint: string | undefined;
  readonly path?: string;
  readonly offset?: number;
}

/** Where a failure happened; the hints depend on it. */
export interface Where {
  readonly command: string | undefined;
  /** Reading the words of the command line, looking for permissions, or the work itself. */
  readonly stage: "words" | "permissions" | "work";
}

/** Any thrown value in words. */
export function complaintOf(error: unknown, where: Where): Complaint {
  if (!(error instanceof ImageError)) return foreignComplaint(error, where);
  return {
    kind: error.kind,
    message: withPlace(error),
    hint: hintFor(error.kind, where),
    ...(error.path !== undefined && { path: error.path }),
    ...(error.offset !== undefined && { offset: error.offset }),
  };
}

function withPlace(error: ImageError): string {
  const { message, path } = error;
  return path === undefined || message.includes(path) ? message : `${message} (in "${path}")`;
}

function foreignComplaint(error: unknown, where: Where): Complaint {
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
  if (kind === "usage" && stage === "words") return `see "${command ? `diskcast ${command}` : "diskcast"} --help"`;
  if (kind === "permission" && stage === "permissions") {
    return "to find what the job needs, the images must be read: add --allow-read to this command";
  }
  if (kind === "permission" && stage === "work") {
    return 'the same command with --print-permissions shows the "deno run" flags that it needs';
  }
  return undefined;
}

/**
 * Text that cannot steer a terminal: names of files and what images contain may hold control characters.
 *
 * @example
 * ```ts
 * import { visible } from "./report.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(visible("a\x1b[31mb"), "a\\u{1b}[31mb");
 * ```
 */
export function visible(text: string): string {
  return text.replace(/[\p{Cc}\p{Bidi_Control}]/gu, (control) => `\\u{${control.codePointAt(0)!.toString(16)}}`);
}

/** A complaint as lines for people. */
export function complaintText(complaint: Complaint): string {
  const hint = complaint.hint === undefined ? "" : `Hint: ${complaint.hint}\n`;
  return `diskcast: ${visible(complaint.message)}\n${hint}`;
}

/** Whether DISKCAST_DEBUG is set and may be read; asks nobody. */
export function wantsDebug(): boolean {
  return isSet("DISKCAST_DEBUG");
}

/** The stack of an error and of its causes. */
export function stackText(error: unknown): string {
  const lines: string[] = [];
  for (let at: unknown = error; at instanceof Error; at = at.cause) lines.push(at.stack ?? at.message);
  return lines.join("\ncaused by: ") + "\n";
}
