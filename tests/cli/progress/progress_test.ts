import assert from "node:assert/strict";
import type { ConvertEvent, ConvertSummary } from "../../../mod.ts";
import type { Outcome, ProgressForm, Reporter } from "../../../cli/progress/progress.ts";
import { reporterFor } from "../../../cli/progress/choose.ts";
import { plainRenderer } from "../../../cli/progress/plain.ts";
import { barLine } from "../../../cli/progress/bar.ts";
import { barText, bytesText, durationText, sizeText, timeText } from "../../../tui/human.ts";
import { advance, percent, type Progress, secondsLeft, startProgress, tick } from "../../../tui/progress.ts";
import { currentRate } from "../../../tui/rate.ts";
import { type FakeIo, fakeIo } from "../support.ts";

const MIB = 1024 ** 2;

const summary: ConvertSummary = {
  path: "/b",
  format: "raw",
  size: 100 * MIB,
  fileSize: 100 * MIB,
  totals: { data: 100 * MIB, zero: 0, skip: 0, zeroes: 0 },
  bad: [],
  seconds: 2,
};

const good: Outcome = { ok: true, code: 0, summary };
const failed: Outcome = {
  ok: false,
  code: 1,
  diagnostic: { kind: "io", message: "Cannot write", hint: undefined },
};

function planOf(data: number, zero = 0, skip = 0): ConvertEvent {
  return {
    type: "plan",
    sources: [],
    target: { path: "b", format: "raw", size: data + zero + skip },
    totals: { data, zero, skip },
  };
}

function extent(start: number, end: number, action: "copy" | "zero" | "skip" = "copy"): ConvertEvent {
  return { type: "extent", start, end, kind: action === "copy" ? "data" : "zero", action, zeroes: 0, seconds: 0 };
}

function report(progress: ProgressForm, io: FakeIo, quiet = false): Reporter {
  return reporterFor({ progress, quiet }, io);
}

/** Reports a job of 100 MiB of data, one MiB each `step` milliseconds. */
function play(form: ProgressForm, io: FakeIo, step: number, outcome: Outcome = good, quiet = false): void {
  const reporter = report(form, io, quiet);
  reporter.event({ type: "phase", phase: "inspect" });
  reporter.event({ type: "phase", phase: "plan" });
  reporter.event(planOf(100 * MIB));
  reporter.event({ type: "phase", phase: "copy" });
  for (let at = 0; at < 100; at++) {
    io.clock += step;
    reporter.event(extent(at * MIB, (at + 1) * MIB));
  }
  reporter.event({ type: "phase", phase: "finish" });
  reporter.end(outcome);
}

/** Returns the state of a copy after events; the clock is at the last of them, or at `now`. */
function copying(events: readonly (readonly [at: number, event: ConvertEvent])[] = [], now?: number): Progress {
  const begun = advance(startProgress(0), planOf(100 * MIB, MIB, MIB), 0);
  const copy = advance(begun, { type: "phase", phase: "copy" }, 0);
  const state = events.reduce((state, [at, event]) => tick(advance(state, event, at), at), copy);
  return now === undefined ? state : tick(state, now);
}

Deno.test("percent counts all bytes where all are hashed", () => {
  const totals = { data: 10 * MIB, zero: 60 * MIB, skip: 30 * MIB };
  let state = advance(startProgress(0), { type: "totals", totals, hashesAll: true }, 0);
  for (const [action, percentage] of [["copy", 10], ["zero", 20], ["skip", 30]] as const) {
    state = advance(state, extent(0, 10 * MIB, action), 1);
    assert.equal(percent(state), percentage);
  }
});

Deno.test("percent counts data alone", () => {
  assert.equal(percent(copying()), 0);
  assert.equal(percent(copying([[1, extent(0, 25 * MIB)]])), 25);
  assert.equal(percent(copying([[1, extent(0, MIB, "zero")], [2, extent(0, MIB, "skip")]])), 0);
  assert.equal(percent(copying([[1, extent(0, 200 * MIB)]])), 100);
});

