/**
 * A new, empty image. Nothing appears under its name before it is complete.
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
import { atWork, reportingCheckpoint } from "./open_for_change.ts";
import { checkJob } from "./target/check_job.ts";
import type { ScanEvent } from "./events.ts";
import type { ConvertContext, SyncMode, TargetSpec } from "./job.ts";
import { throttleOf } from "./throttle.ts";
import { formatNamed } from "./open/probe.ts";
import { createTarget, openTargetBacking, planTarget } from "./target/target.ts";

/** A new image. */
export interface CreateJob extends Pick<TargetSpec, "path" | "options" | "backing"> {
  /** Name of its format. */
  readonly format: string;
  /** Guest bytes. Default: those of its backing file. */
  readonly size?: number;
  /** Do not open the backing file: it need not be there, and `size` must be given. */
  readonly unseenBacking?: boolean;
  /** Do not ask for a lock on the backing file. */
  readonly forceShare?: boolean;
  /** Further folders in which files named by the backing file may lie. */
  readonly allowRefs?: readonly string[];
  /** Default `finish`. */
  readonly sync?: SyncMode;
}

/** What a caller hands to {@linkcode createImage} besides its data. */
export interface CreateImageContext extends Pick<ConvertContext, "formats" | "files" | "signal" | "paused"> {
  /** Hears how far it is, where space is taken. */
  readonly onEvent?: (event: ScanEvent) => void;
  /** Hears of guesses. */
  readonly onWarning?: (message: string) => void;
}

/** What was created. */
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

/** What {@linkcode createImage} of `mod.ts` does. */
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
  // The rules for a new target are those of a conversion; it has no source here.
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
    compressor: inlineCompressor,
    options,
  };
  const target = await atWork(context, async () => {
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

/** Nothing is opened, so only the names can be compared. */
function refuseItself({ path, backing }: CreateJob): void {
  if (!backing || resolve(dirname(path), backing.path) !== resolve(path)) return;
  throw new ImageError("refused", `Cannot create "${path}": it would be its own backing file`, { path });
}
