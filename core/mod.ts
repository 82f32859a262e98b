/**
 * The jobs as the library offers them. Each loads its code when it is called: a program that starts pays for what it
 * does, not for what it could do.
 *
 * @module
 */
import type { GuestReader, NamedFile } from "../formats/mod.ts";
import type { BenchJob } from "./bench.ts";
import type { BitmapChange } from "./bitmap.ts";
import type { ChangeOptions, ChangeSpec } from "./change.ts";
import type { CheckOptions, CheckResult } from "./check.ts";
import type { CommitOptions, CommitSummary } from "./commit.ts";
import type { CompareOptions, Comparison } from "./compare.ts";
import type { CreatedImage, CreateImageContext, CreateJob } from "./create.ts";
import type { DigestOptions, DigestSummary } from "./digest.ts";
import type { ConvertSummary } from "./events.ts";
import type { PartitionTable } from "./gpt.ts";
import type { ImageInfo, SnapshotInfo } from "./inspect.ts";
import type { ConvertContext, ConvertJob, ImageSpec } from "./job.ts";
import type { JobFiles } from "./job_files.ts";
import type { MapEntry, MapOptions } from "./map_runs.ts";
import type { MeasureJob, MeasureOptions, MeasureSummary } from "./measure.ts";
import type { OpenDiskOptions, OpenedDisk } from "./open_disk.ts";
import type { ConversionPlan, PlanContext } from "./plan_conversion.ts";
import type { RebaseOptions, RebaseSummary } from "./rebase.ts";
import type { ResizeOptions, ResizeSummary } from "./resize.ts";
import type { SnapshotAction } from "./snapshot.ts";
import type { Survey, SurveyContext } from "./survey.ts";

/**
 * Converts images: the sources of `job`, end to end, into its target.
 *
 * @returns what was done, when everything is complete and, unless the job says otherwise, on stable storage
 * @throws ImageError of any kind; a new target does not exist then, and an old file of its name is as it was
 */
export async function convert(job: ConvertJob, context: ConvertContext = {}): Promise<ConvertSummary> {
  return await (await import("./convert.ts")).convert(job, context);
}

/**
 * Surveys the sources of a job with a new target. Reads a few megabytes, writes nothing.
 *
 * @throws ImageError as `convert` would before it copies; `unsupported` for a target that is written in place
 */
export async function surveyConversion(
  job: ConvertJob,
  context: SurveyContext = {},
): Promise<Survey> {
  return await (await import("./survey.ts")).surveyConversion(job, context);
}

/**
 * Plans a job with a new target, without writing a byte. A file that has the target's name is neither opened nor looked
 * at.
 *
 * @throws ImageError as `convert` would before it copies; `unsupported` for a target that is written in place
 */
export async function planConversion(
  job: ConvertJob,
  context: PlanContext = {},
): Promise<ConversionPlan> {
  return await (await import("./plan_conversion.ts")).planConversion(job, context);
}

/**
 * The files that `job` touches. Opens what is to be read, with all that it names, but changes nothing.
 *
 * @throws ImageError as `convert` would, where a source cannot be opened
 */
export async function jobFiles(
  job: ConvertJob,
  context: Pick<ConvertContext, "formats" | "files"> = {},
): Promise<JobFiles> {
  return await (await import("./job_files.ts")).jobFiles(job, context);
}

/**
 * Creates an image that holds nothing, or what its backing file holds. A file of its name is replaced.
 *
 * @throws ImageError `usage` for options that the format does not take; `refused` for a file that is in use, or is the
 * backing file; and of every kind that writing can fail with
 */
export async function createImage(job: CreateJob, context: CreateImageContext = {}): Promise<CreatedImage> {
  return await (await import("./create.ts")).createImage(job, context);
}

/**
 * Opens an image and its backing chain for reading.
 *
 * @throws ImageError `missing`, `permission`, `refused`, `corrupt`, `unsupported`, `io`
 */
export async function openDisk(image: string | ImageSpec, options: OpenDiskOptions = {}): Promise<OpenedDisk> {
  return await (await import("./open_disk.ts")).openDisk(image, options);
}

/**
 * Inspects one image. Of the files that it names none is opened, except extents without which nothing can be told.
 *
 * @throws ImageError as `openDisk`
 */
export async function inspect(image: string | ImageSpec, options: OpenDiskOptions = {}): Promise<ImageInfo> {
  return await (await import("./inspect.ts")).inspect(image, options);
}

/** Inspects an image and everything beneath it, from the top down. Named files are opened where they are allowed. */
export async function inspectChain(image: string | ImageSpec, options: OpenDiskOptions = {}): Promise<ImageInfo[]> {
  return await (await import("./inspect.ts")).inspectChain(image, options);
}

/**
 * The files that reading `images` touches, opened to find out.
 *
 * @param options `chain: false`: what `inspect` touches
 * @throws ImageError as `openDisk`
 */
export async function imageFiles(
  images: readonly ImageSpec[],
  options: OpenDiskOptions & { readonly chain?: boolean } = {},
): Promise<JobFiles> {
  return await (await import("./image_files.ts")).imageFiles(images, options);
}

/**
 * Maps an image with everything beneath it. Entries are in order and without gaps; neighbours differ in something.
 *
 * @throws ImageError as `openDisk`
 */
export async function* mapRuns(image: string | ImageSpec, options: MapOptions = {}): AsyncGenerator<MapEntry> {
  yield* (await import("./map_runs.ts")).mapRuns(image, options);
}

/**
 * Compares two images with everything beneath them. Without `strict`, a longer one must be zero in what it has more.
 *
 * @throws ImageError as `openDisk`; `cancelled`
 */
