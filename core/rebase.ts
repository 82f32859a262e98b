/**
 * Gives an existing image another backing file, and keeps its guest bytes.
 *
 * @module
 */
import {
  alignUp,
  dataExtent,
  dirname,
  type Disk,
  type DiskWriter,
  equalBytes,
  type Extent,
  type GuestReader,
  holeExtent,
  ImageError,
  type NamedFile,
  resolve,
  zeroes,
  zeroExtent,
} from "../formats/mod.ts";
import { chainOf } from "./open/chain.ts";
import { pad } from "./open/readers.ts";
import { type ChangedImage, type ChangeOptions, type ChangeSpec, openForChange, verbOf } from "./open_for_change.ts";
import { countAndCopy } from "./copy/count_and_copy.ts";
import type { MoverOf } from "./copy/job.ts";
import { extentIn, type Step } from "./copy/plan.ts";
import { type OpenedImage, openImage } from "./open/open.ts";
import { openOptions } from "./open/open_disk.ts";
import { type CodecPool, codecPool } from "./workers/codec_pool.ts";

/** Options of {@linkcode rebase}. */
export interface RebaseOptions extends ChangeOptions {
  /** Whether only the name is changed and nothing compared, for a backing file that was moved or renamed. */
  readonly unsafe?: boolean;
  /** Whether the data copied into the image is compressed. */
  readonly compress?: boolean;
  /** Whether clusters that are equal in the new backing file are deallocated. */
  readonly dropsSame?: boolean;
  /** Most workers that decompress and compress. Default: one per processor. */
  readonly workers?: number;
}

/** Result of {@linkcode rebase}. Guest bytes. */
export interface RebaseSummary {
  /** Copied into the image, because the new backing file differs. */
  readonly copied: number;
  /** Deallocated, because the new backing file is equal. */
  readonly dropped: number;
}

/** Bytes that are compared at once. */
const PIECE_BYTES = 256 << 10;

/** Implements `rebase` of `mod.ts`. */
export async function rebase(
  image: ChangeSpec,
  backing: NamedFile | null,
  options: RebaseOptions = {},
): Promise<RebaseSummary> {
  await using stack = new AsyncDisposableStack();
  if (backing !== null && backing.format === undefined) {
    throw new ImageError("usage", `Cannot use the backing file "${backing.name}": state its format with -F`);
  }
  if (options.unsafe) {
    const changed = await openForChange(image, options, stack);
    const setBacking = verbOf(changed, "setBacking", "rebase");
    // The content behind the new name is the same, and so is its ID.
    const { backing: before } = await changed.read();
    await setBacking(changed.storage, withId(backing, before?.id));
    return { copied: 0, dropped: 0 };
  }
  return await new Rebase(image, backing, options, stack).run();
}

class Rebase {
  readonly codecs: CodecPool;

  constructor(
    readonly image: ChangeSpec,
    readonly backing: NamedFile | null,
    readonly options: RebaseOptions,
    readonly stack: AsyncDisposableStack,
  ) {
    this.codecs = stack.use(codecPool(options.workers));
  }

  async run(): Promise<RebaseSummary> {
    const after = await this.openNew();
    const changed = await openForChange(this.image, this.options, this.stack, after?.files ?? new Map());
    const setBacking = verbOf(changed, "setBacking", "rebase");
    const { storage, format, path } = changed;
    const { edit } = format;
    if (!edit) {
      throw new ImageError("unsupported", `Cannot rebase "${path}": ${format.name} is read-only here`, { path });
    }
    const top = await changed.read();
    const before = await changed.openBacking(top.backing);
    const holes = await holesOf(top, changed);
    const oldBacking = before === null ? null : chainOf(disksOf(before));
    const newBacking = after === null ? null : chainOf(disksOf(after));
    const writer = await edit.call(format, storage, {
      compress: this.options.compress ?? false,
      compressor: this.codecs.compress,
      openNamed: changed.context.openNamed,
      // Zeroes must be written as far as the new backing file reaches, which may be longer than the old one.
      openBacking: () => {
        const backing = oldBacking ?? noBacking;
        return Promise.resolve(pad(backing, Math.max(backing.size, newBacking?.size ?? 0)));
      },
    });
    if (this.options.compress && !writer.traits.compress) {
      throw new ImageError("unsupported", `Cannot compress into "${path}": ${format.name} cannot`, { path });
    }
    const own = before && pad(chainOf(disksOf(before), sharedLayer(before, after)), top.size);
    const source = differing({ size: top.size, holes, own, newBacking });
    const copied = await this.copyInto(writer, source, { changed, oldBacking, newBacking });
    await writer.finish();
    await storage.sync();
    await setBacking(storage, withId(this.backing, after?.layers[0]?.disk.id));
    const dropped = this.options.dropsSame ? await this.dropSame(changed, newBacking ?? noBacking) : 0;
    return { copied, dropped };
  }

