/**
 * Opens a disk for callers of the library that read.
 *
 * @module
 */
import {
  allFormats,
  type Disk,
  type Extent,
  type Files,
  type GuestReader,
  hostFiles,
  inlineDecompressor,
  joinExtents,
  resolve,
  sameStatus,
} from "../../formats/mod.ts";
import { chainOf } from "./chain.ts";
import type { ConvertContext, ImageSpec } from "../job.ts";
import type { WarningListener } from "../events.ts";
import { openImage, type OpenOptions } from "./open.ts";

/** Options of {@linkcode openDisk}. */
export interface OpenDiskOptions extends Pick<ConvertContext, "formats" | "files"> {
  /** Further folders from which files that the image names may be opened. */
  readonly allowRefs?: readonly string[];
  /** Whether files are opened without locks. */
  readonly forceShare?: boolean;
  /** Called with warnings, such as a guessed format. */
  readonly onWarning?: WarningListener;
}

/** Returns the options with their defaults. */
export function openOptions(options: OpenDiskOptions): OpenOptions & { readonly files: Files } {
  return {
    formats: options.formats ?? allFormats,
    files: options.files ?? hostFiles,
    allowRefs: options.allowRefs ?? [],
    forceShare: options.forceShare ?? false,
    decompressor: inlineDecompressor,
    onWarning: options.onWarning ?? (() => {}),
  };
}

/** An opened disk with its backing chain. All positions are guest bytes. */
export interface OpenedDisk extends GuestReader, AsyncDisposable {
  /** The layers of the backing chain, top first. */
  readonly layers: readonly { readonly path: string; readonly disk: Disk }[];
  /** Returns the extent that starts at `start` and ends at `limit` at the latest. */
  extentAt(start: number, limit: number): Promise<Extent>;
  /** Yields the extents of the whole disk in order; neighbours differ in status. */
  extents(): AsyncGenerator<Extent>;
}

/** Implements `openDisk` of `mod.ts`. */
export async function openDisk(image: string | ImageSpec, options: OpenDiskOptions = {}): Promise<OpenedDisk> {
  const spec = typeof image === "string" ? { path: image } : image;
  const opened = await openImage({ ...spec, path: resolve(spec.path) }, openOptions(options));
  const chain = chainOf(opened.layers.map((layer) => layer.disk));
  return {
    size: chain.size,
    clusterSize: chain.clusterSize,
    extentAt: async (start, limit) => await chain.extentAt(start, limit),
    read: (into, start) => chain.read(into, start),
    layers: opened.layers,
    extents: () => maximalExtents(chain),
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  };
}

async function* maximalExtents(reader: GuestReader): AsyncGenerator<Extent> {
  if (reader.size === 0) return;
  let extent = await reader.extentAt(0, reader.size);
  while (extent.end < reader.size) {
    const next = await reader.extentAt(extent.end, reader.size);
    if (!sameStatus(extent, next)) {
      yield extent;
      extent = next;
    } else extent = joinExtents(extent, next);
  }
  yield extent;
}