export async function compare(
  first: string | ImageSpec,
  second: string | ImageSpec,
  options: CompareOptions = {},
): Promise<Comparison> {
  return await (await import("./compare.ts")).compare(first, second, options);
}

/**
 * Hashes the virtual disk of an image with everything beneath it. What is known to be zero is not read.
 *
 * @throws ImageError as `openDisk`; `cancelled`
 */
export async function digest(image: string | ImageSpec, options: DigestOptions = {}): Promise<DigestSummary> {
  return await (await import("./digest.ts")).digest(image, options);
}

/**
 * Measures the files of an image: with the data that the source has, and with nothing but data. Zeroes inside data,
 * which a conversion finds, count as data.
 *
 * @throws ImageError as `openDisk`; `usage` for options that the format does not take; `unsupported` for a format that
 * cannot be written
 */
export async function measure(job: MeasureJob, options: MeasureOptions = {}): Promise<MeasureSummary> {
  return await (await import("./measure.ts")).measure(job, options);
}

/**
 * Makes many equal requests to an image, and tells the seconds that it took; opening and closing do not count.
 *
 * @throws ImageError as `openDisk`; `usage` for a disk that ends before the first request does
 */
export async function bench(image: ImageSpec, job: BenchJob, options: ChangeOptions = {}): Promise<number> {
  return await (await import("./bench.ts")).bench(image, job, options);
}

/**
 * Looks for a partition table. Reads the first sectors and, for a GPT, its entries and its backup.
 *
 * @throws ImageError where the disk cannot be read
 */
export async function partitionTable(disk: GuestReader): Promise<PartitionTable> {
  return await (await import("./gpt.ts")).partitionTable(disk);
}

/**
 * Checks one image; nothing beneath it is opened.
 *
 * @throws ImageError where it does not open
 */
export async function check(image: string | ChangeSpec, options: CheckOptions = {}): Promise<CheckResult> {
  return await (await import("./check.ts")).check(image, options);
}

/**
 * The files that changing the image of `spec` touches, opened to find out: its own are written, those beneath are read.
 *
 * @param options `chain: false`: what lies beneath is not touched
 * @param further images that are read besides
 */
export async function changeFiles(
  spec: ChangeSpec,
  options: OpenDiskOptions & { readonly chain?: boolean } = {},
  further: readonly ImageSpec[] = [],
): Promise<JobFiles> {
  return await (await import("./change.ts")).changeFiles(spec, options, further);
}

/**
 * Changes the size of a disk. What is new reads as zeroes, whatever lies beneath; partitions and file systems inside
 * stay as they are.
 *
 * @param size guest bytes, or by how many more or fewer
 * @throws ImageError `usage` for a shorter disk without `shrink`; `unsupported` for a format that cannot
 */
export async function resize(
  image: ChangeSpec,
  size: number | { readonly by: number },
  options: ResizeOptions = {},
): Promise<ResizeSummary> {
  return await (await import("./resize.ts")).resize(image, size, options);
}

/** The snapshots of an image. */
export async function listSnapshots(
  image: ChangeSpec,
  options: OpenDiskOptions = {},
): Promise<readonly SnapshotInfo[]> {
  return await (await import("./snapshot.ts")).listSnapshots(image, options);
}

/**
 * Changes the snapshots of an image, in one step.
 *
 * @throws ImageError `missing` for a snapshot that is not there; `unsupported` for a format without snapshots
 */
export async function changeSnapshots(
  image: ChangeSpec,
  action: SnapshotAction,
  options: ChangeOptions = {},
): Promise<void> {
  await (await import("./snapshot.ts")).changeSnapshots(image, action, options);
}

/**
 * Gives an image another backing file, or none. What the old one shows and the new one does not is copied into the image
 * first, so that its guest bytes are the same at every moment.
 *
 * @param backing as it is to be named in the image, which counts relative names from its folder; `null`: none
 * @throws ImageError `usage` for a backing file without format; `refused` where it is the image itself or lies above it
 */
export async function rebase(
  image: ChangeSpec,
  backing: NamedFile | null,
  options: RebaseOptions = {},
): Promise<RebaseSummary> {
  return await (await import("./rebase.ts")).rebase(image, backing, options);
}

/**
 * Writes what the image and the layers above its base state into the base; then the image is emptied. At every moment
 * the image shows the same guest bytes. Other images over the same base show something else afterwards.
 *
 * @throws ImageError `usage` where the image has no backing file, or `base` is none of them
 */
export async function commit(image: ChangeSpec, options: CommitOptions = {}): Promise<CommitSummary> {
  return await (await import("./commit.ts")).commit(image, options);
}

/**
 * Carries out `changes` on the bitmap `name` of an image, in their order: all of them, or none.
 *
 * @throws ImageError `missing` where it is not there; `usage` where it is there already; `unsupported` for a format
 * without bitmaps and for inconsistent bitmaps, which can only be removed
 */
export async function changeBitmap(
  image: ChangeSpec,
  name: string,
  changes: readonly BitmapChange[],
  options: ChangeOptions = {},
): Promise<void> {
  await (await import("./bitmap.ts")).changeBitmap(image, name, changes, options);
}

/**
 * Changes options of an image; which there are, `maintenance.amendOptions` of its format says.
 *
 * @param given as given by a user: text, or already typed
 * @throws ImageError `usage` for an option that there is not; `unsupported` for one that an existing image cannot change
 */
export async function amend(
  image: ChangeSpec,
  given: { readonly [name: string]: string | number | boolean },
  options: ChangeOptions = {},
): Promise<void> {
  await (await import("./amend.ts")).amend(image, given, options);
}
