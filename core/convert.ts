/**
 * A whole conversion: open, plan, create, copy, finish, commit. The target appears under its name only at the end; a
 * conversion that fails closes its files and removes new ones.
 *
 * @module
 */
import {
  alignUp,
  allFormats,
  type Bitmap,
  type Files,
  type Format,
  type GuestReader,
  hostFiles,
  ImageError,
  resolve,
  throwIfCancelled,
  type WriterTraits,
} from "../formats/mod.ts";
import { pad } from "./open/readers.ts";
import { checkJob } from "./target/check_job.ts";
import { copy } from "./copy/copy.ts";
import { hostCopyTo } from "./copy/host_copy.ts";
import type { MoverOf } from "./copy/job.ts";
import type { ConvertEvent, ConvertSummary, DigestMember, PlannedTarget, Totals } from "./events.ts";
import { type WorkerPool, workerPoolOf } from "./workers/worker_pool.ts";
import { workerIo } from "./workers/worker_io.ts";
import { guestSizeOf, type Lengthened, lengthened, warnOfRounding } from "./target/guest_size.ts";
import type { ConvertContext, ConvertJob, DigestAlgorithm } from "./job.ts";
import type { Layer, OpenOptions } from "./open/open.ts";
import type { OutputFiles } from "./target/output_file.ts";
import { workerCopyBy } from "./copy/worker_copy.ts";
import { type Throttle, throttleOf } from "./throttle.ts";
import { countTotals, LEAST_ZEROES, type Policy } from "./copy/plan.ts";
import { type CodecPool, codecPoolOf, withLevel } from "./workers/codec_pool.ts";
import { formatNamed } from "./open/probe.ts";
import { mergedRanges, skippingErrors } from "./open/skip_errors.ts";
import { bitmapsOf, type OpenedSources, openSources, type ReaderDecorator, readerOf } from "./open/source.ts";
import {
  checkSectorSize,
  inheritedSectorSize,
  SECTOR_SIZE_OPTION,
  type SourceSectors,
  sourceSectorsOf,
} from "./target/sector_size.ts";
import {
  createTarget,
  editTarget,
  lacksBitmaps,
  type OpenedTarget,
  openTargetBacking,
  planTarget,
  requireBitmaps,
  type TargetJob,
} from "./target/target.ts";

/** Default of `sparseSize`: zeroes between data that are shorter than this many bytes are written. */
const DEFAULT_SPARSE = LEAST_ZEROES;

/** Implements `convert` of `mod.ts`. */
export async function convert(job: ConvertJob, context: ConvertContext = {}): Promise<ConvertSummary> {
  await using stack = new AsyncDisposableStack();
  return await new Conversion(job, context).run(stack);
}

/** The state that the stages of one conversion share. For this folder only. */
export class Conversion {
  readonly begun = performance.now();
  readonly bad: { start: number; end: number }[] = [];
  sectors: SourceSectors | undefined;
  readonly throttle: Throttle;
  readonly workers: WorkerPool;
  readonly codecs: CodecPool;
  readonly options: OpenOptions & { readonly files: Files };

  /** `output`: creates new files in place of the host. */
  constructor(readonly job: ConvertJob, readonly context: ConvertContext, readonly output?: OutputFiles) {
    this.throttle = throttleOf(context.signal, job.rateLimit ?? 0, context.paused);
    this.workers = workerPoolOf(job.workers);
    this.codecs = endedBy(context.signal, context.pool ?? codecPoolOf(this.workers));
    this.options = {
      formats: context.formats ?? allFormats,
      files: context.files ?? hostFiles,
      allowRefs: job.allowRefs ?? [],
      forceShare: job.forceShare ?? false,
      decompressor: this.codecs.decompress,
      onWarning: (message, harmless = false) => this.emit({ type: "warning", message, ...(harmless && { harmless }) }),
    };
  }

  emit(event: ConvertEvent): void {
    this.context.onEvent?.(event);
  }

  async run(stack: AsyncDisposableStack): Promise<ConvertSummary> {
    const ready = await this.prepare(stack);
    const { totals, fileSize, digest } = await this.copyPlanned(ready, stack);
    return {
      path: resolve(this.job.target.path),
      format: ready.target.format.name,
      ...ready.size,
      fileSize,
      totals,
      bad: mergedRanges(this.bad),
      ...digest,
      seconds: (performance.now() - this.begun) / 1000,
    };
  }

