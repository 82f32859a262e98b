/**
 * diskcast: converts virtual disk images.
 *
 * {@linkcode convert} does a whole job on paths; {@linkcode openDisk} reads one image, with everything beneath it, as
 * runs of guest bytes. Both take the files and folders that they touch from the job alone, neither prints nor exits, and
 * every failure is an {@linkcode ImageError}. All sizes and offsets are bytes.
 *
 * Run as a program, this module is the command line.
 *
 * @example Convert an image, watch it, and be able to stop it
 * ```ts
 * import { convert, ImageError } from "./mod.ts";
 * import assert from "node:assert/strict";
 *
 * const folder = await Deno.makeTempDir();
 * await Deno.writeFile(`${folder}/disk.raw`, new Uint8Array(1 << 20).fill(7, 0, 4096));
 *
 * const controller = new AbortController();
 * const summary = await convert({
 *   sources: [{ path: `${folder}/disk.raw`, format: "raw" }],
 *   target: { path: `${folder}/disk.qcow2`, format: "qcow2", options: { cluster_size: "64k" } },
 * }, {
 *   signal: controller.signal,
 *   onEvent: (event) => {
 *     if (event.type === "plan") assert.equal(event.totals.data + event.totals.skip, 1 << 20);
 *   },
 * });
 * assert.equal(summary.size, 1 << 20);
 *
 * const missing = convert({
 *   sources: [{ path: `${folder}/no such file` }],
 *   target: { path: `${folder}/out.raw`, format: "raw" },
 * });
 * await assert.rejects(missing, (error) => error instanceof ImageError && error.kind === "missing");
 * await Deno.remove(folder, { recursive: true });
 * ```
 *
 * @module
 */
export type {
  Bitmap,
  Disk,
  DiskWriter,
  Fact,
  Facts,
  Format,
  GuestReader,
  Measured,
  NamedFile,
  OptionSpec,
  OptionValues,
  Run,
  RunKind,
  SnapshotChoice,
  WriterTraits,
} from "./formats/mod.ts";
export { allFormats, grantable, ImageError } from "./formats/mod.ts";
export type { ErrorKind } from "./formats/mod.ts";
export { convert } from "./core/convert.ts";
export { type JobFiles, jobFiles } from "./core/job_files.ts";
export { imageFiles } from "./core/image_files.ts";
export { openDisk, type OpenDiskOptions, type OpenedDisk } from "./core/open_disk.ts";
export { type ImageInfo, inspect, inspectChain, type NamedFileInfo, type SnapshotInfo } from "./core/inspect.ts";
export { type MapEntry, type MapOptions, mapRuns } from "./core/map_runs.ts";
export { compare, type CompareOptions, type CompareStage, type Comparison } from "./core/compare.ts";
export { type CreatedImage, createImage, type CreateImageContext, type CreateJob } from "./core/create.ts";
export { type StatusCount, type Survey, surveyConversion } from "./core/survey.ts";
export { type BenchJob, benchRead } from "./core/bench.ts";
export { measure, type MeasureJob, type MeasureOptions } from "./core/measure.ts";
export { digest, type DigestOptions, type DigestSummary } from "./core/digest.ts";
export { parseFlag, parseNumber, parseSize } from "./core/values.ts";
export type { ConvertContext, ConvertJob, ImageSpec, SizeRule, SyncMode, TargetSpec } from "./core/job.ts";
export type {
  ConvertEvent,
  ConvertSummary,
  GptFate,
  Phase,
  PlannedTarget,
  ScanEvent,
  SourceSummary,
  Totals,
} from "./core/events.ts";
export { type ConversionPlan, planConversion } from "./core/plan_conversion.ts";
export { backupAtEnd, type Gpt, type PartitionTable, partitionTable } from "./core/gpt.ts";
export { changeFiles, type ChangeOptions, type ChangeSpec } from "./core/change.ts";
export { check, type CheckOptions, type CheckResult } from "./core/check.ts";
export type { CheckReport, Maintenance, Problem, RepairKind } from "./formats/mod.ts";
export { resize, type ResizeOptions, type ResizeSummary } from "./core/resize.ts";
export { changeSnapshots, listSnapshots, type SnapshotAction } from "./core/snapshot.ts";
export type { GrowthKind } from "./formats/mod.ts";
export { rebase, type RebaseOptions, type RebaseSummary } from "./core/rebase.ts";
export { commit, type CommitOptions, type CommitSummary } from "./core/commit.ts";
export { type BitmapChange, changeBitmap } from "./core/bitmap.ts";
export { amend } from "./core/amend.ts";

if (import.meta.main) {
  // Not awaited: the command line imports this module, which must be complete first.
  import("./cli/main.ts").then((cli) => cli.run());
}
