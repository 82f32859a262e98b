/** The pipeline: how many pieces are in flight, in which order they settle, and which error comes first. */
import assert from "node:assert/strict";
import { type Overlap, type PieceWork, pipelineOf } from "../../../core/copy/pipeline.ts";

/** Pieces of one byte whose reading and writing end when the test says so. */
class Bench {
  readonly log: string[] = [];
  readonly buffers = new Map<number, Uint8Array>();
  readonly pipeline;
  readonly #ends = new Map<string, PromiseWithResolvers<void>>();

  constructor(width: number, bufferSize = 512) {
    this.pipeline = pipelineOf(width, bufferSize, {
      begin: ({ start }) => this.log.push(`begin ${start}`),
      settled: ({ start, zeroes }) => this.log.push(`settled ${start}${zeroes > 0 ? ` zeroes ${zeroes}` : ""}`),
    });
  }

  /** Starts piece `nth`; both stages wait for {@linkcode end} or {@linkcode fail}. */
  run(nth: number, overlap: Overlap, action: "copy" | "skip" = "copy"): Promise<void> {
    const stage = (name: string) => {
      this.log.push(`${name} ${nth}`);
      return this.#endOf(`${name} ${nth}`).promise;
    };
    const work: PieceWork = {
      piece: { action, kind: "data", compressed: false, start: nth, end: nth + 1 },
      read: async (buffer) => {
        this.buffers.set(nth, buffer);
        await stage("read");
      },
      async write() {
        await stage("write");
        return nth === 7 ? 1 : 0;
      },
    };
    return this.pipeline.run(work, overlap);
  }

  /** Ends stages, named as in the log. */
  async end(...stages: string[]): Promise<void> {
    for (const stage of stages) this.#endOf(stage).resolve();
    await turn();
  }

  async fail(stage: string, message: string): Promise<void> {
    this.#endOf(stage).reject(new Error(message));
    await turn();
  }

  #endOf(stage: string): PromiseWithResolvers<void> {
    const found = this.#ends.get(stage) ?? Promise.withResolvers<void>();
    this.#ends.set(stage, found);
    return found;
  }
}

const ALL: Overlap = { pieces: true, writes: true };
const READS: Overlap = { pieces: true, writes: false };
const NONE: Overlap = { pieces: false, writes: false };

/** Lets everything that is ready go on. */
async function turn(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 0));
}

