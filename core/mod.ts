/**
 * The functions of the library. Each loads its code when it is called, so that a program loads only the jobs that it runs.
 *
 * @module
 */
import type { NamedFile } from "../formats/mod.ts";
import type { BenchJob } from "./bench.ts";
import type { BitmapChange } from "./bitmap.ts";
import type { ChangeOptions, ChangeSpec } from "./open_for_change.ts";
import type { CheckOptions, CheckResult } from "./check.ts";
import type { CommitOptions, CommitSummary } from "./commit.ts";
import type { CompareOptions, Comparison } from "./compare.ts";
import type { CreatedImage, CreateImageContext, CreateJob } from "./create.ts";
import type { DigestOptions, DigestSummary } from "./digest.ts";
import type { ConvertSummary } from "./events.ts";
import type { ImageInfo, SnapshotInfo } from "./inspect.ts";
import type { ConvertContext, ConvertJob, ImageSpec } from "./job.ts";
import type { JobFiles } from "./target/job_files.ts";
import type { MapEntry, MapOptions } from "./map.ts";
import type { MeasureJob, MeasureOptions, MeasureSummary } from "./measure.ts";
import type { OpenDiskOptions, OpenedDisk } from "./open/open_disk.ts";
import type { ConversionPlan, PlanContext } from "./plan_conversion.ts";
import type { RebaseOptions, RebaseSummary } from "./rebase.ts";
import type { ResizeOptions, ResizeSummary } from "./resize.ts";
import type { SnapshotAction } from "./snapshot.ts";
import type { Estimate, EstimateContext } from "./estimate.ts";

/**
 * Converts the concatenated sources of `job` into its target.
 *
 * @returns a summary, when the target is complete and, by default, on stable storage
 * @throws ImageError of any kind; a new target does not exist then, and an old file of its name is unchanged
 *
 * @example
 * ```ts
 * import { convert } from "./mod.ts";
 * import assert from "node:assert/strict";
 *
 * const folder = await Deno.makeTempDir();
 * await Deno.writeFile(`${folder}/a.raw`, new Uint8Array(1000).fill(7));
 * const summary = await convert({
 *   sources: [{ path: `${folder}/a.raw`, format: "raw" }],
 *   target: { path: `${folder}/b.raw`, format: "raw" },
 * });
 * assert.equal(summary.size, 1000);
 * await Deno.remove(folder, { recursive: true });
 * ```
 */
export async function convert(job: ConvertJob, context: ConvertContext = {}): Promise<ConvertSummary> {
  return await (await import("./convert.ts")).convert(job, context);
}

/**
 * Estimates a conversion to a new target: extents of the sources by status, seconds, and compression. Reads a few
 * megabytes of samples, writes nothing.
 *
 * @throws ImageError as `convert` would before it copies; `unsupported` for a target that is written in place
 *
 * @example
 * ```ts
 * import { estimateConversion } from "./mod.ts";
 * import assert from "node:assert/strict";
 *
 * const { status } = await estimateConversion({
 *   sources: [{ path: "tests/samples/sample.qcow2" }],
 *   target: { path: "out.raw", format: "raw" },
 * });
 * assert.equal(status.data.bytes + status.compressed.bytes + status.zero.bytes, 64 << 20);
 * ```
 */
export async function estimateConversion(
  job: ConvertJob,
  context: EstimateContext = {},
): Promise<Estimate> {
  return await (await import("./estimate.ts")).estimateConversion(job, context);
}

/**
 * Plans a conversion to a new target: sources, target, and guest bytes by action. Writes nothing, and does not open an
 * existing file of the target's name.
 *
 * @throws ImageError as `convert` would before it copies; `unsupported` for a target that is written in place
 *
 * @example
 * ```ts
 * import { planConversion } from "./mod.ts";
 * import assert from "node:assert/strict";
 *
 * const path = await Deno.makeTempFile({ suffix: ".raw" });
 * await Deno.writeFile(path, new Uint8Array(4096).fill(7));
 * const plan = await planConversion({
 *   sources: [{ path, format: "raw" }],
 *   target: { path: `${path}.qcow2`, format: "qcow2", guestSize: { multipleOf: 1 << 20 } },
 * });
 * assert.deepEqual([plan.target.size, plan.totals.data], [1 << 20, 4096]);
 * await assert.rejects(Deno.stat(`${path}.qcow2`));
 * await Deno.remove(path);
 * ```
 */
