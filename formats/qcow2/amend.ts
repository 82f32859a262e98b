/**
 * Changes of options of an existing image.
 *
 * @module
 */
import type { NamedFile } from "../guest_reader.ts";
import type { OptionValues } from "../options.ts";
import { ImageError } from "../errors.ts";
import type { ChangeContext } from "../maintenance.ts";
import type { WritableStorage } from "../storage/types.ts";
import { FEATURE_NAMES, type Header, NO_BITS, readHeader } from "./header/header.ts";
import { isCompressed, isZeroFlagged, l2TableOffset, setEntry } from "./mapping/l2_entry.ts";
import { readL1 } from "./mapping/mapping.ts";
import { beginTransaction, type Transaction, writeHeader } from "./transaction/transaction.ts";
import { resizeQcow2 } from "./resize.ts";
import { writeSnapshots } from "./snapshots/write.ts";
import { readSnapshots } from "./snapshots/read.ts";
import { addEntryReferences, readL2, writeL1, writeL2 } from "./transaction/l1_tables.ts";
import { refuseCorrupt } from "./refuse_corrupt.ts";

/**
 * Changes the options of an image. Resizing is one transaction, all other changes are another.
 *
 * @throws ImageError `usage` for options that exclude each other; `unsupported` where the image has contents that the
 * options do not allow
 */
export async function amendQcow2(
  storage: WritableStorage,
  options: OptionValues,
  context: ChangeContext,
): Promise<void> {
  const before = await readHeader(storage);
  refuseCorrupt(storage, before);
  const next = nextHeader(storage, before, options);
  checkNext(storage, next);
  const size = options["size"];
  // Version 3 allows more, so the size changes while the image has version 3.
  if (typeof size === "number" && before.version === 3) await grow(storage, before, size, context);
  await changeHeader(storage, next, context);
  if (typeof size === "number" && before.version === 2) await grow(storage, before, size, context);
}

/** Changes all options but the size. */
async function changeHeader(storage: WritableStorage, next: Header, context: ChangeContext): Promise<void> {
  const header = await readHeader(storage);
  const { size, l1, refcountTable, bitmaps } = header;
  const changes = { ...next, size, l1, refcountTable, bitmaps };
  if (header.refcountOrder === next.refcountOrder && header.version === next.version) {
    return await writeHeader(storage, changes);
  }
  const transaction = await beginTransaction(storage, header, context, { refcountOrder: next.refcountOrder });
  const dropsZeroFlags = next.version === 2 && header.version === 3;
  await transaction.commit({
    ...changes,
    ...(dropsZeroFlags && { l1: await withoutZeroFlags(transaction) }),
    snapshots: await completeSnapshots(transaction),
  });
}

async function grow(storage: WritableStorage, header: Header, size: number, context: ChangeContext): Promise<void> {
  if (size < header.size) {
    const message = `Cannot amend "${storage.label}": its size may only grow; "resize --shrink" cuts it`;
    throw new ImageError("usage", message, { path: storage.label });
  }
  await resizeQcow2(storage, size, "off", context);
}

/** Returns the header with the changed options. */
function nextHeader(storage: WritableStorage, header: Header, options: OptionValues): Header {
  const text = (name: string) => options[name] === undefined ? undefined : String(options[name]);
  const compat = text("compat");
  const version = compat === undefined ? header.version : compat === "0.10" || compat === "v2" ? 2 : 3;
  const bits = options["refcount_bits"];
  const lazy = options["lazy_refcounts"];
  const refuse = (message: string): never => {
    throw new ImageError("unsupported", `Cannot amend "${storage.label}": ${message}`, { path: storage.label });
  };
  const dataFile = text("data_file");
  if (dataFile !== undefined && !header.externalData) refuse("its data lie in itself, and data_file cannot move them");
  if (options["data_file_raw"] === true && !header.rawExternalData) {
    refuse("data_file_raw can be switched on only when an image is created");
  }
  return {
    ...header,
    version,
    refcountOrder: typeof bits === "number" ? Math.log2(bits) : header.refcountOrder,
    // Version 2 has no lazy refcounts. Nothing is lost without them.
    lazyRefcounts: version === 3 && (typeof lazy === "boolean" ? lazy : header.lazyRefcounts),
    backing: nextBacking(header, text("backing_file"), text("backing_fmt")),
    dataFileName: dataFile ?? header.dataFileName,
    rawExternalData: header.rawExternalData && options["data_file_raw"] !== false,
    unknownAutoclear: NO_BITS,
    unknownCompatible: version === 3 ? header.unknownCompatible : NO_BITS,
    featureNames: version === 3 && header.version === 2 ? FEATURE_NAMES : header.featureNames,
    ...(lazy === true && version === 2 && { lazyRefcounts: true }),
  };
}

