/**
 * Writes through the log ([MS-VHDX] 2.3): changes of BAT, bitmaps, metadata and region tables are collected in memory and
 * committed atomically. Between commits the log is empty, so that programs without log replay can open the image.
 *
 * @module
 */
import { alignDown, alignUp, equalBytes, MIB } from "../bytes.ts";
import { ImageError } from "../errors.ts";
import type { WritableStorage } from "../storage/types.ts";
import { NIL_UUID } from "../shared/uuid.ts";
import { type Headers, SECTOR_4K } from "./header.ts";
import { descriptorSectors, encodeEntry } from "./log_entry.ts";

/** Bytes of the largest entry that is written. */
const MAX_ENTRY = 4 * MIB;

/** A file whose structures are changed through its log. Writes stay in memory until `commit`; reads show them. */
export interface LoggedStorage extends WritableStorage {
  /** Number of sectors of 4096 bytes that one commit can change. */
  readonly capacity: number;
  /** Writes all changes to the file, atomically: if the program ends before, the file has all of them or none. */
  commit(): Promise<void>;
}

/**
 * Returns `storage` with writes through its log.
 *
 * @throws ImageError `unsupported` where the image has no log
 */
export function loggedStorage(storage: WritableStorage, headers: Headers): LoggedStorage {
  const { logAt, logLength } = headers.current;
  const capacity = capacityOf(Math.min(logLength, MAX_ENTRY));
  if (capacity < 1) {
    const message = `Cannot change "${storage.label}": it has no log, through which changes must go`;
    throw new ImageError("unsupported", message, { path: storage.label });
  }
  const pending = new Map<number, Uint8Array>();

  async function readAt(into: Uint8Array, fileOffset: number): Promise<void> {
    await storage.readAt(into, fileOffset);
    const end = fileOffset + into.length;
    for (let at = alignDown(fileOffset, SECTOR_4K); at < end; at += SECTOR_4K) {
      const sector = pending.get(at);
      if (sector === undefined) continue;
      const from = Math.max(at, fileOffset);
      into.set(sector.subarray(from - at, Math.min(SECTOR_4K, end - at)), from - fileOffset);
    }
  }

  async function writeAt(from: Uint8Array, fileOffset: number): Promise<void> {
    const start = alignDown(fileOffset, SECTOR_4K);
    const whole = new Uint8Array(alignUp(fileOffset + from.length, SECTOR_4K) - start);
    await readAt(whole, start);
    const old = whole.slice();
    whole.set(from, fileOffset - start);
    for (let at = 0; at < whole.length; at += SECTOR_4K) {
      const sector = whole.subarray(at, at + SECTOR_4K);
      if (!equalBytes(sector, old.subarray(at, at + SECTOR_4K))) pending.set(start + at, sector);
    }
  }

  async function commit(): Promise<void> {
    if (pending.size === 0) return;
    if (pending.size > capacity) {
      throw new Error(`${pending.size} sectors are to be changed at one moment, the log has capacity for ${capacity}`);
    }
    const updates = [...pending].sort(([a], [b]) => a - b).map(([start, data]) => ({ start, data }));
    // The blocks to which the new structures refer must be on stable storage first.
    await storage.sync();
    const guid = crypto.randomUUID();
    const fileSize = { flushed: alignDown(storage.size, MIB), last: alignUp(storage.size, MIB) };
    // The log is empty: readers ignore the entry until a header has its GUID.
    await storage.writeAt(encodeEntry({ guid, updates, ...fileSize }), logAt);
    await storage.sync();
    await headers.update({ logGuid: guid });
    for (const { start, data } of updates) await storage.writeAt(data, start);
    await storage.sync();
    await headers.updateBoth({ logGuid: NIL_UUID });
    pending.clear();
  }

  return {
    label: storage.label,
    get size() {
      return storage.size;
    },
    startsZeroed: storage.startsZeroed,
    zeroesCheaply: storage.zeroesCheaply,
    capacity,
    readAt,
    writeAt,
    zeroAt: (start, end) => writeAt(new Uint8Array(end - start), start),
    truncate: (size) => storage.truncate(size),
    reserve: (start, end, written) => storage.reserve(start, end, written),
    sync: commit,
    commit,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** Returns the number of changed sectors that fit into an entry, in a log of `length` bytes; one sector stays free. */
function capacityOf(length: number): number {
  const sectors = Math.floor(length / SECTOR_4K) - 1;
  let capacity = Math.max(0, sectors);
  while (capacity > 0 && descriptorSectors(capacity) + capacity > sectors) capacity--;
  return capacity;
}
