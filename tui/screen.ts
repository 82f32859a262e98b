/**
 * The screen: writes frames, reads keys, and restores the terminal however the process ends. No other file of `tui/`
 * uses a terminal.
 *
 * @module
 */
import { boundedOutput, type ProgressOutput } from "./bounded_output.ts";
import { difference, ENTER_SCREEN, LEAVE_SCREEN } from "./frame.ts";
import { type Key, keysOfPending, readKeys } from "./keys.ts";
import { type Effect, type Model, type Result, type ScreenJob, startModel } from "./model.ts";
import type { JobEvent } from "./progress.ts";
import { type Look, type Theme, themeOf } from "./theme.ts";
import { type Message, update } from "./update.ts";
import type { Size } from "./line.ts";
import { view } from "./view.ts";
import { BEGIN_FRAME, END_FRAME, ENTER_WINDOW, isLight, LEAVE_WINDOW, windowText } from "./window.ts";

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
  /** Calls `listener` when the process is to stop, instead of stopping it; the result removes the listener. */
  onSuspend(listener: () => void): () => void;
  /** Stops the process until it is continued; absent where the host cannot. */
  readonly stop?: () => void;
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
  /** Shows the result until a key is pressed, or the screen is closed. */
  result(result: Result): Promise<void>;
  /** Restores the terminal and returns the last state, for a summary. May be called again. */
  close(): Promise<Model>;
}

/** Effects on the screen itself. */
type OwnEffect = "redraw" | "suspend" | "leave";

