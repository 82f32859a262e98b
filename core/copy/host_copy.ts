/**
 * The host copies: data that lies uncompressed in a file goes into the target's file without passing through this
 * program, by sharing blocks of the file system, or by copy_file_range.
 *
 * @module
 */
import {
  alignDown,
  type CopyOffload,
  fileContent,
  type HostCopy,
  type Storage,
  type WritableStorage,
} from "../../formats/mod.ts";
import type { MoverOf } from "./job.ts";
import { extentIn, locatedEnd } from "./plan.ts";

/** Most bytes that the host copies at once: a signal or a key takes effect after them. */
const PART = 4 << 20;

/** Two files share whole blocks of their file system. None of the usual file systems has larger blocks by default. */
const BLOCK = 4096;

/**
 * Returns a mover for writers that store their data in `target`.
 *
 * @param how `clone`: only where the two files can share their blocks, so that zeroes among them cost nothing
 */
export function hostCopyTo(target: WritableStorage, how: HostCopy): MoverOf {
  const offload: CopyOffload = { how, refused: target.copyFrom === undefined };
  const shares = new Map<Storage, boolean>();
  const mayShare = (source: Storage): boolean => {
    const known = shares.get(source) ?? target.mayShareWith?.(source) ?? false;
    shares.set(source, known);
    return known;
  };
  return ({ job, pipeline, times }) => async (step, start) => {
    if (offload.refused || step.compressed || !job.writer.writeContent) return null;
    const extent = extentIn(step, start);
    const limit = Math.min(locatedEnd(extent), start + PART);
    if (!extent.location || limit <= start) return null;
    const { storage, offset } = extent.location;
    const fileOffset = offset + start - extent.start;
    let end = limit;
    if (how === "clone") {
      if (start % BLOCK !== 0 || fileOffset % BLOCK !== 0 || !mayShare(storage)) return null;
      end = start + alignDown(limit - start, BLOCK);
      if (end === start) return null;
    }
    const content = fileContent(storage, fileOffset, fileOffset + end - start, offload);
    const write = async () => {
      await times.time("write", async () => await job.writer.writeContent?.(content, start));
      await job.throttle.account(content.length);
      return 0;
    };
    await pipeline.run({ piece: { ...step, start, end }, write }, { pieces: false, writes: false });
    return end;
  };
}
