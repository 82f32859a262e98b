/**
 * What an overlay holds, written into a file beneath it.
 *
 * @module
 */
import { alignUp, type Disk, ImageError, resolve } from "../formats/mod.ts";
import { chainOf } from "./open/chain.ts";
import { pad } from "./open/readers.ts";
import { type ChangedImage, type ChangeOptions, type ChangeSpec, openForChange, verbOf } from "./open_for_change.ts";
import { countAndCopy } from "./copy/count_and_copy.ts";
import type { Totals } from "./events.ts";
import { fileKey, type Layer, openImage } from "./open/open.ts";
import { openOptions } from "./open/open_disk.ts";
import { throttleOf } from "./throttle.ts";
import { type CodecPool, codecPool } from "./workers/codec_pool.ts";

/** What {@linkcode commit} may be told. */
export interface CommitOptions extends ChangeOptions {
  /** The file of the chain that is written; what lies between is left as it is. Default: the one beneath the image. */
  readonly base?: string;
  /** Do not empty the image afterwards. What is not the immediate backing file always leaves it as it is. */
  readonly keepsTop?: boolean;
  /** Bytes a second, on average; 0: no limit. */
  readonly rateLimit?: number;
  /** Number of workers that decompress; absent: one per processor. */
  readonly workers?: number;
}

/** What {@linkcode commit} did. */
export interface CommitSummary {
  /** The file that was written. */
  readonly base: string;
  /** Guest bytes, by what was done with them. */
  readonly totals: Totals;
  /** Whether the image is empty now. */
  readonly emptied: boolean;
}

/** What {@linkcode commit} of `mod.ts` does. */
export async function commit(image: ChangeSpec, options: CommitOptions = {}): Promise<CommitSummary> {
  await using stack = new AsyncDisposableStack();
  const pool = stack.use(codecPool(options.workers));
  const top = await openForChange(image, options, stack);
  // The files that are written are locked by themselves; the locks of reading would be in their way.
  const spec = { ...image, path: top.path, format: top.format.name };
  const open = { ...openOptions(options), forceShare: true, decompressor: pool.decompress };
  const { layers } = stack.use(await openImage(spec, open));
  const depth = await baseDepth(layers, options);
  const emptied = !options.keepsTop && options.base === undefined;
  const empty = emptied ? verbOf(top, "empty", "empty") : null;
  const above = depth === 1 ? top : await openAbove(layers[depth - 1], options, stack);
  const retie = await untie(above, layers[depth - 1].disk);
  const base = await openBase(layers[depth], layers[0].disk, options, stack);
  const totals = await copyDown(layers, depth, base, options, pool);
  await base.storage.sync();
  await retie(base);
  if (empty) await empty(top.storage, top.context);
  return { base: base.path, totals, emptied };
}

/** Which layer is written. */
async function baseDepth(layers: readonly Layer[], options: CommitOptions): Promise<number> {
  const [{ path }] = layers;
  if (layers.length < 2) {
    throw new ImageError("usage", `Cannot commit "${path}": it has no backing file`, { path });
  }
  if (options.base === undefined) return 1;
  const named = resolve(options.base);
  await using file = await openOptions(options).files.open(named);
  const depth = layers.findIndex(({ key }, index) => index > 0 && key === fileKey(file, named));
  if (depth > 0) return depth;
  throw new ImageError("usage", `Cannot commit "${path}" to "${named}": that is not beneath it`, { path });
}

/** A layer above the base, open for changing. */
function openAbove(
  { path, disk }: Layer,
  { onEvent: _, ...options }: ChangeOptions,
  stack: AsyncDisposableStack,
): Promise<ChangedImage> {
  return openForChange({ path, format: disk.format }, options, stack);
}

/**
 * Where the layer above the base states which content that has, it states nothing while the content changes, so that the
 * chain opens at every moment. The result states it again.
 */
async function untie(above: ChangedImage, { backing }: Disk): Promise<(base: ChangedImage) => Promise<void>> {
  if (backing?.id === undefined) return () => Promise.resolve();
  const setBacking = verbOf(above, "setBacking", "commit");
  const { id: _id, otherIds: _otherIds, ...untied } = backing;
  await setBacking(above.storage, untied);
  return async (base) => {
    const { id } = await base.read();
    await setBacking(above.storage, { ...untied, ...(id !== undefined && { id }) });
  };
}

/** The base, open for changing and as long as the image above it. */
async function openBase(
  { path, disk }: Layer,
  top: Disk,
  { onEvent: _, ...options }: ChangeOptions,
  stack: AsyncDisposableStack,
): Promise<ChangedImage> {
  const base = await openForChange({ path, format: disk.format }, options, stack);
  const { size } = await base.read();
  if (size < top.size) {
    await verbOf(base, "resize", "grow")(base.storage, alignUp(top.size, 512), "off", base.context);
    await base.storage.sync();
  }
  return base;
}

async function copyDown(
  layers: readonly Layer[],
  depth: number,
  base: ChangedImage,
  options: CommitOptions,
  pool: CodecPool,
): Promise<Totals> {
  const { format, storage, path, context } = base;
  const disks = layers.map((layer) => layer.disk);
  const writer = await format.edit?.(storage, {
    compress: false,
    compressor: pool.compress,
    openNamed: context.openNamed,
    openBacking: () => Promise.resolve(chainOf(disks.slice(depth + 1))),
  });
  if (!writer) {
    throw new ImageError("unsupported", `Cannot write into "${path}": ${format.name} is read-only here`, { path });
  }
  const traits = { ...writer.traits, startsZeroed: false };
  const source = pad(chainOf(disks, depth), alignUp(disks[0].size, traits.sector));
  const policy = { keepsBacking: true, backingEnd: Infinity, writesZeroes: false };
  const throttle = throttleOf(options.signal, options.rateLimit ?? 0, options.paused);
  const { onEvent } = options;
  const { data, zero, skip } = await countAndCopy({
    source,
    writer,
    traits,
    policy,
    sparseSize: 4096,
    throttle,
    movers: [],
    pool,
    onEvent,
  });
  await writer.finish();
  return { data, zero, skip };
}
