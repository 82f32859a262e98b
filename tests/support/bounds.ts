/**
 * Bounds of time and memory for hostile images. Other tests that run at the same time do not count: the processor time is
 * that of this thread, the memory that of this isolate.
 *
 * @module
 */
import assert from "node:assert/strict";

const SECONDS = 1;
/** Garbage counts until it is collected. */
const BYTES = 200 << 20;

/** Starts measuring; the returned function throws if more than a second or 200 MiB have been used since. */
export function startBounds(): (subject?: string) => void {
  const [begunAt, before] = [threadSeconds(), memory()];
  return (subject = "it") => {
    const [took, grown] = [threadSeconds() - begunAt, memory() - before];
    assert.ok(took < SECONDS, `${subject}: took ${took.toFixed(2)} s of processor time`);
    assert.ok(grown < BYTES, `${subject}: took ${grown >> 20} MiB`);
  };
}

/** Processor time of this thread; where the host does not report it, a tenth of the time that has passed. */
function threadSeconds(): number {
  try {
    return Number(Deno.readTextFileSync("/proc/thread-self/schedstat").split(" ")[0]) / 1e9;
  } catch {
    return performance.now() / 10_000;
  }
}

function memory(): number {
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}