Deno.test("a job without data counts its zeroes; one without either is at 100 when it finishes", () => {
  const zeroes = advance(startProgress(0), planOf(0, 10 * MIB, 5), 0);
  assert.equal(percent(advance(zeroes, extent(0, 5 * MIB, "zero"), 1)), 50);
  const nothing = advance(startProgress(0), planOf(0, 0, 5), 0);
  assert.equal(percent(nothing), 0);
  assert.equal(percent(advance(nothing, { type: "phase", phase: "finish" }, 1)), 100);
});

Deno.test("the rate is that of the last seconds; the remaining time follows from it", () => {
  const state = copying([[1000, extent(0, 10 * MIB)], [2000, extent(10 * MIB, 20 * MIB)]]);
  assert.equal(currentRate(state.rate), 10 * MIB);
  assert.equal(secondsLeft(state), 8);
  const slower = copying([[1000, extent(0, 50 * MIB)], [9000, extent(0, MIB)], [10000, extent(0, MIB)]]);
  assert.equal(currentRate(slower.rate), MIB);
  assert.equal(currentRate(copying([], 5000).rate), 0);
  assert.equal(secondsLeft(copying([], 5000)), undefined);
});

Deno.test("the form of qemu-img: steps of a point, 0 and 100, a line feed", () => {
  const io = fakeIo();
  const reporter = report("qemu", io);
  reporter.event(planOf(1000));
  reporter.event(extent(0, 5));
  reporter.event(extent(5, 9));
  reporter.event(extent(9, 123));
  reporter.event(extent(123, 1000));
  reporter.end(good);
  const shown = ["0.00", "12.30", "100.00", "100.00"].map((value) => `    (${value}/100%)\r`).join("");
  assert.equal(io.stdout, `${shown}\n`);
  assert.equal(io.stderr, "");
});

Deno.test("the form of qemu-img ends with a line feed alone when the job fails", async () => {
  const io = fakeIo();
  await report("qemu", io).end(failed);
  assert.equal(io.stdout, "    (0.00/100%)\r\n");
  assert.equal(io.stderr, "diskcast: Cannot write\n");
});

Deno.test("auto in a pipe: a short job writes nothing", () => {
  const io = fakeIo(false);
  play("auto", io, 9);
  assert.equal(io.stdout + io.stderr, "");
});

Deno.test("auto in a pipe: a long job has a line now and then, and a last one", () => {
  const io = fakeIo(false);
  play("auto", io, 1000);
  const lines = io.stderr.trimEnd().split("\n");
  assert.equal(lines.length, 11);
  assert.deepEqual(lines.slice(0, 2), [
    "1 %, 1.0 MiB of 100.0 MiB, 1.0 MiB/s, 1:39 left",
    "11 %, 11.0 MiB of 100.0 MiB, 1.0 MiB/s, 1:29 left",
  ]);
  assert.match(lines.at(-1)!, /^\/b: 100\.0 MiB of data, 0 B of zeroes or holes, 100\.0 MiB in the file, 0:02$/);
});

Deno.test("plain: a line at once, then one in ten seconds", () => {
  const io = fakeIo(false);
  play("plain", io, 4000);
  const shown = io.stderr.split("\n").slice(0, 4).map((line) => line.split(" ")[0]);
  assert.deepEqual(shown, ["0", "3", "6", "9"]);
});

Deno.test("plain: a short job has its first and its last line", () => {
  const io = fakeIo(false);
  play("plain", io, 1);
  assert.match(io.stderr, /^0 %, 0 B of 100\.0 MiB\n\/b: .*\n$/);
});

Deno.test("plain: a job without events has lines, too, by its phase", () => {
  const io = fakeIo(false);
  let tick = () => {};
  let stopped = false;
  const renderer = plainRenderer(io, {
    label: "Copying",
    always: false,
    every(milliseconds, call) {
      assert.equal(milliseconds, 1000);
      tick = call;
      return () => void (stopped = true);
    },
  });
  const state = advance(startProgress(0), { type: "phase", phase: "finish" }, 0);
  renderer.event(state, { type: "phase", phase: "finish" }, 0);
  io.clock = 500;
  renderer.event(state, { type: "phase", phase: "finish" }, 500);
  for (const now of [900, 1100, 5000, 12_000, 23_000]) {
    io.clock = now;
    tick();
  }
  renderer.end(failed, state, 23_000);
  assert(stopped);
  assert.deepEqual(io.stderr.split("\n"), [
    "Finishing, 0:01 so far",
    "Finishing, 0:12 so far",
    "Finishing, 0:23 so far",
    "diskcast: Cannot write",
    "",
  ]);
});

