/**
 * Mending an image: its log is carried out, second copies are made from the good ones, and the end of the file that
 * nothing is in is cut off. Guest bytes are never guessed at.
 *
 * @module
 */
import { corrupt } from "../errors.ts";
import type { CheckContext, RepairScope } from "../maintenance.ts";
import type { WritableStorage } from "../storage/types.ts";
import { checkVhdx } from "./check.ts";
import { NO_GUID } from "./guid.ts";
import { damagedHeaders, readHeader } from "./header.ts";
import { headersOf } from "./header_update.ts";
import { readImage } from "./structures.ts";
import { readLog } from "./log.ts";
import { loggedStorage } from "./log_write.ts";
import { usedEnd } from "./file_allocation.ts";
import { damagedTables, soundTable } from "./regions.ts";

/** No file is as long as this: the largest disk has 64 TiB. */
const MAX_FILE = 2 ** 47;

/**
 * Mends the image in `storage`: leaks, or everything that can be mended.
 *
 * @throws ImageError where it does not open
 */
export async function repairVhdx(storage: WritableStorage, what: RepairScope, context: CheckContext): Promise<void> {
  // What the log says is only carried out where it leads to an image.
  const { dirty, storage: seen } = await readImage(storage);
  if (what === "all") {
    if (dirty) await replay(storage, context);
    else if ((await damagedHeaders(storage)).length > 0) await renewHeaders(storage);
    if ((await damagedTables(seen)).length > 0) await renewTables(storage);
  }
  const { leaks } = await checkVhdx(storage, context);
  if (leaks > 0) await storage.truncate(await usedEnd((await readImage(storage)).bat, context.checkpoint));
  await storage.sync();
}

/** Carries out the log ([MS-VHDX] 2.3.3). Until a header says that it is empty, it can be carried out again. */
async function replay(storage: WritableStorage, context: CheckContext): Promise<void> {
  const header = await readHeader(storage);
  const { changes, fileSize } = await readLog(storage, header);
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
  await headers.updateBoth({ logGuid: NO_GUID });
}

async function renewHeaders(storage: WritableStorage): Promise<void> {
  await headersOf(storage, await readHeader(storage)).updateBoth({ fileWriteGuid: crypto.randomUUID() });
}

async function renewTables(storage: WritableStorage): Promise<void> {
  const table = await soundTable(storage);
  const headers = headersOf(storage, await readHeader(storage));
  const logged = loggedStorage(storage, headers);
  await headers.updateBoth({ fileWriteGuid: crypto.randomUUID() });
  for (const tableAt of await damagedTables(storage)) await logged.writeAt(table, tableAt);
  await logged.commit();
}
