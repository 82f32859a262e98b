/**
 * The log of an image that was not closed: the search for its active sequence ([MS-VHDX] 2.3.3).
 *
 * @module
 */
import { corrupt, ImageError } from "../errors.ts";
import type { Storage } from "../storage/types.ts";
import { type CurrentHeader, HEADER_SECTION, SECTOR_4K } from "./header.ts";
import { REGION_TABLE_BYTES, REGION_TABLES_AT } from "./regions.ts";
import { type Change, changesOf, entryAt, type Log, type LogEntry, logOf } from "./log_entry.ts";

/** Bytes of the longest log that is replayed: log and changes are held in memory. Other programs write 1 MiB. */
export const MAX_LOG = 32 << 20;
/** The most changes that are replayed. */
const MAX_CHANGES = 1 << 16;

/** The changes of a log. */
export interface Replay {
  /** In the order in which they must be written. */
  readonly changes: readonly Change[];
  /** Bytes that the file must have after the replay. */
  readonly fileSize: number;
}

/**
 * Reads the log of an image that has one.
 *
 * @throws ImageError `corrupt` if there is no complete sequence of entries, or the file is shorter than when they were
 * written; `unsupported` for a log that is too long
 */
export async function readLog(storage: Storage, header: CurrentHeader): Promise<Replay> {
  const { label } = storage;
  const { logAt, logLength, logGuid } = header;
  if (logLength > MAX_LOG) {
    const message = `Cannot replay the log of "${label}": it has ${logLength} bytes, at most ${MAX_LOG} are replayed ` +
      `here; ${CLOSE_HINT}`;
    throw new ImageError("unsupported", message, { path: label, offset: logAt });
  }
  const bytes = new Uint8Array(logLength);
  await storage.readAt(bytes, logAt);
  const log = logOf(bytes, logGuid);
  const sequence = activeSequence(log);
  if (!sequence) {
    const found = log.budget < 0 ? "its entries overlap" : "none of its entries is whole";
    throw corrupt(`Cannot replay the log of "${label}": it is in use, and ${found}`, label, logAt);
  }
  const head = sequence[sequence.length - 1];
  if (storage.size < head.flushedFileOffset) {
    const message = `Cannot replay the log of "${label}": the file has ${storage.size} bytes, and had ` +
      `${head.flushedFileOffset} when the log was written`;
    throw corrupt(message, label, logAt + head.at);
  }
  const count = sequence.reduce((sum, entry) => sum + entry.descriptors, 0);
  if (count > MAX_CHANGES) {
    const message = `Cannot replay the log of "${label}": it has ${count} changes, at most ${MAX_CHANGES} are ` +
      `replayed here; ${CLOSE_HINT}`;
    throw new ImageError("unsupported", message, { path: label, offset: logAt });
  }
  const changes = sequence.flatMap((entry) => changesOf(log, entry));
  const fileSize = changes.reduce((most, { end }) => Math.max(most, end), Math.max(storage.size, head.lastFileOffset));
  return { changes, fileSize };
}

/**
 * Returns the first change over the file identifier, a header, reserved bytes of the header section, or the log itself;
 * `null` without one. No writer logs these ([MS-VHDX] 2.2 and 2.3: they do not change, or change outside of the log), and
 * a replay would destroy the image.
 */
export function misplacedChange({ changes }: Replay, { logAt, logLength }: CurrentHeader): Change | null {
  const kept = [
    { start: 0, end: REGION_TABLES_AT[0] },
    { start: REGION_TABLES_AT[1] + REGION_TABLE_BYTES, end: HEADER_SECTION },
    { start: logAt, end: logAt + logLength },
  ];
  const isOver = (change: Change) => kept.some(({ start, end }) => change.start < end && start < change.end);
  return changes.find((change) => change.start < change.end && isOver(change)) ?? null;
}

/** The end of messages about a log that is in use. */
export const CLOSE_HINT = "let Hyper-V or `check -r all` replay it first";

/**
 * Returns the entries to replay, oldest first; `null` where there are none. A sequence is a series of adjacent entries with
 * consecutive sequence numbers; it is complete if it holds the entry that its last one names as the tail. The complete
 * sequence whose last entry has the greatest number is the active one. Pure.
 */
export function activeSequence(log: Log): LogEntry[] | null {
  const known = new Map<number, LogEntry | null>();
  const entry = (at: number): LogEntry | null => {
    let found = known.get(at);
    if (found === undefined) known.set(at, found = entryAt(log, at));
    return found;
  };
  let best: LogEntry[] | null = null;
  let bestNumber = 0;
  for (let at = 0; at < log.bytes.length;) {
    const sequence = sequenceAt(log, at, entry);
    const head = sequence.at(-1);
    const tail = head ? sequence.findIndex((one) => one.at === head.tail) : -1;
    if (!head || tail < 0) {
      at += SECTOR_4K;
      continue;
    }
    if (head.sequence > bestNumber) {
      best = sequence.slice(tail);
      bestNumber = head.sequence;
    }
    // The log is a ring: an entry that follows the last one at a lower position has been seen already.
    const next = (head.at + head.length) % log.bytes.length;
    if (next <= at) break;
    at = next;
  }
  return best;
}

/** Returns the sequence that begins at `at`. */
function sequenceAt(log: Log, at: number, entry: (at: number) => LogEntry | null): LogEntry[] {
  const sequence: LogEntry[] = [];
  // Numbers ascend, so that the loop ends even where the sequence fills the whole ring.
  for (let found = entry(at); found; found = entry((found.at + found.length) % log.bytes.length)) {
    const before = sequence.at(-1);
    if (before && found.sequence !== before.sequence + 1) break;
    sequence.push(found);
  }
  return sequence;
}
