/**
 * Creates an image without data. It appears under its name only when it is complete.
 *
 * @module
 */
import {
  allFormats,
  dirname,
  hostFiles,
  ImageError,
  inlineCompressor,
  inlineDecompressor,
  resolve,
  throwIfCancelled,
} from "../formats/mod.ts";
import { reportingCheckpoint, withPhases } from "./open_for_change.ts";
import { checkJob } from "./target/check_job.ts";
import type { ScanEvent, WarningListener } from "./events.ts";
import type { ConvertContext, SyncMode, TargetSpec } from "./job.ts";
import { throttleOf } from "./throttle.ts";
import { formatNamed } from "./open/probe.ts";
import { createTarget, openTargetBacking, planTarget } from "./target/target.ts";

/** The image to create. */
export interface CreateJob extends Pick<TargetSpec, "path" | "options" | "backing"> {
  /** Name of its format. */
  readonly format: string;
  /** Guest bytes. Default: the size of its backing file. */
  readonly size?: number;
  /** Whether the backing file is not opened: it need not exist, and `size` must be given. */
  readonly unseenBacking?: boolean;
  /** Whether a block device is written although it is mounted or otherwise in use: what is on it is lost. */
  readonly forceDevice?: boolean;
  /** Whether the backing file is opened without a lock. */
  readonly forceShare?: boolean;
  /** Further folders from which files that the backing file names may be opened. */
  readonly allowRefs?: readonly string[];
  /** Default `finish`. */
  readonly sync?: SyncMode;
}

/** Callbacks and other context of {@linkcode createImage}. */
export interface CreateImageContext extends Pick<ConvertContext, "formats" | "files" | "signal" | "paused"> {
  /** Called with progress events, where space is reserved. */
  readonly onEvent?: (event: ScanEvent) => void;
  /** Called with warnings, such as a guessed format. */
  readonly onWarning?: WarningListener;
}

/** Result of {@linkcode createImage}. */
export interface CreatedImage {
  /** Absolute. */
  readonly path: string;
  /** Name of its format. */
  readonly format: string;
  /** Guest bytes. */
  readonly size: number;
  /** Length of its file, in bytes. */
  readonly fileSize: number;
}

/** Implements `createImage` of `mod.ts`. */
export async function createImage(job: CreateJob, context: CreateImageContext = {}): Promise<CreatedImage> {
  throwIfCancelled(context.signal);
  context.onEvent?.({ type: "phase", phase: "inspect" });
  const options = {
    decompressor: inlineDecompressor,
    formats: context.formats ?? allFormats,
    files: context.files ?? hostFiles,
    allowRefs: job.allowRefs ?? [],
    forceShare: job.forceShare ?? false,
    onWarning: context.onWarning ?? (() => {}),
  };
  const format = formatNamed(job.format, options.formats, job.path);
  const spec: TargetSpec = {
    path: job.path,
    format: job.format,
    ...(job.options && { options: job.options }),
    ...(job.backing && { backing: job.backing }),
  };
  // A new target follows the rules of a conversion, which needs a source.
  checkJob({ sources: [{ path: job.path }], target: spec }, format);
  await using stack = new AsyncDisposableStack();
  if (job.unseenBacking) refuseItself(job);
  const backing = job.unseenBacking ? null : await openTargetBacking(spec, options);
  if (backing) stack.use(backing);
  const size = job.size ?? backing?.layers[0].disk.size;
  if (size === undefined) {
    throw new ImageError("usage", `Cannot create "${job.path}": its size is missing`, { path: job.path });
  }
  const plan = await planTarget(spec, format, size);
  const sync = job.sync ?? "finish";
  const sources = backing?.files ?? new Map();
  const checkpoint = reportingCheckpoint(throttleOf(context.signal, 0, context.paused), context.onEvent);
  const targetJob = {
    spec,
    size,
    sources,
    sync,
    checkpoint,
    signal: context.signal,
    forceDevice: job.forceDevice,
    compressor: inlineCompressor,
    options,
    onNote: (message: string) => context.onEvent?.({ type: "note", message }),
  };
  const target = await withPhases(context, async () => {
    const begun = await createTarget(targetJob, format, plan, backing, stack);
    await begun.writer.finish();
    return begun;
  });
  throwIfCancelled(context.signal);
  const created = {
    path: resolve(job.path),
    format: format.name,
    size: target.writer.traits.size,
    fileSize: target.storage.size,
  };
  await target.commit();
  return created;
}

/** Throws where an image would be its own backing file; by name, because the backing file is not opened. */
function refuseItself({ path, backing }: CreateJob): void {
  if (!backing || resolve(dirname(path), backing.path) !== resolve(path)) return;
  throw new ImageError("refused", `Cannot create "${path}": it would be its own backing file`, { path });
}