export async function planConversion(
  job: ConvertJob,
  context: PlanContext = {},
): Promise<ConversionPlan> {
  return await (await import("./plan_conversion.ts")).planConversion(job, context);
}

/**
 * Returns the files that `job` touches. Opens the sources and the files that they name, and changes nothing.
 *
 * @throws ImageError as `convert` would, where a source cannot be opened
 *
 * @example
 * ```ts
 * import { jobFiles } from "./mod.ts";
 * import assert from "node:assert/strict";
 *
 * const { read, write } = await jobFiles({
 *   sources: [{ path: "tests/samples/sample.qcow2" }],
 *   target: { path: "out.raw", format: "raw" },
 * });
 * assert.ok(read.some((path) => path.endsWith("sample.qcow2")) && write.length > 0);
 * ```
 */
export async function jobFiles(
  job: ConvertJob,
  context: Pick<ConvertContext, "formats" | "files"> = {},
): Promise<JobFiles> {
  return await (await import("./target/job_files.ts")).jobFiles(job, context);
}

/**
 * Creates an image without data of its own. An existing file of its name is replaced.
 *
 * @throws ImageError `usage` for options that the format does not have; `refused` for a file that is in use or is the
 * backing file; and any kind of write error
 *
 * @example
 * ```ts
 * import { createImage } from "./mod.ts";
 * import assert from "node:assert/strict";
 *
 * const folder = await Deno.makeTempDir();
 * const created = await createImage({ path: `${folder}/a.qcow2`, format: "qcow2", size: 1 << 30 });
 * assert.equal(created.size, 1 << 30);
 * await Deno.remove(folder, { recursive: true });
 * ```
 */
export async function createImage(job: CreateJob, context: CreateImageContext = {}): Promise<CreatedImage> {
  return await (await import("./create.ts")).createImage(job, context);
}

/**
 * Opens an image and its backing chain for reading.
 *
 * @throws ImageError `missing`, `permission`, `refused`, `corrupt`, `unsupported`, `io`
 *
 * @example
 * ```ts
 * import { openDisk } from "./mod.ts";
 * import assert from "node:assert/strict";
 *
 * const path = await Deno.makeTempFile({ suffix: ".raw" });
 * await Deno.writeFile(path, new Uint8Array([1, 2, 3]));
 * {
 *   await using disk = await openDisk({ path, format: "raw" });
 *   const bytes = new Uint8Array(2);
 *   await disk.read(bytes, 1);
 *   assert.deepEqual([disk.size, ...bytes], [3, 2, 3]);
 * }
 * await Deno.remove(path);
 * ```
 */
export async function openDisk(image: string | ImageSpec, options: OpenDiskOptions = {}): Promise<OpenedDisk> {
  return await (await import("./open/open_disk.ts")).openDisk(image, options);
}

/**
 * Inspects one image. The files that it names are not opened, except extent files without which its size is unknown.
 *
 * @throws ImageError as `openDisk`
 *
 * @example
 * ```ts
 * import { inspect } from "./mod.ts";
 * import assert from "node:assert/strict";
 *
 * const info = await inspect("tests/samples/sample.qcow2");
 * assert.deepEqual([info.format, info.size, info.names], ["qcow2", 64 << 20, []]);
 * ```
 */
export async function inspect(image: string | ImageSpec, options: OpenDiskOptions = {}): Promise<ImageInfo> {
  return await (await import("./inspect.ts")).inspect(image, options);
}

/**
 * Inspects an image and its backing chain, top first. Opens the files that the images name where they are allowed.
 *
 * @throws ImageError as `openDisk`
 *
 * @example
 * ```ts
 * import { inspectChain } from "./mod.ts";
 * import assert from "node:assert/strict";
 *
 * const layers = await inspectChain("tests/samples/sample.qcow2");
 * assert.deepEqual(layers.map(({ format }) => format), ["qcow2"]);
 * ```
 */
export async function inspectChain(image: string | ImageSpec, options: OpenDiskOptions = {}): Promise<ImageInfo[]> {
  return await (await import("./inspect.ts")).inspectChain(image, options);
}

/**
 * Returns the files that reading `images` touches. Opens the images and their backing chains.
 *
 * @param options `chain: false`: the files that `inspect` touches
 * @throws ImageError as `openDisk`
 *
 * @example
 * ```ts
 * import { imageFiles } from "./mod.ts";
 * import assert from "node:assert/strict";
 *
 * const { read, write } = await imageFiles([{ path: "tests/samples/sample.qcow2" }]);
 * assert.equal(read.length, 1);
 * assert.deepEqual(write, []);
 * ```
 */
