/**
 * Another backing file for an existing image, with the same guest bytes as before.
 *
 * @module
 */
import {
  alignUp,
  dirname,
  type Disk,
  type DiskWriter,
  equalBytes,
  type GuestReader,
  ImageError,
  type NamedFile,
  resolve,
  zeroes,
} from "../formats/mod.ts";
import { chainOf, padded } from "./open/chain.ts";
import { type ChangedImage, type ChangeOptions, type ChangeSpec, openForChange, verbOf } from "./open_for_change.ts";
import type { ScanEvent } from "./events.ts";
import { type OpenedImage, openImage } from "./open/open.ts";
import { openOptions } from "./open/open_disk.ts";
import { type CodecPool, leveled, workerPool } from "./workers/codec_pool.ts";

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
const PIECE = 256 << 10;

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
  readonly pool: CodecPool;

  constructor(
    readonly image: ChangeSpec,
    readonly backing: NamedFile | null,
    readonly options: RebaseOptions,
    readonly stack: AsyncDisposableStack,
  ) {
    this.pool = stack.use(workerPool(options.workers));
  }

  tell(event: ScanEvent): void {
    this.options.onEvent?.(event);
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
    const sameFrom = sharedLayer(before, after);
    const reader = before && padded(chainOf(disksOf(before), sameFrom), top.size);
    const oldBelow = before === null ? null : chainOf(disksOf(before));
    const newBelow = after === null ? null : chainOf(disksOf(after));
    const writer = this.stack.use(
      await edit.call(format, storage, {
        compress: this.options.compress ?? false,
        compressor: leveled(this.pool.compress, undefined),
        openNamed: changed.context.openNamed,
        // Zeroes must be stated as far as the new backing file goes.
        openBacking: () => {
          const below = oldBelow ?? emptyReader;
          return Promise.resolve(padded(below, Math.max(below.size, newBelow?.size ?? 0)));
        },
      }),
    );
    if (this.options.compress && !writer.traits.compress) {
      throw new ImageError("unsupported", `Cannot compress into "${path}": ${format.name} cannot`, { path });
    }
    const copied = await this.copyHoles(holes, { changed, writer, reader, oldBelow, newBelow });
    this.tell({ type: "phase", phase: "finish" });
    await writer.finish();
    await storage.sync();
    await setBacking(storage, withId(this.backing, after?.layers[0]?.disk.id));
    const dropped = this.options.dropsSame ? await this.dropSame(changed, newBelow ?? emptyReader) : 0;
    return { copied, dropped };
  }

  async openNew(): Promise<OpenedImage | null> {
    if (this.backing === null) return null;
    const { name, format } = this.backing;
    const path = resolve(dirname(this.image.path), name);
    return this.stack.use(await openImage({ path, ...(format && { format }) }, openOptions(this.options)));
  }

  async copyHoles(holes: readonly number[], work: CopyWork): Promise<number> {
    let total = 0;
    for (let at = 0; at < holes.length; at += 2) total += holes[at + 1] - holes[at];
    this.tell({ type: "totals", totals: { data: total, zero: 0, skip: 0 } });
    this.tell({ type: "phase", phase: "copy" });
    let copied = 0;
    const piece = alignUp(PIECE, work.writer.traits.clusterSize);
    for (let at = 0; at < holes.length; at += 2) {
      for (let start = holes[at]; start < holes[at + 1];) {
        await work.changed.pace.checkpoint();
        const end = await nextEnd(work, start, Math.min(holes[at + 1], start - start % piece + piece));
        copied += await copyPiece(work, start, end);
        this.tell({ type: "extent", action: "copy", kind: "data", start, end, zeroes: 0, seconds: 0 });
        start = end;
      }
    }
    return copied;
  }

  /** Forgets what the new backing file shows as well. */
  async dropSame(changed: ChangedImage, below: GuestReader): Promise<number> {
    const forget = verbOf(changed, "forget", "drop units of");
    const top = await changed.read();
    const unit = top.clusterSize;
    const ranges: { start: number; end: number }[] = [];
    let dropped = 0;
    const piece = alignUp(PIECE, unit);
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

/** What copying needs. */
interface CopyWork {
  readonly changed: ChangedImage;
  readonly writer: DiskWriter;
  /** What lay beneath, where holes are what the new backing file has, too. `null`: nothing. */
  readonly reader: GuestReader | null;
  readonly oldBelow: GuestReader | null;
  readonly newBelow: GuestReader | null;
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
async function holesOf(top: Disk, { pace }: ChangedImage): Promise<number[]> {
  const holes: number[] = [];
  for (let at = 0; at < top.size;) {
    const run = await top.extentAt(at, top.size);
    if (run.kind === "hole") {
      if (holes.at(-1) === run.start) holes[holes.length - 1] = run.end;
      else holes.push(run.start, run.end);
    }
    at = run.end;
    await pace.checkpoint();
  }
  return holes;
}

/** Where the piece from `start` on ends: as far as nothing has to be read, or at `limit`. */
async function nextEnd({ reader, newBelow, writer }: CopyWork, start: number, limit: number): Promise<number> {
  const size = writer.traits.size;
  const same = async (): Promise<number | null> => {
    const before = reader === null ? null : await reader.extentAt(start, size);
    if (before?.kind === "hole") return before.end;
    if (before?.kind === "data") return null;
    const beforeEnd = before?.end ?? size;
    if (newBelow === null || start >= newBelow.size) return beforeEnd;
    const after = await newBelow.extentAt(start, newBelow.size);
    return after.kind === "data" ? null : Math.min(beforeEnd, after.end);
  };
  const end = await same();
  return end === null ? limit : Math.min(Math.max(end, start + 1), limit);
}

/** Copies what differs between `start` and `end`; returns how many bytes. */
async function copyPiece(work: CopyWork, start: number, end: number): Promise<number> {
  const { oldBelow, newBelow, writer, reader } = work;
  if (reader !== null && (await reader.extentAt(start, end)).kind === "hole") {
    const run = await reader.extentAt(start, end);
    if (run.end >= end) return 0;
  }
  const before = new Uint8Array(end - start);
  const after = new Uint8Array(end - start);
  if (oldBelow) await readPadded(oldBelow, before, start);
  if (newBelow) await readPadded(newBelow, after, start);
  const { clusterSize: unit, compress } = writer.traits;
  let copied = 0;
  for (let at = start; at < end;) {
    const unitEnd = Math.min(at - at % unit + unit, end);
    const bytes = before.subarray(at - start, unitEnd - start);
    if (!equalBytes(bytes, after.subarray(at - start, unitEnd - start))) {
      if (compress) requireWhole(work, at, unitEnd);
      await put(writer, bytes, at, oldBelow !== null);
      copied += unitEnd - at;
    }
    at = unitEnd;
  }
  return copied;
}

/** Zeroes are stated as such, but not over nothing: an image without a backing file would leave them out. */
async function put(writer: DiskWriter, bytes: Uint8Array, start: number, over: boolean): Promise<void> {
  const isZero = bytes.length <= 1 << 20 ? equalBytes(bytes, zeroes(bytes.length)) : bytes.every((byte) => byte === 0);
  if (isZero && over) await writer.zero(start, start + bytes.length);
  else await writer.write(bytes, start);
}

function requireWhole({ changed, writer }: CopyWork, start: number, end: number): void {
  const { clusterSize: unit, size } = writer.traits;
  if (start % unit === 0 && (end % unit === 0 || end === size)) return;
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
