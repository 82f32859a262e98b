/**
 * Internal snapshots (specification, "Snapshots").
 *
 * @module
 */
import { alignUp, viewOf } from "../../bytes.ts";
import type { SnapshotChoice } from "../../snapshots.ts";
import { corrupt, ImageError } from "../../errors.ts";
import type { Storage } from "../../storage/types.ts";
import { type Header, roundedU64, SNAPSHOT_ENTRY_BYTES } from "../header/header.ts";
import { bytesOfName, decodeName } from "../header/extensions.ts";
import { type WindowReader, windowReader } from "../file_reads.ts";

/** Maximum extra data of an entry, in bytes; the specification defines 24. */
const EXTRA_BYTES_MAX = 1024;
/** Maximum length of a snapshot table, in bytes. */
const TABLE_BYTES_MAX = 64 << 20;

/** One internal snapshot. */
export interface Snapshot {
  readonly id: string;
  readonly name: string;
  /** Bytes of ID and name that are not UTF-8; written back unchanged. */
  readonly nameBytes?: readonly Uint8Array[];
  readonly l1: { readonly fileOffset: number; readonly entries: number };
  /** Date of the snapshot: seconds since 1970, and nanoseconds of that second. */
  readonly dateSeconds: number;
  readonly dateNanoseconds: number;
  /** Run time of the guest, in nanoseconds; exact. */
  readonly clockNanoseconds: bigint;
  /** Bytes of saved machine state; 0 if none is saved. */
  readonly vmStateSize: number;
  /** Size of the disk in the snapshot, in guest bytes; null where an old image does not state it. */
  readonly diskSize: number | null;
  /** Number of instructions that the guest had executed, or null. */
  readonly instructions: bigint | null;
  /** All extra data, which is written back unchanged. */
  readonly extra: Uint8Array;
}

/** A snapshot with the length of its table entry. */
export interface TableSnapshot extends Snapshot {
  /** Length of the entry with padding, in bytes. */
  readonly bytes: number;
}

/**
 * Reads the snapshot table of an image; empty where it has none.
 *
 * @throws ImageError `corrupt` for an entry that ends past the file or is invalid; `unsupported` for a table of more
 * than 64 MiB
 */
export async function readSnapshots(storage: Storage, header: Header): Promise<TableSnapshot[]> {
  const snapshots: TableSnapshot[] = [];
  const bytesAt = windowReader(storage);
  const start = header.snapshots.fileOffset;
  let at = start;
  for (let index = 0; index < header.snapshots.count; index++) {
    const { snapshot, length } = await readEntry(bytesAt, at, index, storage);
    snapshots.push({ ...snapshot, bytes: length });
    at += length;
    if (at - start > TABLE_BYTES_MAX) {
      throw new ImageError(
        "unsupported",
        `Cannot read the snapshot table of "${storage.label}": it is longer than ${TABLE_BYTES_MAX} bytes`,
        { path: storage.label, offset: start },
      );
    }
  }
  return snapshots;
}

async function readEntry(bytesAt: WindowReader, at: number, index: number, storage: Storage) {
  checkEnd(at + SNAPSHOT_ENTRY_BYTES, at, index, storage);
  const fixed = viewOf(await bytesAt(at, SNAPSHOT_ENTRY_BYTES));
  const idLength = fixed.getUint16(12);
  const nameLength = fixed.getUint16(14);
  const extraLength = fixed.getUint32(36);
  if (extraLength > EXTRA_BYTES_MAX) {
    throw corrupt(
      `Cannot read snapshot ${index} of "${storage.label}": it has ${extraLength} bytes of extra data, must be at most ` +
        `${EXTRA_BYTES_MAX}`,
      storage.label,
      at + 36,
    );
  }
  const bytes = SNAPSHOT_ENTRY_BYTES + extraLength + idLength + nameLength;
  checkEnd(at + bytes, at, index, storage);
  const snapshot = parseSnapshot(await bytesAt(at, bytes), `snapshot ${index} of "${storage.label}"`, storage.label);
  return { snapshot, length: alignUp(bytes, 8) };
}

