import assert from "node:assert/strict";
import { cellsOf, emptyMap, mark } from "../../tui/diskmap.ts";
import { KEPT, type Model, shownRange, startModel } from "../../tui/model.ts";
import { doneWork, totalWork } from "../../tui/progress.ts";
import { advanceRate, currentRate, meanRate, startRate, timeLeft, timeLeftText } from "../../tui/rate.ts";
import { addStageTimes, stageLoads } from "../../tui/stage_times.ts";
import { update } from "../../tui/update.ts";
import { after, copying, extent, halfway, jobOf, MIB, plan, press } from "./support.ts";

function cells(model: Model, count: number): string[] {
  return cellsOf(model.map!, { start: 0, end: model.map!.size }, count, model.inFlight);
}

Deno.test("phases come in order, each with its time; an unknown one is inserted after the present one", () => {
  let model = after(startModel(jobOf(), 0), 100, { type: "phase", phase: "inspect" });
  assert.equal(model.progress.phase, "inspect");
  model = after(model, 300, { type: "phase", phase: "polish" });
  assert.deepEqual(model.phases.map((phase) => phase.name), ["inspect", "polish", "plan", "copy", "finish"]);
  assert.deepEqual(model.phases[0], { name: "inspect", startedAt: 100, endedAt: 300 });
  assert.equal(model.progress.phase, "polish");
  assert.equal(startModel(jobOf(), 0).progress.phase, undefined);
});

Deno.test("a phase that is expected after others may come before them", () => {
  const start = startModel(jobOf({ phases: ["copy", "verify", "finish"] }), 0);
  let model = after(start, 1, { type: "phase", phase: "copy" }, { type: "phase", phase: "finish" });
  assert.equal(model.progress.phase, "finish");
  model = after(model, 2, { type: "phase", phase: "verify" });
  assert.equal(model.progress.phase, "verify");
});

Deno.test("finished extents are counted by their action", () => {
  const model = after(
    copying(100 * MIB),
    1500,
    extent(0, 10 * MIB, "copy", 4 * MIB),
    extent(10 * MIB, 15 * MIB, "zero"),
    extent(15 * MIB, 40 * MIB, "skip"),
  );
  assert.deepEqual({ ...model.progress.done, backing: model.leftToBacking }, {
    data: 10 * MIB,
    zero: 5 * MIB,
    skip: 25 * MIB,
    zeroes: 4 * MIB,
    backing: 0,
    verified: 0,
    bad: 0,
  });
  assert.deepEqual([doneWork(model.progress), totalWork(model.progress)], [10 * MIB, 50 * MIB]);
  assert.equal(model.extentCount, 3);
});

Deno.test("the map: one state a cell, the most urgent one, else that of most bytes", () => {
  let model = copying(80 * MIB, jobOf({ keepsBacking: true }));
  model = after(
    model,
    1500,
    extent(0, 10 * MIB),
    extent(10 * MIB, 20 * MIB, "skip"),
    { type: "extent", start: 20 * MIB, end: 30 * MIB, kind: "zero", action: "skip", zeroes: 0, seconds: 0 },
    extent(30 * MIB, 40 * MIB, "copy", 6 * MIB),
    { type: "begin", start: 40 * MIB, end: 41 * MIB },
    { type: "bad", start: 70 * MIB, end: 70 * MIB + 512, message: "unreadable" },
  );
  assert.deepEqual(cells(model, 8), ["data", "backing", "zero", "zero", "flight", "todo", "todo", "error"]);
  const compressed = after(copying(80 * MIB, jobOf({ compress: true })), 1500, extent(0, 80 * MIB));
  assert.deepEqual(cells(compressed, 4), ["compressed", "compressed", "compressed", "compressed"]);
});

Deno.test("a range is in flight until an extent covers it", () => {
  let model = after(copying(), 1100, { type: "begin", start: 0, end: MIB }, {
    type: "begin",
    start: MIB,
    end: 2 * MIB,
  });
  assert.equal(model.inFlight.length, 2);
  model = after(model, 1200, extent(0, MIB));
  assert.deepEqual(model.inFlight, [{ start: MIB, end: 2 * MIB }]);
});

Deno.test("in the phase verify, extents count as verified", () => {
  let model = after(copying(8 * MIB), 1500, extent(0, 8 * MIB));
  model = after(model, 2000, { type: "phase", phase: "verify" }, extent(0, 4 * MIB));
  assert.deepEqual(cells(model, 2), ["verified", "data"]);
  assert.deepEqual([model.progress.done.verified, model.progress.done.data, totalWork(model.progress)], [
    4 * MIB,
    8 * MIB,
    8 * MIB,
  ]);
});

