/**
 * Reading a disk from a program: the library's way in for those who do not convert.
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
import { openImage, type OpenOptions } from "./open.ts";

/** What {@linkcode openDisk} may be told. */
export interface OpenDiskOptions extends Pick<ConvertContext, "formats" | "files"> {
  /** Further folders in which files named by the image may lie. */
  readonly allowRefs?: readonly string[];
  /** Do not ask for locks. */
  readonly forceShare?: boolean;
  /** Hears of guesses. */
  readonly onWarning?: (message: string) => void;
}

/** The options with their defaults. For this folder only. */
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

/** An opened disk with everything beneath it. All positions are guest bytes. */
export interface OpenedDisk extends GuestReader, AsyncDisposable {
  /** The layers from the top down, each with what it states about itself. */
  readonly layers: readonly { readonly path: string; readonly disk: Disk }[];
  /** The run at `start`, ended at `limit` at the latest. */
  extentAt(start: number, limit: number): Promise<Extent>;
  /** The whole disk as maximal runs, in order. */
  runs(): AsyncGenerator<Extent>;
}

/** What {@linkcode openDisk} of `mod.ts` does. */
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
    runs: () => maximalRuns(chain),
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  };
}

async function* maximalRuns(reader: GuestReader): AsyncGenerator<Extent> {
  if (reader.size === 0) return;
  let run = await reader.extentAt(0, reader.size);
  while (run.end < reader.size) {
    const next = await reader.extentAt(run.end, reader.size);
    if (!sameStatus(run, next)) {
      yield run;
      run = next;
    } else run = joinExtents(run, next);
  }
  yield run;
}
