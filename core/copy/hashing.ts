/**
 * The digest of the guest bytes of a copy, taken in the same pass: a wrapper of the copy's target hashes what is
 * written, and {@linkcode hashSkipped} replaces `skip`.
 *
 * @module
 */
import { alignDown } from "../../formats/mod.ts";
import type { Copy, CopyTarget, Hasher } from "./job.ts";
import type { Step } from "./plan.ts";
import { ZERO_PART } from "./zeroes_and_holes.ts";

/** Returns a target that hashes all bytes and passes them to `target`; its calls come in the order of the disk. */
export function hashingTarget(target: CopyTarget, hash: Hasher): CopyTarget {
  return {
    write(bytes, start) {
      hash.data(bytes);
      return target.write(bytes, start);
    },
    zero(start, end) {
      hash.zeroes(end - start);
      return target.zero(start, end);
    },
  };
}

/** Hashes a part of a step that is not written, from `start` on; returns the guest byte after the last. */
export async function hashSkipped(copy: Copy, step: Step, start: number): Promise<number> {
  const { source, hash } = copy.job;
  // A hole shows the backing file, so its bytes must be read.
  const isRead = step.kind === "hole";
  const length = isRead ? copy.pieces.plain : ZERO_PART;
  const end = Math.min(alignDown(start, length) + length, step.end);
  await copy.pipeline.run({
    piece: { ...step, start, end },
    ...(isRead && { read: (buffer: Uint8Array) => source.read(buffer.subarray(0, end - start), start) }),
    write(buffer) {
      if (isRead) hash?.data(buffer.subarray(0, end - start));
      else hash?.zeroes(end - start);
      return Promise.resolve(0);
    },
  }, { pieces: true, writes: true });
  return end;
}