/** Returns whether a promise has settled. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  promise.then(() => settled = true, () => settled = true);
  await turn();
  return settled;
}

Deno.test("pipeline: as many pieces as its width are in flight", async () => {
  const bench = new Bench(2);
  await bench.run(0, ALL);
  await bench.run(1, ALL);
  const third = bench.run(2, ALL);
  assert.equal(await isSettled(third), false);
  assert.deepEqual(bench.log, ["begin 0", "read 0", "begin 1", "read 1"]);
  await bench.end("read 0", "write 0");
  assert.equal(await isSettled(third), true);
  assert.deepEqual(bench.log.slice(4), ["write 0", "settled 0", "begin 2", "read 2"]);
  assert.equal(bench.buffers.get(2)?.buffer, bench.buffers.get(0)?.buffer, "the buffer is used again");
  assert.notEqual(bench.buffers.get(1)?.buffer, bench.buffers.get(0)?.buffer);
  await bench.end("read 1", "read 2", "write 1", "write 2");
  await bench.pipeline.drained();
});

Deno.test("pipeline: all buffers together stay below 64 MiB; at least one piece is in flight", async () => {
  for (const [bufferSize, most] of [[32 << 20, 2], [65 << 20, 1]]) {
    const bench = new Bench(16, bufferSize);
    for (let nth = 0; nth < most; nth++) await bench.run(nth, ALL);
    const next = bench.run(most, ALL);
    assert.equal(await isSettled(next), false);
    for (let nth = 0; nth <= most; nth++) await bench.end(`read ${nth}`, `write ${nth}`);
    await next;
    await bench.pipeline.drained();
  }
});

Deno.test("pipeline: writes begin, and pieces settle, in the order of the pieces, whichever is read first", async () => {
  const bench = new Bench(3);
  for (const nth of [0, 1, 2]) await bench.run(nth, ALL);
  await bench.end("read 2", "read 1");
  assert.ok(!bench.log.includes("write 1"), "piece 0 is not yet being written");
  await bench.end("read 0");
  assert.deepEqual(bench.log.slice(6), ["write 0", "write 1", "write 2"]);
  await bench.end("write 2", "write 1");
  assert.ok(!bench.log.some((entry) => entry.startsWith("settled")));
  await bench.end("write 0");
  assert.deepEqual(bench.log.slice(9), ["settled 0", "settled 1", "settled 2"]);
});

Deno.test("pipeline: without overlapping writes, a write begins when the piece before has settled", async () => {
  const bench = new Bench(3);
  await bench.run(0, READS);
  await bench.run(1, READS);
  await bench.end("read 0", "read 1");
  assert.deepEqual(bench.log, ["begin 0", "read 0", "begin 1", "read 1", "write 0"]);
  await bench.end("write 0");
  assert.deepEqual(bench.log.slice(5), ["settled 0", "write 1"]);
  await bench.end("write 1");
  await bench.pipeline.drained();
});

Deno.test("pipeline: a piece that does not overlap waits for those before it, and is awaited", async () => {
  const bench = new Bench(3);
  await bench.run(0, ALL);
  const alone = bench.run(1, NONE);
  await turn();
  assert.deepEqual(bench.log, ["begin 0", "read 0"]);
  await bench.end("read 0", "write 0", "read 1");
  assert.equal(await isSettled(alone), false);
  await bench.end("write 1");
  assert.equal(await isSettled(alone), true);
  assert.deepEqual(bench.log.slice(2), ["write 0", "settled 0", "begin 1", "read 1", "write 1", "settled 1"]);
});

Deno.test("pipeline: a piece that is skipped does not begin; zeroes that were found come with the piece", async () => {
  const bench = new Bench(2);
  await bench.run(0, ALL, "skip");
  await bench.run(7, ALL);
  await bench.end("read 0", "write 0", "read 7", "write 7");
  await bench.pipeline.drained();
  assert.deepEqual(bench.log.filter((entry) => /begin|settled/.test(entry)), [
    "begin 7",
    "settled 0",
    "settled 7 zeroes 1",
  ]);
});

Deno.test("pipeline: a piece without reading has no buffer", async () => {
  const pipeline = pipelineOf(1, 512, { begin: () => {}, settled: () => {} });
  const piece = { action: "zero", kind: "zero", compressed: false, start: 0, end: 512 } as const;
  let length = -1;
  await pipeline.run({ piece, write: (buffer) => Promise.resolve((length = buffer.length) * 0) }, NONE);
  assert.equal(length, 0);
});

Deno.test("pipeline: the error of the first piece wins, though a later piece fails before", async () => {
  const bench = new Bench(4);
  for (const nth of [0, 1, 2]) await bench.run(nth, ALL);
  await bench.end("read 0", "read 1");
  await bench.fail("read 2", "later");
  const drained = bench.pipeline.drained();
  assert.equal(await isSettled(drained), false);
  await bench.fail("write 1", "earlier");
  assert.equal(await isSettled(drained), false, "piece 0 may still fail");
  await bench.end("write 0");
  await assert.rejects(drained, { message: "earlier" });
  assert.ok(bench.log.includes("settled 0") && !bench.log.includes("settled 2"));
});

Deno.test("pipeline: the next piece in the same slot, or one that does not overlap, throws the error", async () => {
  for (const overlap of [ALL, NONE]) {
    const bench = new Bench(1);
    await bench.run(0, ALL);
    await bench.fail("read 0", "broken");
    await assert.rejects(bench.run(1, overlap), { message: "broken" });
    assert.deepEqual(bench.log, ["begin 0", "read 0"]);
  }
});

Deno.test("pipeline: idle waits until nothing is in flight, and throws nothing", async () => {
  const bench = new Bench(2);
  await bench.run(0, ALL);
  await bench.run(1, ALL);
  await bench.fail("read 0", "broken");
  const idle = bench.pipeline.idle();
  assert.equal(await isSettled(idle), false);
  await bench.end("read 1", "write 1");
  await idle;
  await assert.rejects(bench.pipeline.drained(), { message: "broken" });
});

Deno.test("pipeline: an empty one is drained and idle", async () => {
  const { pipeline } = new Bench(2);
  await pipeline.drained();
  await pipeline.idle();
});
