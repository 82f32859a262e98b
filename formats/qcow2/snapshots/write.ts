/**
 * Creating, applying and removing internal snapshots (specification, "Snapshots").
 *
 * @module
 */
import { alignUp, setU64, viewOf } from "../../bytes.ts";
import type { NewSnapshot, SnapshotChoice } from "../../snapshots.ts";
import { ImageError } from "../../errors.ts";
import { type ChangeContext, stageContext } from "../../maintenance.ts";
import type { WritableStorage } from "../../storage/types.ts";
import { BITMAP_FLAG, readBitmapDirectory } from "../bitmaps/read.ts";
import { type Header, readHeader, SNAPSHOT_ENTRY_BYTES, SNAPSHOTS_MAX } from "../header/header.ts";
import { encodeName } from "../header/extensions.ts";
import { checkSnapshotL1 } from "../header/check.ts";
import { l1EntriesFor } from "../mapping/l2_entry.ts";
import { readL1 } from "../mapping/mapping.ts";
import { beginTransaction, type Transaction } from "../transaction/transaction.ts";
import { chooseSnapshot, readSnapshots, type Snapshot, type TableSnapshot } from "./read.ts";
import { addL1References, releaseL1, updateCopiedFlags, writeL1 } from "../transaction/l1_tables.ts";
import { refuseCorrupt } from "../refuse_corrupt.ts";

/** Bytes of extra data: machine state size, disk size, instruction count. */
const EXTRA_BYTES = 24;
const NAME_BYTES_MAX = 65535;
const NOT_COUNTED = 0xffff_ffff_ffff_ffffn;

/** The start of every change of snapshots. */
interface SnapshotChange {
  readonly header: Header;
  readonly existing: readonly TableSnapshot[];
  readonly transaction: Transaction;
}

async function begin(storage: WritableStorage, context: ChangeContext): Promise<SnapshotChange> {
  const header = await readHeader(storage);
  refuseCorrupt(storage, header);
  if (header.externalData) {
    const message = `Cannot take or load snapshots of "${storage.label}": its data lie in another file`;
    throw new ImageError("unsupported", message, { path: storage.label });
  }
  const existing = await readSnapshots(storage, header);
  return { header, existing, transaction: await beginTransaction(storage, header, context) };
}

/**
 * Creates a snapshot of the active disk.
 *
 * @throws ImageError `unsupported` where the image cannot have one more
 */
export async function createSnapshot(
  storage: WritableStorage,
  { name, dateSeconds, dateNanoseconds }: NewSnapshot,
  context: ChangeContext,
): Promise<void> {
  const { header, existing, transaction } = await begin(storage, context);
  checkNew(storage, name, existing);
  const l1 = await readL1(storage, header.l1);
  await addL1References(transaction, l1, 1, stageContext(context, 0, 0.5));
  await updateCopiedFlags(transaction, l1, stageContext(context, 0.5, 1), 2);
  const active = await writeL1(transaction, l1);
  const kept = await writeL1(transaction, l1);
  await transaction.release(header.l1.fileOffset, header.l1.entries * 8);
  const snapshot: Snapshot = {
    id: freeId(existing),
    name,
    l1: kept,
    dateSeconds,
    dateNanoseconds,
    clockNanoseconds: 0n,
    vmStateSize: 0,
    diskSize: header.size,
    instructions: null,
    extra: new Uint8Array(0),
  };
  const snapshots = await writeSnapshots(transaction, existing, [...existing, snapshot]);
  await transaction.commit({ l1: active, snapshots });
}

function checkNew(storage: WritableStorage, name: string, existing: readonly Snapshot[]): void {
  const path = storage.label;
  const bytes = new TextEncoder().encode(name).length;
  if (bytes > NAME_BYTES_MAX) {
    const message =
      `Cannot take a snapshot of "${path}": its name has ${bytes} bytes, must have at most ${NAME_BYTES_MAX}`;
    throw new ImageError("usage", message, { path });
  }
  if (existing.length < SNAPSHOTS_MAX) return;
  throw new ImageError("unsupported", `Cannot take a snapshot of "${path}": it has ${existing.length} already`, {
    path,
  });
}

/** Returns the highest numeric ID plus one. */
function freeId(existing: readonly Snapshot[]): string {
  const numbers = existing.map(({ id }) => Number(id)).filter((id) => Number.isSafeInteger(id) && id >= 0);
  return String(numbers.reduce((most, id) => Math.max(most, id), 0) + 1);
}

/**
 * Makes the contents of a snapshot the active disk. The snapshot stays.
 *
 * @throws ImageError `missing` for a snapshot that does not exist; `unsupported` where bitmaps would become wrong
 */
