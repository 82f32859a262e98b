/**
 * The qcow2 header: parser with all limits checked. The encoder is `encodeHeader`.
 *
 * @module
 */
import { viewOf } from "../../bytes.ts";
import type { NamedFile } from "../../guest_reader.ts";
import { corrupt, ImageError } from "../../errors.ts";
import type { Storage } from "../../storage/types.ts";
import { checkHeader } from "./check.ts";
import {
  bytesOfName,
  decodeName,
  type Extensions,
  featureNamesOf,
  nameText,
  type RawExtension,
  readExtensions,
  splitExtensions,
  untilZero,
} from "./extensions.ts";
import {
  AUTOCLEAR,
  BACKING_NAME_BYTES_MAX,
  CLUSTER_BITS,
  COMPATIBLE,
  type CompressionType,
  EXTENSION,
  type Halves,
  type Header,
  HEADER_LENGTH_CURRENT,
  HEADER_LENGTH_V2,
  HEADER_LENGTH_V3,
  INCOMPATIBLE,
  MAGIC,
  NO_BITS,
  roundedU64,
} from "./types.ts";

export * from "./types.ts";
export { encodeHeader } from "./encode.ts";

const KNOWN_INCOMPATIBLE = Object.values(INCOMPATIBLE).reduce((sum, bit) => sum | bit, 0);
const KNOWN_COMPATIBLE = COMPATIBLE.lazyRefcounts;
const KNOWN_AUTOCLEAR = AUTOCLEAR.bitmaps | AUTOCLEAR.rawExternalData;

/** The first cluster being parsed, and the name of the image in messages. */
interface Source {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly label: string;
}

/**
 * Reads and parses the first cluster of `storage`.
 *
 * @throws ImageError as {@linkcode parseHeader} does, and `io`
 */
export async function readHeader(storage: Storage): Promise<Header> {
  const head = new Uint8Array(Math.min(HEADER_LENGTH_V2, storage.size));
  await storage.readAt(head, 0);
  const clusterSize = headerClusterSize(head, storage.label);
  const cluster = new Uint8Array(Math.min(clusterSize, storage.size));
  await storage.readAt(cluster, 0);
  return parseHeader(cluster, storage.label, storage.size);
}

/**
 * Checks magic, version and cluster size from at least the first 72 bytes.
 *
 * @returns the cluster size in bytes, which is the number of bytes that {@linkcode parseHeader} needs
 * @throws ImageError `corrupt`, or `unsupported` for a version or cluster size that no program reads
 */
export function headerClusterSize(head: Uint8Array, label: string): number {
  if (head.length < HEADER_LENGTH_V2) {
    throw corrupt(
      `Cannot open "${label}": it has ${head.length} bytes, a qcow2 header needs ${HEADER_LENGTH_V2}`,
      label,
    );
  }
  const view = viewOf(head);
  if (view.getUint32(0) !== MAGIC) {
    throw corrupt(`Cannot open "${label}": it does not begin as a qcow2 image`, label, 0);
  }
  const version = view.getUint32(4);
  if (version !== 2 && version !== 3) {
    throw unsupported(`Cannot open "${label}": its version is ${version}, must be 2 or 3`, label, 4);
  }
  const clusterBits = view.getUint32(20);
  if (clusterBits < CLUSTER_BITS.min || clusterBits > CLUSTER_BITS.max) {
    throw corrupt(
      `Cannot open "${label}": its cluster bits are ${clusterBits}, must be ${CLUSTER_BITS.min} to ${CLUSTER_BITS.max}`,
      label,
      20,
    );
  }
  return 2 ** clusterBits;
}

/**
 * Parses the header of a qcow2 image (specification, "Header" and "Header extensions"). Pure.
 *
 * @param bytes the first cluster; where the file ends before, the missing bytes count as zeroes
 * @param label name of the image in messages
 * @param fileSize length of the file in bytes; tables must lie inside
 * @throws ImageError `corrupt` for a header that contradicts the specification; `unsupported` for unknown incompatible
 * features, encryption, and limits of this program
 *
 * @example
 * ```ts
 * import { encodeHeader, parseHeader } from "./header.ts";
 * import assert from "node:assert/strict";
 *
 * // "QFI\xfb", version 2, clusters of 64 KiB, 1 MiB of disk, L1 table at 0x30000, refcount table at 0x10000
 * const bytes = new Uint8Array(65536);
 * bytes.set([0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 2], 0);
 * bytes.set([0, 0, 0, 16, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 3, 0, 0], 20);
 * bytes.set([0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1], 48);
 * const header = parseHeader(bytes, "a.qcow2", 262144);
 * assert.equal(header.size, 1 << 20);
 * assert.deepEqual(encodeHeader(header), bytes);
 * ```
 */
