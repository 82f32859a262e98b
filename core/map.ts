/**
 * Maps a disk: the layer, status and location of every guest byte.
 *
 * @module
 */
import { allFormats, type Disk, type Location } from "../formats/mod.ts";
import { type LayerExtent, layerExtentAt } from "./open/chain.ts";
import { reportingCheckpoint } from "./open_for_change.ts";
import type { ScanEvent } from "./events.ts";
import type { ImageSpec } from "./job.ts";
import { type Layer, openImage } from "./open/open.ts";
import { type OpenDiskOptions, openOptions } from "./open/open_disk.ts";
import { throttleOf } from "./throttle.ts";

/** Guest bytes `[start, start + length)` of one status. */
export interface MapEntry {
  /** First guest byte. */
  readonly start: number;
  /** Guest bytes. */
  readonly length: number;
  /** The layer that states it, 0 the top. */
  readonly depth: number;
  /**
   * Whether that layer states it; if not, the bytes are zero because no layer states them. Formats that cannot lie over a
   * backing file (VDI, VHD) state all of their disk, as for qemu-img.
   */
  readonly present: boolean;
  /** Whether it is known to read as zeroes. */
  readonly zero: boolean;
  /** Whether the layer has data for it. */
  readonly data: boolean;
  /** Whether that data is compressed. */
  readonly compressed: boolean;
  /** File offset in `file`, in bytes; absent where it is compressed or not allocated. */
  readonly offset?: number;
  /** The file of `offset`; absolute. */
  readonly file?: string;
}

/** Options of {@linkcode mapExtents}. */
export interface MapOptions extends OpenDiskOptions {
  /** First guest byte. Default 0. */
  readonly start?: number;
  /** Most guest bytes. Default: to the end. */
  readonly length?: number;
  /** Cancels the map: it fails with `cancelled`. */
  readonly signal?: AbortSignal;
  /** Called with phases and progress. */
  readonly onEvent?: (event: ScanEvent) => void;
}

/** Implements `mapExtents` of `mod.ts`. */
export async function* mapExtents(image: string | ImageSpec, options: MapOptions = {}): AsyncGenerator<MapEntry> {
  const spec = typeof image === "string" ? { path: image } : image;
  options.onEvent?.({ type: "phase", phase: "inspect" });
  await using opened = await openImage(spec, openOptions(options));
  options.onEvent?.({ type: "phase", phase: "copy" });
  yield* mapLayers(opened.layers, options);
  options.onEvent?.({ type: "phase", phase: "finish" });
}

/** Yields the map of opened layers. */
export async function* mapLayers(
  layers: readonly Layer[],
  { start = 0, length = Infinity, signal, onEvent }: Pick<MapOptions, "start" | "length" | "signal" | "onEvent">,
): AsyncGenerator<MapEntry> {
  const end = Math.min(layers[0].disk.size, start + length);
  const checkpoint = reportingCheckpoint(throttleOf(signal, 0), onEvent);
  let last: MapEntry | undefined;
  for (let at = start; at < end;) {
    const entry = await entryAt(layers, at, end);
    if (last && continues(last, entry)) last = { ...(last as MapEntry), length: last.length + entry.length };
    else {
      if (last) yield last;
      last = entry;
    }
    at += entry.length;
    await checkpoint((at - start) / (end - start));
  }
  if (last) yield last;
}

/** Returns whether `next` differs from `last` in nothing but its position: both are one entry. */
export function continues(last: MapEntry, next: MapEntry): boolean {
  if (last.depth !== next.depth || last.present !== next.present || last.zero !== next.zero) return false;
  if (last.data !== next.data || last.compressed !== next.compressed || last.file !== next.file) return false;
  return next.offset === (last.offset === undefined ? undefined : last.offset + last.length);
}

/** Returns the status at `start`, as far as one extent reaches. */
async function entryAt(layers: readonly Layer[], start: number, limit: number): Promise<MapEntry> {
  const disks: Disk[] = layers.map((layer) => layer.disk);
  const found = await layerExtentAt(disks, disks.length, start, limit);
  return entryOf(found, layers[found.depth]);
}

function entryOf({ extent, depth, stated }: LayerExtent, layer: Layer): MapEntry {
  const { start, end, kind, location } = extent;
  return {
    start,
    length: end - start,
    depth,
    present: stated || (start < layer.disk.size && !canBeOverlay(layer)),
    zero: kind !== "data",
    data: kind === "data" || (kind === "zero" && extent.unwritten === true),
    compressed: kind === "data" && extent.compressed,
    ...(location && fileOf(location, layer)),
  };
}

/** Returns whether images of the layer's format are created over backing files. */
function canBeOverlay({ disk }: Layer): boolean {
  return allFormats.find(({ name }) => name === disk.format)?.has.overlays ?? true;
}

/** Returns a location as a file of the host and an offset in it. */
function fileOf({ storage, offset }: Location, layer: Layer): Required<Pick<MapEntry, "offset" | "file">> {
  const origin = storage.origin ?? layer.storage.origin;
  return { offset: offset + (origin?.start ?? 0), file: storage.origin?.path ?? layer.path };
}
