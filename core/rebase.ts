/**
 * Another backing file for an existing image, with the same guest bytes as before.
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

/** What {@linkcode rebase} may be told. */
export interface RebaseOptions extends ChangeOptions {
  /** Change the name alone; nothing is compared. For a backing file that was moved or renamed. */
  readonly unsafe?: boolean;
  /** Compress what is copied into the image. */
  readonly compress?: boolean;
  /** Forget units that are the same in the new backing file. */
  readonly dropsSame?: boolean;
  /** Number of workers that decompress and compress; absent: one per processor. */
  readonly workers?: number;
}

/** What {@linkcode rebase} did. Guest bytes. */
export interface RebaseSummary {
  /** Copied into the image, because the new backing file does not hold them. */
  readonly copied: number;
  /** Forgotten, because the new backing file holds them. */
  readonly dropped: number;
}

/** Bytes that are compared at once. */
const PIECE_BYTES = 256 << 10;

/** What {@linkcode rebase} of `mod.ts` does. */
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
    // Another name for what has the content that the image states.
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
    const before = await changed.beneath(top.backing);
    const holes = await holesOf(top, changed);
    const oldBacking = before === null ? null : chainOf(disksOf(before));
    const newBacking = after === null ? null : chainOf(disksOf(after));
    const writer = await edit.call(format, storage, {
      compress: this.options.compress ?? false,
      compressor: this.codecs.compress,
      openNamed: changed.context.openNamed,
      // Zeroes must be stated as far as the new backing file goes.
      openBacking: () => {
        const backing = oldBacking ?? emptyReader;
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
    const dropped = this.options.dropsSame ? await this.dropSame(changed, newBacking ?? emptyReader) : 0;
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
      // The mover takes clusters apart, and compresses them, by itself.
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

  /** Forgets what the new backing file shows as well. */
  async dropSame(changed: ChangedImage, below: GuestReader): Promise<number> {
    const forget = verbOf(changed, "forget", "drop units of");
    const top = await changed.read();
    const unit = top.clusterSize;
    const ranges: { start: number; end: number }[] = [];
    let dropped = 0;
    const piece = alignUp(PIECE_BYTES, unit);
    for (let start = 0; start < top.size; start += piece) {
      await changed.context.checkpoint(start / top.size);
      const end = Math.min(start + piece, top.size);
      const [mine, theirs] = [new Uint8Array(end - start), new Uint8Array(end - start)];
      const stated = await readStated(top, below, mine, start);
      if (!stated.some(Boolean)) continue;
      await readPadded(below, theirs, start);
      for (let at = start; at < end; at += unit) {
        const [from, to] = [at - start, Math.min(at + unit, end) - start];
        if (!stated[Math.floor(from / unit)]) continue;
        if (!equalBytes(mine.subarray(from, to), theirs.subarray(from, to))) continue;
        const last = ranges.at(-1);
        if (last?.end === at) last.end = start + to;
        else ranges.push({ start: at, end: start + to });
        dropped += to - from;
      }
    }
    await forget(changed.storage, ranges, changed.context);
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
          await put(writer, bytes, at, oldBacking !== null);
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
  /** Where the image states nothing, as starts and ends. */
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

const emptyReader = chainOf([]);

/** `backing` with the ID of its content, where that is known. */
function withId(backing: NamedFile | null, id: string | undefined): NamedFile | null {
  return backing && id !== undefined ? { ...backing, id } : backing;
}

function disksOf(image: OpenedImage): Disk[] {
  return image.layers.map((layer) => layer.disk);
}

/** From which layer of the old chain on it is the new chain; all layers where they have nothing in common. */
function sharedLayer(before: OpenedImage | null, after: OpenedImage | null): number {
  const layers = before?.layers ?? [];
  const found = layers.findIndex((layer) => layer.key === after?.layers[0]?.key);
  return found < 0 ? layers.length : found;
}

/** Where the image states nothing, as starts and ends; found before the first write, which moves its tables. */
async function holesOf(top: Disk, { throttle }: ChangedImage): Promise<number[]> {
  const holes: number[] = [];
  for (let at = 0; at < top.size;) {
    const run = await top.extentAt(at, top.size);
    if (run.kind === "hole") {
      if (holes.at(-1) === run.start) holes[holes.length - 1] = run.end;
      else holes.push(run.start, run.end);
    }
    at = run.end;
    await throttle.checkpoint();
  }
  return holes;
}

/** Zeroes are stated as such, but not over nothing: an image without a backing file would leave them out. */
async function put(writer: DiskWriter, bytes: Uint8Array, start: number, over: boolean): Promise<void> {
  const isZero = bytes.length <= 1 << 20 ? equalBytes(bytes, zeroes(bytes.length)) : bytes.every((byte) => byte === 0);
  if (isZero && over) await writer.zero(start, start + bytes.length);
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
  const there = Math.max(0, Math.min(into.length, reader.size - start));
  if (there > 0) await reader.read(into.subarray(0, there), start);
  into.fill(0, there);
}

/** Reads what a reader sees, and tells of which units the image says something. */
async function readStated(top: Disk, below: GuestReader, into: Uint8Array, start: number): Promise<boolean[]> {
  const stated: boolean[] = new Array(Math.ceil(into.length / top.clusterSize)).fill(false);
  const end = start + into.length;
  for (let at = start; at < end;) {
    const run = await top.extentAt(at, end);
    const part = into.subarray(at - start, run.end - start);
    if (run.kind === "data") await top.read(part, at);
    else if (run.kind === "hole") await readPadded(below, part, at);
    if (run.kind !== "hole") {
      const last = Math.floor((run.end - start - 1) / top.clusterSize);
      for (let unit = Math.floor((at - start) / top.clusterSize); unit <= last; unit++) stated[unit] = true;
    }
    at = run.end;
  }
  return stated;
}