  /** Plans and copies. The error of a file that is cut off states how many bytes of the disk are missing. */
  async copyPlanned(ready: Ready, stack: AsyncDisposableStack) {
    try {
      return await this.fill(ready, await this.plan(ready), stack);
    } catch (error) {
      if (this.job.salvage || !(error instanceof ImageError && error.kind === "corrupt")) throw error;
      const { withMissingBytes } = await import("./open/missing_bytes.ts");
      let found: unknown = error;
      for (const { layers } of ready.sources.images) {
        for (const { disk } of layers) found = await withMissingBytes(found, disk);
      }
      throw found;
    }
  }

  /** Opens the sources and starts the target; copies nothing. */
  async prepare(stack: AsyncDisposableStack): Promise<Ready> {
    throwIfCancelled(this.context.signal);
    stack.use(this.codecs);
    const { job } = this;
    const format = job.target.format === undefined ? null : formatNamed(job.target.format, this.options.formats);
    checkJob(job, format);
    this.emit({ type: "phase", phase: "inspect" });
    const sources = await openSources(job, this.options, stack);
    const bitmaps = bitmapsOf(sources, job.bitmaps, this.options);
    const { target, reader, policy } = job.target.create === false
      ? await this.openExisting(sources, stack)
      : await this.openNew(sources, format, stack);
    const traits: WriterTraits = job.target.isZero
      ? { ...target.writer.traits, startsZeroed: true }
      : target.writer.traits;
    if (job.compressionLevel !== undefined && !traits.compress) {
      throw new ImageError("usage", "Cannot use a compression level: nothing is compressed, add -c");
    }
    const gptSectors = await this.gptSectors(sources, target, reader);
    const gptChange = gptSectors === null ? null : { sectorSize: gptSectors, granularity: traits.sector };
    const longer = await this.lengthened(reader, sources.size, gptChange);
    if (job.target.create !== false) {
      warnOfRounding(target.format.name, traits, longer.reader.size, this.options.onWarning);
    }
    const source = pad(longer.reader, alignUp(longer.reader.size, traits.sector));
    if (job.bitmaps && !target.writer.bitmaps) throw lacksBitmaps(job.target, target.format);
    if (bitmaps.length > 0) await target.writer.bitmaps?.check(bitmaps);
    const { added, gpt } = longer;
    const size = { size: traits.size, ...(added > 0 && { added }), ...(gpt && { gpt }) };
    return {
      sources,
      target,
      source,
      traits,
      policy,
      bitmaps,
      size,
    };
  }

  /** Returns the logical sector sizes of the sources. */
  sectorsOf(sources: OpenedSources): SourceSectors {
    return this.sectors ??= sourceSectorsOf(sources, () => readerOf(sources, null, () => {}));
  }

  /** Returns the sector size for which the GPT is written anew; `null`: it stays. */
  async gptSectors(sources: OpenedSources, { format, writer }: OpenedTarget, reader: GuestReader) {
    const { allowSectorSizeChange: allowed = false, convertGpt = false, target: spec } = this.job;
    const target = { spec, title: format.name, sectorSize: writer.traits.logicalSectorSize };
    return await checkSectorSize(
      this.sectorsOf(sources),
      target,
      reader,
      { allowed, convertGpt },
      this.options.onWarning,
    );
  }

  /** Returns `reader`, lengthened to the guest size that the job states for the target. */
  async lengthened(
    reader: GuestReader,
    sourceSize: number,
    gpt: { readonly sectorSize: number; readonly granularity: number } | null,
  ): Promise<Lengthened & { readonly added: number }> {
    const size = guestSizeOf(this.job.target, sourceSize);
    if (gpt !== null) {
      const { withConvertedGpt } = await import("./target/gpt_conversion.ts");
      // The backup is in the last sector, where the format rounds the size up, too.
      const whole = alignUp(size, gpt.granularity);
      const converted = await withConvertedGpt(pad(reader, whole), gpt.sectorSize, this.options.onWarning);
      return { reader: converted, gpt: "converted", added: whole - sourceSize };
    }
    if (size === sourceSize) return { reader, added: 0 };
    const longer = await lengthened(reader, size, this.options.onWarning);
    return { ...longer, added: size - sourceSize };
  }

