/**
 * The two headers ([MS-VHDX] 2.2.2). Changes of them do not pass through the log: they are written in turns, so that one
 * of them is valid at any time.
 *
 * @module
 */
import { MIB, setU64, viewOf } from "../bytes.ts";
import { corrupt, ImageError } from "../errors.ts";
import type { Storage, WritableStorage } from "../storage/types.ts";
import { structureChecksum } from "./crc32c.ts";
import { NIL_UUID, setUuid, uuidAt } from "../shared/uuid.ts";

/** Bytes at the start of the file with identifier, headers and region tables. */
export const HEADER_SECTION = MIB;
/** File offsets of the headers. */
export const HEADERS_AT = [64 << 10, 128 << 10] as const;
/** Bytes of a header, and of a sector of the log. */
export const SECTOR_4K = 4096;

/** One header. */
export interface Header {
  /** The valid header with the greater number is the current one. */
  readonly sequence: bigint;
  /** Changes whenever the file is opened for writing. */
  readonly fileWriteGuid: string;
  /** Changes before guest data changes; a differencing image identifies its parent by it. */
  readonly dataWriteGuid: string;
  /** The GUID of valid log entries; {@linkcode NIL_UUID}: the log is empty. */
  readonly logGuid: string;
  readonly logVersion: number;
  readonly version: number;
  /** Bytes of the log. */
  readonly logLength: number;
  /** File offset of the log. */
  readonly logAt: number;
}

/** The current header. */
export interface CurrentHeader extends Header {
  /** Index in {@linkcode HEADERS_AT}. */
  readonly index: 0 | 1;
}

/**
 * Reads both headers and returns the current one.
 *
 * @throws ImageError `corrupt` if neither is valid, or the current one gives the log an impossible location; `unsupported`
 * for another version
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

/** Returns the damaged headers, as indices in {@linkcode HEADERS_AT}. */
export async function damagedHeaders(storage: Storage): Promise<number[]> {
  const both = await readBoth(storage);
  return [0, 1].filter((index) => both[index] === null);
}

async function readBoth(storage: Storage): Promise<((CurrentHeader & { readonly raw: Uint8Array }) | null)[]> {
  return await Promise.all(([0, 1] as const).map(async (index) => {
    const raw = new Uint8Array(SECTOR_4K);
    await storage.readAt(raw, HEADERS_AT[index]);
    const header = decodeHeader(raw);
    return header && { ...header, index, raw };
  }));
}

function decodeHeader(bytes: Uint8Array): Header | null {
  const view = viewOf(bytes);
  if (view.getUint32(0) !== 0x68656164 || view.getUint32(4, true) !== structureChecksum(bytes)) return null;
  const logAt = view.getBigUint64(72, true);
  return {
    sequence: view.getBigUint64(8, true),
    fileWriteGuid: uuidAt(bytes, 16, "mixed"),
    dataWriteGuid: uuidAt(bytes, 32, "mixed"),
    logGuid: uuidAt(bytes, 48, "mixed"),
    logVersion: view.getUint16(64, true),
    version: view.getUint16(66, true),
    logLength: view.getUint32(68, true),
    // An offset above 2^53 - 1 is reported as out of the file if this header is the current one.
    logAt: logAt > BigInt(Number.MAX_SAFE_INTEGER) ? Infinity : Number(logAt),
  };
}

function checkHeader(header: CurrentHeader, storage: Storage): void {
  const { label } = storage;
  const at = HEADERS_AT[header.index];
  const unsupported = (message: string) => new ImageError("unsupported", message, { path: label, offset: at });
  if (header.version !== 1) {
    throw unsupported(`Cannot open "${label}": its version is ${header.version}, and must be 1`);
  }
  if (header.logGuid !== NIL_UUID && header.logVersion !== 0) {
    throw unsupported(`Cannot replay the log of "${label}": its version is ${header.logVersion}, and must be 0`);
  }
  const { logAt, logLength } = header;
  if (logLength === 0 && header.logGuid === NIL_UUID) return;
  const inside = logAt >= HEADER_SECTION && logAt + logLength <= storage.size;
  if (logAt % MIB !== 0 || logLength % MIB !== 0 || logLength === 0 || !inside) {
    const message = `Cannot use the log of "${label}": it has ${logLength} bytes at ${logAt}; both must be multiples ` +
      `of 1 MiB, between the headers and the end of the file (${storage.size})`;
    throw corrupt(message, label, at);
  }
}

/** Encodes a header. */
export function encodeHeader(header: Header): Uint8Array {
  const bytes = new Uint8Array(SECTOR_4K);
  const view = viewOf(bytes);
  view.setUint32(0, 0x68656164);
  view.setBigUint64(8, header.sequence, true);
  setUuid(bytes, 16, header.fileWriteGuid, "mixed");
  setUuid(bytes, 32, header.dataWriteGuid, "mixed");
  setUuid(bytes, 48, header.logGuid, "mixed");
  view.setUint16(64, header.logVersion, true);
  view.setUint16(66, header.version, true);
  view.setUint32(68, header.logLength, true);
  setU64(view, 72, header.logAt, true);
  view.setUint32(4, structureChecksum(bytes), true);
  return bytes;
}

/** The headers of an image that is being changed. */
export interface Headers {
  /** The current header. */
  readonly current: CurrentHeader;
  /** Changes fields of the header and syncs them; the other header keeps the old values. */
  update(change: Partial<Header>): Promise<void>;
  /** Changes fields in both headers. Syncs only the first write, which makes the change current. */
  updateBoth(change: Partial<Header>): Promise<void>;
}

/**
 * Returns the headers of `storage`, of which `header` is the current one. They are written in turns ([MS-VHDX] 2.2.2.1), so
 * that one of them is valid at any time.
 */
export function headersOf(storage: WritableStorage, header: CurrentHeader): Headers {
  let current = header;

  async function write(change: Partial<Header>): Promise<void> {
    const index = current.index === 0 ? 1 : 0;
    const next: CurrentHeader = { ...current, ...change, sequence: current.sequence + 1n, index };
    await storage.writeAt(encodeHeader(next), HEADERS_AT[index]);
    current = next;
  }

  async function update(change: Partial<Header>): Promise<void> {
    await write(change);
    await storage.sync();
  }

  return {
    get current() {
      return current;
    },
    update,
    async updateBoth(change) {
      await update(change);
      await write({});
    },
  };
}
