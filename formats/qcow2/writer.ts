/**
 * An image being written, as the engine sees it.
 *
 * @module
 */
import { type Content, inMemory } from "../content.ts";
import type { Bitmap, DiskWriter, WriterTraits } from "../contract.ts";
import { serialize } from "../shared/mutex.ts";
import type { AddedBitmaps } from "./bitmaps/write.ts";
import type { CompressCluster } from "./clusters/compress.ts";
import type { Image } from "./image.ts";
import { compressClusters, compressedAllocator, writeCompressedClusters } from "./clusters/write_compressed.ts";
import { writeData } from "./clusters/write_data.ts";
import { writeZero } from "./clusters/write_zeroes.ts";

/** Where guest bytes go. */
export interface GuestTarget {
  /** Does what can be done while other calls are under way; returns what is left to do. */
  prepare?(bytes: Uint8Array, start: number): Promise<() => Promise<void>>;
  write(content: Content, start: number): Promise<void>;
  zero(start: number, end: number): Promise<void>;
}

/** What {@linkcode writerOf} puts together. */
export interface WriterParts {
  readonly traits: WriterTraits;
  readonly target: GuestTarget;
  /** Before each change of the guest bytes `[start, end)`; the first time for anything, too. */
  begin(start: number, end: number): Promise<void>;
  /** Those that are added; absent where the image cannot have bitmaps. */
  bitmaps?(): Promise<Pick<AddedBitmaps, "check" | "add">>;
  finish(): Promise<void>;
}

/** Writing through the tables of `image`; `compress` compresses clusters, null writes data as they are. */
export function tableWriter(image: Image, compress: CompressCluster | null): GuestTarget {
  const allocator = compressedAllocator(image);
  return {
    ...(compress !== null && {
      async prepare(bytes: Uint8Array, start: number) {
        const clusters = await compressClusters(image, bytes, start, compress);
        return () => writeCompressedClusters(image, allocator, clusters);
      },
    }),
    write: (content, start) => writeData(image, content, start),
    zero: (start, end) => writeZero(image, start, end),
  };
}

/** A writer. Its calls may overlap: clusters are compressed at the same time, everything else is done one after another. */
export function writerOf({ traits, target, begin, bitmaps, finish }: WriterParts): DiskWriter {
  const one = serialize();
  const change = (start: number, end: number, action: () => Promise<void>): Promise<void> =>
    one(async () => {
      if (end <= start) return;
      await begin(start, end);
      await action();
    });
  return {
    traits,
    write(from, start) {
      const end = start + from.length;
      const prepared = target.prepare?.(from, start);
      if (prepared === undefined) return change(start, end, () => target.write(inMemory(from), start));
      // A failure is told where the result is asked for.
      prepared.catch(() => {});
      // In the order of the calls, so that the same calls make the same file.
      return change(start, end, async () => await (await prepared)());
    },
    ...(!target.prepare && {
      writeContent: (content: Content, start: number) =>
        change(start, start + content.length, () => target.write(content, start)),
    }),
    zero: (start, end) => change(start, end, () => target.zero(start, end)),
    ...(bitmaps && {
      addBitmap: (bitmap: Bitmap) =>
        one(async () => {
          await begin(0, 0);
          await (await bitmaps()).add(bitmap);
        }),
      checkBitmaps: async (wanted: readonly Bitmap[]) => (await bitmaps()).check(wanted),
    }),
    finish: () => one(finish),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
