import assert from "node:assert/strict";
import type { ConvertJob, ConvertSummary } from "../../../mod.ts";
import { accessibleRenderer } from "../../../cli/progress/accessible.ts";
import { screenReporter, type ScreenSetup, summaryLines } from "../../../cli/progress/screen.ts";
import { conversionReporter, reporterFor } from "../../../cli/progress/choose.ts";
import { advance, type JobEvent, startProgress, tick } from "../../../tui/progress.ts";
import { directOutput } from "../../../tui/bounded_output.ts";
import type { Terminal } from "../../../tui/screen.ts";
import { MIB } from "../../tui/support.ts";
import { fakeIo } from "../support.ts";

const job: ConvertJob = { sources: [{ path: "a.raw" }], target: { path: "b.qcow2", format: "qcow2" } };
const view = { progress: "screen", quiet: false, printPermissions: false, warnings: [] } as const;
const summary: ConvertSummary = {
  path: "/b.qcow2",
  format: "qcow2",
  size: 100 * MIB,
  fileSize: 41 * MIB,
  totals: { data: 50 * MIB, zero: 0, skip: 50 * MIB, zeroes: 10 * MIB },
  bad: [],
  seconds: 2,
};

/** A terminal that collects strings and into which a test types. */
function fakeTerminal() {
  const waiting: ((bytes: Uint8Array | null) => void)[] = [];
  let written = "";
  let raw = false;
  const terminal: Terminal = {
    size: () => ({ columns: 80, rows: 24 }),
    output: directOutput((text) => void (written += text)),
    writeNow: (text) => void (written += text),
    raw: (on) => void (raw = on),
    read: () => new Promise((done) => waiting.push(done)),
    onResize: () => () => {},
    onLeave: () => () => {},
    onSuspend: () => () => {},
    onResume: () => () => {},
    now: () => performance.now(),
  };
  return {
    terminal,
    written: () => written,
    isRaw: () => raw,
    async type(text: string | null) {
      waiting.shift()!(text === null ? null : new TextEncoder().encode(text));
      await new Promise((done) => setTimeout(done, 0));
    },
  };
}

function open(more: Partial<ScreenSetup> = {}) {
  const host = fakeTerminal();
  const io = fakeIo(true);
  const exits: number[] = [];
  const opening = screenReporter({
    job,
    view,
    args: ["a.raw", "b file.qcow2"],
    io,
    signal: new AbortController().signal,
    terminal: host.terminal,
    look: { ascii: true, depth: 0 },
    exit: (code) => exits.push(code),
    ...more,
  });
  return opening.then((reporter) => ({ host, io, exits, reporter }));
}

Deno.test("the screen restores the terminal, and writes a summary", async () => {
  const { host, io, reporter } = await open();
  assert(host.isRaw() && host.written().startsWith("\x1b[?1049h\x1b[?25l"));
  reporter.event({ type: "warning", message: "odd \x1b" });
  const ended = reporter.end({ ok: true, code: 0, summary });
  await new Promise((done) => setTimeout(done, 60));
  assert.match(host.written(), /Done|->/);
  assert(host.isRaw(), "until a key");
  await host.type("x");
  await ended;
  assert(!host.isRaw() && host.written().endsWith("\x1b[?25h\x1b[?1049l"));
  assert.deepEqual(io.stderr.split("\n"), [
    "diskcast: warning: odd \\u{1b}",
    "a.raw -> /b.qcow2",
    "  disk    100.0 MiB, of which 40.0 MiB are data",
    "  file    41.0 MiB, qcow2",
    "  time    0:02, 25.0 MiB/s read",
    "  again   diskcast convert a.raw 'b file.qcow2'",
    "",
  ]);
  await host.type(null);
});

Deno.test("p pauses the job until p again; q and y stop it", async () => {
  const { host, reporter } = await open();
  assert.equal(reporter.paused!(), null);
  await host.type("p");
  const pause = reporter.paused!();
  assert(pause instanceof Promise);
  await host.type("p");
  await pause;
  assert.equal(reporter.paused!(), null);
  await host.type("q");
  assert(!reporter.signal.aborted);
  await host.type("y");
  assert(reporter.signal.aborted);
  assert.equal(reporter.signal.reason, "SIGINT");
  reporter.end({ ok: false, code: 130, diagnostic: { kind: "cancelled", message: "Cancelled", hint: undefined } });
  await host.type(null);
});

Deno.test("a job that is stopped during a pause continues to its end", async () => {
  const { host, reporter } = await open();
  await host.type("p");
  const pause = reporter.paused!();
  await host.type("\x03");
  await pause;
  assert(reporter.signal.aborted);
  reporter.end({ ok: false, code: 130, diagnostic: { kind: "cancelled", message: "Cancelled", hint: undefined } });
  await host.type(null);
});