export async function imageFiles(
  images: readonly ImageSpec[],
  options: OpenDiskOptions & { readonly chain?: boolean } = {},
): Promise<JobFiles> {
  return await (await import("./image_files.ts")).imageFiles(images, options);
}

/**
 * Maps an image and its backing chain: layer, status and location of every guest byte. Entries are in order and without
 * gaps; neighbours differ in status, layer, or are not contiguous in the file.
 *
 * @throws ImageError as `openDisk`
 *
 * @example
 * ```ts
 * import { mapExtents } from "./mod.ts";
 * import assert from "node:assert/strict";
 *
 * const entries = await Array.fromAsync(mapExtents("tests/samples/sample.qcow2"));
 * assert.equal(entries[0].start, 0);
 * assert.equal(entries.reduce((sum, entry) => sum + entry.length, 0), 64 << 20);
 * ```
 */
export async function* mapExtents(image: string | ImageSpec, options: MapOptions = {}): AsyncGenerator<MapEntry> {
  yield* (await import("./map.ts")).mapExtents(image, options);
}

/**
 * Compares the guest bytes of two images with their backing chains. Without `strict`, the longer disk must be zero past the
 * end of the shorter one.
 *
 * @throws ImageError as `openDisk`; `cancelled`
 *
 * @example
 * ```ts
 * import { compare } from "./mod.ts";
 * import assert from "node:assert/strict";
 *
 * const sample = "tests/samples/sample.qcow2";
 * assert.equal((await compare(sample, sample)).identical, true);
 * ```
 */
export async function compare(
  first: string | ImageSpec,
  second: string | ImageSpec,
  options: CompareOptions = {},
): Promise<Comparison> {
  return await (await import("./compare.ts")).compare(first, second, options);
}

/**
 * Returns a digest of the guest bytes of an image with its backing chain, by default the SHA-256. Bytes that are known to be
 * zero are not read. See {@linkcode DigestAlgorithm} for the digest of blocks, which takes seconds for terabytes of zeroes.
 *
 * @throws ImageError as `openDisk`; `cancelled`
 *
 * @example
 * ```ts
 * import { digest } from "./mod.ts";
 * import { createHash } from "node:crypto";
 * import assert from "node:assert/strict";
 *
 * const path = await Deno.makeTempFile({ suffix: ".raw" });
 * await Deno.writeFile(path, new Uint8Array([1, 2, 3]));
 * const expected = createHash("sha256").update(new Uint8Array([1, 2, 3])).digest("hex");
 * assert.equal((await digest({ path, format: "raw" })).sha256, expected);
 * await Deno.remove(path);
 * ```
 */
export async function digest(image: string | ImageSpec, options: DigestOptions = {}): Promise<DigestSummary> {
  return await (await import("./digest.ts")).digest(image, options);
}

/**
 * Measures the files of a new image: with the data of the source, and fully allocated. Zeroes inside data, which a
 * conversion detects, count as data, except in samples for compression.
 *
 * @throws ImageError as `openDisk`; `usage` for options that the format does not have; `unsupported` for a format that
 * cannot be written
 *
 * @example
 * ```ts
 * import { measure } from "./mod.ts";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual(await measure({ size: 1 << 20, format: "raw" }), { required: 1 << 20, fullyAllocated: 1 << 20 });
 * ```
 */
export async function measure(job: MeasureJob, options: MeasureOptions = {}): Promise<MeasureSummary> {
  return await (await import("./measure.ts")).measure(job, options);
}

/**
 * Reads or writes an image by the requests of `job`; returns the seconds that they took, without opening and closing.
 *
 * @throws ImageError as `openDisk`; `usage` for a disk that ends before the first request does
 *
 * @example
 * ```ts
 * import { bench } from "./mod.ts";
 * import assert from "node:assert/strict";
 *
 * const job = { count: 100, depth: 4, bufferSize: 4096, step: 4096, offset: 0 };
 * assert.ok(await bench({ path: "tests/samples/sample.qcow2" }, job) > 0);
 * ```
 */
export async function bench(image: ImageSpec, job: BenchJob, options: ChangeOptions = {}): Promise<number> {
  return await (await import("./bench.ts")).bench(image, job, options);
}