  async openNew(): Promise<OpenedImage | null> {
    if (this.backing === null) return null;
    const { name, format } = this.backing;
    const path = resolve(dirname(this.image.path), name);
    return this.stack.use(await openImage({ path, ...(format && { format }) }, openOptions(this.options)));
  }

  /** Copies the clusters of `source` that differ; returns their guest bytes. */
  async copyInto(writer: DiskWriter, source: GuestReader, backings: Backings): Promise<number> {
    let copied = 0;
    await countAndCopy({
      source,
      writer,
      // The mover splits and compresses clusters by itself.
      traits: { ...writer.traits, compress: false },
      policy: { keepsBacking: true, backingEnd: Infinity, writesZeroes: false },
      sparseSize: 0,
      throttle: backings.changed.throttle,
      movers: [differingClusters(writer, backings, (bytes) => copied += bytes)],
      pool: this.codecs,
      onEvent: this.options.onEvent,
    });
    return copied;
  }

  /** Deallocates the clusters that are equal in the new backing file; returns their guest bytes. */
  async dropSame(changed: ChangedImage, newBacking: GuestReader): Promise<number> {
    const deallocate = verbOf(changed, "deallocate", "drop clusters of");
    const top = await changed.read();
    const { clusterSize } = top;
    const ranges: { start: number; end: number }[] = [];
    let dropped = 0;
    const piece = alignUp(PIECE_BYTES, clusterSize);
    for (let start = 0; start < top.size; start += piece) {
      await changed.context.checkpoint(start / top.size);
      const end = Math.min(start + piece, top.size);
      const [own, other] = [new Uint8Array(end - start), new Uint8Array(end - start)];
      const stated = await readStated(top, newBacking, own, start);
      if (!stated.some(Boolean)) continue;
      await readPadded(newBacking, other, start);
      for (let at = start; at < end; at += clusterSize) {
        const [from, to] = [at - start, Math.min(at + clusterSize, end) - start];
        if (!stated[Math.floor(from / clusterSize)]) continue;
        if (!equalBytes(own.subarray(from, to), other.subarray(from, to))) continue;
        const last = ranges.at(-1);
        if (last?.end === at) last.end = start + to;
        else ranges.push({ start: at, end: start + to });
        dropped += to - from;
      }
    }
    await deallocate(changed.storage, ranges, changed.context);
    return dropped;
  }
}

/** The two backing chains of an image; null: none. */
interface Backings {
  readonly changed: ChangedImage;
  readonly oldBacking: GuestReader | null;
  readonly newBacking: GuestReader | null;
}

/**
 * Returns a mover that reads both backing chains and writes the clusters of the old one that the new one does not have.
 *
 * @param onCopied called with the guest bytes of each cluster written
 */
function differingClusters(writer: DiskWriter, backings: Backings, onCopied: (bytes: number) => void): MoverOf {
  const { clusterSize, compress } = writer.traits;
  const pieceSize = alignUp(PIECE_BYTES, clusterSize);
  const { oldBacking, newBacking } = backings;
  return ({ pipeline }) => async (step, start) => {
    const { isSame, end } = pieceAt(step, start, Math.min(start - start % pieceSize + pieceSize, step.end));
    const write = async () => {
      if (isSame) return 0;
      const [before, after] = [new Uint8Array(end - start), new Uint8Array(end - start)];
      if (oldBacking) await readPadded(oldBacking, before, start);
      if (newBacking) await readPadded(newBacking, after, start);
      for (let at = start; at < end;) {
        const clusterEnd = Math.min(at - at % clusterSize + clusterSize, end);
        const bytes = before.subarray(at - start, clusterEnd - start);
        if (!equalBytes(bytes, after.subarray(at - start, clusterEnd - start))) {
          if (compress) requireWhole(backings.changed, writer, at, clusterEnd);
          await writeCluster(writer, bytes, at, oldBacking !== null);
          onCopied(clusterEnd - at);
        }
        at = clusterEnd;
      }
      return 0;
    };
    await pipeline.run({ piece: { ...step, start, end }, write }, { pieces: false, writes: false });
    return end;
  };
}

/** Guest bytes that the image does not state; `isSame`: both chains have them from one layer, or both are zero. */
type HoleExtent = Extent & { readonly isSame?: true };

function sameExtent(start: number, end: number): HoleExtent {
  return { ...dataExtent(start, end), isSame: true };
}

/** Returns how far, at most to `limit`, all extents of a step from `start` on are the same, or all may differ. */
function pieceAt(step: Step, start: number, limit: number): { readonly isSame: boolean; readonly end: number } {
  const isSameAt = (at: number) => (extentIn(step, at) as HoleExtent).isSame === true;
  const isSame = isSameAt(start);
  let { end } = extentIn(step, start);
  while (end < limit && isSameAt(end) === isSame) end = extentIn(step, end).end;
  return { isSame, end: Math.min(end, isSame ? step.end : limit) };
}

