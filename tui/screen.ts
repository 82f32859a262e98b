/**
 * The screen: writes frames, reads keys, and restores the terminal however the process ends. No other file of `tui/`
 * uses a terminal.
 *
 * @module
 */
import { boundedOutput, type ProgressOutput } from "./bounded_output.ts";
import { difference, ENTER_SCREEN, LEAVE_SCREEN } from "./frame.ts";
import { keysOfPending, readKeys } from "./keys.ts";
import { type Effect, type Model, type ScreenJob, startModel } from "./model.ts";
import type { JobEvent } from "./progress.ts";
import type { Theme } from "./theme.ts";
import { type Message, update } from "./update.ts";
import { type Size, view } from "./view.ts";

/** A terminal. Tests use one that collects strings. */
export interface Terminal {
  size(): Size;
  /** Frames and modes; see {@linkcode ProgressOutput}. */
  readonly output: ProgressOutput;
  /** Writes text before it returns, when the process is about to end. */
  writeNow(text: string): void;
  /** Turns raw mode on (keys one by one, without echo) or off. */
  raw(on: boolean): void;
  /** Reads typed bytes; `null` at the end of the input. */
  read(): Promise<Uint8Array | null>;
  /** Takes bytes that arrived after the screen was closed: they are the next reader's. */
  unread?(bytes: Uint8Array): void;
  /** Calls `listener` after each change of the size; the result removes the listener. */
  onResize(listener: () => void): () => void;
  /** Calls `listener` before the process ends, as far as that can be detected; the result removes the listener. */
  onLeave(listener: () => void): () => void;
  /** Calls `listener` when the process continues after a stop; the result removes the listener. */
  onResume(listener: () => void): () => void;
  /** Returns the milliseconds of a monotonic clock. */
  now(): number;
}

/** An open screen. */
export interface Screen {
  /** Takes an event of the job; the next frame shows it. */
  event(event: JobEvent): void;
  /** Shows that the job is being stopped, by a signal for instance. */
  stopping(): void;
  /** Restores the terminal and returns the last state, for a summary. May be called again. */
  close(): Promise<Model>;
}

/** The options of a screen. */
export interface ScreenOptions {
  readonly terminal: Terminal;
  readonly job: ScreenJob;
  readonly theme: Theme;
  /** Called for a key with an effect outside of the screen. */
  readonly onEffect: (effect: Exclude<Effect, "redraw">) => void;
  /** Called after the screen has failed and was closed; the job continues. */
  readonly onFailure?: (error: unknown) => void;
}

/** Milliseconds between two frames while a job runs: movement is visible, and a slow terminal keeps up. */
const FRAME = 250;
/** Frames use at most a hundredth of the time: a slow frame delays the next one, up to {@linkcode SLOWEST_FRAME}. */
const FRAME_PAUSE = 100;
const SLOWEST_FRAME = 1000;
/** Milliseconds between two frames for keys: an immediate response, but not one frame for each repeated key. */
const KEY_FRAME = 40;
/** Milliseconds after which a single escape is the key Esc. */
const ESCAPE = 50;
/** Events that are queued before they are taken into the state ahead of the next frame. */
const BATCH = 4096;

/** Opens a screen. */
export function openScreen(options: ScreenOptions): Screen {
  const { terminal } = options;
  const state = new ScreenState(options);
  const undo = [
    terminal.onResize(() => state.draw(true)),
    terminal.onLeave(() => state.closeNow()),
    terminal.onResume(() => state.enter()),
  ];
  let timer: ReturnType<typeof setTimeout>;
  const next = () => {
    timer = setTimeout(() => {
      state.draw();
      if (!state.closed) next();
    }, Math.min(SLOWEST_FRAME, Math.max(FRAME, FRAME_PAUSE * state.cost)));
  };
  next();
  state.onClose = () => {
    clearTimeout(timer);
    undo.forEach((one) => one());
  };
  state.enter();
  listen(state, terminal);
  return {
    event: (event) => state.queue(event),
    stopping: () => state.send({ type: "stopping" }),
    close: () => state.close(),
  };
}

/** Reads keys until the screen is closed. */
async function listen(state: ScreenState, terminal: Terminal): Promise<void> {
  let pending: Uint8Array = new Uint8Array(0);
  let timer: ReturnType<typeof setTimeout> | undefined;
  while (!state.closed) {
    const bytes = await terminal.read().catch(() => null);
    clearTimeout(timer);
    if (state.closed && bytes !== null) terminal.unread?.(bytes);
    if (bytes === null || state.closed) return;
    const read = readKeys(pending, bytes);
    pending = read.pending;
    read.keys.forEach((key) => state.send({ type: "key", key }));
    if (pending.length === 0) continue;
    timer = setTimeout(() => {
      keysOfPending(pending).forEach((key) => state.send({ type: "key", key }));
      pending = new Uint8Array(0);
    }, ESCAPE);
  }
}

