/**
 * How fast an image can be read: many equal reads, several at once.
 *
 * @module
 */
import { ImageError } from "../formats/mod.ts";
import { chainOf } from "./chain.ts";
import type { ImageSpec } from "./job.ts";
import { openImage } from "./open.ts";
import { type OpenDiskOptions, openOptions } from "./open_disk.ts";
import { paceOf } from "./pace.ts";
import { workerPool } from "./pool.ts";

/** Which reads are made. Sizes in guest bytes. */
export interface BenchJob {
  /** How many. */
  readonly count: number;
  /** How many at once. */
  readonly depth: number;
  /** Bytes of each. */
  readonly bufferSize: number;
  /** From the beginning of one to that of the next; at the end of the disk they go on at its beginning. */
  readonly step: number;
  /** Where the first begins. */
  readonly offset: number;
}

/**
 * Reads, and tells the seconds that it took.
 *
 * @throws ImageError as `openDisk`; `usage` for a disk that is shorter than one read
 *
 * @example
 * ```ts
 * import { benchRead } from "./bench.ts";
 * import assert from "node:assert/strict";
 *
 * const job = { count: 100, depth: 4, bufferSize: 4096, step: 4096, offset: 0 };
 * assert.ok(await benchRead("tests/samples/sample.qcow2", job) > 0);
 * ```
 */
export async function benchRead(
  image: string | ImageSpec,
  { count, depth, bufferSize, step, offset }: BenchJob,
  options: OpenDiskOptions & { readonly signal?: AbortSignal } = {},
): Promise<number> {
  const spec = typeof image === "string" ? { path: image } : image;
  using pool = workerPool();
  await using opened = await openImage(spec, { ...openOptions(options), unpack: pool.unpack });
  const disk = chainOf(opened.layers.map((layer) => layer.disk));
  const room = disk.size - bufferSize;
  if (room < 0) {
    throw new ImageError("usage", `Cannot read ${bufferSize} bytes at once: the disk has ${disk.size}`);
  }
  const pace = paceOf(options.signal, 0);
  let next = 0;
  const reader = async () => {
    const buffer = new Uint8Array(new SharedArrayBuffer(bufferSize));
    while (next < count) {
      const at = offset + step * next++;
      await disk.read(buffer, room === 0 ? 0 : at <= room ? at : at % room);
      await pace.pause();
    }
  };
  const begun = performance.now();
  await Promise.all(Array.from({ length: Math.min(depth, count) }, reader));
  return (performance.now() - begun) / 1000;
}
