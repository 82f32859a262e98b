/**
 * The sources of a job: opened, joined end to end, and seen as one reader.
 *
 * @module
 */
import { type Bitmap, type Disk, type GuestReader, ImageError } from "../../formats/mod.ts";
import { chainOf } from "./chain.ts";
import { concatenate, slice } from "./readers.ts";
import type { SourceSummary } from "../events.ts";
import type { ConvertJob } from "../job.ts";
import { type OpenedImage, openImage, type OpenOptions } from "./open.ts";
import { formatNamed } from "./probe.ts";
import { granularityOf } from "./skip_errors.ts";

/** The opened sources. */
export interface OpenedSources {
  readonly images: readonly OpenedImage[];
  readonly summaries: readonly SourceSummary[];
  /** Guest bytes that are taken of all together. */
  readonly size: number;
  /** The first of them. */
  readonly start: number;
}

/** Opens all sources of a job; they are closed with `stack`. */
export async function openSources(
  job: ConvertJob,
  options: OpenOptions,
  stack: AsyncDisposableStack,
): Promise<OpenedSources> {
  const images: OpenedImage[] = [];
  for (const spec of job.sources) {
    const image = stack.use(await openImage(spec, options));
    if (job.sources.length > 1 && job.target.backing && image.layers.length > 1) throw joinedBacking(spec.path);
    images.push(image);
  }
  const summaries = images.map(summaryOf);
  const whole = summaries.reduce((sum, { size }) => sum + size, 0);
  const start = Math.min(job.range?.start ?? 0, whole);
  return { images, summaries, start, size: Math.min(job.range?.length ?? Infinity, whole - start) };
}

function joinedBacking(path: string): ImageError {
  const message = `Cannot keep a backing file when several sources are joined: "${path}" has one`;
  return new ImageError("usage", message, { path });
}

function summaryOf(image: OpenedImage): SourceSummary {
  const layers = image.layers.map(({ path, disk }) => ({ path, format: disk.format, size: disk.size }));
  return { path: layers[0].path, size: layers[0].size, layers };
}

/**
 * The sources as one reader.
 *
 * @param beneath the file that stays beneath the target, by its key; `null` where nothing stays
 * @param guard put around each source; absent: none
 */
export function readerOf(
  sources: OpenedSources,
  beneath: { readonly key: string; readonly path: string } | null,
  onWarning: (message: string) => void,
  guard: ReaderDecorator = (reader) => reader,
): GuestReader {
  let from = 0;
  const whole = concatenate(sources.images.map((image) => {
    const disks: Disk[] = image.layers.map((layer) => layer.disk);
    const chain = chainOf(disks, beneath ? keptLayers(image, beneath, onWarning) : disks.length);
    const guarded = guard(chain, granularityOf(disks), from);
    from += chain.size;
    return guarded;
  }));
  const { start, size } = sources;
  return size === whole.size ? whole : slice(whole, start, start + size);
}

/** A reader around another: what the whole chain has at its byte 0 stands at guest byte `from` of all sources. */
export type ReaderDecorator = (reader: GuestReader, grain: number, from: number) => GuestReader;

/**
 * How many layers the target takes over: those above the file that stays beneath it. A file that is not in the chain is
 * taken to hold what the immediate backing file holds: the user moved or converted it.
 */
function keptLayers(
  image: OpenedImage,
  beneath: { readonly key: string; readonly path: string },
  onWarning: (message: string) => void,
): number {
  const found = image.layers.findIndex((layer) => layer.key === beneath.key);
  if (found >= 0) return found;
  const next = image.layers[1];
  if (next) onWarning(`"${beneath.path}" is not beneath the source; taken to hold the same as "${next.path}"`);
  return 1;
}

/** The bitmaps to copy: checked before anything is created. */
export function bitmapsOf(
  sources: OpenedSources,
  wanted: ConvertJob["bitmaps"],
  { formats, onWarning }: Pick<OpenOptions, "formats" | "onWarning">,
): readonly Bitmap[] {
  if (!wanted) return [];
  const { disk, path } = sources.images[0].layers[0];
  if (!formatNamed(disk.format, formats, path).has.bitmaps) {
    throw new ImageError(
      "unsupported",
      `Cannot copy bitmaps of "${path}": ${disk.format} has none, leave out --bitmaps`,
      { path },
    );
  }
  return (disk.bitmaps ?? []).filter((bitmap) => {
    if (!bitmap.inconsistent) return true;
    const message = `the bitmap "${bitmap.name}" of "${path}" is inconsistent`;
    if (wanted !== "skip-broken") {
      throw new ImageError("corrupt", `Cannot copy bitmaps: ${message}; --skip-broken-bitmaps leaves it out`, { path });
    }
    onWarning(`${message}; it is left out`);
    return false;
  });
}
