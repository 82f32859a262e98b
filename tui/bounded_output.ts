/**
 * Output that never delays a job: while a terminal or pipe does not take a frame, later frames are dropped.
 *
 * @module
 */

/** A file that is written without blocking this thread. */
export interface AsyncSink {
  /** Writes some of the bytes and returns their number. */
  write(bytes: Uint8Array): Promise<number>;
}

/** Output of progress. */
export interface ProgressOutput {
  /** Whether a frame would be written: the one before it has been taken. A frame need not be made otherwise. */
  ready(): boolean;
  /** Writes text that the next one makes obsolete; drops it while {@linkcode ready} is false. */
  frame(text: string): void;
  /** Queues text that must not be lost. Of more than {@linkcode MOST_KEPT} bytes, the rest is counted and dropped. */
  keep(text: string): void;
  /** Resolves when all text is written, or cannot be written any more. */
  drained(): Promise<void>;
}

/** Most bytes of kept text that wait for a terminal. */
export const MOST_KEPT = 256 * 1024;

/** Milliseconds until the next attempt where another program has made the file non-blocking. */
const RETRY = 5;

/** Returns output that writes at once, for tests and for files. */
export function directOutput(write: (text: string) => void): ProgressOutput {
  return { ready: () => true, frame: write, keep: write, drained: () => Promise.resolve() };
}

/**
 * Returns output with one write in flight. Errors end it silently: progress that cannot be written must not end a job.
 *
 * @example
 * ```ts
 * import { boundedOutput } from "./bounded_output.ts";
 * import assert from "node:assert/strict";
 *
 * const written: string[] = [];
 * const sink = {
 *   write: (bytes: Uint8Array) => Promise.resolve(written.push(new TextDecoder().decode(bytes)) && bytes.length),
 * };
 * const output = boundedOutput(sink);
 * output.frame("first");
 * output.frame("dropped");
 * output.keep("kept");
 * await output.drained();
 * assert.deepEqual(written, ["first", "kept"]);
 * ```
 */
export function boundedOutput(sink: AsyncSink): ProgressOutput {
  const encoder = new TextEncoder();
  let kept = "";
  let dropped = 0;
  let failed = false;
  let writing: Promise<void> | null = null;
  const writeAll = async (first: string) => {
    for (let text = first; text !== "" && !failed; text = taken()) {
      for (let rest = encoder.encode(text); rest.length > 0 && !failed;) {
        try {
          rest = rest.subarray(await sink.write(rest));
        } catch (error) {
          if (error instanceof Deno.errors.WouldBlock) await new Promise((resolve) => setTimeout(resolve, RETRY));
          else failed = true;
        }
      }
    }
  };
  const taken = () => {
    const text = kept + (dropped > 0 ? `diskcast: ${dropped} more lines: they were not taken in time\n` : "");
    [kept, dropped] = ["", 0];
    return text;
  };
  const start = (text: string) => {
    // What is never written must not count as in flight.
    if (failed || text === "") return;
    writing = writeAll(text).then(() => void (writing = null));
  };
  return {
    ready: () => writing === null,
    frame: (text) => writing === null ? start(text) : undefined,
    keep(text) {
      if (writing === null) start(text);
      else if (kept.length + text.length > MOST_KEPT) dropped++;
      else kept += text;
    },
    drained: () => writing ?? Promise.resolve(),
  };
}
