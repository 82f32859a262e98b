/**
 * The header extension area (specification, "Header extensions"): parser and encoder.
 *
 * @module
 */
import { alignUp, asciiText, setU64, viewOf } from "../../bytes.ts";
import { corrupt } from "../../errors.ts";
import {
  BACKING_FORMAT_BYTES_MAX,
  BITMAP_ENTRY_BYTES,
  BITMAPS_MAX,
  type BitmapsExtension,
  EXTENSION,
  type FeatureName,
  type Header,
  roundedU64,
  type UnknownExtension,
} from "./types.ts";

const FEATURE_NAME_BYTES = 48;
const BITMAPS_EXTENSION_BYTES = 24;
/** A directory entry has 24 bytes and a name of at most 1023. No program writes extra data. */
const DIRECTORY_BYTES_MAX = BITMAPS_MAX * (BITMAP_ENTRY_BYTES + 1024);

/** The contents of the extension area. */
export interface Extensions {
  readonly backingFormat: string | null;
  readonly dataFileName: string | null;
  readonly bitmaps: BitmapsExtension | null;
  readonly featureNames: readonly FeatureName[];
  readonly unknown: readonly UnknownExtension[];
}

/** One extension, not interpreted. */
export interface RawExtension {
  readonly type: number;
  readonly data: Uint8Array;
}

/**
 * Splits the extension area `[start, end)` of the first cluster into extensions.
 *
 * @throws ImageError `corrupt` where an extension ends past the area
 */
export function splitExtensions(cluster: Uint8Array, start: number, end: number, label: string): RawExtension[] {
  const view = viewOf(cluster);
  const found: RawExtension[] = [];
  let at = start;
  while (at + 8 <= end) {
    const type = view.getUint32(at);
    const length = view.getUint32(at + 4);
    if (type === EXTENSION.end) break;
    if (length > end - at - 8) {
      throw corrupt(
        `Cannot read the header extension 0x${type.toString(16)} of "${label}": ` +
          `it is ${length} bytes long, and ${end - at - 8} bytes are left for it`,
        label,
        at,
      );
    }
    found.push({ type, data: cluster.subarray(at + 8, at + 8 + length) });
    at += 8 + alignUp(length, 8);
  }
  return found;
}

/**
 * Decodes a name: UTF-8 by convention. Other bytes become U+FFFD, and are kept as bytes, so that changes keep the name.
 */