Deno.test("none and a failure: the diagnostic alone", () => {
  const io = fakeIo(true);
  play("none", io, 1000, failed);
  assert.equal(io.stderr, "diskcast: Cannot write\n");
  assert.equal(io.stdout, "");
});

Deno.test("auto on a terminal: a bar that is overwritten, then one line", () => {
  const io = fakeIo(true, 80);
  play("auto", io, 100);
  const frames = io.stderr.split("\r\x1b[K");
  assert(frames.length > 50 && frames.length < 110, String(frames.length));
  for (const frame of frames) assert(frame.trimEnd().length < 80, frame);
  assert(frames.some((frame) => frame.startsWith("Copying  50 % [####")), "a frame at half");
  assert.match(frames.at(-1)!, /^\/b: 100\.0 MiB of data.*\n$/);
  assert.equal(io.stdout, "");
});

Deno.test("the bar is cleared on a failure", () => {
  const io = fakeIo(true, 80);
  play("bar", io, 100, failed);
  assert(io.stderr.endsWith("\r\x1b[Kdiskcast: Cannot write\n"));
});

Deno.test("a bar fits every width", () => {
  const state = copying([[1000, extent(0, 10 * MIB)], [2000, extent(10 * MIB, 20 * MIB)]]);
  const line = (columns: number) => barLine(state, { label: "Copying", columns, plain: true });
  for (let columns = 5; columns <= 200; columns++) {
    assert(line(columns).length <= columns, `${columns}: ${line(columns)}`);
  }
  assert.equal(
    line(100),
    `Copying  20 % [${"#".repeat(7)}${"-".repeat(28)}]  20.0 MiB of 100.0 MiB   10.0 MiB/s    0:08 left`,
  );
  assert.equal(line(20), "Copying  20 %");
});