  /** Copies all data, then finishes and commits the target. */
  async fill(
    ready: Ready,
    planned: Totals | null,
    stack: AsyncDisposableStack,
  ): Promise<Pick<ConvertSummary, "totals" | "fileSize"> & { readonly digest: DigestMember | undefined }> {
    const { target, source, traits, policy, bitmaps } = ready;
    const { writer, storage } = target;
    const { digestAlgorithm } = this;
    const digest = digestAlgorithm && await (await import("./hasher.ts")).digestBy(digestAlgorithm);
    try {
      this.emit({ type: "phase", phase: "copy" });
      const totals = await copy({
        source,
        writer,
        traits,
        policy,
        sparseSize: this.job.sparseSize ?? DEFAULT_SPARSE,
        throttle: this.throttle,
        movers: this.movers(target, planned, stack),
        width: 2 * this.codecs.width + 1,
        codecSeconds: () => this.codecs.seconds,
        onEvent: (event) => this.emit(event),
        ...(digest && { hash: digest.hash }),
      });
      this.emit({ type: "phase", phase: "finish" });
      for (const bitmap of bitmaps) await writer.bitmaps?.add(bitmap);
      await writer.finish();
      throwIfCancelled(this.context.signal);
      const fileSize = storage.size;
      await target.commit();
      return { totals, fileSize, digest: digest?.result() };
    } catch (error) {
      if (target.inPlace !== undefined) {
        this.options.onWarning(`"${target.inPlace}" is written in place and is incomplete now`);
      }
      throw error;
    }
  }

  /** The movers of this job besides inline copy, in their order. */
  movers({ writer, storage }: OpenedTarget, planned: Totals | null, stack: AsyncDisposableStack): MoverOf[] {
    const { digest, offload = false, rateLimit, salvage, sparseSize } = this.job;
    const movers: MoverOf[] = [];
    // Zeroes in shared blocks take no space; with -C the user has given up zero detection.
    if (writer.writeContent && !salvage && !digest && sparseSize !== 0) {
      movers.push(hostCopyTo(storage, offload ? "copy" : "clone"));
    }
    // A hash needs all bytes in order, a rate limit a delay after each write; workers do not skip read errors.
    if (!digest && !rateLimit && !salvage) {
      const workers = stack.use(this.context.workerIo ?? workerIo(this.workers));
      workers.expect(planned?.data ?? 0);
      movers.push(workerCopyBy(workers));
    }
    return movers;
  }

  async openNew(sources: OpenedSources, format: Format | null, stack: AsyncDisposableStack): Promise<Prepared> {
    const { job, options } = this;
    if (!format) throw new ImageError("usage", "Cannot create the target: its format is missing, state it with -O");
    const hasSectorSizes = format.createOptions.some(({ name }) => name === SECTOR_SIZE_OPTION);
    const sectorSize = hasSectorSizes ? await inheritedSectorSize(this.sectorsOf(sources)) : undefined;
    const plan = await planTarget(job.target, format, guestSizeOf(job.target, sources.size), sectorSize);
    if (job.bitmaps) await requireBitmaps(job.target, format, plan);
    const backing = await openTargetBacking(job.target, options);
    if (backing) stack.use(backing);
    const kept = backing?.layers[0] ?? null;
    const reader = readerOf(sources, kept, options.onWarning, this.decorator());
    const inputs = [...sources.images, ...(backing ? [backing] : [])];
    const target = await createTarget(this.targetJob(sources, inputs), format, plan, backing, stack);
    return { target, reader, policy: this.policyFor(kept !== null, kept?.disk.size ?? 0) };
  }

  async openExisting(sources: OpenedSources, stack: AsyncDisposableStack): Promise<Prepared> {
    const { job, options } = this;
    const target = await editTarget(this.targetJob(sources, sources.images), stack);
    const { backing } = target;
    const { path } = job.target;
    const { size, compress } = target.writer.traits;
    if (size < sources.size) {
      const message = `Cannot write into "${path}": it has ${size} bytes, and the source has ${sources.size}; ` +
        "give a larger target, or leave out -n for a new one";
      throw new ImageError("usage", message, { path });
    }
    if (job.target.compress && !compress) {
      throw new ImageError("unsupported", `Cannot compress into "${path}": ${target.format.name} cannot`, { path });
    }
    const kept = await this.backingOfExisting(backing?.layers[0] ?? null, stack);
    const reader = readerOf(sources, kept, options.onWarning, this.decorator());
    // Old content of the target may also lie past the end of the backing file, so zeroes are written there, too.
    return { target, reader, policy: this.policyFor(kept !== null, Infinity) };
  }