function nextBacking(header: Header, name: string | undefined, format: string | undefined): NamedFile | null {
  if (name === "") return null;
  if (name === undefined && header.backing === null) {
    if (format === undefined) return null;
    throw new ImageError("usage", "Cannot use backing_fmt: the image has no backing file, add backing_file");
  }
  const next = name ?? header.backing!.name;
  const nextFormat = format ?? (name === undefined ? header.backing?.format : undefined);
  if (name !== undefined && nextFormat === undefined) {
    throw new ImageError("usage", `Cannot use the backing file "${name}": state its format with backing_fmt`);
  }
  return { name: next, ...(nextFormat !== undefined && { format: nextFormat }) };
}

function checkNext(storage: WritableStorage, next: Header): void {
  const path = storage.label;
  if (!Number.isInteger(next.refcountOrder)) {
    throw new ImageError("usage", `Cannot amend "${path}": refcount_bits must be 1, 2, 4, 8, 16, 32 or 64`, { path });
  }
  if (next.rawExternalData && next.backing !== null) {
    throw new ImageError(
      "unsupported",
      `Cannot amend "${path}": its data file by itself is the disk, so it ` +
        "can have no backing file",
      { path },
    );
  }
  if (next.version === 3) return;
  const version3Only: [boolean, string][] = [
    [next.refcountOrder !== 4, "refcount_bits must be 16 (say so)"],
    [next.lazyRefcounts, "lazy_refcounts must be off"],
    [next.externalData, "its data lie in another file"],
    [next.extendedL2, "it has extended L2 entries"],
    [next.compressionType !== "zlib", "its clusters are compressed with zstd"],
    [next.bitmaps !== null, "it has bitmaps"],
  ];
  const found = version3Only.find(([has]) => has);
  if (!found) return;
  throw new ImageError("unsupported", `Cannot amend "${path}" to compat=0.10: ${found[1]}`, { path });
}

/** Returns the snapshot table with the extra data that version 3 requires. */
async function completeSnapshots(transaction: Transaction): Promise<Header["snapshots"]> {
  const { storage, header } = transaction;
  const snapshots = await readSnapshots(storage, header);
  if (snapshots.every(({ extra }) => extra.length >= 16)) return header.snapshots;
  return await writeSnapshots(transaction, snapshots, snapshots);
}

/** Returns an active L1 table whose L2 tables have no zero flags, which version 2 does not have. */
async function withoutZeroFlags(transaction: Transaction): Promise<Header["l1"]> {
  const { storage, header, context } = transaction;
  for (const snapshot of await readSnapshots(storage, header)) {
    const kept = await readL1(storage, snapshot.l1);
    for (let index = 0; index < snapshot.l1.entries; index++) {
      if (
        l2TableOffset(kept, index) === 0 ||
        !zeroFlaggedEntries(await readL2(transaction, l2TableOffset(kept, index))).length
      ) continue;
      const message =
        `Cannot amend "${storage.label}" to compat=0.10: its snapshot "${snapshot.name}" has zero clusters`;
      throw new ImageError("unsupported", message, { path: storage.label });
    }
  }
  const l1 = await readL1(storage, header.l1);
  for (let index = 0; index < header.l1.entries; index++) {
    if (l2TableOffset(l1, index) === 0) continue;
    const l2 = await readL2(transaction, l2TableOffset(l1, index));
    const flagged = zeroFlaggedEntries(l2);
    for (const at of flagged) await replaceZeroCluster(transaction, l2, at);
    if (flagged.length > 0) await writeL2(transaction, l1, index, l2);
    await context.checkpoint(index / header.l1.entries);
  }
  await transaction.release(header.l1.fileOffset, header.l1.entries * 8);
  return await writeL1(transaction, l1);
}

/** Returns the byte offsets of the entries with a zero flag in an L2 table. */
function zeroFlaggedEntries(l2: DataView): number[] {
  const found: number[] = [];
  for (let at = 0; at < l2.byteLength; at += 8) {
    if (!isCompressed(l2.getUint32(at)) && isZeroFlagged(l2.getUint32(at + 4))) found.push(at);
  }
  return found;
}

/** Replaces a zero cluster: deallocates it, or allocates a cluster of zeroes where a backing file would show. */
async function replaceZeroCluster(transaction: Transaction, l2: DataView, at: number): Promise<void> {
  const { header, geometry: { clusterSize } } = transaction;
  await addEntryReferences(transaction, l2, at, -1);
  if (header.backing === null) return setEntry(l2, at, 0, false);
  setEntry(l2, at, await transaction.write(new Uint8Array(clusterSize)), true);
}
