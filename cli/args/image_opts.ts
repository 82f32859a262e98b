/**
 * Images as users name them: a path, `--image-opts`, or a `json:` name. Nested keys of a description become the parts
 * of an image specification; a key that this program cannot honour is refused by name. Pure.
 *
 * @module
 */
import type { Format, ImageSpec, TargetSpec } from "../../mod.ts";
import { nameParts } from "./image_names.ts";
import { takeQcow2Tuning } from "./image_opts_qcow2.ts";
import { fieldsOf, treeOfJson, treeOfOptions } from "./option_tree.ts";
import type { Fields, OptionTree } from "./option_tree.ts";
import { formatOfOption, usageError } from "./usage.ts";

/** Protocol drivers of QEMU for files of this host: they name no image format. */
const FILE_DRIVERS = ["file", "host_device", "host_cdrom"];

/**
 * Filter drivers of QEMU through which data passes unchanged, their child, and those of their keys that change no data: the
 * image is what the child is.
 */
const FILTERS: { readonly [driver: string]: { readonly child: string; readonly keys: readonly string[] } } = {
  "blkdebug": {
    child: "image",
    keys: [
      "align",
      "max-transfer",
      "opt-write-zero",
      "max-write-zero",
      "opt-discard",
      "max-discard",
    ],
  },
  "copy-on-read": { child: "file", keys: [] },
  "compress": { child: "file", keys: [] },
  "preallocate": { child: "file", keys: ["prealloc-align", "prealloc-size"] },
};

/** A source, named or described. */
export interface SourceImage {
  readonly image: ImageSpec;
  /** As the description states it; absent where it does not. */
  readonly forceShare: boolean | undefined;
}

/** The part of a target specification that a description can state. */
export type DescribedTarget = Pick<TargetSpec, "path" | "format" | "offset" | "size" | "backingOfExisting">;

/**
 * Returns the image to read that a name or description stands for.
 *
 * @param describe Reads a description.
 * @throws ImageError `usage`
 */
export function sourceImage(
  name: string,
  { imageOpts, sourceFormat: format }: { readonly imageOpts: boolean; readonly sourceFormat: string | undefined },
  formats: readonly Format[],
  windows: boolean,
  describe: (tree: OptionTree) => SourceImage = sourceFromOptions,
): SourceImage {
  if (imageOpts) return withKnownDrivers(describe(treeOfOptions(name)), formats);
  const parts = nameParts(name, windows);
  if ("path" in parts) {
    return { image: { path: parts.path, ...(format !== undefined && { format }) }, forceShare: undefined };
  }
  const source = withKnownDrivers(describe(treeOfJson(parts.json)), formats);
  if (format !== undefined && source.image.format !== undefined) {
    throw usageError('Cannot use -f with a json: name that has a "driver": leave one out');
  }
  return { ...source, image: { ...source.image, ...(format !== undefined && { format }) } };
}

function withKnownDrivers(source: SourceImage, formats: readonly Format[]): SourceImage {
  checkDrivers(source.image, formats);
  return source;
}

/**
 * Checks that the drivers of an image and of its described backing files are formats.
 *
 * @throws ImageError `usage`
 */
export function checkDrivers(image: ImageSpec, formats: readonly Format[]): void {
  if (image.format !== undefined) formatOfOption(image.format, formats, "driver=");
  if (image.backing) checkDrivers(image.backing, formats);
}

/**
 * Returns a source as `--image-opts` or a `json:` name describes it.
 *
 * @throws ImageError `usage`
 */
export function sourceFromOptions(tree: OptionTree): SourceImage {
  return describedImage(fieldsOf(tree), false);
}

/**
 * Returns an image to change or to check as `--image-opts` or a `json:` name describes it.
 *
 * @throws ImageError `usage`
 */
export function editedFromOptions(tree: OptionTree, writes: boolean): SourceImage {
  const described = describedImage(fieldsOf(tree), writes);
  const { offset, size } = described.image;
  refuseSizeRule(described.image);
  if (offset === undefined && size === undefined) return described;
  throw usageError("Cannot honour offset and size: an image that is changed or checked must be a whole file");
}

