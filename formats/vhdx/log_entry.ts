/**
 * One entry of the log ([MS-VHDX] 2.3.1): a header, descriptors of what it changes, and the sectors to be written.
 *
 * @module
 */
import { setU64, viewOf } from "../bytes.ts";
import { crc32c } from "./crc32c.ts";
import { guidAt, setGuid } from "./guid.ts";
import { SECTOR_4K } from "./header.ts";

const SIGNATURE = 0x6c6f6765;
const ZERO_DESCRIPTOR = 0x7a65726f;
const DATA_DESCRIPTOR = 0x64657363;
const DATA_SECTOR = 0x64617461;
const HEADER_BYTES = 64;
const DESCRIPTOR_BYTES = 32;
const CHECKSUM = new Uint8Array(4);
/** The number of an entry that is alone in its log. */
const ONLY = 1;

/** The whole log, a ring of sectors. */
export interface Log {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Which entries belong to it. */
  readonly guid: string;
  /** How many bytes may still be checked: what a log of sound entries needs, several times over. */
  budget: number;
}

/** An entry that is whole. Places count from the start of the log. */
export interface LogEntry {
  readonly at: number;
  /** In bytes. */
  readonly length: number;
  readonly sequence: number;
  /** Place of the oldest entry that must be replayed when this one is the last. */
  readonly tail: number;
  readonly descriptors: number;
  /** The file had at least this length when the entry was written. */
  readonly flushedFileOffset: number;
  /** The file must have this length when the entry is replayed. */
  readonly lastFileOffset: number;
}

/** What an entry changes: file bytes `[start, end)`, to 4096 bytes of `data`, or to zeroes. */
export interface Change {
  readonly start: number;
  readonly end: number;
  readonly data: Uint8Array | null;
}

/** The log in memory. */
export function logOf(bytes: Uint8Array, guid: string): Log {
  return { bytes, view: viewOf(bytes), guid, budget: 4 * bytes.length };
}

/** The entry at `at`; `null` where there is none that is whole and of this log. */
export function entryAt(log: Log, at: number): LogEntry | null {
  const { bytes, view } = log;
  if (view.getUint32(at) !== SIGNATURE || guidAt(bytes, at + 32) !== log.guid) return null;
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
  return partsAreWhole(log, entry) && checksumHolds(log, entry) ? entry : null;
}

/** Sectors that so many descriptors take, with the header before them. */
export function descriptorSectors(descriptors: number): number {
  return Math.ceil((HEADER_BYTES + descriptors * DESCRIPTOR_BYTES) / SECTOR_4K);
}

/** Every descriptor and every data sector bears the number of its entry, so that one half written is known. */
function partsAreWhole(log: Log, entry: LogEntry): boolean {
  const { view } = log;
  let dataSectors = 0;
  for (let nth = 0; nth < entry.descriptors; nth++) {
    const at = descriptorAt(log, entry, nth);
    const kind = view.getUint32(at);
    if (number64(view, at + 24) !== entry.sequence || number64(view, at + 16) % SECTOR_4K !== 0) return false;
    if (kind === DATA_DESCRIPTOR) dataSectors++;
    else if (kind !== ZERO_DESCRIPTOR || number64(view, at + 8) % SECTOR_4K !== 0) return false;
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

function checksumHolds(log: Log, entry: LogEntry): boolean {
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

/** What the entry changes, in the order of its descriptors. */
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
    // The first eight and the last four bytes gave way to signature and numbers; the descriptor keeps them.
    data.set(bytes.subarray(at + 8, at + 16), 0);
    data.set(bytes.subarray(at + 4, at + 8), SECTOR_4K - 4);
    changes.push({ start, end: start + SECTOR_4K, data });
  }
  return changes;
}

/** What a new entry of the log is to say. */
export interface NewEntry {
  /** Of the log, as the header is going to bear it. */
  readonly guid: string;
  /** File bytes `start` and 4096 bytes for them. */
  readonly updates: readonly { readonly start: number; readonly data: Uint8Array }[];
  /** Bytes of the file that are stable, and that it must have; whole MiB. */
  readonly flushed: number;
  readonly last: number;
}

/** An entry as it stands at the start of the log, the only one of its log. */
export function encodeEntry({ guid, updates, flushed, last }: NewEntry): Uint8Array {
  const first = descriptorSectors(updates.length);
  const bytes = new Uint8Array((first + updates.length) * SECTOR_4K);
  const view = viewOf(bytes);
  view.setUint32(0, SIGNATURE);
  view.setUint32(8, bytes.length, true);
  view.setUint32(16, ONLY, true);
  view.setUint32(24, updates.length, true);
  setGuid(bytes, 32, guid);
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
  const place = HEADER_BYTES + nth * DESCRIPTOR_BYTES;
  return (entry.at + place) % log.bytes.length;
}

function sectorAt(log: Log, entry: LogEntry, nth: number): number {
  return (entry.at + nth * SECTOR_4K) % log.bytes.length;
}

/** A field as a number; above 2^53 - 1 it is not exact, and no safe integer. */
function number64(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * 2 ** 32 + view.getUint32(at, true);
}
