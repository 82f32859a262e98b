/**
 * The screen of a terminal, and the only file that touches one: frames out, keys in, and everything put back as it was
 * on every way out.
 *
 * @module
 */
import { difference, ENTER, LEAVE } from "./frame.ts";
import { readKeys, restOfKeys } from "./keys.ts";
import { type Model, type ScreenEvent, type ScreenJob, startModel } from "./model.ts";
import type { Theme } from "./theme.ts";
import { type Effect, type Message, update } from "./update.ts";
import { type Size, view } from "./view.ts";

/** What a screen needs of a terminal; tests have one made of strings. */
export interface Terminal {
  size(): Size;
  write(text: string): void;
  /** Keys one by one and without echo, or as the shell had it. */
  raw(on: boolean): void;
  /** Bytes as they are typed; `null` at the end. */
  read(): Promise<Uint8Array | null>;
  /** Calls back when the size has changed; gives a function that ends it. */
  onResize(listener: () => void): () => void;
  /** Calls back when the process is about to end in any way that it can hear of. */
  onLeave(listener: () => void): () => void;
  /** Calls back when the process goes on after it was stopped. */
  onResume(listener: () => void): () => void;
  /** Milliseconds of a clock that never goes back. */
  now(): number;
}

/** A screen that is shown. */
export interface Screen {
  /** Takes in what happens; it is drawn with the next frame. */
  event(event: ScreenEvent): void;
  /** The job is being stopped from elsewhere. */
  stopping(): void;
  /** Gives the terminal back; the last state for a summary. Once is enough, more is no harm. */
  close(): Model;
}

/** What a screen is made of. */
export interface ScreenOptions {
  readonly terminal: Terminal;
  readonly job: ScreenJob;
  readonly theme: Theme;
  /** What a key wants done outside of the screen. */
  readonly onEffect: (effect: Exclude<Effect, "redraw">) => void;
  /** The screen itself has failed and is closed; the job goes on. */
  readonly onFailure?: (error: unknown) => void;
}

/** Milliseconds between two frames while a job runs: enough to see it move, and a slow terminal keeps up. */
const FRAME = 250;
/** Of the time at most a hundredth goes into frames: on a busy machine they become fewer, down to one a second. */
const PART = 100;
const SLOWEST = 1000;
/** Milliseconds between two frames for keys: an answer at once, but not a frame for each repeated key. */
const ANSWER = 40;
/** Milliseconds after which an escape stands alone. */
const ESCAPE = 50;
/** So many events are taken in at once between two frames, so that they do not pile up. */
const BATCH = 4096;

/** Shows a screen. */
export function openScreen(options: ScreenOptions): Screen {
  const { terminal } = options;
  const state = new ScreenState(options);
  const undo = [
    terminal.onResize(() => state.draw(true)),
    terminal.onLeave(() => state.close()),
    terminal.onResume(() => state.enter()),
  ];
  let timer: ReturnType<typeof setTimeout>;
  const next = () => {
    timer = setTimeout(() => {
      state.draw();
      if (!state.closed) next();
    }, Math.min(SLOWEST, Math.max(FRAME, PART * state.cost)));
  };
  next();
  state.onClose = () => {
    clearTimeout(timer);
    undo.forEach((one) => one());
  };
  state.enter();
  listen(state, terminal);
  return {
    event: (event) => state.take(event),
    stopping: () => state.tell({ type: "stopping" }),
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
    if (bytes === null || state.closed) return;
    const read = readKeys(pending, bytes);
    pending = read.pending;
    read.keys.forEach((key) => state.tell({ type: "key", key }));
    if (pending.length === 0) continue;
    timer = setTimeout(() => {
      restOfKeys(pending).forEach((key) => state.tell({ type: "key", key }));
      pending = new Uint8Array(0);
    }, ESCAPE);
  }
}

/** The parts of a screen that change. */
class ScreenState {
  closed = false;
  /** Milliseconds that the last frame took. */
  cost = 0;
  onClose: () => void = () => {};
  #model: Model;
  #events: ScreenEvent[] = [];
  /** What the terminal shows; `null`: unknown. */
  #shown: readonly string[] | null = null;
  #size: Size = { columns: 0, rows: 0 };
  #drawnAt = -Infinity;
  #soon: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly options: ScreenOptions) {
    this.#model = startModel(options.job, options.terminal.now());
  }

  /** Takes the terminal; also after the process was stopped and goes on. */
  enter(): void {
    if (this.closed) return;
    const { terminal } = this.options;
    terminal.raw(true);
    terminal.write(ENTER);
    this.draw(true);
  }

  take(event: ScreenEvent): void {
    this.#events.push(event);
    if (this.#events.length >= BATCH) this.#digest();
  }

  tell(message: Message): void {
    if (this.closed) return;
    const { model, effect } = update(this.#model, message);
    this.#model = model;
    if (effect === "redraw") this.#shown = null;
    this.#drawSoon();
    if (effect !== null && effect !== "redraw") this.options.onEffect(effect);
  }

  draw(anew = false): void {
    if (this.closed) return;
    const begun = performance.now();
    try {
      this.#digest();
      this.#write(anew);
      this.cost = performance.now() - begun;
    } catch (error) {
      // A screen that fails must not take the job with it, nor leave the terminal as it is.
      this.close();
      this.options.onFailure?.(error);
    }
  }

  close(): Model {
    if (this.closed) return this.#model;
    this.#digest();
    this.closed = true;
    clearTimeout(this.#soon);
    this.onClose();
    const { terminal } = this.options;
    try {
      terminal.write(LEAVE);
    } finally {
      terminal.raw(false);
    }
    return this.#model;
  }

  #digest(): void {
    const events = this.#events;
    this.#events = [];
    this.#model = update(this.#model, { type: "events", events, now: this.options.terminal.now() }).model;
  }

  #write(anew: boolean): void {
    const { terminal, theme } = this.options;
    const size = terminal.size();
    // Not every host says when the size changes, so every frame asks.
    if (anew || size.columns !== this.#size.columns || size.rows !== this.#size.rows) this.#shown = null;
    this.#size = size;
    this.#drawnAt = terminal.now();
    const lines = view(this.#model, size, theme);
    const text = difference(this.#shown, lines);
    this.#shown = lines;
    if (text !== "") terminal.write(text);
  }

  #drawSoon(): void {
    const wait = this.#drawnAt + ANSWER - this.options.terminal.now();
    if (wait <= 0) return this.draw();
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined;
      this.draw();
    }, wait);
  }
}

/** Whether this process has a terminal for both keys and pictures. */
export function hasTerminal(): boolean {
  return Deno.stdin.isTerminal() && Deno.stderr.isTerminal();
}

/** The terminal of this process: keys from standard input, pictures to standard error. */
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
    write(text) {
      try {
        for (let rest = encoder.encode(text); rest.length > 0;) rest = rest.subarray(Deno.stderr.writeSync(rest));
      } catch {
        // The terminal has gone; the signal that says so ends the job.
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
    // Windows has neither.
    return () => {};
  }
  return () => Deno.removeSignalListener(name, listener);
}
