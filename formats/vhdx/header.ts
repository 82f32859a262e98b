/**
 * The file identifier and the two headers ([MS-VHDX] 2.2.1 and 2.2.2). The headers stand outside the log: they are
 * written in turns, so that one of them is whole at any time.
 *
 * @module
 */
import { setU64, viewOf } from "../bytes.ts";
import { corrupt, ImageError } from "../errors.ts";
import type { Storage } from "../storage/types.ts";
import { structureChecksum } from "./crc32c.ts";
import { guidAt, NO_GUID, setGuid } from "./guid.ts";
import { MIB } from "./limits.ts";
import { SIGNATURE } from "./signature.ts";

/** Bytes at the front of the file that identifier, headers and region tables take. */
export const HEADER_SECTION = MIB;
/** Where the headers stand, in file bytes. */
export const HEADERS_AT = [64 << 10, 128 << 10] as const;
/** Length of a header, of the identifier and of a sector of the log. */
export const SECTOR_4K = 4096;

/** One header. */
export interface Header {
  /** The header with the greater number counts. */
  readonly sequence: bigint;
  /** New whenever the file was opened for writing. */
  readonly fileWriteGuid: string;
  /** New whenever guest data was about to change; by it differencing images know their parent. */
  readonly dataWriteGuid: string;
  /** Which log entries count; {@linkcode NO_GUID}: the log is empty. */
  readonly logGuid: string;
  readonly logVersion: number;
  readonly version: number;
  /** In bytes. */
  readonly logLength: number;
  /** Where the log stands, in file bytes. */
  readonly logAt: number;
}

/** The header that counts, and which of the two it is. */
export interface CurrentHeader extends Header {
  /** Index in {@linkcode HEADERS_AT}. */
  readonly place: 0 | 1;
}

/**
 * Reads both headers and chooses.
 *
 * @throws ImageError `corrupt` if neither is whole or what the current one says of the log cannot be; `unsupported` for
 * another version
 */
export async function readHeader(storage: Storage): Promise<CurrentHeader> {
  const { label } = storage;
  const least = HEADERS_AT[1] + SECTOR_4K;
  if (storage.size < least) {
    throw corrupt(`Cannot read the headers of "${label}": the file ends at ${storage.size}, before ${least}`, label);
  }
  const found = (await readBoth(storage)).filter((header) => header !== null);
  const [first, second] = found;
  if (!first) throw corrupt(`Cannot use the headers of "${label}": both are damaged`, label, HEADERS_AT[0]);
  if (second && first.sequence === second.sequence && first.raw.some((byte, at) => byte !== second.raw[at])) {
    const message = `Cannot choose a header of "${label}": both have the number ${first.sequence}, and they differ`;
    throw corrupt(message, label, HEADERS_AT[0]);
  }
  const { raw: _raw, ...current } = second && second.sequence > first.sequence ? second : first;
  checkHeader(current, storage);
  return current;
}

/** Which of the two headers are damaged, as indices in {@linkcode HEADERS_AT}. */
export async function damagedHeaders(storage: Storage): Promise<number[]> {
  const both = await readBoth(storage);
  return [0, 1].filter((place) => both[place] === null);
}

async function readBoth(storage: Storage): Promise<((CurrentHeader & { readonly raw: Uint8Array }) | null)[]> {
  return await Promise.all(([0, 1] as const).map(async (place) => {
    const raw = new Uint8Array(SECTOR_4K);
    await storage.readAt(raw, HEADERS_AT[place]);
    const header = decodeHeader(raw);
    return header && { ...header, place, raw };
  }));
}

function decodeHeader(bytes: Uint8Array): Header | null {
  const view = viewOf(bytes);
  if (view.getUint32(0) !== 0x68656164 || view.getUint32(4, true) !== structureChecksum(bytes)) return null;
  const logAt = view.getBigUint64(72, true);
  return {
    sequence: view.getBigUint64(8, true),
    fileWriteGuid: guidAt(bytes, 16),
    dataWriteGuid: guidAt(bytes, 32),
    logGuid: guidAt(bytes, 48),
    logVersion: view.getUint16(64, true),
    version: view.getUint16(66, true),
    logLength: view.getUint32(68, true),
    // One that is out of reach is reported with the rest, if this header counts.
    logAt: logAt > BigInt(Number.MAX_SAFE_INTEGER) ? Infinity : Number(logAt),
  };
}

function checkHeader(header: CurrentHeader, storage: Storage): void {
  const { label } = storage;
  const at = HEADERS_AT[header.place];
  const unsupported = (message: string) => new ImageError("unsupported", message, { path: label, offset: at });
  if (header.version !== 1) {
    throw unsupported(`Cannot open "${label}": its version is ${header.version}, and must be 1`);
  }
  if (header.logGuid !== NO_GUID && header.logVersion !== 0) {
    throw unsupported(`Cannot replay the log of "${label}": its version is ${header.logVersion}, and must be 0`);
  }
  const { logAt, logLength } = header;
  if (logLength === 0 && header.logGuid === NO_GUID) return;
  const inside = logAt >= HEADER_SECTION && logAt + logLength <= storage.size;
  if (logAt % MIB !== 0 || logLength % MIB !== 0 || logLength === 0 || !inside) {
    const message = `Cannot use the log of "${label}": it has ${logLength} bytes at ${logAt}; both must be multiples ` +
      `of 1 MiB, between the headers and the end of the file (${storage.size})`;
    throw corrupt(message, label, at);
  }
}

/** A header as it stands in the file. */
export function encodeHeader(header: Header): Uint8Array {
  const bytes = new Uint8Array(SECTOR_4K);
  const view = viewOf(bytes);
  view.setUint32(0, 0x68656164);
  view.setBigUint64(8, header.sequence, true);
  setGuid(bytes, 16, header.fileWriteGuid);
  setGuid(bytes, 32, header.dataWriteGuid);
  setGuid(bytes, 48, header.logGuid);
  view.setUint16(64, header.logVersion, true);
  view.setUint16(66, header.version, true);
  view.setUint32(68, header.logLength, true);
  setU64(view, 72, header.logAt, true);
  view.setUint32(4, structureChecksum(bytes), true);
  return bytes;
}

/** The file identifier: the signature, and who made the file, in UTF-16. */
export function encodeIdentifier(creator: string): Uint8Array {
  const bytes = new Uint8Array(SECTOR_4K);
  const view = viewOf(bytes);
  [...SIGNATURE].forEach((letter, index) => bytes[index] = letter.charCodeAt(0));
  [...creator].slice(0, 255).forEach((letter, index) => view.setUint16(8 + 2 * index, letter.charCodeAt(0), true));
  return bytes;
}

/** Who made the file, as the identifier says; printable text only. */
export function creatorOf(identifier: Uint8Array): string {
  const view = viewOf(identifier);
  let text = "";
  for (let at = 8; at < 8 + 512; at += 2) {
    const unit = view.getUint16(at, true);
    if (unit === 0) break;
    text += unit >= 0x20 && unit < 0x7f ? String.fromCharCode(unit) : "?";
  }
  return text;
}
