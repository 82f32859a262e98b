/**
 * The writer of an image: serializes the calls of the copy.
 *
 * @module
 */
import { type Content, memoryContent } from "../content.ts";
import type { DiskWriter, WriterTraits } from "../contract.ts";
import type { Bitmap } from "../bitmaps.ts";
import { serialize } from "../shared/mutex.ts";
import type { AddedBitmaps } from "./bitmaps/write.ts";
import type { CompressCluster } from "./clusters/compress.ts";
import type { Image } from "./image.ts";
import { compressClusters, compressedAllocator, writeCompressedClusters } from "./clusters/write_compressed.ts";
import { writeData } from "./clusters/write_data.ts";
import { writeZero } from "./clusters/write_zeroes.ts";

/** The target of guest bytes. */
export interface GuestTarget {
  /** Prepares a write concurrently with other calls, and returns the function that does the rest. */
  prepare?(bytes: Uint8Array, start: number): Promise<() => Promise<void>>;
  write(content: Content, start: number): Promise<void>;
  zero(start: number, end: number): Promise<void>;
}

/** Parameters of {@linkcode writerOf}. */
export interface WriterParts {
  readonly traits: WriterTraits;
  readonly target: GuestTarget;
  /**
   * Is called before each change of the guest bytes `[start, end)`, and before each added bitmap with an empty range.
   */
  begin(start: number, end: number): Promise<void>;
  /** The bitmaps to add; absent where the image cannot have bitmaps. */
  bitmaps?(): Promise<Pick<AddedBitmaps, "check" | "add">>;
  finish(): Promise<void>;
}

/**
 * Returns a target that writes through the tables of `image`. `compress` compresses clusters; null writes them
 * uncompressed.
 */
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

/** Returns a writer. Its calls may overlap: clusters are compressed concurrently, all other work is serialized. */
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
      if (prepared === undefined) return change(start, end, () => target.write(memoryContent(from), start));
      // The caller gets the rejection from `change` below.
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
      bitmaps: {
        check: async (wanted: readonly Bitmap[]) => (await bitmaps()).check(wanted),
        add: (bitmap: Bitmap) =>
          one(async () => {
            await begin(0, 0);
            await (await bitmaps()).add(bitmap);
          }),
      },
    }),
    finish: () => one(finish),
  };
}