export async function applySnapshot(
  storage: WritableStorage,
  choice: SnapshotChoice,
  context: ChangeContext,
): Promise<void> {
  const { header, existing, transaction } = await begin(storage, context);
  const chosen = chooseSnapshot(existing, choice, storage.label);
  const size = chosen.diskSize ?? header.size;
  await refuseBitmaps(storage, header, size);
  checkSnapshotL1(chosen, size, header, storage);
  // L1 entries past the end of the disk hold the machine state, which only the snapshot keeps.
  const l1 = await readL1(storage, chosen.l1, Math.max(1, l1EntriesFor(transaction.geometry, size)));
  // In this order no refcount exceeds its final value, and shared clusters keep the reference of the snapshot.
  await releaseL1(transaction, header.l1, stageContext(context, 0, 0.3));
  await addL1References(transaction, l1, 1, stageContext(context, 0.3, 0.6));
  await updateCopiedFlags(transaction, l1, stageContext(context, 0.6, 1));
  await transaction.commit({ l1: await writeL1(transaction, l1), size });
}

async function refuseBitmaps(storage: WritableStorage, header: Header, size: number): Promise<void> {
  if (!header.bitmapsConsistent) return;
  const bitmaps = await readBitmapDirectory(storage, header);
  const enabled = bitmaps.find(({ flags }) => (flags & BITMAP_FLAG.auto) !== 0);
  const path = storage.label;
  if (enabled) {
    const message =
      `Cannot load a snapshot of "${path}": its bitmap "${enabled.name}" records changes, and would not ` +
      "record this one; disable or remove it first";
    throw new ImageError("unsupported", message, { path });
  }
  if (bitmaps.length === 0 || size === header.size) return;
  const message =
    `Cannot load a snapshot of "${path}": it has another size, and the image has bitmaps; remove them first`;
  throw new ImageError("unsupported", message, { path });
}

/**
 * Removes a snapshot. The active disk stays as it is.
 *
 * @throws ImageError `missing` for a snapshot that does not exist
 */
export async function removeSnapshot(
  storage: WritableStorage,
  choice: SnapshotChoice,
  context: ChangeContext,
): Promise<void> {
  const { header, existing, transaction } = await begin(storage, context);
  const chosen = chooseSnapshot(existing, choice, storage.label);
  checkSnapshotL1(chosen, 0, header, storage);
  await releaseL1(transaction, chosen.l1, stageContext(context, 0, 0.5));
  const l1 = await readL1(storage, header.l1);
  await updateCopiedFlags(transaction, l1, stageContext(context, 0.5, 1));
  const active = await writeL1(transaction, l1);
  await transaction.release(header.l1.fileOffset, header.l1.entries * 8);
  const snapshots = await writeSnapshots(transaction, existing, existing.filter((one) => one !== chosen));
  await transaction.commit({ l1: active, snapshots });
}

/** Writes a snapshot table in place of the old one. */
export async function writeSnapshots(
  transaction: Transaction,
  before: readonly TableSnapshot[],
  after: readonly Snapshot[],
): Promise<Header["snapshots"]> {
  const { header } = transaction;
  const length = before.reduce((sum, { bytes }) => sum + bytes, 0);
  if (length > 0) await transaction.release(header.snapshots.fileOffset, length);
  if (after.length === 0) return { fileOffset: 0, count: 0 };
  const parts = after.map((snapshot) => encodeSnapshot(snapshot, header.size));
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return { fileOffset: await transaction.write(bytes), count: after.length };
}

/** Encodes one entry of the snapshot table with its padding. Unknown extra data is kept. Pure. */
export function encodeSnapshot(snapshot: Snapshot, size: number): Uint8Array {
  const id = encodeName(snapshot.id, snapshot.nameBytes);
  const name = encodeName(snapshot.name, snapshot.nameBytes);
  const extra = snapshot.extra.length >= 16 ? snapshot.extra : newExtra(snapshot, size);
  const bytes = new Uint8Array(alignUp(SNAPSHOT_ENTRY_BYTES + extra.length + id.length + name.length, 8));
  const view = viewOf(bytes);
  setU64(view, 0, snapshot.l1.fileOffset);
  view.setUint32(8, snapshot.l1.entries);
  view.setUint16(12, id.length);
  view.setUint16(14, name.length);
  view.setUint32(16, snapshot.dateSeconds);
  view.setUint32(20, snapshot.dateNanoseconds);
  view.setBigUint64(24, snapshot.clockNanoseconds);
  // The field of old programs. A larger size is stated by the extra data alone.
  view.setUint32(32, snapshot.vmStateSize <= 0xffff_ffff ? snapshot.vmStateSize : 0);
  view.setUint32(36, extra.length);
  bytes.set(extra, SNAPSHOT_ENTRY_BYTES);
  bytes.set(id, SNAPSHOT_ENTRY_BYTES + extra.length);
  bytes.set(name, SNAPSHOT_ENTRY_BYTES + extra.length + id.length);
  return bytes;
}

function newExtra({ vmStateSize, diskSize, instructions }: Snapshot, size: number): Uint8Array {
  const extra = new Uint8Array(EXTRA_BYTES);
  const view = viewOf(extra);
  setU64(view, 0, vmStateSize);
  setU64(view, 8, diskSize ?? size);
  view.setBigUint64(16, instructions ?? NOT_COUNTED);
  return extra;
}