/** Returns the index of the first of `sorted` that is greater than `value`. */
function firstAbove(sorted: readonly number[], value: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] > value) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The input of {@linkcode differing}. */
interface Difference {
  readonly size: number;
  /** Holes of the image, as starts and ends in turn. */
  readonly holes: readonly number[];
  /** The layers of the old chain that the new one does not have; null: there was no backing file. */
  readonly own: GuestReader | null;
  readonly newBacking: GuestReader | null;
}

/**
 * Returns a reader for the walk of a rebase; it reads nothing. Its holes are what the image states. Its data is what the
 * backing chains state: a {@linkcode HoleExtent}.
 */
function differing({ size, holes, own, newBacking }: Difference): GuestReader {
  return {
    size,
    clusterSize: 1,
    async extentAt(start, limit) {
      const next = firstAbove(holes, start);
      const end = Math.min(limit, holes[next] ?? limit);
      // Between the start and the end of a hole, the next edge is an end, at an odd index.
      if (next % 2 === 0) return holeExtent(start, end);
      const old = own === null ? zeroExtent(start, end) : await own.extentAt(start, end);
      if (old.kind === "data") return dataExtent(start, old.end);
      if (old.kind === "hole") return sameExtent(start, old.end);
      if (newBacking === null || start >= newBacking.size) return sameExtent(start, old.end);
      const found = await newBacking.extentAt(start, Math.min(old.end, newBacking.size));
      return found.kind === "data" ? dataExtent(start, found.end) : sameExtent(start, found.end);
    },
    read: () => Promise.reject(new Error("The walk of a rebase has no bytes of its own")),
  };
}

/** A backing chain without layers: no guest bytes. */
const noBacking = chainOf([]);

/** Returns `backing` with the ID of its content, where that is known. */
function withId(backing: NamedFile | null, id: string | undefined): NamedFile | null {
  return backing && id !== undefined ? { ...backing, id } : backing;
}

function disksOf(image: OpenedImage): Disk[] {
  return image.layers.map((layer) => layer.disk);
}

/** Returns the index of the layer in the old chain that is the top of the new one; without one, the number of layers. */
function sharedLayer(before: OpenedImage | null, after: OpenedImage | null): number {
  const layers = before?.layers ?? [];
  const found = layers.findIndex((layer) => layer.key === after?.layers[0]?.key);
  return found < 0 ? layers.length : found;
}

/** Returns the holes of the image as starts and ends in turn. Called before the first write, which changes its tables. */
async function holesOf(top: Disk, { throttle }: ChangedImage): Promise<number[]> {
  const holes: number[] = [];
  for (let at = 0; at < top.size;) {
    const extent = await top.extentAt(at, top.size);
    if (extent.kind === "hole") {
      if (holes.at(-1) === extent.start) holes[holes.length - 1] = extent.end;
      else holes.push(extent.start, extent.end);
    }
    at = extent.end;
    await throttle.checkpoint();
  }
  return holes;
}

/** Writes a cluster. Zeroes over a backing file are written as zeroes; an image without one would leave them out. */
async function writeCluster(writer: DiskWriter, bytes: Uint8Array, start: number, hasBacking: boolean): Promise<void> {
  const isZero = bytes.length <= 1 << 20 ? equalBytes(bytes, zeroes(bytes.length)) : bytes.every((byte) => byte === 0);
  if (isZero && hasBacking) await writer.zero(start, start + bytes.length);
  else await writer.write(bytes, start);
}

function requireWhole(changed: ChangedImage, { traits }: DiskWriter, start: number, end: number): void {
  const { clusterSize, size } = traits;
  if (start % clusterSize === 0 && (end % clusterSize === 0 || end === size)) return;
  const message = `Cannot compress into "${changed.path}": it has a cluster that is there in part; leave out -c`;
  throw new ImageError("unsupported", message, { path: changed.path });
}

/** Fills `into`, with zeroes past the end of `reader`. */
async function readPadded(reader: GuestReader, into: Uint8Array, start: number): Promise<void> {
  const inside = Math.max(0, Math.min(into.length, reader.size - start));
  if (inside > 0) await reader.read(into.subarray(0, inside), start);
  into.fill(0, inside);
}

/** Reads guest bytes of an image over `backing`; returns, for each cluster, whether the image states it. */
async function readStated(top: Disk, backing: GuestReader, into: Uint8Array, start: number): Promise<boolean[]> {
  const stated: boolean[] = new Array(Math.ceil(into.length / top.clusterSize)).fill(false);
  const end = start + into.length;
  for (let at = start; at < end;) {
    const extent = await top.extentAt(at, end);
    const part = into.subarray(at - start, extent.end - start);
    if (extent.kind === "data") await top.read(part, at);
    else if (extent.kind === "hole") await readPadded(backing, part, at);
    if (extent.kind !== "hole") {
      const last = Math.floor((extent.end - start - 1) / top.clusterSize);
      for (let nth = Math.floor((at - start) / top.clusterSize); nth <= last; nth++) stated[nth] = true;
    }
    at = extent.end;
  }
  return stated;
}
