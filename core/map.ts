/**
 * The map of a disk: which layer says what about every guest byte, and where it lies.
 *
 * @module
 */
import { alignDown, type Disk } from "../formats/mod.ts";
import { resolve, type Resolved } from "./open/chain.ts";
import { tellingPause } from "./open_for_change.ts";
import type { ScanEvent } from "./events.ts";
import type { ImageSpec } from "./job.ts";
import { type Layer, openImage } from "./open/open.ts";
import { type OpenDiskOptions, openOptions } from "./open/open_disk.ts";
import { throttleOf } from "./throttle.ts";

/** Guest bytes `[start, start + length)` of one status. */
export interface MapEntry {
  /** Guest byte at which it begins. */
  readonly start: number;
  /** Guest bytes. */
  readonly length: number;
  /** Which layer says so: 0 is the top. */
  readonly depth: number;
  /** Whether that layer states it; if not, it is zero because nothing is beneath. */
  readonly present: boolean;
  /** Whether it is known to read as zeroes. */
  readonly zero: boolean;
  /** Whether the layer has data for it. */
  readonly data: boolean;
  /** Whether that data is compressed. */
  readonly compressed: boolean;
  /** Where it lies in `file`, in bytes; absent where it is compressed or has no place. */
  readonly offset?: number;
  /** The file of `offset`; absolute. */
  readonly file?: string;
}

/** Which part of a disk is mapped. */
export interface MapOptions extends OpenDiskOptions {
  /** First guest byte. Default 0. */
  readonly start?: number;
  /** Guest bytes at most. Default: to the end. */
  readonly length?: number;
  /** Ends it with `cancelled`. */
  readonly signal?: AbortSignal;
  /** Hears how far it is. */
  readonly onEvent?: (event: ScanEvent) => void;
}

/** What {@linkcode mapExtents} of `mod.ts` does. */
export async function* mapExtents(image: string | ImageSpec, options: MapOptions = {}): AsyncGenerator<MapEntry> {
  const spec = typeof image === "string" ? { path: image } : image;
  options.onEvent?.({ type: "phase", phase: "inspect" });
  await using opened = await openImage(spec, openOptions(options));
  options.onEvent?.({ type: "phase", phase: "copy" });
  yield* mapLayers(opened.layers, options);
  options.onEvent?.({ type: "phase", phase: "finish" });
}

/** The map of opened layers. */
export async function* mapLayers(
  layers: readonly Layer[],
  { start = 0, length = Infinity, signal, onEvent }: Pick<MapOptions, "start" | "length" | "signal" | "onEvent">,
): AsyncGenerator<MapEntry> {
  const end = Math.min(layers[0].disk.size, start + length);
  const checkpoint = tellingPause(throttleOf(signal, 0), onEvent);
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

/** Whether `next` says of its bytes what `last` says of those before. */
export function continues(last: MapEntry, next: MapEntry): boolean {
  if (last.depth !== next.depth || last.present !== next.present || last.zero !== next.zero) return false;
  if (last.data !== next.data || last.compressed !== next.compressed || last.file !== next.file) return false;
  return next.offset === (last.offset === undefined ? undefined : last.offset + last.length);
}

/** The status at `start`, in one piece of the file, and not necessarily as far as it goes. */
async function entryAt(layers: readonly Layer[], start: number, limit: number): Promise<MapEntry> {
  const disks: Disk[] = layers.map((layer) => layer.disk);
  let found = await resolve(disks, disks.length, start, limit);
  if (inPieces(found)) {
    // One clusterSize lies in one piece.
    const { clusterSize: unit } = found.disk!;
    found = await resolve(disks, disks.length, start, Math.min(found.run.end, alignDown(start, unit) + unit));
  }
  return entryOf(found, layers[found.depth]);
}

/** Whether it is data that lies plainly, but in more than one place. */
function inPieces({ run, disk }: Resolved): boolean {
  if (run.kind !== "data" || run.compressed || run.fileStart !== undefined || disk === undefined) return false;
  return disk.clusterSize > 1 && run.end - run.start > disk.clusterSize - run.start % disk.clusterSize;
}

function entryOf({ run, depth, stated }: Resolved, layer: Layer): MapEntry {
  const { start, end, kind, fileStart } = run;
  return {
    start,
    length: end - start,
    depth,
    present: stated,
    zero: kind !== "data",
    data: kind === "data" || (kind === "zero" && run.unfilled === true),
    compressed: kind === "data" && run.compressed,
    ...(fileStart !== undefined && fileOf(layer, fileStart)),
  };
}

/** Several files may hold the data of one layer; which of them a run lies in is not known then. */
function fileOf({ path, origin, named }: Layer, fileStart: number): { offset: number; file: string } | null {
  if (named.length > 1) return null;
  return named.length === 1 ? { offset: fileStart, file: named[0] } : { offset: fileStart + origin, file: path };
}
