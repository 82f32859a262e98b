/**
 * `--image-opts` strings and `json:` names: nested keys become the parts of an image specification. A key that this
 * program cannot honour is refused by name. Pure.
 *
 * @module
 */
import { ImageError } from "../../mod.ts";
import type { ImageSpec, TargetSpec } from "../../mod.ts";
import { takeQcow2Tuning } from "./image_opts_qcow2.ts";
import { fieldsOf } from "./option_tree.ts";
import type { Fields, OptionTree } from "./option_tree.ts";

/** Drivers that are a file of this machine and no image format. */
const FILE_DRIVERS = ["file", "host_device", "host_cdrom"];

/** A source as described. */
export interface SourceParts {
  readonly image: ImageSpec;
  /** As given; absent where nothing is said. */
  readonly forceShare: boolean | undefined;
}

/** The part of a target specification that a description can give. */
export type TargetParts = Pick<TargetSpec, "path" | "format" | "offset" | "size" | "backingOfExisting">;

function refuse(message: string): ImageError {
  return new ImageError("usage", message);
}

/** Bytes of a file: all of them, or a window. */
interface FilePart {
  readonly path: string;
  readonly offset?: number;
  readonly size?: number;
}

/** `size` and `offset` of a raw node, laid upon what is beneath it. */
function windowed(fields: Fields, inner: FilePart): FilePart {
  const offset = fields.size("offset");
  const size = fields.size("size");
  if (offset === undefined && size === undefined) return inner;
  const from = offset ?? 0;
  const left = inner.size === undefined ? undefined : inner.size - from;
  if (left !== undefined && (left < 0 || (size ?? 0) > left)) {
    throw refuse(
      `Cannot use ${fields.name("offset")} and ${fields.name("size")}: the window leaves the one beneath it`,
    );
  }
  const length = size ?? left;
  return {
    path: inner.path,
    offset: (inner.offset ?? 0) + from,
    ...(length !== undefined && { size: length }),
  };
}

/** Takes what has no effect here, or only the effect that everything has here. */
function takeCommon(fields: Fields, writable: boolean): boolean | undefined {
  fields.text("node-name");
  const readOnly = fields.flag("read-only");
  if (readOnly !== undefined && readOnly === writable) {
    const must = writable
      ? "the target must be writable, so it can only be off"
      : "sources are only read, so it can only be on";
    throw refuse(`Cannot honour ${fields.name("read-only")}=${readOnly ? "on" : "off"}: ${must}`);
  }
  const share = fields.flag("force-share");
  if (writable && share) throw refuse(`Cannot honour ${fields.name("force-share")}=on: it is for sources`);
  return share;
}

/** The node under `file` or `data-file`. */
function filePart(fields: Fields, writable: boolean): FilePart {
  const driver = fields.text("driver") ?? "file";
  takeCommon(fields, writable);
  if (driver === "raw") {
    const part = windowed(fields, filePart(fields.group("file", "filename"), writable));
    fields.done("driver, offset, size, file.*, read-only, node-name");
    return part;
  }
  if (!FILE_DRIVERS.includes(driver)) {
    throw refuse(
      `Cannot honour ${fields.name("driver")}=${driver}: it must be file, host_device, or raw with offset and size`,
    );
  }
  const path = fields.text("filename");
  if (path === undefined || path === "") throw refuse(`Cannot find the file: ${fields.name("filename")} must be given`);
  fields.done("driver, filename, read-only, node-name");
  return { path };
}

interface Described {
  image: ImageSpec;
  forceShare: boolean | undefined;
}

function describe(fields: Fields, writable: boolean): Described {
  const driver = fields.text("driver");
  if (driver !== undefined && FILE_DRIVERS.includes(driver)) {
    const forceShare = takeCommon(fields, writable);
    const path = fields.text("filename");
    if (path === undefined || path === "") {
      throw refuse(`Cannot find the file: ${fields.name("filename")} must be given`);
    }
    fields.done("driver, filename, read-only, force-share, node-name");
    return { image: { path, format: "raw" }, forceShare };
  }
  const forceShare = takeCommon(fields, writable);
  const inner = filePart(fields.group("file", "filename"), writable);
  const part = driver === "raw" ? windowed(fields, inner) : inner;
  const backing = backingOf(fields);
  const dataFile = dataFileOf(fields, writable);
  const mayBeQcow2 = driver === undefined || driver === "qcow2";
  if (mayBeQcow2) takeQcow2Tuning(fields);
  fields.done(
    "driver, file.*, backing.*, data-file.*, read-only, force-share, node-name" +
      (driver === "raw" ? ", offset, size" : "; offset and size go with driver=raw") +
      (mayBeQcow2 ? "; QEMU's keys of qcow2" : ""),
  );
  const image: ImageSpec = {
    ...part,
    ...(driver !== undefined && { format: driver }),
    ...(backing !== undefined && { backing }),
    ...(dataFile !== undefined && { dataFile }),
  };
  return { image, forceShare };
}

/** `backing`: absent, none (empty or null), or a description. */
function backingOf(fields: Fields): ImageSpec | null | undefined {
  const kind = fields.kind("backing");
  if (kind === "absent") return undefined;
  if (kind === "none") return fields.none("backing");
  const group = fields.group("backing", "file.filename");
  const { image, forceShare } = describe(group, false);
  if (forceShare !== undefined) {
    throw refuse(`Cannot honour ${group.name("force-share")}: give force-share (or -U) for the whole source`);
  }
  return image;
}

function dataFileOf(fields: Fields, writable: boolean): string | undefined {
  if (fields.kind("data-file") === "absent") return undefined;
  const group = fields.group("data-file", "filename");
  const part = filePart(group, writable);
  if (part.offset !== undefined || part.size !== undefined) {
    throw refuse(`Cannot honour a window in ${fields.name("data-file")}: it must be a whole file`);
  }
  return part.path;
}

/**
 * A source as `--image-opts` or a `json:` name describes it.
 *
 * @throws ImageError `usage`
 */
export function sourceFromOptions(tree: OptionTree): SourceParts {
  return describe(fieldsOf(tree), false);
}

/**
 * An image that is to be changed, or to be checked, as `--image-opts` or a `json:` name describes it.
 *
 * @throws ImageError `usage`
 */
export function changedFromOptions(tree: OptionTree, changes: boolean): SourceParts {
  const described = describe(fieldsOf(tree), changes);
  const { offset, size } = described.image;
  if (offset === undefined && size === undefined) return described;
  throw refuse("Cannot honour offset and size: an image that is changed or checked must be a whole file");
}

/**
 * A target as `--target-image-opts` describes it; the image exists.
 *
 * @throws ImageError `usage`
 */
export function targetFromOptions(tree: OptionTree): TargetParts {
  const { image } = describe(fieldsOf(tree), true);
  if (image.dataFile !== undefined) {
    throw refuse("Cannot honour data-file for the target: the data file that the image names is used");
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
