/**
 * Persistent dirty bitmaps of an image: reading them, and changes to them.
 *
 * @module
 */

/** One persistent dirty bitmap of an image. */
export interface Bitmap {
  /** Its name, unique in the image. */
  readonly name: string;
  /** Guest bytes per bit; a power of two. */
  readonly granularity: number;
  /** Whether the bitmap records new writes. */
  readonly enabled: boolean;
  /** Whether the image was closed without storing the bitmap: its content cannot be trusted. */
  readonly inconsistent: boolean;
  /**
   * Yields the bits, the first guest bytes in the lowest bit of the first byte. Parts with all bits clear are left out.
   * Offsets are bytes of the bitmap.
   */
  pieces(): AsyncIterable<{ readonly offset: number; readonly bits: Uint8Array }>;
}

/** A change of one persistent bitmap of an image. */
export type BitmapAction =
  | { readonly action: "add"; readonly granularity: number | null; readonly enabled: boolean }
  | { readonly action: "remove" | "clear" | "enable" | "disable" }
  /** Sets the bits that are set in `from`, which may have another granularity. */
  | { readonly action: "merge"; readonly from: BitmapSource };

/** The bitmap that a merge reads. */
export interface BitmapSource extends Pick<Bitmap, "name" | "granularity" | "pieces"> {
  /** Guest bytes of its disk. */
  readonly size: number;
}

/** Bitmaps of an image that is being written. */
export interface BitmapWriter {
  /** Throws where {@linkcode add} would refuse one of `bitmaps`. Writes nothing. */
  check(bitmaps: readonly Bitmap[]): Promise<void>;
  /** Adds a bitmap. Runs after all writes of guest bytes. */
  add(bitmap: Bitmap): Promise<void>;
}
