/**
 * Writes the content of an overlay into a file of its backing chain.
 *
 * @module
 */
import { alignUp, type Disk, ImageError, resolve } from "../formats/mod.ts";
import { chainOf } from "./open/chain.ts";
import { pad } from "./open/readers.ts";
import { type ChangedImage, type ChangeOptions, type ChangeSpec, openForChange, verbOf } from "./open_for_change.ts";
import { LEAST_ZEROES } from "./copy/plan.ts";
import { countAndCopy } from "./copy/count_and_copy.ts";
import type { Totals } from "./events.ts";
import { fileKey, type Layer, openImage } from "./open/open.ts";
import { openOptions } from "./open/open_disk.ts";
import { throttleOf } from "./throttle.ts";
import { type CodecPool, codecPool } from "./workers/codec_pool.ts";

/** Options of {@linkcode commit}. */
export interface CommitOptions extends ChangeOptions {
  /** The file of the backing chain that is written; images between stay as they are. Default: the backing file. */
  readonly base?: string;
  /** Whether the image is not emptied afterwards. With `base` it never is. */
  readonly keepsTop?: boolean;
  /** Most bytes a second that are written, on average; 0: no limit. */
  readonly rateLimit?: number;
  /** Most workers that decompress. Default: one per processor. */
  readonly workers?: number;
}

/** Result of {@linkcode commit}. */
export interface CommitSummary {
  /** The file that was written. */
  readonly base: string;
  /** Guest bytes by action. */
  readonly totals: Totals;
  /** Whether the image is empty now. */
  readonly emptied: boolean;
}

/** Implements `commit` of `mod.ts`. */
export async function commit(image: ChangeSpec, options: CommitOptions = {}): Promise<CommitSummary> {
  await using stack = new AsyncDisposableStack();
  const pool = stack.use(codecPool(options.workers));
  const top = await openForChange(image, options, stack);
  // Files that are written hold exclusive locks: shared locks on the same files would be refused.
  const spec = { ...image, path: top.path, format: top.format.name };
  const open = { ...openOptions(options), forceShare: true, decompressor: pool.decompress };
  const { layers } = stack.use(await openImage(spec, open));
  const depth = await baseDepth(layers, options);
  const emptied = !options.keepsTop && options.base === undefined;
  const empty = emptied ? verbOf(top, "empty", "empty") : null;
  const above = depth === 1 ? top : await openAbove(layers[depth - 1], options, stack);
  const backingId = backingIdOf(above, layers[depth - 1].disk);
  const base = await openBase(layers[depth], layers[0].disk, backingId, options, stack);
  const totals = await copyDown(layers, depth, base, backingId, options, pool);
  await base.storage.sync();
  await backingId.store(base);
  if (empty) await empty(top.storage, top.context);
  return { base: base.path, totals, emptied };
}

/** Returns the index of the layer that is written. */
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
  throw new ImageError("usage", `Cannot commit "${path}" to "${named}": that is not in its backing chain`, { path });
}

/** Opens a layer above the base for changing. */
function openAbove(
  { path, disk }: Layer,
  { onEvent: _, ...options }: ChangeOptions,
  stack: AsyncDisposableStack,
): Promise<ChangedImage> {
  return openForChange({ path, format: disk.format }, options, stack);
}

/** The ID of the backing file that the layer above the base states. */
interface BackingId {
  /**
   * Removes it. The ID of the base changes with its content, and the chain must open at every moment. QEMU does not open a
   * VMDK whose descriptor has no `parentCID`, so that this time must be short there.
   */
  clear(): Promise<void>;
  /** Stores the new ID of the base. */
  store(base: ChangedImage): Promise<void>;
}

function backingIdOf(above: ChangedImage, { backing }: Disk): BackingId {
  if (backing?.id === undefined) return { clear: () => Promise.resolve(), store: () => Promise.resolve() };
  const setBacking = verbOf(above, "setBacking", "commit");
  const { id: _id, otherIds: _otherIds, ...withoutId } = backing;
  return {
    clear: () => setBacking(above.storage, withoutId),
    async store(base) {
      const { id } = await base.read();
      await setBacking(above.storage, { ...withoutId, ...(id !== undefined && { id }) });
    },
  };
}

/** Opens the base for changing, and grows it to the size of the top image. */
async function openBase(
  { path, disk }: Layer,
  top: Disk,
  backingId: BackingId,
  { onEvent: _, ...options }: ChangeOptions,
  stack: AsyncDisposableStack,
): Promise<ChangedImage> {
  const base = await openForChange({ path, format: disk.format }, options, stack);
  const { size } = await base.read();
  if (size < top.size) {
    const context = { ...base.context, beforeNewId: backingId.clear };
    await verbOf(base, "resize", "grow")(base.storage, alignUp(top.size, 512), "off", context);
    await base.storage.sync();
  }
  return base;
}

async function copyDown(
  layers: readonly Layer[],
  depth: number,
  base: ChangedImage,
  backingId: BackingId,
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
    beforeNewId: backingId.clear,
  });
  if (!writer) {
    throw new ImageError("unsupported", `Cannot write into "${path}": ${format.name} is read-only here`, { path });
  }
  const traits = { ...writer.traits, startsZeroed: false };
  const source = pad(chainOf(disks, depth), alignUp(disks[0].size, traits.sector));
  const policy = { keepsBacking: true, backingEnd: Infinity, writesZeroes: false, leastZeroes: LEAST_ZEROES };
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