export function parseHeader(bytes: Uint8Array, label: string, fileSize: number): Header {
  const clusterSize = headerClusterSize(bytes, label);
  const cluster = new Uint8Array(clusterSize);
  cluster.set(bytes.subarray(0, clusterSize));
  const source: Source = { bytes: cluster, view: viewOf(cluster), label };
  const view = source.view;
  const version = view.getUint32(4) === 2 ? 2 : 3;
  const headerLength = headerLengthOf(source, version, clusterSize);
  const backingAt = backingNameStart(source, headerLength);
  const raw = splitAfterFeatures(source, headerLength, backingAt === 0 ? clusterSize : backingAt, version);
  const features = featuresOf(source, version, headerLength);
  refuseEncryption(source);
  const extensions = readExtensions(raw, features.bitmapsConsistent, clusterSize, fileSize, label);
  const header: Header = {
    version,
    clusterBits: view.getUint32(20),
    clusterSize,
    size: sizeField(source),
    backing: backingOf(source, backingAt, extensions),
    l1: { fileOffset: offsetField(source, 40, "L1 table"), entries: view.getUint32(36) },
    refcountTable: { fileOffset: offsetField(source, 48, "refcount table"), clusters: view.getUint32(56) },
    refcountOrder: version === 2 ? 4 : view.getUint32(96),
    snapshots: { fileOffset: offsetField(source, 64, "snapshot table"), count: view.getUint32(60) },
    headerLength,
    ...features,
    ...keptNames(source, backingAt, raw),
    dataFileName: features.externalData ? extensions.dataFileName : null,
    bitmaps: extensions.bitmaps,
    featureNames: extensions.featureNames,
    unknownExtensions: extensions.unknown,
    unknownFields: cluster.slice(Math.min(HEADER_LENGTH_CURRENT, headerLength), headerLength),
  };
  checkHeader(header, label, fileSize);
  return header;
}

function unsupported(message: string, label: string, fileOffset?: number): ImageError {
  return new ImageError("unsupported", message, { path: label, offset: fileOffset });
}

function headerLengthOf({ view, label }: Source, version: 2 | 3, clusterSize: number): number {
  if (version === 2) return HEADER_LENGTH_V2;
  const length = view.getUint32(100);
  if (length < HEADER_LENGTH_V3 || length % 8 !== 0 || length > clusterSize) {
    throw corrupt(
      `Cannot open "${label}": its header length is ${length}, must be a multiple of 8 from ${HEADER_LENGTH_V3} to the ` +
        `cluster size (${clusterSize})`,
      label,
      100,
    );
  }
  return length;
}

/**
 * Returns the file offset of the backing file name, or 0. The name must lie between the header and the end of the first
 * cluster.
 */
function backingNameStart(source: Source, headerLength: number): number {
  const { view, label, bytes } = source;
  const start = roundedU64(view, 8);
  if (start === 0) return 0;
  const length = view.getUint32(16);
  if (length > BACKING_NAME_BYTES_MAX) {
    throw corrupt(
      `Cannot read the backing file name of "${label}": it is ${length} bytes long, must be at most ` +
        `${BACKING_NAME_BYTES_MAX}`,
      label,
      16,
    );
  }
  if (start < headerLength || start + length > bytes.length) {
    throw corrupt(
      `Cannot read the backing file name of "${label}": it takes bytes ${start} to ${
        start + length
      }, must lie between ` +
        `the header (${headerLength}) and the end of the first cluster (${bytes.length})`,
      label,
      8,
    );
  }
  return start;
}

/**
 * Splits the extension area, but reports unknown incompatible features before any error in it: such a feature may
 * change the rules for extensions.
 */
function splitAfterFeatures(source: Source, start: number, end: number, version: 2 | 3): RawExtension[] {
  let raw: RawExtension[] = [];
  let extensionError: unknown = null;
  try {
    raw = splitExtensions(source.bytes, start, end, source.label);
  } catch (error) {
    extensionError = error;
  }
  const table = raw.find(({ type }) => type === EXTENSION.featureNames);
  if (version === 3) refuseUnknownFeatures(source, table?.data ?? new Uint8Array(0));
  if (extensionError !== null) throw extensionError;
  return raw;
}

