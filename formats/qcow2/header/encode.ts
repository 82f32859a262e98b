/**
 * The encoder of the first cluster of a qcow2 image.
 *
 * @module
 */
import { alignUp, setU64, viewOf } from "../../bytes.ts";
import { ImageError } from "../../errors.ts";
import { encodeName, extensionsOf, type RawExtension } from "./extensions.ts";
import {
  AUTOCLEAR,
  BACKING_FORMAT_BYTES_MAX,
  BACKING_NAME_BYTES_MAX,
  COMPATIBLE,
  type Header,
  HEADER_LENGTH_CURRENT,
  HEADER_LENGTH_V2,
  INCOMPATIBLE,
  MAGIC,
} from "./types.ts";

/**
 * Returns the whole first cluster: header, extensions, backing file name, zeroes. Pure.
 * The feature name table is optional, and left out where it does not fit. `headerLength` is computed from the version
 * and the unknown fields; that of `header` is ignored.
 *
 * @throws ImageError `usage` where names and extensions do not fit the cluster, or a name is longer than readers accept
 */
export function encodeHeader(header: Header): Uint8Array {
  const name = encodeName(header.backing?.name ?? "", header.nameBytes);
  checkLength("backing file", name.length, BACKING_NAME_BYTES_MAX);
  checkLength("backing format", header.backing?.format?.length ?? 0, BACKING_FORMAT_BYTES_MAX);
  const headerLength = header.version === 2 ? HEADER_LENGTH_V2 : HEADER_LENGTH_CURRENT + header.unknownFields.length;
  let extensions = extensionsOf(header, header.version === 3);
  let nameAt = headerLength + extensionBytes(extensions);
  if (nameAt + name.length > header.clusterSize) {
    extensions = extensionsOf(header, false);
    nameAt = headerLength + extensionBytes(extensions);
  }
  if (nameAt + name.length > header.clusterSize) {
    throw new ImageError(
      "usage",
      `Cannot write the header: it and the names in it need ${nameAt + name.length} bytes, ` +
        `but must fit a cluster of ${header.clusterSize}`,
    );
  }
  const bytes = new Uint8Array(header.clusterSize);
  const view = viewOf(bytes);
  writeFields(view, header, name.length === 0 ? 0 : nameAt, name.length);
  if (header.version === 3) {
    writeFieldsV3(view, header, headerLength);
    bytes.set(header.unknownFields, HEADER_LENGTH_CURRENT);
  }
  writeExtensions(bytes, headerLength, extensions);
  bytes.set(name, nameAt);
  return bytes;
}

function checkLength(what: string, length: number, most: number): void {
  if (length <= most) return;
  throw new ImageError(
    "usage",
    `Cannot write the header: the name of the ${what} has ${length} bytes, must have at most ${most}`,
  );
}

/** Returns the length of the extension area with its end mark, in bytes. */
function extensionBytes(extensions: readonly RawExtension[]): number {
  return extensions.reduce((sum, { data }) => sum + 8 + alignUp(data.length, 8), 8);
}

function writeExtensions(bytes: Uint8Array, start: number, extensions: readonly RawExtension[]): void {
  const view = viewOf(bytes);
  let at = start;
  for (const { type, data } of extensions) {
    view.setUint32(at, type);
    view.setUint32(at + 4, data.length);
    bytes.set(data, at + 8);
    at += 8 + alignUp(data.length, 8);
  }
}

function writeFields(view: DataView, header: Header, nameAt: number, nameLength: number): void {
  view.setUint32(0, MAGIC);
  view.setUint32(4, header.version);
  setU64(view, 8, nameAt);
  view.setUint32(16, nameLength);
  view.setUint32(20, header.clusterBits);
  setU64(view, 24, header.size);
  view.setUint32(36, header.l1.entries);
  setU64(view, 40, header.l1.fileOffset);
  setU64(view, 48, header.refcountTable.fileOffset);
  view.setUint32(56, header.refcountTable.clusters);
  view.setUint32(60, header.snapshots.count);
  setU64(view, 64, header.snapshots.fileOffset);
}

function writeFieldsV3(view: DataView, header: Header, headerLength: number): void {
  const zstd = header.compressionType === "zstd";
  view.setUint32(
    76,
    (header.dirty ? INCOMPATIBLE.dirty : 0) | (header.corrupt ? INCOMPATIBLE.corrupt : 0) |
      (header.externalData ? INCOMPATIBLE.externalData : 0) | (zstd ? INCOMPATIBLE.compressionType : 0) |
      (header.extendedL2 ? INCOMPATIBLE.extendedL2 : 0),
  );
  view.setUint32(80, header.unknownCompatible.high);
  view.setUint32(84, header.unknownCompatible.low | (header.lazyRefcounts ? COMPATIBLE.lazyRefcounts : 0));
  view.setUint32(88, header.unknownAutoclear.high);
  view.setUint32(
    92,
    header.unknownAutoclear.low | (header.bitmapsConsistent ? AUTOCLEAR.bitmaps : 0) |
      (header.rawExternalData ? AUTOCLEAR.rawExternalData : 0),
  );
  view.setUint32(96, header.refcountOrder);
  view.setUint32(100, headerLength);
  view.setUint8(104, zstd ? 1 : 0);
}
