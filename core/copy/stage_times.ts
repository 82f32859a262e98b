/**
 * How busy the stages of a copy are.
 *
 * @module
 */
import type { CopyJob } from "./copy_job.ts";

/** How busy the stages are. */
export interface StageTimes {
  /** Runs `action` and counts its time. */
  time<T>(stage: "read" | "write", action: () => Promise<T>): Promise<T>;
  /** Counts seconds that a worker has spent. */
  add(seconds: { readonly read: number; readonly decompress: number; readonly write: number }): void;
  /** Tells it, if it was not told lately. */
  tell(now?: boolean): void;
}

/** Milliseconds between two tellings. */
const LOAD_TOLD = 200;

/** The load of a copy that begins now. */
export function stageTimesOf(job: CopyJob): StageTimes {
  const busy = { read: 0, write: 0 };
  let decompressedBesides = 0;
  let told = 0;
  return {
    async time(stage, action) {
      const begun = performance.now();
      try {
        return await action();
      } finally {
        busy[stage] += performance.now() - begun;
      }
    },
    add({ read, decompress, write }) {
      busy.read += read * 1000;
      busy.write += write * 1000;
      decompressedBesides += decompress;
    },
    tell(now = false) {
      const time = performance.now();
      if (!now && time - told < LOAD_TOLD) return;
      told = time;
      const { compress, decompress } = job.busy();
      // Pieces that wait for workers at the same time are each counted: what is left is reading and writing alone.
      const alone = (ms: number, elsewhere: number) =>
        Math.max(0, ms / 1000 / (elsewhere > 0 ? job.width : 1) - elsewhere);
      job.onEvent({
        type: "load",
        read: alone(busy.read, decompress),
        decompress: decompress + decompressedBesides,
        compress,
        write: alone(busy.write, compress),
      });
    },
  };
}