function checkEnd(end: number, at: number, index: number, { label, size }: Storage): void {
  if (end <= size) return;
  throw corrupt(
    `Cannot read snapshot ${index} of "${label}": its entry ends at byte ${end}, past the end of the file (${size})`,
    label,
    at,
  );
}

/**
 * Parses one entry of the snapshot table. Pure.
 *
 * @param bytes the entry without its padding; its length fields are those of `bytes`
 * @param what names the entry in messages
 */
export function parseSnapshot(bytes: Uint8Array, what: string, label: string): Snapshot {
  const view = viewOf(bytes);
  const idAt = SNAPSHOT_ENTRY_BYTES + view.getUint32(36);
  const nameAt = idAt + view.getUint16(12);
  const extra = bytes.slice(SNAPSHOT_ENTRY_BYTES, idAt);
  const extraView = viewOf(extra);
  const number64 = (from: DataView, at: number, field: string): number => {
    const value = roundedU64(from, at);
    if (Number.isSafeInteger(value)) return value;
    throw corrupt(`Cannot read ${what}: its ${field} is above 2^53 - 1`, label);
  };
  const instructions = extra.length >= 24 ? extraView.getBigUint64(16) : null;
  const texts = [bytes.subarray(idAt, nameAt), bytes.subarray(nameAt, nameAt + view.getUint16(14))];
  const [id, name] = texts.map(decodeName) as [string, string];
  const nameBytes = texts.flatMap((text) => bytesOfName(text, decodeName(text)) ?? []);
  return {
    id,
    name,
    ...(nameBytes.length > 0 && { nameBytes }),
    l1: { fileOffset: number64(view, 0, "L1 table offset"), entries: view.getUint32(8) },
    dateSeconds: view.getUint32(16),
    dateNanoseconds: view.getUint32(20),
    clockNanoseconds: view.getBigUint64(24),
    vmStateSize: extra.length >= 8 ? number64(extraView, 0, "machine state size") : view.getUint32(32),
    diskSize: extra.length >= 16 ? number64(extraView, 8, "disk size") : null,
    // All bits set means "not counted".
    instructions: instructions === 0xffff_ffff_ffff_ffffn ? null : instructions,
    extra,
  };
}

/**
 * Finds the snapshot of a choice: by ID and name, by one of them, or first by ID and then by name.
 *
 * @throws ImageError `missing`, with a list of the snapshots
 */
export function chooseSnapshot(snapshots: readonly Snapshot[], choice: SnapshotChoice, label: string): Snapshot {
  const found = findSnapshot(snapshots, choice);
  if (found !== undefined) return found;
  const there = snapshots.length === 0
    ? "the image has none"
    : `it has ${snapshots.map(({ id, name }) => `"${name}" (ID "${id}")`).join(", ")}`;
  throw new ImageError("missing", `Cannot find the snapshot ${described(choice)} of "${label}": ${there}`, {
    path: label,
  });
}

function findSnapshot(snapshots: readonly Snapshot[], choice: SnapshotChoice): Snapshot | undefined {
  if ("idOrName" in choice) {
    const { idOrName } = choice;
    return snapshots.find(({ id }) => id === idOrName) ?? snapshots.find(({ name }) => name === idOrName);
  }
  const { id, name } = choice;
  if (id === undefined && name === undefined) return undefined;
  return snapshots.find((one) => (id === undefined || one.id === id) && (name === undefined || one.name === name));
}

function described(choice: SnapshotChoice): string {
  if ("idOrName" in choice) return `"${choice.idOrName}"`;
  const parts: string[] = [];
  if (choice.id !== undefined) parts.push(`with the ID "${choice.id}"`);
  if (choice.name !== undefined) parts.push(`with the name "${choice.name}"`);
  return parts.length === 0 ? "without ID and name" : parts.join(" and ");
}
