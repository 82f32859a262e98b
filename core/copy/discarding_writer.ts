/**
 * A target that keeps nothing, for jobs that only read.
 *
 * @module
 */
import type { DiskWriter, WriterTraits } from "../../formats/mod.ts";

/** Returns a writer of `size` guest bytes; `startsZeroed`: the copy skips zeroes, else it passes them to the writer. */
export function discardingWriter(size: number, startsZeroed: boolean): DiskWriter {
  const traits: WriterTraits = {
    size,
    clusterSize: 1,
    sector: 1,
    compress: false,
    order: "ascending",
    startsZeroed,
    zeroes: "cheap",
  };
  return {
    traits,
    write: () => Promise.resolve(),
    zero: () => Promise.resolve(),
    finish: () => Promise.resolve(),
  };
}