Deno.test("an update does not change the previous state", () => {
  const before = copying(8 * MIB);
  const counts = before.map!.counts.slice();
  after(before, 2000, extent(0, 8 * MIB), { type: "warning", message: "odd" }, { type: "begin", start: 0, end: 1 });
  assert.deepEqual(before.map!.counts, counts);
  assert.deepEqual([before.notes, before.inFlight, before.extents, before.progress.done.data], [[], [], [], 0]);
});

Deno.test("lists keep the last items and count all", () => {
  const extents = Array.from({ length: 3 * KEPT }, (_, at) => extent(at * 512, (at + 1) * 512));
  const warnings = Array.from({ length: 3 * KEPT }, (_, at) => ({ type: "warning", message: `w${at}` }) as const);
  const model = after(copying(), 2000, ...extents, ...warnings);
  assert.deepEqual([model.extents.length, model.extentCount], [KEPT, 3 * KEPT]);
  assert.equal(model.extents.at(-1)!.end, 3 * KEPT * 512);
  assert.deepEqual([model.notes.length, model.noteCount, model.notes.at(-1)!.message], [KEPT, 3 * KEPT, "w1499"]);
});

Deno.test("a map of any size has few buckets, and counts every byte", () => {
  for (const size of [1, 511, 512, 4096 * 512 + 1, 2 ** 31, 2 ** 46, 2 ** 53 - 1]) {
    const map = emptyMap(size);
    mark(map, "data", { start: 0, end: size });
    assert(map.counts.length <= 4096 * 6);
    const sum = map.counts.reduce((all, one) => all + one, 0);
    assert(Math.abs(sum - size) <= size * 1e-12, `${size}`);
    assert.deepEqual(new Set(cellsOf(map, { start: 0, end: size }, 100, [])), new Set(["data"]));
  }
});

Deno.test("p pauses and resumes; a pause does not count for the rate", () => {
  const running = after(copying(), 3000, extent(0, 100 * MIB));
  const paused = press(running, "p");
  assert.deepEqual([paused.effect, paused.model.paused], ["pause", true]);
  const later = after(paused.model, 60_000);
  const resumed = press(later, "p");
  assert.deepEqual([resumed.effect, resumed.model.paused], ["resume", false]);
  assert.equal(meanRate(resumed.model.progress.rate), 50 * MIB);
});

Deno.test("q asks; y stops, any other answer continues", () => {
  const asked = press(halfway(), "q");
  assert.deepEqual([asked.effect, asked.model.asking], [null, true]);
  for (const key of ["n", "escape", "q", "enter"]) {
    const back = press(asked.model, key);
    assert.deepEqual([back.effect, back.model.asking, back.model.stopping], [null, false, false]);
  }
  assert.equal(press(asked.model, "x").model.asking, true);
  const stopped = press(asked.model, "y");
  assert.deepEqual([stopped.effect, stopped.model.stopping, stopped.model.asking], ["stop", true, false]);
  assert.equal(press(stopped.model, "q").model.asking, false);
});

Deno.test("Ctrl-C stops, the second one exits at once, on every page", () => {
  for (const page of ["m", "?", "l", "e", "q", "p"]) {
    const first = press(halfway(), page, "ctrl-c");
    assert.deepEqual([first.effect, first.model.stopping, first.model.paused], ["stop", true, false], page);
    assert.equal(press(first.model, "ctrl-c").effect, "exit");
  }
  const bySignal = update(halfway(), { type: "stopping" }).model;
  assert.equal(press(bySignal, "ctrl-c").effect, "exit");
});

Deno.test("pages open and close by their own key and by Esc", () => {
  for (const [key, page] of [["?", "help"], ["l", "runs"], ["e", "errors"], ["m", "map"]] as const) {
    const opened = press(halfway(), key).model;
    assert.equal(opened.page, page);
    assert.equal(press(opened, "escape").model.page, "main");
    if (page !== "map") assert.equal(press(opened, key).model.page, "main");
  }
  assert.equal(press(halfway(), "ctrl-l").effect, "redraw");
});

Deno.test("lists scroll within their length", () => {
  const { model } = press(halfway(), "l", "up", "k", "pageup");
  assert.equal(model.scroll, 12);
  assert.equal(press(model, "down", "j").model.scroll, 10);
  assert.equal(press(model, "g").model.scroll, 31);
  assert.equal(press(model, "g", "pagedown", "pagedown", "pagedown", "pagedown").model.scroll, 0);
  assert.equal(press(model, "G").model.scroll, 0);
});