Deno.test("the bar has block characters where they are allowed", () => {
  const state = copying([[1, extent(0, 50 * MIB)]]);
  const line = (plain: boolean) => barLine(state, { label: "Copying", columns: 80, plain });
  assert.match(line(true), / \[#+-+\] /);
  assert.match(line(false), / \[█+░+\] /);
  const plain = { full: "#", empty: "-" };
  assert.equal(barText(0.5, 4, plain), "##--");
  assert.equal(barText(0.5, 4, { full: "█", empty: "░" }), "██░░");
  assert.equal(barText(1, 4, plain), "####");
  assert.equal(barText(0.99, 4, plain), "###-");
});

Deno.test("warnings stand on lines of their own", () => {
  const io = fakeIo(true, 80);
  const reporter = report("bar", io);
  reporter.event(planOf(100));
  reporter.event({ type: "warning", message: "odd" });
  assert(io.stderr.includes("\r\x1b[Kdiskcast: warning: odd\n"));
});

Deno.test("quiet leaves out warnings and read errors", () => {
  const io = fakeIo();
  const reporter = report("none", io, true);
  reporter.warn("odd");
  reporter.event({ type: "warning", message: "odd" });
  reporter.event({ type: "bad", start: 0, end: 512, message: "unreadable" });
  reporter.end({ ok: true, code: 0, summary: { ...summary, bad: [{ start: 0, end: 512 }] } });
  assert.equal(io.stderr, "");
});

Deno.test("unreadable bytes are counted at the end", () => {
  const io = fakeIo();
  const reporter = report("none", io);
  reporter.event({ type: "bad", start: 0, end: 512, message: "Cannot read 0" });
  const bad = [{ start: 0, end: 512 }, { start: 1024, end: 2048 }];
  reporter.end({ ok: true, code: 0, summary: { ...summary, bad } });
  assert.deepEqual(io.stderr.split("\n"), [
    "diskcast: warning: Cannot read 0",
    "diskcast: warning: 1536 bytes in 2 places could not be read and became zeroes",
    "",
  ]);
});

/** Returns the objects of the JSON form. */
function jsonLines(io: FakeIo): { [name: string]: unknown }[] {
  return io.stderr.trimEnd().split("\n").map((line) => JSON.parse(line));
}

Deno.test("json: one object a line, status four times a second at most, adjacent extents joined, a summary at the end", () => {
  const io = fakeIo();
  play("json", io, 100);
  const lines = jsonLines(io);
  assert(lines.every((line) => line["v"] === 2));
  assert.deepEqual(lines.filter((line) => line["type"] === "extent"), [
    { v: 2, type: "extent", start: 0, end: 100 * MIB, kind: "data", action: "copy", zeroes: 0, seconds: 0 },
  ]);
  const status = lines.filter((line) => line["type"] === "status");
  assert(status.length > 30 && status.length <= 40, String(status.length));
  const middle = status.find((line) => line["percent"] as number >= 50)!;
  assert.equal(middle["total"], 100 * MIB);
  assert.equal(middle["bytesPerSecond"], 10 * MIB);
  assert.deepEqual(lines.at(-1), { v: 2, type: "summary", ok: true, exitCode: 0, ...summary });
  assert.equal(io.stdout, "");
});

Deno.test("json: extents of another kind, or not adjacent, are lines of their own", () => {
  const io = fakeIo();
  const reporter = report("json", io);
  reporter.event(extent(0, 10));
  reporter.event({ ...extent(10, 20), zeroes: 4 } as ConvertEvent);
  reporter.event(extent(20, 30, "skip"));
  reporter.event(extent(40, 50, "skip"));
  reporter.event({ type: "phase", phase: "finish" });
  reporter.end(failed);
  assert.deepEqual(jsonLines(io).map(({ type, start, end, zeroes }) => [type, start, end, zeroes]), [
    ["extent", 0, 20, 4],
    ["extent", 20, 30, 0],
    ["extent", 40, 50, 0],
    ["phase", undefined, undefined, undefined],
    ["error", undefined, undefined, undefined],
    ["summary", undefined, undefined, undefined],
  ]);
});

Deno.test("a repeated read error is reported once, and of many only the first", () => {
  const io = fakeIo();
  const reporter = report("none", io);
  for (let nth = 0; nth < 1000; nth++) reporter.event({ type: "bad", start: 0, end: 512, message: "the same" });
  for (let nth = 0; nth < 1000; nth++) reporter.event({ type: "bad", start: 0, end: 512, message: `number ${nth}` });
  const lines = io.stderr.trimEnd().split("\n");
  assert.equal(lines.length, 21);
  assert.match(lines[0], /the same$/);
  assert.match(lines[20], /more cannot be read/);
});

Deno.test("json: warnings, read errors and failures are lines too", () => {
  const io = fakeIo();
  const reporter = report("json", io, true);
  reporter.warn("before");
  reporter.event({ type: "bad", start: 0, end: 512, message: "unreadable" });
  reporter.end(failed);
  assert.deepEqual(jsonLines(io).map((line) => [line["type"], line["message"]]), [
    ["warning", "before"],
    ["bad", "unreadable"],
    ["error", "Cannot write"],
    ["summary", undefined],
  ]);
  const last = jsonLines(io).at(-1)!;
  assert.deepEqual([last["ok"], last["exitCode"]], [false, 1]);
});

Deno.test("sizes and durations as text", () => {
  const bytes = [[0, "0 B"], [1023, "1023 B"], [1024, "1.0 KiB"], [1048575, "1.0 MiB"], [2 ** 50, "1.0 PiB"]] as const;
  for (const [value, text] of bytes) assert.equal(bytesText(value), text);
  const times = [[0, "0:00"], [5.4, "0:05"], [65, "1:05"], [725, "12:05"], [3600, "1:00:00"], [90061, "25:01:01"]];
  for (const [value, text] of times as [number, string][]) assert.equal(timeText(value), text);
  const sizes = [[0, "0"], [1, "1"], [1025, "1025"], [65536, "64k"], [2 ** 20, "1M"], [1.5 * 2 ** 30, "1536M"]];
  for (const [value, text] of sizes as [number, string][]) assert.equal(sizeText(value), text);
  const durations = [[0.1, "1 second"], [45, "45 seconds"], [120, "2 minutes"], [7200, "2 hours"]] as const;
  for (const [seconds, text] of durations) assert.equal(durationText(seconds), text);
});