  /** Opens the file that `-B` names for an existing target. Its own backing file, if it has one, must be the same file. */
  async backingOfExisting(own: Layer | null, stack: AsyncDisposableStack): Promise<Layer | null> {
    const { target } = this.job;
    const opened = await openTargetBacking(target, this.options);
    if (!opened) return null;
    stack.use(opened);
    const stated = opened.layers[0];
    if (!own || own.key === stated.key) return stated;
    const message =
      `Cannot use "${stated.path}" as the backing file of "${target.path}": the image names "${own.path}"`;
    throw new ImageError("usage", message, { path: target.path });
  }

  targetJob(sources: OpenedSources, inputs: OpenedSources["images"]): TargetJob {
    const { job, options } = this;
    const files = new Map(inputs.flatMap((image) => [...image.files]));
    return {
      spec: job.target,
      size: sources.size,
      sources: files,
      sync: job.sync ?? "finish",
      checkpoint: () => this.throttle.checkpoint(),
      signal: this.context.signal,
      forceDevice: this.job.forceDevice,
      compressor: withLevel(this.codecs.compress, job.compressionLevel),
      options,
      output: this.output,
      onNote: (message) => this.emit({ type: "note", message }),
    };
  }

  policyFor(keepsBacking: boolean, backingEnd: number): Policy {
    const leastZeroes = this.job.sparseSize ?? DEFAULT_SPARSE;
    return { keepsBacking, backingEnd: keepsBacking ? backingEnd : 0, writesZeroes: leastZeroes === 0, leastZeroes };
  }

  /** Returns a decorator that skips read errors of the sources, where the job states `salvage`. */
  decorator(): ReaderDecorator | undefined {
    if (!this.job.salvage) return undefined;
    return (reader, granularity, from) =>
      skippingErrors(reader, granularity, (start, end, message) => {
        this.emit({ type: "bad", start: from + start, end: from + end, message });
        const last = this.bad.at(-1);
        if (last?.end === from + start) last.end = from + end;
        else this.bad.push({ start: from + start, end: from + end });
      });
  }

  get digestAlgorithm(): DigestAlgorithm | undefined {
    const { digest } = this.job;
    return digest === true ? "sha256" : digest || undefined;
  }

  /** Counts the work with the walk of the copy and emits the plan; null without a listener. */
  async plan({ sources, source, target, traits, policy, size }: Ready): Promise<Totals | null> {
    if (!this.context.onEvent) return null;
    this.emit({ type: "phase", phase: "plan" });
    const totals = await countTotals(source, traits, policy, () => this.throttle.checkpoint());
    this.emit({
      type: "plan",
      sources: sources.summaries,
      target: { path: this.job.target.path, format: target.format.name, ...size },
      totals,
      ...(this.digestAlgorithm === "sha256" && { hashesAll: true }),
    });
    return totals;
  }
}

/** Returns a pool that ends as soon as `signal` aborts: clusters in flight fail, and no more are accepted. */
function endedBy(signal: AbortSignal | undefined, pool: CodecPool): CodecPool {
  if (!signal) return pool;
  const end = () => pool[Symbol.dispose]();
  signal.addEventListener("abort", end, { once: true });
  return {
    width: pool.width,
    get seconds() {
      return pool.seconds;
    },
    async compress(codec, cluster) {
      throwIfCancelled(signal);
      return await pool.compress(codec, cluster);
    },
    async decompress(codec, compressed, into) {
      throwIfCancelled(signal);
      return await pool.decompress(codec, compressed, into);
    },
    [Symbol.dispose]() {
      signal.removeEventListener("abort", end);
      end();
    },
  };
}

/** A conversion before its first byte. */
export interface Ready {
  readonly sources: OpenedSources;
  readonly target: OpenedTarget;
  readonly source: GuestReader;
  /** Traits of the writer; `startsZeroed` also where the user states it. */
  readonly traits: WriterTraits;
  readonly policy: Policy;
  readonly bitmaps: readonly Bitmap[];
  readonly size: Pick<PlannedTarget, "size" | "added" | "gpt">;
}

/** A target that is ready to be written, and the reader of its guest bytes. */
interface Prepared {
  readonly target: OpenedTarget;
  readonly reader: GuestReader;
  readonly policy: Policy;
}