function refuseUnknownFeatures({ view, label }: Source, nameTable: Uint8Array): void {
  const bits = { high: view.getUint32(72), low: (view.getUint32(76) & ~KNOWN_INCOMPATIBLE) >>> 0 };
  if (bits.high === 0 && bits.low === 0) return;
  const names = featureNamesOf(nameTable).filter(({ field }) => field === 0);
  const found: string[] = [];
  for (let bit = 0; bit < 64; bit++) {
    if (((bit < 32 ? bits.low : bits.high) >>> (bit % 32) & 1) === 0) continue;
    const name = names.find((row) => row.bit === bit)?.name;
    found.push(name === undefined || name === "" ? `bit ${bit}` : `"${name}" (bit ${bit})`);
  }
  throw unsupported(
    `Cannot open "${label}": it needs features that are not known here: ${found.join(", ")}`,
    label,
    72,
  );
}

function refuseEncryption({ view, label }: Source): void {
  const method = view.getUint32(32);
  if (method === 0) return;
  if (method > 2) {
    throw corrupt(`Cannot open "${label}": its encryption method is ${method}, must be 0 to 2`, label, 32);
  }
  throw unsupported(
    `Cannot open "${label}": it is encrypted (${method === 1 ? "AES" : "LUKS"}), which is not supported`,
    label,
    32,
  );
}

function featuresOf(source: Source, version: 2 | 3, headerLength: number) {
  const { view } = source;
  const none: Halves = NO_BITS;
  const field = (at: number): Halves =>
    version === 2 ? none : { high: view.getUint32(at), low: view.getUint32(at + 4) };
  const incompatible = field(72).low;
  const compatible = field(80);
  const autoclear = field(88);
  return {
    dirty: (incompatible & INCOMPATIBLE.dirty) !== 0,
    corrupt: (incompatible & INCOMPATIBLE.corrupt) !== 0,
    externalData: (incompatible & INCOMPATIBLE.externalData) !== 0,
    extendedL2: (incompatible & INCOMPATIBLE.extendedL2) !== 0,
    compressionType: compressionTypeOf(source, (incompatible & INCOMPATIBLE.compressionType) !== 0, headerLength),
    lazyRefcounts: (compatible.low & COMPATIBLE.lazyRefcounts) !== 0,
    bitmapsConsistent: (autoclear.low & AUTOCLEAR.bitmaps) !== 0,
    rawExternalData: (autoclear.low & AUTOCLEAR.rawExternalData) !== 0,
    unknownCompatible: { high: compatible.high, low: (compatible.low & ~KNOWN_COMPATIBLE) >>> 0 },
    unknownAutoclear: { high: autoclear.high, low: (autoclear.low & ~KNOWN_AUTOCLEAR) >>> 0 },
  };
}

function compressionTypeOf({ view, label }: Source, stated: boolean, headerLength: number): CompressionType {
  const type = headerLength > HEADER_LENGTH_V3 ? view.getUint8(104) : 0;
  if (stated !== (type !== 0)) {
    throw corrupt(
      `Cannot open "${label}": its compression type is ${type}, but the feature bit says ${stated ? "other" : "0"}`,
      label,
      104,
    );
  }
  if (type > 1) throw unsupported(`Cannot open "${label}": its compression type ${type} is not known here`, label, 104);
  return type === 1 ? "zstd" : "zlib";
}

/** Returns the bytes of names that are not UTF-8. */
function keptNames(
  { bytes, view }: Source,
  backingAt: number,
  raw: readonly RawExtension[],
): Pick<Header, "nameBytes"> {
  const backing = backingAt === 0 ? [] : [bytes.subarray(backingAt, backingAt + view.getUint32(16))];
  const dataFiles = raw.filter(({ type }) => type === EXTENSION.dataFileName).map(({ data }) => data);
  const kept = [...backing, ...dataFiles].map(untilZero)
    .flatMap((name) => bytesOfName(name, decodeName(name)) ?? []);
  return kept.length === 0 ? {} : { nameBytes: kept };
}

function backingOf({ bytes, view }: Source, start: number, extensions: Extensions): NamedFile | null {
  const name = start === 0 ? "" : nameText(bytes.subarray(start, start + view.getUint32(16)));
  if (name === "") return null;
  const format = extensions.backingFormat;
  return format === null || format === "" ? { name } : { name, format };
}

function sizeField({ view, label }: Source): number {
  const size = roundedU64(view, 24);
  if (!Number.isSafeInteger(size)) {
    throw unsupported(`Cannot open "${label}": its disk size is above 2^53 - 1 bytes (8 PiB)`, label, 24);
  }
  return size;
}

function offsetField({ view, label }: Source, at: number, what: string): number {
  const fileOffset = roundedU64(view, at);
  if (!Number.isSafeInteger(fileOffset)) {
    throw corrupt(`Cannot open "${label}": the file offset of its ${what} is above 2^53 - 1`, label, at);
  }
  return fileOffset;
}