/** The options of a screen. */
export interface ScreenOptions {
  readonly terminal: Terminal;
  readonly job: ScreenJob;
  readonly look: Look;
  /** Called for a key with an effect outside of the screen. */
  readonly onEffect: (effect: Exclude<Effect, OwnEffect>) => void;
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
/** Milliseconds for the rest of an answer of the terminal, and for an answer at all. */
const ANSWER = 500;
const ANSWERS_UNTIL = 2000;
/** The second byte of an answer. */
const OSC = 0x5d;
/** Events that are queued before they are taken into the state ahead of the next frame. */
const BATCH = 4096;

/** Opens a screen. */
export function openScreen(options: ScreenOptions): Screen {
  const { terminal } = options;
  const state = new ScreenState(options);
  const undo = [
    terminal.onResize(() => state.draw(true)),
    terminal.onLeave(() => state.closeNow()),
    terminal.onSuspend(() => state.suspend()),
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
    result: (result) => state.result(result),
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
    if (bytes === null) return state.inputEnded();
    if (state.closed) return terminal.unread?.(bytes);
    const read = readKeys(pending, bytes);
    pending = read.pending;
    read.keys.forEach((key) => state.typed(key));
    if (pending.length === 0) continue;
    timer = setTimeout(() => {
      keysOfPending(pending).forEach((key) => state.send({ type: "key", key }));
      pending = new Uint8Array(0);
    }, pending[1] === OSC ? ANSWER : ESCAPE);
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
  /** The theme, with the settings that it was made for. */
  #theme: { readonly letters: boolean; readonly light: boolean; readonly theme: Theme } | undefined;
  #light: boolean;
  #enteredAt = 0;
  #suspended = false;
  /** Title and progress of the window as last written. */
  #window = "";
  #inputEnded = false;
  #left: () => void = () => {};
  /** Whether a frame waits for the one in flight. */
  #waits = false;
  #soon: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly options: ScreenOptions) {
    this.#model = startModel(options.job, options.terminal.now());
    this.#light = options.look.light === true;
  }

  /** Prepares the terminal, at the beginning and when the process continues after a stop. */
  enter(): void {
    if (this.closed) return;
    const { terminal, look } = this.options;
    this.#suspended = false;
    this.#enteredAt = terminal.now();
    this.#window = "";
    terminal.raw(true);
    terminal.output.keep(ENTER_SCREEN + (look.depth > 0 ? ENTER_WINDOW : ""));
    this.draw(true);
  }

  /** Restores the terminal and stops the process; {@linkcode enter} continues. */
  async suspend(): Promise<void> {
    const { terminal } = this.options;
    if (this.closed || this.#suspended || !terminal.stop) return;
    this.#suspended = true;
    terminal.output.keep(this.#leaveText());
    await terminal.output.drained();
    terminal.raw(false);
    terminal.stop();
  }

  #leaveText(): string {
    return (this.options.look.depth > 0 ? LEAVE_WINDOW : "") + LEAVE_SCREEN;
  }

  /** Takes a key, or an answer of the terminal. */
  typed(key: Key): void {
    if (!key.startsWith("osc ")) return this.send({ type: "key", key });
    const light = isLight(key.slice(4));
    const { terminal, look } = this.options;
    if (light === undefined || look.light !== undefined) return;
    if (terminal.now() - this.#enteredAt > ANSWERS_UNTIL || light === this.#light) return;
    this.#light = light;
    this.draw(true);
  }

  /** Without further keys, the result is not waited for. */
  inputEnded(): void {
    this.#inputEnded = true;
    this.#left();
  }

  result(result: Result): Promise<void> {
    if (this.closed || this.#inputEnded) return Promise.resolve();
    const left = new Promise<void>((resolve) => this.#left = resolve);
    this.#takeEvents();
    this.send({ type: "result", result });
    return left;
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
    if (effect === "leave") this.#left();
    else if (effect === "suspend") this.suspend();
    else if (effect !== null && effect !== "redraw") this.options.onEffect(effect);
  }

  draw(anew = false): void {
    if (this.closed || this.#suspended) return;
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
    if (!this.#suspended) terminal.output.keep(this.#leaveText());
    await terminal.output.drained();
    terminal.raw(false);
    return this.#model;
  }

  /** Restores the terminal before it returns; a terminal that takes nothing delays it. */
  closeNow(): void {
    if (!this.#end()) return;
    const { terminal } = this.options;
    try {
      terminal.writeNow(this.#leaveText());
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
    this.#left();
    return true;
  }

  #takeEvents(): void {
    const events = this.#events;
    this.#events = [];
    this.#model = update(this.#model, { type: "events", events, now: this.options.terminal.now() }).model;
  }

  #write(output: ProgressOutput): void {
    const { terminal, look } = this.options;
    const colourBlind = look.colourBlind === true || this.#model.letters;
    if (this.#theme?.letters !== colourBlind || this.#theme.light !== this.#light) {
      const theme = themeOf({ ...look, colourBlind, light: this.#light });
      this.#theme = { letters: colourBlind, light: this.#light, theme };
      this.#anew = true;
    }
    const { theme } = this.#theme;
    const size = terminal.size();
    // Not every host signals a change of the size, so every frame reads it.
    if (this.#anew || size.columns !== this.#size.columns || size.rows !== this.#size.rows) this.#shown = null;
    this.#size = size;
    this.#anew = false;
    this.#drawnAt = terminal.now();
    const lines = view(this.#model, size, theme);
    const text = difference(this.#shown, lines);
    this.#shown = lines;
    output.frame(this.#around(text));
  }

  /** Returns a frame as one update, with the title of the window where that has changed. */
  #around(frame: string): string {
    if (this.options.look.depth === 0) return frame;
    const window = windowText(this.#model);
    const changed = window === this.#window ? "" : window;
    this.#window = window;
    return `${BEGIN_FRAME}${frame}${END_FRAME}${changed}`;
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

/**
 * Returns the terminal of this process: keys from standard input, frames to standard error.
 *
 * @param stops whether Ctrl-Z stops the process. Below a program that does not stop with it, no shell would get the terminal
 */
export function hostTerminal(stops = true): Terminal {
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
        // Ctrl-C and Ctrl-Z stay signals, which go to the parents, too: they end or stop with this process.
        Deno.stdin.setRaw(on, { cbreak: Deno.build.os !== "windows" });
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
    onSuspend: (listener) => onSignal("SIGTSTP", listener),
    ...(stops && Deno.build.os !== "windows" && { stop: () => Deno.kill(Deno.pid, "SIGSTOP") }),
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
