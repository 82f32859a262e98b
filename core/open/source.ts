/**
 * Opens the sources of a job, and concatenates them to one reader.
 *
 * @module
 */
import { type Bitmap, type Disk, type GuestReader, hostFiles, ImageError, type StoredFile } from "../../formats/mod.ts";
import { deviceUseText } from "../devices.ts";
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
  /** Guest bytes that are converted. */
  readonly size: number;
  /** The first of them, counted from the start of the first source. */
  readonly start: number;
}

/** Opens all sources of a job; they are disposed with `stack`. */
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
    for (const device of options.forceShare ? [] : image.devices) await warnOfUse(device, options);
  }
  const summaries = images.map(summaryOf);
  const whole = summaries.reduce((sum, { size }) => sum + size, 0);
  const start = Math.min(job.range?.start ?? 0, whole);
  return { images, summaries, start, size: Math.min(job.range?.length ?? Infinity, whole - start) };
}

/** Warns of a block device that the host may write to while it is read. */
async function warnOfUse(device: StoredFile, { files = hostFiles, onWarning }: OpenOptions): Promise<void> {
  const uses = await files.deviceUses?.(device) ?? [];
  if (uses.length === 0) return;
  onWarning(
    `"${device.label}" may be written to while it is read, and the result inconsistent: ` +
      `${uses.map(deviceUseText).join(", ")} (-U leaves out this warning)`,
  );
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
 * Returns the sources as one reader.
 *
 * @param backing the backing file of the target; `null`: it has none
 * @param decorate wraps the reader of each source
 */
export function readerOf(
  sources: OpenedSources,
  backing: { readonly key: string; readonly path: string } | null,
  onWarning: (message: string) => void,
  decorate: ReaderDecorator = (reader) => reader,
): GuestReader {
  let from = 0;
  const whole = concatenate(sources.images.map((image) => {
    const disks: Disk[] = image.layers.map((layer) => layer.disk);
    const chain = chainOf(disks, backing ? keptLayers(image, backing, onWarning) : disks.length);
    const decorated = decorate(chain, granularityOf(disks), from);
    from += chain.size;
    return decorated;
  }));
  const { start, size } = sources;
  return size === whole.size ? whole : slice(whole, start, start + size);
}

/** Wraps the reader of a source, which starts at guest byte `from` of all sources; `granularity` in bytes. */
export type ReaderDecorator = (reader: GuestReader, granularity: number, from: number) => GuestReader;

/**
 * Returns the number of layers that are copied: those above the backing file of the target. A file that is not in the
 * chain is taken as equal to the backing file of the source, which the user may have moved or converted.
 */
function keptLayers(
  image: OpenedImage,
  backing: { readonly key: string; readonly path: string },
  onWarning: (message: string) => void,
): number {
  const found = image.layers.findIndex((layer) => layer.key === backing.key);
  if (found >= 0) return found;
  const next = image.layers[1];
  if (next) onWarning(`"${backing.path}" is not in the backing chain of the source; taken as equal to "${next.path}"`);
  return 1;
}

/** Returns the bitmaps to copy. Throws where they cannot be copied, before anything is created. */
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