/**
 * Returns an existing target as `--target-image-opts` describes it.
 *
 * @throws ImageError `usage`
 */
export function targetFromOptions(tree: OptionTree): DescribedTarget {
  const { image } = describedImage(fieldsOf(tree), true);
  refuseSizeRule(image);
  if (image.dataFile !== undefined) {
    throw usageError("Cannot honour data-file for the target: the data file that the image names is used");
  }
  const { path, format, offset, size, backing } = image;
  return {
    path,
    format,
    ...(offset !== undefined && { offset }),
    ...(size !== undefined && { size }),
    ...(backing !== undefined && { backingOfExisting: backing }),
  };
}

function describedImage(fields: Fields, writable: boolean): SourceImage {
  const driver = fields.text("driver");
  const forceShare = takeCommon(fields, writable);
  const filtered = driver === undefined ? undefined : filteredNode(driver, fields);
  if (filtered !== undefined) {
    const inner = describedImage(filtered, writable);
    return { ...inner, forceShare: forceShare ?? inner.forceShare };
  }
  if (driver !== undefined && FILE_DRIVERS.includes(driver)) {
    const path = filename(fields);
    fields.done("driver, filename, read-only, force-share, node-name");
    return { image: { path, format: "raw" }, forceShare };
  }
  const inner = fileWindow(fields.group("file", "filename"), writable);
  const file = driver === "raw" ? windowed(fields, inner) : inner;
  const sizeRule = driver === "vpc" ? vpcSizeRule(fields) : undefined;
  const backing = backingOf(fields);
  const dataFile = dataFileOf(fields, writable);
  const mayBeQcow2 = driver === undefined || driver === "qcow2";
  if (mayBeQcow2) takeQcow2Tuning(fields);
  fields.done(
    "driver, file.*, backing.*, data-file.*, read-only, force-share, node-name" +
      (driver === "raw" ? ", offset, size" : "; offset and size go with driver=raw") +
      (driver === "vpc" ? "; force_size_calc" : "") +
      (mayBeQcow2 ? "; QEMU's keys of qcow2" : ""),
  );
  const image: ImageSpec = {
    ...file,
    ...(driver !== undefined && { format: driver }),
    ...(backing !== undefined && { backing }),
    ...(dataFile !== undefined && { dataFile }),
    ...(sizeRule !== undefined && { sizeRule }),
  };
  return { image, forceShare };
}

/** Returns the child of a filter, whose own keys are read; `undefined` for another driver. */
function filteredNode(driver: string, fields: Fields): Fields | undefined {
  const filter = FILTERS[driver];
  if (filter === undefined) return undefined;
  for (const key of filter.keys) fields.size(key);
  const config = driver === "blkdebug" ? fields.text("config") : undefined;
  if (config) throw usageError(`Cannot honour ${fields.name("config")}: errors are not injected here`);
  const child = fields.group(filter.child, "filename");
  fields.done([`driver, ${filter.child}.*`, ...filter.keys, "read-only, force-share, node-name"].join(", "));
  return child;
}

/** Reads which field of a VHD states the size of its disk. */
function vpcSizeRule(fields: Fields): ImageSpec["sizeRule"] {
  const text = fields.text("force_size_calc");
  if (text === undefined || text === "auto") return undefined;
  if (text === "chs" || text === "current_size") return text === "chs" ? "geometry" : "current";
  throw usageError(
    `Cannot use "${text}" for ${fields.name("force_size_calc")}: it must be auto, chs or current_size`,
  );
}

function refuseSizeRule({ sizeRule }: ImageSpec): void {
  if (sizeRule === undefined) return;
  throw usageError(`Cannot honour "force_size_calc": it is for sources, and a VHD that is changed keeps its size`);
}

/** Keys of QEMU's caches and requests, on which no result here depends, and their values. */
const TUNING: { readonly [key: string]: readonly string[] } = {
  "discard": ["ignore", "off", "unmap", "on"],
  "detect-zeroes": ["off", "on", "unmap"],
  "aio": ["threads", "native", "io_uring"],
};

