/**
 * diskcast: converts virtual disk images.
 *
 * {@linkcode convert} does a whole job on paths; {@linkcode openDisk} reads one image, with its backing files, as
 * extents of guest bytes. Both touch only files and folders that the job states, neither prints nor exits, and every
 * failure is an {@linkcode ImageError}. All sizes and offsets are bytes.
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
  BitmapAction,
  BitmapSource,
  BitmapWriter,
  BlockDevice,
  ChangeContext,
  CheckContext,
  CheckReport,
  Codec,
  CompressedCluster,
  Compressor,
  Content,
  CreateContext,
  CreatePlan,
  DecompressCodec,
  Decompressor,
  DeflateCodec,
  DevicePartition,
  DeviceUse,
  Disk,
  DiskWriter,
  EditContext,
  ErrorKind,
  Extent,
  ExtentKind,
  FileIdentity,
  Files,
  FixedLocation,
  Format,
  FormatInfo,
  GuestPrefix,
  GuestReader,
  HoleStatus,
  HostCopy,
  HostFile,
  InfoValue,
  Location,
  Maintenance,
  MaybePromise,
  Measure,
  Measured,
  NamedFile,
  NewFile,
  NewSnapshot,
  OpenContext,
  OptionSpec,
  OptionValues,
  Origin,
  Peek,
  Preallocation,
  Problem,
  RepairScope,
  SnapshotChoice,
  Storage,
  StoredFile,
  WritableStorage,
  WriterTraits,
  ZstdCodec,
} from "./formats/mod.ts";
export { allFormats, creationOptionsOf, grantable, ImageError } from "./formats/mod.ts";
export {
  amend,
  bench,
  changeBitmap,
  changeFiles,
  changeSnapshots,
  check,
  commit,
  compare,
  convert,
  createImage,
  digest,
  estimateConversion,
  imageFiles,
  inspect,
  inspectChain,
  jobFiles,
  listSnapshots,
  mapExtents,
  measure,
  openDisk,
  planConversion,
  rebase,
  resize,
} from "./core/mod.ts";
export { deviceAt, type DeviceTarget, deviceUseText, listDevices } from "./core/devices.ts";
export { diskContents, partitionTable } from "./core/disk.ts";
export type { DiskContents } from "./core/disk_contents.ts";
export type { BootAnswer, BootSupport } from "./core/contents/boot.ts";
export type { Partition } from "./core/contents/partitions.ts";
export type { FileSystem } from "./core/contents/signatures.ts";
export { type CompressedShare, compressedSize } from "./core/compressed_size.ts";
export { parseFlag, parseNumber, parseSize } from "./core/values.ts";
export type {
  ConvertContext,
  ConvertJob,
  DigestAlgorithm,
  ImageSpec,
  SizeRule,
  SyncMode,
  TargetSpec,
} from "./core/job.ts";
export type {
  ConvertEvent,
  ConvertSummary,
  DigestMember,
  GptAction,
  Phase,
  PlannedTarget,
  ScanEvent,
  SourceSummary,
  Totals,
  WarningListener,
} from "./core/events.ts";
export type { BenchJob, BenchWrite } from "./core/bench.ts";
export type { BitmapChange } from "./core/bitmap.ts";
export type { ChangeOptions, ChangeSpec } from "./core/open_for_change.ts";
export type { CheckOptions, CheckResult } from "./core/check.ts";
export type { CommitOptions, CommitSummary } from "./core/commit.ts";
export type { CompareOptions, CompareStage, Comparison } from "./core/compare.ts";
export type { CreatedImage, CreateImageContext, CreateJob } from "./core/create.ts";
export type { DigestOptions, DigestSummary } from "./core/digest.ts";
export type { Gpt, PartitionTable } from "./core/target/gpt.ts";
export type { ImageFileInfo, ImageInfo, NamedFileInfo, SnapshotInfo } from "./core/inspect.ts";
export type { JobFiles } from "./core/target/job_files.ts";
export type { MapEntry, MapOptions } from "./core/map.ts";
export type { MeasureJob, MeasureOptions, MeasureSummary } from "./core/measure.ts";
export type { OpenDiskOptions, OpenedDisk } from "./core/open/open_disk.ts";
export type { ConversionPlan, PlanContext } from "./core/plan_conversion.ts";
export type { RebaseOptions, RebaseSummary } from "./core/rebase.ts";
export type { ResizeOptions, ResizeSummary } from "./core/resize.ts";
export type { SnapshotAction } from "./core/snapshot.ts";
export type { Estimate, EstimateContext, StatusCount } from "./core/estimate.ts";

if (import.meta.main) {
  // Not awaited: the command line imports this module, which must be complete first.
  import("./cli/main.ts").then((cli) => cli.run());
}
