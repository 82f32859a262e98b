/** The times of the stages of a copy. */
import assert from "node:assert/strict";
import { stageTimesOf } from "../../../core/copy/stage_times.ts";
import type { ConvertEvent } from "../../../core/events.ts";

type Load = Extract<ConvertEvent, { type: "load" }>;

/** Stage times with a list of their events. */
function recorded(width = 1, codec = { compress: 0, decompress: 0 }) {
  const loads: Load[] = [];
  const times = stageTimesOf({ width, codecSeconds: () => codec, onEvent: (event) => loads.push(event as Load) });
  return { times, loads };
}

const sleep = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds));

Deno.test("stageTimesOf: the time of a stage counts, also where it fails, and its result is passed on", async () => {
  const { times, loads } = recorded();
  assert.equal(await times.time("read", async () => (await sleep(20), 7)), 7);
  const failing = times.time("write", async () => {
    await sleep(20);
    throw new Error("broken");
  });
  await assert.rejects(failing, { message: "broken" });
  times.report(true);
  const [{ read, write }] = loads;
  assert.ok(read > 0.015 && write > 0.015, `${read} ${write}`);
});

Deno.test("stageTimesOf: the seconds of workers are added", () => {
  const { times, loads } = recorded(4, { compress: 0, decompress: 1 });
  times.add({ read: 8, decompress: 2, write: 3 });
  times.add({ read: 4, decompress: 3, write: 1 });
  times.report(true);
  assert.deepEqual(loads, [{ type: "load", read: 2, decompress: 6, compress: 0, write: 4 }]);
});

Deno.test("stageTimesOf: without the codec, reading and writing are left, never less than nothing", () => {
  const { times, loads } = recorded(2, { compress: 3, decompress: 1 });
  times.add({ read: 8, decompress: 0, write: 4 });
  times.report(true);
  assert.deepEqual(loads, [{ type: "load", read: 3, decompress: 1, compress: 3, write: 0 }]);
});

Deno.test("stageTimesOf: events are at least 200 ms apart, unless one is wanted now", async () => {
  const { times, loads } = recorded();
  times.report();
  times.report();
  const first = loads.length;
  assert.ok(first <= 1);
  await sleep(210);
  times.report();
  times.report();
  assert.equal(loads.length, first + 1);
  times.report(true);
  assert.equal(loads.length, first + 2);
});
