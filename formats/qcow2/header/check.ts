/**
 * Limits of a parsed qcow2 header: tables inside the file, and features that exclude each other.
 *
 * @module
 */
import { corrupt, ImageError } from "../../errors.ts";
import {
  EXTENDED_L2_MIN_CLUSTER_BITS,
  type Header,
  L1_BYTES_MAX,
  REFCOUNT_TABLE_BYTES_MAX,
  SNAPSHOT_ENTRY_BYTES,
  SNAPSHOTS_MAX,
} from "./types.ts";
import { geometryOf, l1EntriesFor } from "../mapping/l2_entry.ts";

/**
 * Checks the fields of `header` against one another and against the file.
 *
 * @throws ImageError `corrupt`, or `unsupported` for limits of this program
 */
export function checkHeader(header: Header, label: string, fileSize: number): void {
  checkFeatures(header, label);
  checkL1(header, label, fileSize);
  checkRefcountTable(header, label, fileSize);
  checkSnapshots(header, label, fileSize);
}

/**
 * Checks that a table begins at a cluster boundary, outside the first cluster, and ends inside the file.
 *
 * @param bytes length of the table
 * @param fieldAt file offset of the header field with the table's offset
 * @throws ImageError `corrupt`
 */
export function checkTable(
  what: string,
  table: { readonly fileOffset: number; readonly bytes: number; readonly fieldAt?: number },
  image: { readonly clusterSize: number; readonly label: string; readonly fileSize: number },
): void {
  const { fileOffset, bytes, fieldAt } = table;
  if (fileOffset === 0 || fileOffset % image.clusterSize !== 0) {
    throw corrupt(
      `Cannot read the ${what} of "${image.label}": it begins at byte ${fileOffset}, must be at a cluster ` +
        `(multiple of ${image.clusterSize}) after the first`,
      image.label,
      fieldAt,
    );
  }
  if (fileOffset + bytes > image.fileSize) {
    throw corrupt(
      `Cannot read the ${what} of "${image.label}": it ends at byte ${fileOffset + bytes}, past the end of the file ` +
        `(${image.fileSize})`,
      image.label,
      fieldAt,
    );
  }
}

/**
 * Checks the active L1 table or that of a snapshot: its length, its file offset, and that it covers `size` guest bytes.
 *
 * @throws ImageError `corrupt`, or `unsupported` for a table of more than 32 MiB
 */
export function checkL1Table(
  what: string,
  l1: { readonly fileOffset: number; readonly entries: number; readonly size: number; readonly fieldAt?: number },
  header: { readonly clusterBits: number; readonly clusterSize: number; readonly extendedL2: boolean },
  label: string,
  fileSize: number,
): void {
  const bytes = l1.entries * 8;
  if (bytes > L1_BYTES_MAX) {
    throw new ImageError(
      "unsupported",
      `Cannot read the ${what} of "${label}": it is ${bytes} bytes long, must be at most ${L1_BYTES_MAX}`,
      { path: label, offset: l1.fieldAt },
    );
  }
  const needed = l1EntriesFor(geometryOf(header), l1.size);
  if (l1.entries < needed) {
    throw corrupt(
      `Cannot read the ${what} of "${label}": it has ${l1.entries} entries, ${l1.size} guest bytes need ${needed}`,
      label,
      l1.fieldAt,
    );
  }
  if (l1.entries > 0) {
    const table = { fileOffset: l1.fileOffset, bytes, ...(l1.fieldAt !== undefined && { fieldAt: l1.fieldAt }) };
    checkTable(what, table, { clusterSize: header.clusterSize, label, fileSize });
  }
}

/** Checks the L1 table of a snapshot, which covers `size` guest bytes; throws as {@linkcode checkL1Table} does. */
export function checkSnapshotL1(
  snapshot: { readonly name: string; readonly l1: { readonly fileOffset: number; readonly entries: number } },
  size: number,
  header: Parameters<typeof checkL1Table>[2],
  storage: { readonly label: string; readonly size: number },
): void {
  const what = `L1 table of snapshot "${snapshot.name}"`;
  checkL1Table(what, { ...snapshot.l1, size }, header, storage.label, storage.size);
}

function checkFeatures(header: Header, label: string): void {
  if (header.refcountOrder > 6) {
    throw corrupt(
      `Cannot open "${label}": its refcount order is ${header.refcountOrder}, must be at most 6`,
      label,
      96,
    );
  }
  if (header.extendedL2 && header.clusterBits < EXTENDED_L2_MIN_CLUSTER_BITS) {
    throw corrupt(
      `Cannot open "${label}": its cluster bits are ${header.clusterBits}, extended L2 entries need at least ` +
        `${EXTENDED_L2_MIN_CLUSTER_BITS}`,
      label,
      20,
    );
  }
  if (header.rawExternalData && !header.externalData) {
    throw corrupt(`Cannot open "${label}": its raw external data bit is set, but it has no external data`, label, 88);
  }
  if (header.rawExternalData && header.backing !== null) {
    throw corrupt(`Cannot open "${label}": it has raw external data, so it must not have a backing file`, label, 8);
  }
  if (header.externalData && header.snapshots.count > 0) {
    throw corrupt(`Cannot open "${label}": it has external data, so it must not have snapshots`, label, 60);
  }
}

function checkL1(header: Header, label: string, fileSize: number): void {
  checkL1Table("L1 table", { ...header.l1, size: header.size, fieldAt: 40 }, header, label, fileSize);
}

function checkRefcountTable(header: Header, label: string, fileSize: number): void {
  const { fileOffset, clusters } = header.refcountTable;
  const bytes = clusters * header.clusterSize;
  if (clusters === 0 || bytes > REFCOUNT_TABLE_BYTES_MAX) {
    throw corrupt(
      `Cannot open "${label}": its refcount table is ${bytes} bytes long, must be 1 to ${REFCOUNT_TABLE_BYTES_MAX}`,
      label,
      56,
    );
  }
  checkTable("refcount table", { fileOffset, bytes, fieldAt: 48 }, {
    clusterSize: header.clusterSize,
    label,
    fileSize,
  });
}

function checkSnapshots(header: Header, label: string, fileSize: number): void {
  const { fileOffset, count } = header.snapshots;
  if (count === 0) return;
  if (count > SNAPSHOTS_MAX) {
    throw corrupt(`Cannot open "${label}": it counts ${count} snapshots, must be at most ${SNAPSHOTS_MAX}`, label, 60);
  }
  const image = { clusterSize: header.clusterSize, label, fileSize };
  checkTable("snapshot table", { fileOffset, bytes: count * SNAPSHOT_ENTRY_BYTES, fieldAt: 64 }, image);
}
