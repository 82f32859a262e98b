/**
 * The log of an image that was not closed: the search for the entries that count, as [MS-VHDX] 2.3.3 describes it.
 *
 * @module
 */
import { corrupt, ImageError } from "../errors.ts";
import type { Storage } from "../storage/types.ts";
import { type CurrentHeader, SECTOR_4K } from "./header.ts";
import { type Change, changesOf, entryAt, type Log, type LogEntry, logOf } from "./log_entry.ts";

/** The longest log that is replayed: it is held in memory, and so is what it changes. Products write 1 MiB. */
export const MAX_LOG = 32 << 20;
/** The most changes that are replayed. */
const MAX_CHANGES = 1 << 16;

/** What a log says. */
export interface Replay {
  /** In the order in which they are to be carried out. */
  readonly changes: readonly Change[];
  /** The file must have this length, in bytes. */
  readonly fileSize: number;
}

/**
 * Reads the log of an image that has one.
 *
 * @throws ImageError `corrupt` if no sequence of entries is whole, or the file is shorter than it was when they were
 * written; `unsupported` for a log that is too long
 */
export async function readLog(storage: Storage, header: CurrentHeader): Promise<Replay> {
  const { label } = storage;
  const { logAt, logLength, logGuid } = header;
  if (logLength > MAX_LOG) {
    const message = `Cannot replay the log of "${label}": it has ${logLength} bytes, at most ${MAX_LOG} are replayed ` +
      `here; ${CLOSE_IT}`;
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
      `replayed here; ${CLOSE_IT}`;
    throw new ImageError("unsupported", message, { path: label, offset: logAt });
  }
  const changes = sequence.flatMap((entry) => changesOf(log, entry));
  const fileSize = changes.reduce((most, { end }) => Math.max(most, end), Math.max(storage.size, head.lastFileOffset));
  return { changes, fileSize };
}

/** How a user gets rid of a log. */
export const CLOSE_IT = "let Hyper-V or `check -r all` replay it first";

/**
 * The entries to be replayed, oldest first; `null` where there are none. Among all sequences, runs of entries that
 * follow each other in place and in number, the one counts whose last entry has the greatest number; it is whole if it
 * holds the entry that its last one names as the tail. Pure.
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
    // The place after the last entry may lie before the first one: then the search has gone round.
    const next = (head.at + head.length) % log.bytes.length;
    if (next <= at) break;
    at = next;
  }
  return best;
}

/** All entries from `at` on that follow each other. */
function sequenceAt(log: Log, at: number, entry: (at: number) => LogEntry | null): LogEntry[] {
  const sequence: LogEntry[] = [];
  // Numbers rise, so that a sequence that fills the log does not begin anew.
  for (let found = entry(at); found; found = entry((found.at + found.length) % log.bytes.length)) {
    const before = sequence.at(-1);
    if (before && found.sequence !== before.sequence + 1) break;
    sequence.push(found);
  }
  return sequence;
}