function takeTuning(fields: Fields): void {
  for (const [key, values] of Object.entries(TUNING)) {
    const value = fields.text(key);
    if (value === undefined || values.includes(value)) continue;
    throw usageError(`Cannot use "${value}" for ${fields.name(key)}: it must be ${values.join(", ")}`);
  }
  fields.flag("auto-read-only");
  if (fields.type("cache") !== "group") return;
  const cache = fields.group("cache", "direct");
  for (const key of ["direct", "no-flush", "writeback"]) cache.flag(key);
  cache.done("direct, no-flush, writeback");
}

/**
 * Reads the keys that every node may have; returns `force-share`. `read-only` may only state what is the case anyway.
 */
function takeCommon(fields: Fields, writable: boolean): boolean | undefined {
  fields.text("node-name");
  takeTuning(fields);
  const readOnly = fields.flag("read-only");
  if (readOnly !== undefined && readOnly === writable) {
    const must = writable
      ? "the target must be writable, so it can only be off"
      : "sources are only read, so it can only be on";
    throw usageError(`Cannot honour ${fields.name("read-only")}=${readOnly ? "on" : "off"}: ${must}`);
  }
  const share = fields.flag("force-share");
  if (writable && share) throw usageError(`Cannot honour ${fields.name("force-share")}=on: it is for sources`);
  return share;
}

/** The bytes of a file: all of them, or a window. */
interface FileWindow {
  readonly path: string;
  readonly offset?: number;
  readonly size?: number;
}

/** Reads the node under `file` or `data-file`. */
function fileWindow(fields: Fields, writable: boolean): FileWindow {
  const driver = fields.text("driver") ?? "file";
  takeCommon(fields, writable);
  const filtered = filteredNode(driver, fields);
  if (filtered !== undefined) return fileWindow(filtered, writable);
  if (driver === "raw") {
    const window = windowed(fields, fileWindow(fields.group("file", "filename"), writable));
    fields.done("driver, offset, size, file.*, read-only, node-name");
    return window;
  }
  if (!FILE_DRIVERS.includes(driver)) {
    throw usageError(
      `Cannot honour ${fields.name("driver")}=${driver}: it must be file, host_device, or raw with offset and size`,
    );
  }
  const path = filename(fields);
  fields.done("driver, filename, read-only, node-name");
  return { path };
}

function filename(fields: Fields): string {
  const path = fields.text("filename");
  if (path) return path;
  throw usageError(`Cannot find the file: ${fields.name("filename")} must be given`);
}

/** Applies `offset` and `size` of a raw node to the window of its file. */
function windowed(fields: Fields, inner: FileWindow): FileWindow {
  const offset = fields.size("offset");
  const size = fields.size("size");
  if (offset === undefined && size === undefined) return inner;
  const from = offset ?? 0;
  const left = inner.size === undefined ? undefined : inner.size - from;
  if (left !== undefined && (left < 0 || (size ?? 0) > left)) {
    throw usageError(
      `Cannot use ${fields.name("offset")} and ${fields.name("size")}: the window leaves that of the file`,
    );
  }
  const length = size ?? left;
  return {
    path: inner.path,
    offset: (inner.offset ?? 0) + from,
    ...(length !== undefined && { size: length }),
  };
}

/** Reads `backing`: absent, none (`null`: empty or null), or a description. */
function backingOf(fields: Fields): ImageSpec | null | undefined {
  const type = fields.type("backing");
  if (type === "absent") return undefined;
  if (type === "none") return fields.none("backing");
  const group = fields.group("backing", "file.filename");
  const { image, forceShare } = describedImage(group, false);
  if (forceShare !== undefined) {
    throw usageError(`Cannot honour ${group.name("force-share")}: give force-share (or -U) for the whole source`);
  }
  return image;
}

function dataFileOf(fields: Fields, writable: boolean): string | undefined {
  if (fields.type("data-file") === "absent") return undefined;
  const { path, offset, size } = fileWindow(fields.group("data-file", "filename"), writable);
  if (offset === undefined && size === undefined) return path;
  throw usageError(`Cannot honour a window in ${fields.name("data-file")}: it must be a whole file`);
}
