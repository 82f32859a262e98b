/**
 * Repair of an image: replays its log, restores damaged copies of structures from the valid ones, and truncates unused
 * space at the end of the file. Guest bytes are never guessed.
 *
 * @module
 */
import { corrupt } from "../errors.ts";
import type { CheckContext, RepairScope } from "../maintenance.ts";
import type { WritableStorage } from "../storage/types.ts";
import { checkVhdx } from "./check.ts";
import { NIL_UUID } from "../shared/uuid.ts";
import { damagedHeaders, headersOf, readHeader } from "./header.ts";
import { readImage } from "./structures.ts";
import { misplacedChange, readLog } from "./log.ts";
import { loggedStorage } from "./log_write.ts";
import { usedEnd } from "./file_allocation.ts";
import { damagedTables, readValidTable } from "./regions.ts";

/** An upper limit for the length of a file: the largest disk has 64 TiB. */
const MAX_FILE = 2 ** 47;

/**
 * Repairs the image in `storage`: leaks, or everything that can be repaired. Bytes of blocks that the file lacks become
 * zeroes.
 *
 * @throws ImageError where the image does not open
 */
export async function repairVhdx(storage: WritableStorage, scope: RepairScope, context: CheckContext): Promise<void> {
  // The log is replayed only if the image is valid afterwards: this opens it with the log replayed in memory.
  const { dirty, storage: afterReplay } = await readImage(storage);
  if (scope === "all") {
    if (dirty) await replay(storage, context);
    else if ((await damagedHeaders(storage)).length > 0) await rewriteHeaders(storage);
    if ((await damagedTables(afterReplay)).length > 0) await rewriteTables(storage);
    await (await import("./repair_truncated.ts")).repairTruncated(storage, context);
  }
  const { leaks } = await checkVhdx(storage, context);
  if (leaks > 0) await storage.truncate(await usedEnd((await readImage(storage)).bat, context.checkpoint));
  await storage.sync();
}

/** Replays the log ([MS-VHDX] 2.3.3). Until a header marks it as empty, it can be replayed again. */
async function replay(storage: WritableStorage, context: CheckContext): Promise<void> {
  const header = await readHeader(storage);
  const log = await readLog(storage, header);
  const { changes, fileSize } = log;
  const misplaced = misplacedChange(log, header);
  if (misplaced !== null) {
    const message = `Cannot replay the log of "${storage.label}": it changes the bytes ${misplaced.start} to ` +
      `${misplaced.end} of the file, where its headers or the log itself lie; convert the image into a new one`;
    throw corrupt(message, storage.label, header.logAt);
  }
  if (fileSize > MAX_FILE) {
    const message = `Cannot replay the log of "${storage.label}": the file would have ${fileSize} bytes, which no ` +
      `VHDX file has`;
    throw corrupt(message, storage.label, header.logAt);
  }
  const headers = headersOf(storage, header);
  await headers.updateBoth({ fileWriteGuid: crypto.randomUUID() });
  await storage.sync();
  for (const { start, end, data } of changes) {
    if (data === null) await storage.zeroAt(start, end);
    else await storage.writeAt(data, start);
    await context.checkpoint();
  }
  if (storage.size < fileSize) await storage.truncate(fileSize);
  await storage.sync();
  await headers.updateBoth({ logGuid: NIL_UUID });
}

async function rewriteHeaders(storage: WritableStorage): Promise<void> {
  await headersOf(storage, await readHeader(storage)).updateBoth({ fileWriteGuid: crypto.randomUUID() });
}

async function rewriteTables(storage: WritableStorage): Promise<void> {
  const table = await readValidTable(storage);
  const headers = headersOf(storage, await readHeader(storage));
  const logged = loggedStorage(storage, headers);
  await headers.updateBoth({ fileWriteGuid: crypto.randomUUID() });
  for (const tableAt of await damagedTables(storage)) await logged.writeAt(table, tableAt);
  await logged.commit();
}
