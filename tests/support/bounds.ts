/**
 * Bounds of time and memory for hostile images, measured so that tests running beside do not count: processor time of
 * this thread, memory of this isolate.
 *
 * @module
 */
import assert from "node:assert/strict";

const SECONDS = 1;
/** What is not needed any more counts until it is collected, which may take its time. */
const BYTES = 200 << 20;

/** Starts measuring; the returned function throws where more than a second or 200 MiB have been used since. */
export function startBounds(): (what?: string) => void {
  const [begunAt, before] = [threadSeconds(), memory()];
  return (what = "it") => {
    const [took, grown] = [threadSeconds() - begunAt, memory() - before];
    assert.ok(took < SECONDS, `${what}: took ${took.toFixed(2)} s of processor time`);
    assert.ok(grown < BYTES, `${what}: took ${grown >> 20} MiB`);
  };
}

/** Processor time of this thread; where the host does not tell, a tenth of the time that has passed. */
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
