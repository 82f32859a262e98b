/**
 * One entry of the log ([MS-VHDX] 2.3.1): a header, descriptors of its changes, and the data sectors.
 *
 * @module
 */
import { setU64, viewOf } from "../bytes.ts";
import { crc32c } from "./crc32c.ts";
import { setUuid, uuidAt } from "../shared/uuid.ts";
import { SECTOR_4K } from "./header.ts";

const SIGNATURE = 0x6c6f6765;
const ZERO_DESCRIPTOR = 0x7a65726f;
const DATA_DESCRIPTOR = 0x64657363;
const DATA_SECTOR = 0x64617461;
const HEADER_BYTES = 64;
const DESCRIPTOR_BYTES = 32;
const CHECKSUM = new Uint8Array(4);
/** The sequence number of the only entry of a log. */
const ONLY = 1;

/** The whole log, a ring of sectors, in memory. */
export interface Log {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** The GUID of valid entries. */
  readonly guid: string;
  /** Bytes whose checksums may still be computed: a hostile log of overlapping entries would take too long. */
  budget: number;
}

/** A valid entry. Positions count from the start of the log. */
export interface LogEntry {
  readonly at: number;
  /** Bytes of the entry. */
  readonly length: number;
  readonly sequence: number;
  /** Position of the oldest entry that must be replayed if this one is the last. */
  readonly tail: number;
  readonly descriptors: number;
  /** The file had at least this length when the entry was written. */
  readonly flushedFileOffset: number;
  /** The file must have this length when the entry is replayed. */
  readonly lastFileOffset: number;
}

/** A change of the file bytes `[start, end)`: 4096 bytes of `data`, or zeroes. */
export interface Change {
  readonly start: number;
  readonly end: number;
  readonly data: Uint8Array | null;
}

/** Returns the log with these bytes. */
export function logOf(bytes: Uint8Array, guid: string): Log {
  return { bytes, view: viewOf(bytes), guid, budget: 4 * bytes.length };
}

/** Returns the entry at `at`; `null` where there is no valid one of this log. */
export function entryAt(log: Log, at: number): LogEntry | null {
  const { bytes, view } = log;
  if (view.getUint32(at) !== SIGNATURE || uuidAt(bytes, at + 32, "mixed") !== log.guid) return null;
  const entry: LogEntry = {
    at,
    length: view.getUint32(at + 8, true),
    tail: view.getUint32(at + 12, true),
    sequence: number64(view, at + 16),
    descriptors: view.getUint32(at + 24, true),
    flushedFileOffset: number64(view, at + 48),
    lastFileOffset: number64(view, at + 56),
  };
  const { length, tail, sequence, descriptors, flushedFileOffset, lastFileOffset } = entry;
  if (length % SECTOR_4K !== 0 || length === 0 || length > bytes.length) return null;
  if (tail % SECTOR_4K !== 0 || tail >= bytes.length) return null;
  if (sequence === 0 || ![sequence, flushedFileOffset, lastFileOffset].every(Number.isSafeInteger)) return null;
  if (descriptorSectors(descriptors) * SECTOR_4K > length) return null;
  return hasValidParts(log, entry) && hasValidChecksum(log, entry) ? entry : null;
}

/** Returns the number of sectors for the header of an entry and its descriptors. */
export function descriptorSectors(descriptors: number): number {
  return Math.ceil((HEADER_BYTES + descriptors * DESCRIPTOR_BYTES) / SECTOR_4K);
}

/** Checks descriptors and data sectors. Each has the sequence number of its entry, so that a torn write is detected. */
function hasValidParts(log: Log, entry: LogEntry): boolean {
  const { view } = log;
  let dataSectors = 0;
  for (let nth = 0; nth < entry.descriptors; nth++) {
    const at = descriptorAt(log, entry, nth);
    const signature = view.getUint32(at);
    if (number64(view, at + 24) !== entry.sequence || number64(view, at + 16) % SECTOR_4K !== 0) return false;
    if (signature === DATA_DESCRIPTOR) dataSectors++;
    else if (signature !== ZERO_DESCRIPTOR || number64(view, at + 8) % SECTOR_4K !== 0) return false;
  }
  const first = descriptorSectors(entry.descriptors);
  if ((first + dataSectors) * SECTOR_4K > entry.length) return false;
  for (let nth = first; nth < first + dataSectors; nth++) {
    const at = sectorAt(log, entry, nth);
    const sequence = view.getUint32(at + 4, true) * 2 ** 32 + view.getUint32(at + 4092, true);
    if (view.getUint32(at) !== DATA_SECTOR || sequence !== entry.sequence) return false;
  }
  return true;
}

