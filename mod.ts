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
export type { ConvertContext, ConvertJob, ImageSpec, SyncMode, TargetSpec } from "./core/job.ts";
export type { ConvertEvent, ConvertSummary, Phase, SourceSummary, Totals } from "./core/events.ts";
