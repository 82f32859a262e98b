/**
 * A valid image with every kind of table and their file offsets, so that tests can point entries at them.
 *
 * @module
 */
import { readBitmapDirectory } from "../../../formats/qcow2/bitmaps/read.ts";
import { createQcow2 } from "../../../formats/qcow2/create.ts";
import { editQcow2 } from "../../../formats/qcow2/edit.ts";
import { readHeader } from "../../../formats/qcow2/header/header.ts";
import { hostOffsetOf } from "../../../formats/qcow2/mapping/l2_entry.ts";
import { createSnapshot } from "../../../formats/qcow2/snapshots/write.ts";
import { readSnapshots } from "../../../formats/qcow2/snapshots/read.ts";
import { MemoryStorage } from "../../../formats/storage/memory.ts";
import { inlineCodecs } from "../../support/codecs.ts";

/** Cluster size in bytes. */
export const CLUSTER = 4096;
/** Guest bytes of one L2 table. */
export const REACH = CLUSTER * CLUSTER / 8;
/** The guest cluster whose entry is damaged, in the middle of the written ones. */
export const GUEST = 5;

/** Fails: the image names no file. */
export const no = () => Promise.reject(new Error("The image names no file"));
/** The context for editing the image. */
export const context = { ...inlineCodecs, compress: false, openNamed: no, openBacking: no };

/** File offsets of all structures of the valid image. */
export interface TableOffsets {
  readonly l1: number;
  readonly refcountTable: number;
  readonly refcountBlock: number;
  readonly snapshotTable: number;
  readonly snapshotL1: number;
  readonly bitmapDirectory: number;
  readonly bitmapTable: number;
  readonly bits: number;
  /** Active L2 tables: of the first guest bytes, and of those from {@linkcode REACH} on. */
  readonly l2: readonly [number, number];
  /** The L2 table of the snapshot alone. */
  readonly snapshotL2: number;
}

/** The image and the file offsets of its structures. */
export interface Sample {
  readonly bytes: Uint8Array;
  readonly offsets: TableOffsets;
}

/** Returns a valid image with a snapshot, a bitmap, and data in two L2 tables that no snapshot shares. */
export async function sample(enabled = false): Promise<Sample> {
  const storage = new MemoryStorage();
  const plan = { size: 4 * REACH, options: { cluster_size: CLUSTER }, backing: null, compress: false };
  const writer = await createQcow2(storage, plan, { ...inlineCodecs, createNamed: no, backing: null });
  for (const start of [0, REACH]) await writer.write(new Uint8Array(16 * CLUSTER).fill(1), start);
  await writer.bitmaps!.add({
    name: "changes",
    granularity: 512,
    enabled,
    inconsistent: false,
    async *pieces() {
      yield await Promise.resolve({ offset: 0, bits: new Uint8Array([255]) });
    },
  });
  await writer.finish();
  const snapshot = { name: "first", dateSeconds: 0, dateNanoseconds: 0 };
  await createSnapshot(storage, snapshot, {
    checkpoint: () => Promise.resolve(),
    openNamed: no,
    openBacking: no,
    createNamed: no,
  });
  const again = await editQcow2(storage, context);
  for (const start of [0, REACH]) await again.write(new Uint8Array(16 * CLUSTER).fill(2), start);
  await again.finish();
  return { bytes: storage.bytes(), offsets: await offsetsOf(storage) };
}

async function offsetsOf(storage: MemoryStorage): Promise<TableOffsets> {
  const header = await readHeader(storage);
  const view = viewAll(storage.bytes());
  const at = (fileOffset: number) => hostOffsetOf(view.getUint32(fileOffset), view.getUint32(fileOffset + 4));
  const [snapshot] = await readSnapshots(storage, header);
  const [bitmap] = await readBitmapDirectory(storage, header);
  return {
    l1: header.l1.fileOffset,
    refcountTable: header.refcountTable.fileOffset,
    refcountBlock: at(header.refcountTable.fileOffset),
    snapshotTable: header.snapshots.fileOffset,
    snapshotL1: snapshot!.l1.fileOffset,
    bitmapDirectory: header.bitmaps!.directoryFileOffset,
    bitmapTable: bitmap!.table.fileOffset,
    bits: at(bitmap!.table.fileOffset),
    l2: [at(header.l1.fileOffset), at(header.l1.fileOffset + 8)],
    snapshotL2: at(snapshot!.l1.fileOffset),
  };
}

/** Returns a view of all of `bytes`. */
export function viewAll(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Structures that an entry may point at, and their names in messages. */
export const targets: [name: string, target: (offsets: TableOffsets) => number, structure: string][] = [
  ["the L1 table", ({ l1 }) => l1, "the active L1 table"],
  ["its own L2 table", ({ l2 }) => l2[0], "an L2 table"],
  ["another L2 table", ({ l2 }) => l2[1], "an L2 table"],
  ["an L2 table of a snapshot", ({ snapshotL2 }) => snapshotL2, "an L2 table of a snapshot"],
  ["a refcount block", ({ refcountBlock }) => refcountBlock, "a refcount block"],
  ["the refcount table", ({ refcountTable }) => refcountTable, "the refcount table"],
  ["the snapshot table", ({ snapshotTable }) => snapshotTable, "the snapshot table"],
  ["the L1 table of a snapshot", ({ snapshotL1 }) => snapshotL1, "the L1 table of a snapshot"],
  ["the bitmap directory", ({ bitmapDirectory }) => bitmapDirectory, "the bitmap directory"],
  ["a bitmap table", ({ bitmapTable }) => bitmapTable, "a bitmap table"],
  ["bits of a bitmap", ({ bits }) => bits, "bits of a bitmap"],
];
