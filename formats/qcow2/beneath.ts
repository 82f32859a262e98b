/**
 * What lies beneath an image: naming another file, and letting it show.
 *
 * @module
 */
import type { NamedFile } from "../contract.ts";
import { ImageError } from "../errors.ts";
import type { ChangeContext } from "../maintenance.ts";
import type { WritableStorage } from "../storage/types.ts";
import { NO_BITS } from "./header.ts";
import { readHeader } from "./header_read.ts";
import { refuseUnsound, renewalOf, replaceHeader } from "./renewal.ts";
import { dropState, putL1 } from "./states.ts";

/**
 * Names `backing` as the file beneath, or none. Nothing else changes.
 *
 * @throws ImageError `usage` for a name that does not fit or has no format
 */
export async function setQcow2Backing(storage: WritableStorage, backing: NamedFile | null): Promise<void> {
  const header = await readHeader(storage);
  refuseUnsound(storage, header);
  const path = storage.label;
  if (backing !== null && (backing.format === undefined || backing.format === "")) {
    throw new ImageError("usage", `Cannot use "${backing.name}" beneath "${path}": its format must be stated`, {
      path,
    });
  }
  if (backing !== null && header.rawExternalData) {
    throw new ImageError("unsupported", `Cannot use a file beneath "${path}": its data file by itself is the disk`, {
      path,
    });
  }
  await replaceHeader(storage, { ...header, backing, unknownAutoclear: NO_BITS });
}

/** Forgets everything that the active state says. Snapshots and bitmaps stay. */
export async function emptyQcow2(storage: WritableStorage, context: ChangeContext): Promise<void> {
  const header = await readHeader(storage);
  refuseUnsound(storage, header);
  if (header.rawExternalData) {
    const message = `Cannot empty "${storage.label}": its data file by itself is the disk`;
    throw new ImageError("unsupported", message, { path: storage.label });
  }
  const renewal = await renewalOf(storage, header, context);
  await dropState(renewal, header.l1);
  const l1 = new DataView(new ArrayBuffer(header.l1.entries * 8));
  await renewal.finish({ l1: await putL1(renewal, l1) });
}
