/**
 * Checks a job for contradictions, before any file is opened. Pure.
 *
 * @module
 */
import { creationOptionsOf, type Format, ImageError } from "../../formats/mod.ts";
import { createOptions } from "./create_options.ts";
import type { ConvertJob, TargetSpec } from "../job.ts";

/** Largest value of `sparseSize`, in bytes. */
const MAX_SPARSE = 16 << 20;

/**
 * Throws `usage` or `unsupported` for a job that cannot be carried out.
 *
 * @param target the format of the target, where it is stated
 */
export function checkJob(job: ConvertJob, target: Format | null): void {
  if (job.sources.length === 0) throw usage("Cannot convert: a source is missing");
  const { sparseSize = 0, rateLimit = 0 } = job;
  if (!isSize(sparseSize) || sparseSize > MAX_SPARSE || sparseSize % 512 !== 0) {
    throw usage(`Cannot use ${sparseSize} as the size of holes: it must be a multiple of 512 up to ${MAX_SPARSE}`);
  }
  if (!isSize(rateLimit)) throw usage(`Cannot limit the rate to ${rateLimit}: it must be whole bytes a second`);
  checkOffload(job);
  checkRange(job);
  checkSources(job);
  if (job.target.create === false) checkExistingTarget(job.target);
  else checkNewTarget(job, target);
  if (target) checkAbilities(job, target);
}

function isSize(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function checkOffload({ offload, target, salvage, sparseSize, digest }: ConvertJob): void {
  if (!offload) return;
  const why = (other: string, found: string) => usage(`Cannot use -C with ${other}: ${found}, leave one out`);
  if (target.compress) throw why("-c", "what is compressed cannot be copied by the system");
  if (sparseSize !== undefined) throw why("-S", "what the system copies is not looked at");
  if (salvage) throw why("--salvage", "the system reads all or nothing");
  if (digest) throw why("--digest", "what the system copies is not looked at");
}

function checkRange({ range, bitmaps, target }: ConvertJob): void {
  if (!range) return;
  if (!isSize(range.start) || !isSize(range.length ?? 0)) {
    throw usage("Cannot take a part of the disk: it must be bytes");
  }
  if (bitmaps || target.backing) {
    throw usage("Cannot take a part of the disk together with bitmaps or a backing file: they speak of all of it");
  }
}

function checkSources(job: ConvertJob): void {
  if (job.bitmaps && job.sources[0].snapshot) {
    throw usage("Cannot copy bitmaps together with a snapshot: bitmaps speak of the current state, leave out -l");
  }
  if (job.sources.length === 1) return;
  if (job.sources.some((source) => source.snapshot)) {
    throw usage("Cannot load a snapshot when several sources are joined: convert the snapshot alone first");
  }
  if (job.target.backing) {
    throw usage("Cannot keep a backing file when several sources are joined: leave out -B, or convert one source");
  }
  if (job.bitmaps) throw usage("Cannot copy bitmaps when several sources are joined: convert one source");
}

function checkExistingTarget(target: TargetSpec): void {
  if (Object.keys(target.options ?? {}).length > 0) {
    throw usage(
      "Cannot apply creation options to an existing target: leave out -o, or let the target be created (no -n)",
    );
  }
  if (target.guestSize !== undefined) {
    throw usage(
      "Cannot change the size of an existing target: leave out the size, or let the target be created (no -n)",
    );
  }
  if (target.isZero && target.backing) throw zeroWithBacking();
}

function checkNewTarget(job: ConvertJob, format: Format | null): void {
  const { target } = job;
  if (target.isZero && target.backing) throw zeroWithBacking();
  if (target.isZero) {
    throw usage("Cannot take a new target as zero: --target-is-zero speaks of an existing target, add -n");
  }
  if (target.offset !== undefined || target.size !== undefined) {
    throw usage("Cannot place a new target inside a file: an offset or size needs an existing target, add -n");
  }
  checkGuestSize(target.guestSize);
  if (!format) return;
  if (!format.create) {
    throw new ImageError("unsupported", `Cannot create "${target.path}": the format ${format.name} is read-only here`, {
      path: target.path,
    });
  }
  createOptions(format.name, creationOptionsOf(format), target.options ?? {});
  if (target.backing && format.has.overlays && target.backing.format === undefined) {
    throw usage(`Cannot use the backing file "${target.backing.path}": state its format with -F`);
  }
}

function checkGuestSize(wanted: TargetSpec["guestSize"]): void {
  const numbers = typeof wanted === "object" ? [wanted.multipleOf, wanted.least, wanted.most] : [wanted];
  for (const number of numbers) {
    if (number !== undefined && !isSize(number)) {
      throw usage(`Cannot make a disk by the size ${number}: it must be bytes`);
    }
  }
}

function zeroWithBacking(): ImageError {
  return usage("Cannot take the target as zero when it has a backing file: leave out --target-is-zero or -B");
}

function checkAbilities(job: ConvertJob, format: Format): void {
  const lacks = (what: string) =>
    new ImageError("unsupported", `Cannot write "${job.target.path}": ${format.name} ${what}`);
  if (job.target.backing && job.target.create !== false && !format.has.overlays) {
    throw lacks("images are not made over a backing file here, leave out -B");
  }
  if (job.target.compress && !format.has.compression) throw lacks("has no compression, leave out -c");
  if (job.bitmaps && !format.has.bitmaps) throw lacks("has no bitmaps, leave out --bitmaps");
}

function usage(message: string): ImageError {
  return new ImageError("usage", message);
}
