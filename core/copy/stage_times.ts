/**
 * How long each stage of a copy has been busy.
 *
 * @module
 */
import type { ConvertEvent } from "../events.ts";

/** Seconds of each stage, all threads together. */
export interface StageTimes {
  /** Runs `action` and counts its time. */
  time<T>(stage: "read" | "write", action: () => Promise<T>): Promise<T>;
  /** Counts seconds that a worker has spent. */
  add(seconds: { readonly read: number; readonly decompress: number; readonly write: number }): void;
  /** Emits a `load` event, at most every {@linkcode INTERVAL} unless `now`. */
  report(now?: boolean): void;
}

/** The properties of a copy job that stage times need. */
interface StageTimesOptions {
  /** The most pieces in flight. */
  readonly width: number;
  /** Seconds spent on compression and decompression so far, all threads together. */
  readonly codecSeconds: () => { readonly compress: number; readonly decompress: number };
  readonly onEvent: (event: ConvertEvent) => void;
}

/** Milliseconds between two events. */
const INTERVAL = 200;

/** Returns the stage times of a copy that begins now. */
export function stageTimesOf({ width, codecSeconds, onEvent }: StageTimesOptions): StageTimes {
  const busy = { read: 0, write: 0 };
  let decompressedByWorkers = 0;
  let reported = 0;
  return {
    async time(stage, action) {
      const begun = performance.now();
      try {
        return await action();
      } finally {
        busy[stage] += (performance.now() - begun) / 1000;
      }
    },
    add({ read, decompress, write }) {
      busy.read += read;
      busy.write += write;
      decompressedByWorkers += decompress;
    },
    report(now = false) {
      const time = performance.now();
      if (!now && time - reported < INTERVAL) return;
      reported = time;
      const { compress, decompress } = codecSeconds();
      // With a codec, `width` pieces are in flight, and their reading and writing includes waiting for the codec.
      const withoutCodec = (seconds: number, codec: number) => Math.max(0, seconds / (codec > 0 ? width : 1) - codec);
      onEvent({
        type: "load",
        read: withoutCodec(busy.read, decompress),
        decompress: decompress + decompressedByWorkers,
        compress,
        write: withoutCodec(busy.write, compress),
      });
    },
  };
}
