import assert from "node:assert/strict";
import type { ConvertJob, ConvertSummary } from "../../../mod.ts";
import { tell } from "../../../cli/progress/progress.ts";
import { accessibleRenderer, durationText } from "../../../cli/progress/accessible.ts";
import { startProgress } from "../../../cli/progress/model.ts";
import { screenTelling, type ScreenWish, summaryLines } from "../../../cli/progress/screen.ts";
import { tellJob } from "../../../cli/progress/choose.ts";
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

/** A terminal of strings, into which a test types. */
function fakeTerminal() {
  const waiting: ((bytes: Uint8Array | null) => void)[] = [];
  let written = "";
  let raw = false;
  const terminal: Terminal = {
    size: () => ({ columns: 80, rows: 24 }),
    write: (text) => void (written += text),
    raw: (on) => void (raw = on),
    read: () => new Promise((done) => waiting.push(done)),
    onResize: () => () => {},
    onLeave: () => () => {},
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

function open(more: Partial<ScreenWish> = {}) {
  const host = fakeTerminal();
  const io = fakeIo(true);
  const left: number[] = [];
  const telling = screenTelling({
    job,
    view,
    words: ["a.raw", "b file.qcow2"],
    io,
    signal: new AbortController().signal,
    terminal: host.terminal,
    look: { ascii: true, colour: false },
    leave: (code) => left.push(code),
    ...more,
  });
  return telling.then((telling) => ({ host, io, left, telling }));
}

Deno.test("the screen takes the terminal, and gives it back with a summary", async () => {
  const { host, io, telling } = await open();
  assert(host.isRaw() && host.written().startsWith("\x1b[?1049h\x1b[?25l"));
  telling.event({ type: "warning", message: "odd \x1b" });
  telling.end({ ok: true, code: 0, summary });
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

Deno.test("p holds the job until p again; q and y stop it", async () => {
  const { host, telling } = await open();
  assert.equal(telling.paused!(), null);
  await host.type("p");
  const rest = telling.paused!();
  assert(rest instanceof Promise);
  await host.type("p");
  await rest;
  assert.equal(telling.paused!(), null);
  await host.type("q");
  assert(!telling.signal.aborted);
  await host.type("y");
  assert(telling.signal.aborted);
  assert.equal(telling.signal.reason, "SIGINT");
  telling.end({ ok: false, code: 130, complaint: { kind: "cancelled", message: "Cancelled", hint: undefined } });
  await host.type(null);
});

Deno.test("a job that is stopped while it rests goes on to its end", async () => {
  const { host, telling } = await open();
  await host.type("p");
  const rest = telling.paused!();
  await host.type("\x03");
  await rest;
  assert(telling.signal.aborted);
  telling.end({ ok: false, code: 130, complaint: { kind: "cancelled", message: "Cancelled", hint: undefined } });
  await host.type(null);
});

Deno.test("Ctrl-C after a signal, or twice, leaves at once, with the terminal given back", async () => {
  const signals = new AbortController();
  const { host, left, telling } = await open({ signal: signals.signal });
  signals.abort("SIGTERM");
  assert.equal(telling.signal.reason, "SIGTERM");
  await host.type("\x03");
  assert.deepEqual(left, [130]);
  assert(!host.isRaw() && host.written().endsWith("\x1b[?1049l"));
  telling.end({ ok: false, code: 143, complaint: { kind: "cancelled", message: "Cancelled", hint: undefined } });
});

Deno.test("the command in the summary is one that a shell takes", () => {
  const lines = summaryLines(summary, job, ["-O", "qcow2", "it's", "$x"], false);
  if (Deno.build.os !== "windows") assert.equal(lines.at(-1), `  again   diskcast convert -O qcow2 'it'\\''s' '$x'`);
  assert.equal(lines[0], "a.raw → /b.qcow2");
  const digested = summaryLines({ ...summary, sha256: "ab12" }, job, [], true);
  assert.deepEqual(digested.filter((line) => !lines.includes(line)).slice(1, 2), ["  sha256  ab12"]);
});

Deno.test("without a terminal the screen says so, and tells as auto does; quiet says nothing", async () => {
  // A test has no terminal, or one whose keys it must not take.
  if (Deno.stdin.isTerminal() && Deno.stderr.isTerminal()) return;
  for (const quiet of [false, true]) {
    const io = fakeIo();
    const telling = await tellJob({ job, view: { ...view, quiet }, words: [] }, io, new AbortController().signal);
    assert.equal(telling.paused, undefined);
    assert.equal(/^diskcast: the screen needs a terminal .*\n$/.test(io.stderr), !quiet);
    telling.end({ ok: true, code: 0, summary });
  }
});

Deno.test("accessible: sentences, one every half minute, nothing written over and no glyphs", () => {
  const io = fakeIo(true);
  let tick = () => {};
  const renderer = accessibleRenderer(io, (milliseconds, call) => {
    assert.equal(milliseconds, 30_000);
    tick = call;
    return () => tick = () => {};
  });
  const at = (now: number, state: Parameters<typeof renderer.event>[0]) => {
    io.clock = now;
    return state;
  };
  const begun = startProgress(0);
  renderer.event(at(0, { ...begun, phase: "inspect" }), { type: "phase", phase: "inspect" }, 0);
  io.clock = 30_000;
  tick();
  const totals = { data: 100 * MIB, zero: 0, skip: 0 };
  const copy = { ...begun, phase: "copy", totals, recent: [{ at: 31_000, done: 0 }] } as const;
  renderer.event(at(31_000, copy), { type: "phase", phase: "copy" }, 31_000);
  const later = { ...copy, done: { data: 45 * MIB, zero: 0, skip: 0 } };
  renderer.event(at(60_000, later), { type: "begin", start: 0, end: 1 }, 60_000);
  io.clock = 61_000;
  tick();
  renderer.end({ ok: true, code: 0, summary }, later, 62_000);
  tick();
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

Deno.test("accessible goes before bar and screen, and not before what programs read", async () => {
  const told = async (progress: "screen" | "json") => {
    const io = fakeIo(true);
    const shown = { job, view: { ...view, progress, accessible: true }, words: [] };
    const telling = await tellJob(shown, io, new AbortController().signal);
    telling.event({ type: "phase", phase: "inspect" });
    telling.end({ ok: true, code: 0, summary: undefined });
    return io.stderr;
  };
  assert.equal(await told("screen"), "Looking at the source.\n");
  assert.match(await told("json"), /^\{"v":1,"type":"phase"/);
});

Deno.test("commands without a screen of their own tell as auto does", () => {
  const io = fakeIo(false);
  tell("screen", false, io).end({ ok: true, code: 0, summary: undefined });
  assert.equal(io.stderr, "");
});

Deno.test("durations in words", () => {
  const rows = [[0.1, "1 second"], [45, "45 seconds"], [120, "2 minutes"], [7200, "2 hours"]] as const;
  for (const [seconds, text] of rows) assert.equal(durationText(seconds), text);
});
