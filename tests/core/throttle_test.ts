import assert from "node:assert/strict";
import { throttleOf } from "../../core/throttle.ts";

/** Works as a copy does: pieces of two milliseconds, and a checkpoint after each. Ends when `done`. */
async function copying(done: () => boolean): Promise<void> {
  const throttle = throttleOf(undefined, 0);
  while (!done()) {
    for (const end = performance.now() + 2; performance.now() < end;);
    await throttle.checkpoint();
  }
}

/** Prints the time again and again, at intervals that are long for a busy program. */
const CLOCK = "setInterval(() => console.log(Date.now()), 110)";

/** A few turns, and what a machine takes that has other things to do as well. With one round a turn it was 300 and more. */
const SOON = 200;

Deno.test("a job that never waits soon handles input and signals", async () => {
  const clock = new Deno.Command(Deno.execPath(), { args: ["eval", CLOCK], stdin: "null", stdout: "piped" }).spawn();
  const delays: number[] = [];
  const listening = (async () => {
    const lines = clock.stdout.pipeThrough(new TextDecoderStream()).getReader();
    while (delays.length < 9) {
      const { value } = await lines.read();
      // Lines that arrived before the first turn come at once: the oldest has waited longest.
      delays.push(Date.now() - Number(value!.split("\n")[0]));
    }
    await lines.cancel();
  })();
  await copying(() => delays.length === 9);
  await listening;
  clock.kill();
  await clock.status;
  const middle = delays.sort((a, b) => a - b)[4];
  assert(middle < SOON, `${delays.join(" ")} ms`);
});

Deno.test("a rate limit gives no credit for time in which nothing was written", async () => {
  const throttle = throttleOf(undefined, 1_000_000);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  // With credit for the pause, 1.4 MB would be due at once; half a second of it may be.
  const begun = performance.now();
  for (let bytes = 0; bytes < 1_000_000; bytes += 50_000) await throttle.account(50_000);
  assert(performance.now() - begun > 400);
});

Deno.test("a job that is cancelled while it rests ends at once", async () => {
  const stop = new AbortController();
  const throttle = throttleOf(stop.signal, 0, () => new Promise(() => {}));
  setTimeout(() => stop.abort("SIGINT"), 30);
  await assert.rejects(async () => {
    for (;;) {
      await throttle.checkpoint();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }, { kind: "cancelled" });
});

Deno.test("a job that is cancelled when it is about to rest ends at once", async () => {
  const stop = new AbortController();
  const throttle = throttleOf(stop.signal, 0, () => stop.signal.aborted ? new Promise(() => {}) : null);
  await throttle.checkpoint();
  await new Promise((resolve) => setTimeout(resolve, 30));
  const paused = throttle.checkpoint();
  stop.abort("SIGINT");
  await assert.rejects(paused, { kind: "cancelled" });
});