function hasValidChecksum(log: Log, entry: LogEntry): boolean {
  log.budget -= entry.length;
  if (log.budget < 0) return false;
  const { bytes, view } = log;
  const { at, length } = entry;
  const untilEnd = Math.min(length, bytes.length - at);
  let crc = crc32c(bytes.subarray(at, at + 4));
  crc = crc32c(bytes.subarray(at + 8, at + untilEnd), crc32c(CHECKSUM, crc));
  crc = crc32c(bytes.subarray(0, length - untilEnd), crc);
  return crc === view.getUint32(at + 4, true);
}

/** Returns the changes of an entry, in the order of its descriptors. */
export function changesOf(log: Log, entry: LogEntry): Change[] {
  const { bytes, view } = log;
  const changes: Change[] = [];
  let dataSector = descriptorSectors(entry.descriptors);
  for (let nth = 0; nth < entry.descriptors; nth++) {
    const at = descriptorAt(log, entry, nth);
    const start = number64(view, at + 16);
    if (view.getUint32(at) === ZERO_DESCRIPTOR) {
      changes.push({ start, end: start + number64(view, at + 8), data: null });
      continue;
    }
    const sector = sectorAt(log, entry, dataSector++);
    const data = bytes.slice(sector, sector + SECTOR_4K);
    // The first eight and the last four bytes hold signature and sequence number; the descriptor has the original bytes.
    data.set(bytes.subarray(at + 8, at + 16), 0);
    data.set(bytes.subarray(at + 4, at + 8), SECTOR_4K - 4);
    changes.push({ start, end: start + SECTOR_4K, data });
  }
  return changes;
}

/** The content of a new entry. */
export interface NewEntry {
  /** The log GUID that the header will have. */
  readonly guid: string;
  /** File offsets, each with 4096 new bytes. */
  readonly updates: readonly { readonly start: number; readonly data: Uint8Array }[];
  /** Bytes of the file that are on stable storage, in whole MiB. */
  readonly flushed: number;
  /** Bytes that the file must have, in whole MiB. */
  readonly last: number;
}

/** Encodes the only entry of a log, which begins at the start of the log. */
export function encodeEntry({ guid, updates, flushed, last }: NewEntry): Uint8Array {
  const first = descriptorSectors(updates.length);
  const bytes = new Uint8Array((first + updates.length) * SECTOR_4K);
  const view = viewOf(bytes);
  view.setUint32(0, SIGNATURE);
  view.setUint32(8, bytes.length, true);
  view.setUint32(16, ONLY, true);
  view.setUint32(24, updates.length, true);
  setUuid(bytes, 32, guid, "mixed");
  setU64(view, 48, flushed, true);
  setU64(view, 56, last, true);
  updates.forEach(({ start, data }, nth) => {
    const at = HEADER_BYTES + nth * DESCRIPTOR_BYTES;
    view.setUint32(at, DATA_DESCRIPTOR);
    bytes.set(data.subarray(SECTOR_4K - 4), at + 4);
    bytes.set(data.subarray(0, 8), at + 8);
    setU64(view, at + 16, start, true);
    view.setUint32(at + 24, ONLY, true);
    const sector = (first + nth) * SECTOR_4K;
    bytes.set(data, sector);
    view.setUint32(sector, DATA_SECTOR);
    view.setUint32(sector + 4, 0, true);
    view.setUint32(sector + SECTOR_4K - 4, ONLY, true);
  });
  view.setUint32(4, crc32c(bytes), true);
  return bytes;
}

function descriptorAt(log: Log, entry: LogEntry, nth: number): number {
  // Header and sectors are multiples of a descriptor: none crosses the end of a sector.
  const offset = HEADER_BYTES + nth * DESCRIPTOR_BYTES;
  return (entry.at + offset) % log.bytes.length;
}

function sectorAt(log: Log, entry: LogEntry, nth: number): number {
  return (entry.at + nth * SECTOR_4K) % log.bytes.length;
}

/** Returns a 64-bit field; above 2^53 - 1 the result is inexact, and no safe integer. */
function number64(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * 2 ** 32 + view.getUint32(at, true);
}