/**
 * Checks the metadata of one image, and repairs it where `repair` is stated. Does not open its backing file.
 *
 * @throws ImageError where the image does not open
 *
 * @example
 * ```ts
 * import { check } from "./mod.ts";
 * import assert from "node:assert/strict";
 *
 * const { corruptions, leaks } = await check("tests/samples/sample.qcow2");
 * assert.deepEqual([corruptions, leaks], [0, 0]);
 * ```
 */
export async function check(image: string | ChangeSpec, options: CheckOptions = {}): Promise<CheckResult> {
  return await (await import("./check.ts")).check(image, options);
}

/**
 * Returns the files that changing the image of `spec` touches: its own files are written, its backing chain is read. Opens
 * all of them.
 *
 * @param options `chain: false`: the backing chain is not touched
 * @param further other images that the change reads
 *
 * @example
 * ```ts
 * import { changeFiles } from "./mod.ts";
 * import assert from "node:assert/strict";
 *
 * const { write } = await changeFiles({ path: "tests/samples/sample.qcow2" });
 * assert.ok(write[0].endsWith("sample.qcow2"));
 * ```
 */
export async function changeFiles(
  spec: ChangeSpec,
  options: OpenDiskOptions & { readonly chain?: boolean } = {},
  further: readonly ImageSpec[] = [],
): Promise<JobFiles> {
  return await (await import("./open_for_change.ts")).changeFiles(spec, options, further);
}

/**
 * Changes the size of a disk. New guest bytes read as zeroes, also over a longer backing file; partitions and file systems
 * stay as they are.
 *
 * @param size guest bytes, or the difference to the current size
 * @throws ImageError `usage` for a shorter disk without `shrink`; `unsupported` for a format that cannot be resized
 *
 * @example
 * ```ts
 * import { resize } from "./mod.ts";
 * import assert from "node:assert/strict";
 *
 * const path = await Deno.makeTempFile({ suffix: ".raw" });
 * await Deno.writeFile(path, new Uint8Array(1000).fill(7));
 * assert.equal((await resize({ path, format: "raw" }, { by: 500 })).after, 1500);
 * assert.equal((await Deno.stat(path)).size, 1500);
 * await assert.rejects(resize({ path, format: "raw" }, 100), { kind: "usage" });
 * await Deno.remove(path);
 * ```
 */
export async function resize(
  image: ChangeSpec,
  size: number | { readonly by: number },
  options: ResizeOptions = {},
): Promise<ResizeSummary> {
  return await (await import("./resize.ts")).resize(image, size, options);
}

/**
 * Returns the internal snapshots of an image.
 *
 * @example
 * ```ts
 * import { listSnapshots } from "./mod.ts";
 * import assert from "node:assert/strict";
 *
 * const names = (await listSnapshots({ path: "tests/samples/sample.qcow2" })).map(({ name }) => name);
 * assert.ok(names.every((name) => name !== ""));
 * ```
 */
export async function listSnapshots(
  image: ChangeSpec,
  options: OpenDiskOptions = {},
): Promise<readonly SnapshotInfo[]> {
  return await (await import("./snapshot.ts")).listSnapshots(image, options);
}

/**
 * Creates, applies or removes an internal snapshot. The image changes in one step.
 *
 * @throws ImageError `missing` for a snapshot that does not exist; `unsupported` for a format without snapshots
 *
 * @example
 * ```ts
 * import { changeSnapshots, listSnapshots } from "./mod.ts";
 * import assert from "node:assert/strict";
 *
 * const path = await Deno.makeTempFile({ suffix: ".qcow2" });
 * await Deno.copyFile("tests/samples/sample.qcow2", path);
 * const before = (await listSnapshots({ path })).length;
 * await changeSnapshots({ path }, { action: "create", name: "now" });
 * assert.equal((await listSnapshots({ path })).at(-1)?.name, "now");
 * await changeSnapshots({ path }, { action: "remove", snapshot: { name: "now" } });
 * assert.equal((await listSnapshots({ path })).length, before);
 * await Deno.remove(path);
 * ```
 */
export async function changeSnapshots(
  image: ChangeSpec,
  action: SnapshotAction,
  options: ChangeOptions = {},
): Promise<void> {
  await (await import("./snapshot.ts")).changeSnapshots(image, action, options);
}

