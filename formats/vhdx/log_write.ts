/**
 * Writing through the log ([MS-VHDX] 2.3): changes of BAT, bitmaps, metadata and region tables wait in memory, and become
 * true at one moment. Between those moments the log is empty, so that programs that cannot replay it open the image.
 *
 * @module
 */
import { alignDown, alignUp, equalBytes } from "../bytes.ts";
import { ImageError } from "../errors.ts";
import type { WritableStorage } from "../storage/types.ts";
import { NO_GUID } from "./guid.ts";
import { SECTOR_4K } from "./header.ts";
import type { Headers } from "./header_update.ts";
import { MIB } from "./limits.ts";
import { descriptorSectors, encodeEntry } from "./log_entry.ts";

/** The most of a log that one entry takes. */
const MAX_ENTRY = 4 * MIB;

/** A file whose structures are changed through its log. What is written waits, and reads as written, until `commit`. */
export interface LoggedStorage extends WritableStorage {
  /** How many sectors of 4096 bytes can be changed at one moment. */
  readonly room: number;
  /** Everything that was written is true when this returns, or nothing of it if the program ends before. */
  commit(): Promise<void>;
}

/**
 * `storage`, whose structures are changed through its log.
 *
 * @throws ImageError `unsupported` where the image has no log
 */
export function loggedStorage(storage: WritableStorage, headers: Headers): LoggedStorage {
  const { logAt, logLength } = headers.current;
  const room = roomOf(Math.min(logLength, MAX_ENTRY));
  if (room < 1) {
    const message = `Cannot change "${storage.label}": it has no log, through which changes must go`;
    throw new ImageError("unsupported", message, { path: storage.label });
  }
  const waiting = new Map<number, Uint8Array>();

  async function readAt(into: Uint8Array, fileOffset: number): Promise<void> {
    await storage.readAt(into, fileOffset);
    const end = fileOffset + into.length;
    for (let at = alignDown(fileOffset, SECTOR_4K); at < end; at += SECTOR_4K) {
      const sector = waiting.get(at);
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
      if (!equalBytes(sector, old.subarray(at, at + SECTOR_4K))) waiting.set(start + at, sector);
    }
  }

  async function commit(): Promise<void> {
    if (waiting.size === 0) return;
    if (waiting.size > room) {
      throw new Error(`${waiting.size} sectors are to be changed at one moment, the log has room for ${room}`);
    }
    const updates = [...waiting].sort(([a], [b]) => a - b).map(([start, data]) => ({ start, data }));
    // What the structures are going to point at must be there before.
    await storage.sync();
    const guid = crypto.randomUUID();
    const fileSize = { flushed: alignDown(storage.size, MIB), last: alignUp(storage.size, MIB) };
    // The log is empty, so that its content is nothing to anybody until a header bears the GUID.
    await storage.writeAt(encodeEntry({ guid, updates, ...fileSize }), logAt);
    await storage.sync();
    await headers.update({ logGuid: guid });
    for (const { start, data } of updates) await storage.writeAt(data, start);
    await storage.sync();
    await headers.updateBoth({ logGuid: NO_GUID });
    waiting.clear();
  }

  return {
    label: storage.label,
    get size() {
      return storage.size;
    },
    startsZeroed: storage.startsZeroed,
    zeroesCheaply: storage.zeroesCheaply,
    room,
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

/** How many changed sectors an entry in a log of `length` bytes holds; a sector stays free. */
function roomOf(length: number): number {
  const sectors = Math.floor(length / SECTOR_4K) - 1;
  let room = Math.max(0, sectors);
  while (room > 0 && descriptorSectors(room) + room > sectors) room--;
  return room;
}