/** The mutable state of a screen. */
class ScreenState {
  closed = false;
  /** Milliseconds that the last frame took. */
  cost = 0;
  onClose: () => void = () => {};
  #model: Model;
  #events: JobEvent[] = [];
  /** The lines on the terminal; `null`: unknown. */
  #shown: readonly string[] | null = null;
  #size: Size = { columns: 0, rows: 0 };
  #drawnAt = -Infinity;
  /** Whether the next frame writes all lines. */
  #anew = false;
  /** Whether a frame waits for the one in flight. */
  #waits = false;
  #soon: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly options: ScreenOptions) {
    this.#model = startModel(options.job, options.terminal.now());
  }

  /** Prepares the terminal, at the beginning and when the process continues after a stop. */
  enter(): void {
    if (this.closed) return;
    const { terminal } = this.options;
    terminal.raw(true);
    terminal.output.keep(ENTER_SCREEN);
    this.draw(true);
  }

  queue(event: JobEvent): void {
    this.#events.push(event);
    if (this.#events.length >= BATCH) this.#takeEvents();
  }

  send(message: Message): void {
    if (this.closed) return;
    const { model, effect } = update(this.#model, message);
    this.#model = model;
    if (effect === "redraw") this.#anew = true;
    this.#drawSoon();
    if (effect !== null && effect !== "redraw") this.options.onEffect(effect);
  }

  draw(anew = false): void {
    if (this.closed) return;
    this.#anew ||= anew;
    const { output } = this.options.terminal;
    if (!output.ready()) {
      this.#drawWhenReady(output);
      return;
    }
    const begun = performance.now();
    try {
      this.#takeEvents();
      this.#write(output);
      this.cost = performance.now() - begun;
    } catch (error) {
      // The failure of the screen must neither end the job nor leave the terminal in raw mode.
      this.closeNow();
      this.options.onFailure?.(error);
    }
  }

  /** Draws as soon as the terminal has taken the frame in flight, so that a key is answered then. */
  async #drawWhenReady(output: ProgressOutput): Promise<void> {
    if (this.#waits) return;
    this.#waits = true;
    await output.drained();
    this.#waits = false;
    this.draw();
  }

  async close(): Promise<Model> {
    if (!this.#end()) return this.#model;
    const { terminal } = this.options;
    terminal.output.keep(LEAVE_SCREEN);
    await terminal.output.drained();
    terminal.raw(false);
    return this.#model;
  }

  /** Restores the terminal before it returns; a terminal that takes nothing delays it. */
  closeNow(): void {
    if (!this.#end()) return;
    const { terminal } = this.options;
    try {
      terminal.writeNow(LEAVE_SCREEN);
    } finally {
      terminal.raw(false);
    }
  }

  #end(): boolean {
    if (this.closed) return false;
    this.#takeEvents();
    this.closed = true;
    clearTimeout(this.#soon);
    this.onClose();
    return true;
  }

  #takeEvents(): void {
    const events = this.#events;
    this.#events = [];
    this.#model = update(this.#model, { type: "events", events, now: this.options.terminal.now() }).model;
  }

  #write(output: ProgressOutput): void {
    const { terminal, theme } = this.options;
    const size = terminal.size();
    // Not every host signals a change of the size, so every frame reads it.
    if (this.#anew || size.columns !== this.#size.columns || size.rows !== this.#size.rows) this.#shown = null;
    this.#size = size;
    this.#anew = false;
    this.#drawnAt = terminal.now();
    const lines = view(this.#model, size, theme);
    const text = difference(this.#shown, lines);
    this.#shown = lines;
    if (text !== "") output.frame(text);
  }

  #drawSoon(): void {
    const wait = this.#drawnAt + KEY_FRAME - this.options.terminal.now();
    if (wait <= 0) return this.draw();
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined;
      this.draw();
    }, wait);
  }
}

/** Whether standard input and standard error of this process are a terminal. */
export function hasTerminal(): boolean {
  return Deno.stdin.isTerminal() && Deno.stderr.isTerminal();
}

let unreadListener: ((bytes: Uint8Array) => void) | undefined;

/**
 * Sets the listener for bytes that a screen read after it was closed: a read of standard input cannot be cancelled, so the
 * first keys for the next reader arrive there.
 */
export function onUnread(listener: (bytes: Uint8Array) => void): void {
  unreadListener = listener;
}

/** Returns the terminal of this process: keys from standard input, frames to standard error. */
export function hostTerminal(): Terminal {
  const encoder = new TextEncoder();
  const buffer = new Uint8Array(1024);
  return {
    size() {
      try {
        return Deno.consoleSize();
      } catch {
        return { columns: 80, rows: 24 };
      }
    },
    output: boundedOutput(Deno.stderr),
    writeNow(text) {
      try {
        for (let rest = encoder.encode(text); rest.length > 0;) rest = rest.subarray(Deno.stderr.writeSync(rest));
      } catch {
        // The terminal is closed; SIGHUP ends the job.
      }
    },
    raw(on) {
      try {
        Deno.stdin.setRaw(on);
      } catch {
        // As above.
      }
    },
    async read() {
      const count = await Deno.stdin.read(buffer);
      return count === null ? null : buffer.slice(0, count);
    },
    unread: (bytes) => unreadListener?.(bytes),
    onResize: (listener) => onSignal("SIGWINCH", listener),
    onResume: (listener) => onSignal("SIGCONT", listener),
    onLeave(listener) {
      const names = ["unload", "error", "unhandledrejection"];
      names.forEach((name) => addEventListener(name, listener));
      return () => names.forEach((name) => removeEventListener(name, listener));
    },
    now: () => performance.now(),
  };
}

function onSignal(name: Deno.Signal, listener: () => void): () => void {
  try {
    Deno.addSignalListener(name, listener);
  } catch {
    // Windows has neither of the signals.
    return () => {};
  }
  return () => Deno.removeSignalListener(name, listener);
}