/**
 * Gives an image another backing file, or none. First copies the clusters that differ between the two backing chains into
 * the image, so that its guest bytes are the same at every moment.
 *
 * @param backing as stored in the image; relative names count from its folder; `null`: none
 * @throws ImageError `usage` for a backing file without format; `refused` where it is the image itself or has it in its
 * backing chain
 *
 * @example
 * ```ts
 * import { convert, rebase } from "./mod.ts";
 * import assert from "node:assert/strict";
 *
 * const folder = await Deno.makeTempDir();
 * await Deno.writeFile(`${folder}/base.raw`, new Uint8Array(1 << 20).fill(7));
 * await convert({
 *   sources: [{ path: `${folder}/base.raw`, format: "raw" }],
 *   target: { path: `${folder}/top.qcow2`, format: "qcow2", backing: { path: "base.raw", format: "raw" } },
 * });
 * const { copied } = await rebase({ path: `${folder}/top.qcow2` }, null);
 * assert.equal(copied, 1 << 20);
 * await Deno.remove(folder, { recursive: true });
 * ```
 */
export async function rebase(
  image: ChangeSpec,
  backing: NamedFile | null,
  options: RebaseOptions = {},
): Promise<RebaseSummary> {
  return await (await import("./rebase.ts")).rebase(image, backing, options);
}

/**
 * Writes the content of the layers above the base into the base, then empties the image. The guest bytes of the image are
 * the same at every moment. Other images over the same base read differently afterwards.
 *
 * @throws ImageError `usage` where the image has no backing file, or `base` is not in its backing chain
 *
 * @example
 * ```ts
 * import { commit, convert } from "./mod.ts";
 * import assert from "node:assert/strict";
 *
 * const folder = await Deno.makeTempDir();
 * await Deno.writeFile(`${folder}/base.raw`, new Uint8Array(1 << 20));
 * await Deno.writeFile(`${folder}/new.raw`, new Uint8Array(1 << 20).fill(7));
 * await convert({
 *   sources: [{ path: `${folder}/new.raw`, format: "raw" }],
 *   target: { path: `${folder}/top.qcow2`, format: "qcow2", backing: { path: "base.raw", format: "raw" } },
 * });
 * assert.equal((await commit({ path: `${folder}/top.qcow2` })).emptied, true);
 * await Deno.remove(folder, { recursive: true });
 * ```
 */
export async function commit(image: ChangeSpec, options: CommitOptions = {}): Promise<CommitSummary> {
  return await (await import("./commit.ts")).commit(image, options);
}

/**
 * Applies `changes` to the bitmap `name` of an image, in their order: all of them or none.
 *
 * @throws ImageError `missing` where the bitmap does not exist; `usage` where a new one exists already; `unsupported` for a
 * format without bitmaps and for inconsistent bitmaps, which can only be removed
 *
 * @example
 * ```ts
 * import { changeBitmap, openDisk } from "./mod.ts";
 * import assert from "node:assert/strict";
 *
 * const path = await Deno.makeTempFile({ suffix: ".qcow2" });
 * await Deno.copyFile("tests/samples/sample.qcow2", path);
 * await changeBitmap({ path }, "backup", [{ action: "add", granularity: 65536 }, { action: "disable" }]);
 * {
 *   await using disk = await openDisk({ path });
 *   const bitmap = disk.layers[0].disk.bitmaps?.find(({ name }) => name === "backup");
 *   assert.deepEqual([bitmap?.granularity, bitmap?.enabled], [65536, false]);
 * }
 * await Deno.remove(path);
 * ```
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
 * Changes options of an existing image: those in `maintenance.amend.options` of its format.
 *
 * @param given values as text, or already typed
 * @throws ImageError `usage` for an unknown option; `unsupported` for one that an existing image cannot change
 *
 * @example
 * ```ts
 * import { amend, inspect } from "./mod.ts";
 * import assert from "node:assert/strict";
 *
 * const path = await Deno.makeTempFile({ suffix: ".qcow2" });
 * await Deno.copyFile("tests/samples/sample.qcow2", path);
 * await amend({ path }, { refcount_bits: 8 });
 * assert.equal((await inspect(path)).specific["refcount-bits"], 8);
 * await assert.rejects(amend({ path }, { cluster_size: "4k" }), { kind: "unsupported" });
 * await Deno.remove(path);
 * ```
 */
export async function amend(
  image: ChangeSpec,
  given: { readonly [name: string]: string | number | boolean },
  options: ChangeOptions = {},
): Promise<void> {
  await (await import("./amend.ts")).amend(image, given, options);
}