Deno.test("Ctrl-C after a signal, or twice, exits at once, with the terminal restored", async () => {
  const signals = new AbortController();
  const { host, exits, reporter } = await open({ signal: signals.signal });
  signals.abort("SIGTERM");
  assert.equal(reporter.signal.reason, "SIGTERM");
  await host.type("\x03");
  assert.deepEqual(exits, [130]);
  assert(!host.isRaw() && host.written().endsWith("\x1b[?1049l"));
  reporter.end({ ok: false, code: 143, diagnostic: { kind: "cancelled", message: "Cancelled", hint: undefined } });
});

Deno.test("the command in the summary is quoted for a shell", () => {
  const lines = summaryLines(summary, job, ["-O", "qcow2", "it's", "$x"], false);
  if (Deno.build.os !== "windows") assert.equal(lines.at(-1), `  again   diskcast convert -O qcow2 'it'\\''s' '$x'`);
  assert.equal(lines[0], "a.raw → /b.qcow2");
  const digested = summaryLines({ ...summary, sha256: "ab12" }, job, [], true);
  assert.deepEqual(digested.filter((line) => !lines.includes(line)).slice(1, 2), ["  sha256  ab12"]);
});

Deno.test("without a terminal the screen is replaced by auto, with a message; quiet writes none", async () => {
  // In a terminal, the screen would read the keys of the user who runs the tests.
  if (Deno.stdin.isTerminal() && Deno.stderr.isTerminal()) return;
  for (const quiet of [false, true]) {
    const io = fakeIo();
    const reporter = await conversionReporter(
      { job, view: { ...view, quiet }, args: [] },
      io,
      new AbortController().signal,
    );
    assert.equal(reporter.paused, undefined);
    assert.equal(/^diskcast: the screen needs a terminal .*\n$/.test(io.stderr), !quiet);
    reporter.end({ ok: true, code: 0, summary });
  }
});

Deno.test("accessible: sentences, one every half minute, nothing overwritten and ASCII alone", () => {
  const io = fakeIo(true);
  let tickTimer = () => {};
  const renderer = accessibleRenderer(io, "Copying", (milliseconds, call) => {
    assert.equal(milliseconds, 30_000);
    tickTimer = call;
    return () => tickTimer = () => {};
  });
  let state = startProgress(0);
  const event = (now: number, event: JobEvent) => {
    io.clock = now;
    state = tick(advance(state, event, now), now);
    renderer.event(state, event, now);
  };
  event(0, { type: "phase", phase: "inspect" });
  io.clock = 30_000;
  tickTimer();
  event(30_500, { type: "totals", totals: { data: 100 * MIB, zero: 0, skip: 0 } });
  event(31_000, { type: "phase", phase: "copy" });
  const range = { kind: "data", action: "copy", zeroes: 0, seconds: 1 } as const;
  for (let second = 32; second <= 61; second++) {
    event(second * 1000, { type: "extent", start: 0, end: 1.5 * MIB, ...range });
  }
  tickTimer();
  renderer.end({ ok: true, code: 0, summary }, state, 62_000);
  tickTimer();
  assert.deepEqual(io.stderr.split("\n"), [
    "Looking at the source.",
    "Looking at the source, still working after 30 seconds.",
    "Copying.",
    "Copying: 45 percent, 45.0 MiB of 100.0 MiB, 1.5 MiB a second, about 37 seconds left.",
    'Done: "/b.qcow2" is complete, 41.0 MiB in the file, in 2 seconds.',
    "",
  ]);
  assert.match(io.stderr, /^[\x20-\x7e\n]*$/);
});

Deno.test("accessible replaces bar and screen, and not the forms that programs read", async () => {
  const written = async (progress: "screen" | "json") => {
    const io = fakeIo(true);
    const shown = { job, view: { ...view, progress, accessible: true }, args: [] };
    const reporter = await conversionReporter(shown, io, new AbortController().signal);
    reporter.event({ type: "phase", phase: "inspect" });
    reporter.end({ ok: true, code: 0, summary: undefined });
    return io.stderr;
  };
  assert.equal(await written("screen"), "Looking at the source.\n");
  assert.match(await written("json"), /^\{"v":2,"type":"phase"/);
});

Deno.test("for commands without a screen, screen is auto", () => {
  const io = fakeIo(false);
  reporterFor({ progress: "screen", quiet: false }, io).end({ ok: true, code: 0, summary: undefined });
  assert.equal(io.stderr, "");
});