export function decodeName(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

/** Returns the bytes of a name that are not its text in UTF-8; `undefined` where they are. */
export function bytesOfName(bytes: Uint8Array, name: string): Uint8Array | undefined {
  const encoded = new TextEncoder().encode(name);
  const isSame = encoded.length === bytes.length && encoded.every((byte, at) => byte === bytes[at]);
  return isSame ? undefined : bytes.slice();
}

/** Encodes a name: as the one of `kept` that reads as `name`, or in UTF-8. */
export function encodeName(name: string, kept: readonly Uint8Array[] = []): Uint8Array {
  return kept.find((bytes) => decodeName(bytes) === name) ?? new TextEncoder().encode(name);
}

/**
 * Decodes a name in an image: UTF-8, up to the first zero byte. Programs in C stop there, so no writer can have meant
 * the bytes that follow.
 */
export function nameText(bytes: Uint8Array): string {
  return decodeName(untilZero(bytes));
}

/** Returns the bytes up to the first zero byte. */
export function untilZero(bytes: Uint8Array): Uint8Array {
  const end = bytes.indexOf(0);
  return end < 0 ? bytes : bytes.subarray(0, end);
}

/**
 * Interprets the extensions. `bitmapsConsistent` is autoclear bit 0: where it is clear, an invalid bitmaps extension is
 * dropped; where it is set, the extension must be present and valid.
 *
 * @throws ImageError `corrupt`
 */
export function readExtensions(
  raw: readonly RawExtension[],
  bitmapsConsistent: boolean,
  clusterSize: number,
  fileSize: number,
  label: string,
): Extensions {
  let backingFormat: string | null = null;
  let dataFileName: string | null = null;
  let bitmaps: BitmapsExtension | null = null;
  let featureNames: FeatureName[] = [];
  const unknown: UnknownExtension[] = [];
  for (const { type, data } of raw) {
    if (type === EXTENSION.backingFormat) backingFormat = backingFormatOf(data, label);
    else if (type === EXTENSION.dataFileName) dataFileName = nameText(data);
    else if (type === EXTENSION.featureNames) featureNames = featureNamesOf(data);
    else if (type === EXTENSION.bitmaps) bitmaps = bitmapsOf(data, bitmapsConsistent, clusterSize, fileSize, label);
    else unknown.push({ type, data: data.slice() });
  }
  if (bitmapsConsistent && bitmaps === null) {
    throw corrupt(`Cannot open "${label}": its bitmaps feature bit is set, but it has no bitmaps extension`, label, 88);
  }
  return { backingFormat, dataFileName, bitmaps, featureNames, unknown };
}

/**
 * Parses the feature name table. It serves only to name unknown features in a message, so it accepts a table that is
 * not valid as a whole.
 */
export function featureNamesOf(data: Uint8Array): FeatureName[] {
  const names: FeatureName[] = [];
  for (let at = 0; at + FEATURE_NAME_BYTES <= data.length; at += FEATURE_NAME_BYTES) {
    names.push({
      field: data[at] ?? 0,
      bit: data[at + 1] ?? 0,
      name: asciiText(data.subarray(at + 2, at + FEATURE_NAME_BYTES)),
    });
  }
  return names;
}

function backingFormatOf(data: Uint8Array, label: string): string {
  if (data.length > BACKING_FORMAT_BYTES_MAX) {
    throw corrupt(
      `Cannot read the backing format of "${label}": its name is ${data.length} bytes long, ` +
        `must be at most ${BACKING_FORMAT_BYTES_MAX}`,
      label,
    );
  }
  return nameText(data);
}

function bitmapsOf(
  data: Uint8Array,
  consistent: boolean,
  clusterSize: number,
  fileSize: number,
  label: string,
): BitmapsExtension | null {
  const problem = bitmapsProblem(data, clusterSize, fileSize);
  if (problem !== null) {
    if (!consistent) return null;
    throw corrupt(`Cannot read the bitmaps extension of "${label}": ${problem}`, label);
  }
  const view = viewOf(data);
  return {
    count: view.getUint32(0),
    directorySize: roundedU64(view, 8),
    directoryFileOffset: roundedU64(view, 16),
  };
}

function bitmapsProblem(data: Uint8Array, clusterSize: number, fileSize: number): string | null {
  if (data.length !== BITMAPS_EXTENSION_BYTES) {
    return `it is ${data.length} bytes long, must be ${BITMAPS_EXTENSION_BYTES}`;
  }
  const view = viewOf(data);
  const count = view.getUint32(0);
  if (count < 1 || count > BITMAPS_MAX) return `it counts ${count} bitmaps, must be 1 to ${BITMAPS_MAX}`;
  if (view.getUint32(4) !== 0) return "its reserved field is not zero";
  const size = roundedU64(view, 8);
  const fileOffset = roundedU64(view, 16);
  if (size < count * BITMAP_ENTRY_BYTES || size > DIRECTORY_BYTES_MAX) {
    return `its directory of ${size} bytes cannot hold ${count} bitmaps`;
  }
  if (fileOffset === 0 || fileOffset % clusterSize !== 0) {
    return `its directory begins at byte ${fileOffset}, must be at a cluster`;
  }
  if (fileOffset + size > fileSize) {
    return `its directory ends at byte ${fileOffset + size}, past the end of the file (${fileSize})`;
  }
  return null;
}

/**
 * Returns the extensions of `header` in the order in which they are written; with feature names only where there is
 * room for them.
 */
export function extensionsOf(header: Header, withFeatureNames: boolean): RawExtension[] {
  const utf8 = new TextEncoder();
  const list: RawExtension[] = [];
  if (header.backing?.format !== undefined) {
    list.push({ type: EXTENSION.backingFormat, data: utf8.encode(header.backing.format) });
  }
  if (header.dataFileName !== null) {
    list.push({ type: EXTENSION.dataFileName, data: encodeName(header.dataFileName, header.nameBytes) });
  }
  if (withFeatureNames && header.featureNames.length > 0) {
    list.push({ type: EXTENSION.featureNames, data: featureNameBytes(header.featureNames) });
  }
  if (header.bitmaps !== null) list.push({ type: EXTENSION.bitmaps, data: bitmapsBytes(header.bitmaps) });
  list.push(...header.unknownExtensions);
  return list;
}

function featureNameBytes(names: readonly FeatureName[]): Uint8Array {
  const bytes = new Uint8Array(names.length * FEATURE_NAME_BYTES);
  names.forEach(({ field, bit, name }, index) => {
    const at = index * FEATURE_NAME_BYTES;
    bytes[at] = field;
    bytes[at + 1] = bit;
    bytes.set(new TextEncoder().encode(name).subarray(0, FEATURE_NAME_BYTES - 2), at + 2);
  });
  return bytes;
}

function bitmapsBytes(bitmaps: BitmapsExtension): Uint8Array {
  const bytes = new Uint8Array(BITMAPS_EXTENSION_BYTES);
  const view = viewOf(bytes);
  view.setUint32(0, bitmaps.count);
  setU64(view, 8, bitmaps.directorySize);
  setU64(view, 16, bitmaps.directoryFileOffset);
  return bytes;
}