Deno.test("the map zooms in and out, moves within the disk, and Esc shows all of it", () => {
  const size = 1024 * MIB;
  const near = press({ ...halfway(), inFlight: [] }, "m", "m").model;
  assert.deepEqual(shownRange(near), { start: size * 3 / 8, end: size * 5 / 8 });
  assert.deepEqual(shownRange(press(near, "right").model), {
    start: size * (3 / 8 + 1 / 64),
    end: size * (5 / 8 + 1 / 64),
  });
  assert.deepEqual(shownRange(press(near, "pageup", "pageup", "left").model), { start: 0, end: size / 4 });
  assert.deepEqual(shownRange(press(near, "pagedown", "pagedown", "down").model), { start: size * 3 / 4, end: size });
  assert.deepEqual(shownRange(press(near, "M").model), { start: 0, end: size });
  assert.deepEqual(shownRange(press(near, "escape", "m").model), { start: 0, end: size });
  assert.equal(press(near, ...Array(20).fill("m")).model.zoom.level < 6, true);
  assert.deepEqual(press(startModel(jobOf(), 0), "m", "m", "left").model.map, null);
});

Deno.test("m shows where bytes are written; c letters; Ctrl-Z suspends", () => {
  const model = press(copying(), "m").model;
  const writing = after(model, 2000, { type: "begin", start: 900 * MIB, end: 901 * MIB });
  const { start, end } = shownRange(press(writing, "m").model);
  assert(start <= 900 * MIB && end >= 901 * MIB && end - start === 256 * MIB);
  assert.equal(press(writing, "c").model.letters, true);
  assert.equal(press(writing, "c", "c").model.letters, false);
  assert.equal(press(writing, "ctrl-z").effect, "suspend");
});

Deno.test("the rate: of the last seconds, on average, and as a history of the whole copy", () => {
  let rate = startRate(0);
  for (let now = 100; now <= 20_000; now += 100) {
    rate = advanceRate(rate, now, now <= 10_000 ? now * 1000 : 10_000_000 + (now - 10_000) * 500, true);
  }
  assert.equal(Math.round(currentRate(rate)), 500_000);
  assert.equal(meanRate(rate), 750_000);
  assert(rate.history.length > 40 && rate.history.length <= 240);
  for (let now = 20_100; now <= 400_000; now += 100) rate = advanceRate(rate, now, 15_000_000, true);
  assert(rate.history.length <= 240, String(rate.history.length));
  assert(Math.abs(rate.history.length * rate.step - 400_000) < 20_000);
});

Deno.test("the remaining time is a range until the rate is stable", () => {
  const steady = (until: number) => {
    let rate = startRate(0);
    for (let now = 100; now <= until; now += 100) rate = advanceRate(rate, now, now * 1000, true);
    return rate;
  };
  assert.equal(timeLeft(steady(500), 1e6), null);
  const young = timeLeft(steady(3000), 100e6)!;
  assert(young.low < 100 && young.high > 100);
  assert.deepEqual(timeLeft(steady(10_000), 100e6), { low: 100, high: 100 });
  const clock = (seconds: number) => `${seconds} s`;
  assert.equal(timeLeftText({ low: 100, high: 100 }, "-", clock), "100 s left");
  assert.equal(timeLeftText({ low: 130, high: 290 }, "-", clock), "about 2-5 min left");
  assert.equal(timeLeftText({ low: 0.2, high: 0.9 }, "-", clock), "about 1 s left");
  assert.equal(timeLeftText({ low: 4000, high: 9000 }, "-", clock), "about 1-3 h left");
});

Deno.test("the busiest stage limits; compression runs on all cores", () => {
  let times = addStageTimes([], 0, { read: 0, decompress: 0, compress: 0, write: 0 });
  assert.deepEqual(stageLoads(times, 2), []);
  times = addStageTimes(times, 1000, { read: 0.1, decompress: 0, compress: 1.9, write: 0.2 });
  assert.deepEqual(stageLoads(times, 2), [
    { stage: "read", share: 0.1, limits: false },
    { stage: "compress", share: 0.95, limits: true },
    { stage: "write", share: 0.2, limits: false },
  ]);
  const idle = addStageTimes([{ at: 0, busy: { read: 0 } }], 1000, { read: 0.3 });
  assert.deepEqual(stageLoads(idle, 2), [{ stage: "read", share: 0.3, limits: false }]);
});

Deno.test("an empty disk has no map", () => {
  const model = after(startModel(jobOf(), 0), 1, plan(0));
  assert.equal(model.map, null);
});
