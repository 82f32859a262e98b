/**
 * diskcast: converts virtual disk images.
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
  NamedFile,
  OptionSpec,
  OptionValues,
  Run,
  RunKind,
  SnapshotChoice,
  WriterTraits,
} from "./formats/mod.ts";
export { allFormats, ImageError } from "./formats/mod.ts";
export type { ErrorKind } from "./formats/mod.ts";
export { convert } from "./core/convert.ts";
export { type JobFiles, jobFiles } from "./core/job_files.ts";
export { openDisk, type OpenDiskOptions, type OpenedDisk } from "./core/open_disk.ts";
export { parseFlag, parseNumber, parseSize } from "./core/values.ts";
export type { ConvertContext, ConvertJob, ImageSpec, SyncMode, TargetSpec } from "./core/job.ts";
export type { ConvertEvent, ConvertSummary, Phase, SourceSummary, Totals } from "./core/events.ts";

if (import.meta.main) {
  // Not awaited: the command line imports this module, which must be complete first.
  import("./cli/main.ts").then((cli) => cli.run());
}
