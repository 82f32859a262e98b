/**
 * Writing compressed clusters: one after another, without regard to clusters of the file.
 *
 * @module
 */
import { inMemory } from "../../content.ts";
import { ImageError } from "../../errors.ts";
import type { CompressCluster } from "./compress.ts";
import { clusterStart, type Image } from "../image.ts";
import { compressedOffsetLimit, l1IndexOf, l2IndexOf, setCompressed, setSubclusters } from "../mapping/l2_entry.ts";
import { checkedEntry, releaseEntry, writeData } from "./write_data.ts";

/** One cluster of guest bytes that was compressed, or not. */
export interface Unit {
  readonly guestStart: number;
  /** As they are; the last of the disk may be short. */
  readonly plain: Uint8Array;
  /** Null where they are to be written as they are. */
  readonly compressed: Uint8Array | null;
}

/** The place where compressed clusters are being laid. */
export interface CompressedArea {
  /** File offset for `length` bytes, less than a cluster; null if compressed data cannot lie as far back as that. */
  place(length: number): Promise<number | null>;
}

/** A place for compressed clusters of `image`. */
export function compressedArea(image: Image): CompressedArea {
  const { clusterSize, clusterBits } = image.geometry;
  const { refcounts } = image;
  const limit = compressedOffsetLimit(clusterBits);
  /** File offset after the last compressed cluster; at the start of a cluster: nothing is begun. */
  let next = 0;
  let releases = -1;

  /** Whether one more compressed cluster can refer to the cluster that is begun. */
  async function canShare(): Promise<boolean> {
    // Once references were taken away, the begun cluster may be somebody else's.
    if (next % clusterSize === 0 || releases !== image.releases) return false;
    const count = await refcounts.get(Math.floor(next / clusterSize));
    return count < refcounts.greatest;
  }

  return {
    async place(length) {
      const share = await canShare();
      const begun = Math.floor(next / clusterSize);
      const room = share ? clusterSize - next % clusterSize : 0;
      let start = next;
      if (length > room) {
        const { first } = await refcounts.allocate(1);
        const follows = share && first === begun + 1;
        if (!follows) start = first * clusterSize;
        if (follows) await refcounts.increment(begun);
      } else {
        await refcounts.increment(begun);
      }
      next = start + length;
      releases = image.releases;
      return start < limit ? start : null;
    },
  };
}

/** Cuts `bytes` at clusters and compresses each whole one; a short one at the end of the disk is filled with zeroes first. */
export async function compressClusters(
  image: Image,
  bytes: Uint8Array,
  guestStart: number,
  compress: CompressCluster,
): Promise<Unit[]> {
  const { clusterSize } = image.geometry;
  const end = guestStart + bytes.length;
  const units: Promise<Unit>[] = [];
  for (let guest = guestStart; guest < end;) {
    const unitEnd = Math.min(end, clusterStart(image, guest) + clusterSize);
    const plain = bytes.subarray(guest - guestStart, unitEnd - guestStart);
    const whole = guest % clusterSize === 0 && (plain.length === clusterSize || unitEnd === image.header.size);
    units.push(compressCluster(guest, plain, whole ? clusterSize : 0, compress));
    guest = unitEnd;
  }
  return await Promise.all(units);
}

/** `length`: what to fill the clusterSize up to before it is compressed; 0 to leave it as it is. */
async function compressCluster(
  guestStart: number,
  plain: Uint8Array,
  length: number,
  compress: CompressCluster,
): Promise<Unit> {
  if (length === 0) return { guestStart, plain, compressed: null };
  let unit = plain;
  if (plain.length < length) {
    unit = new Uint8Array(length);
    unit.set(plain);
  }
  return { guestStart, plain, compressed: await compress(unit) };
}

/** Writes clusters that follow one another on the disk. */
export async function writeUnits(image: Image, area: CompressedArea, units: readonly Unit[]): Promise<void> {
  let placed: Placed[] = [];
  for (const unit of units) {
    const fileOffset = unit.compressed === null ? null : await area.place(unit.compressed.length);
    if (unit.compressed !== null && fileOffset !== null) {
      placed.push({ guestCluster: unit.guestStart, bytes: unit.compressed, fileOffset });
      continue;
    }
    await store(image, placed);
    placed = [];
    await writeData(image, inMemory(unit.plain), unit.guestStart);
  }
  await store(image, placed);
  if (image.crowded) await image.commit();
}

/** A compressed cluster with its place in the file. */
interface Placed {
  readonly guestCluster: number;
  readonly bytes: Uint8Array;
  readonly fileOffset: number;
}

/** Writes compressed clusters, neighbours with one request, then the entries that point at them. */
async function store(image: Image, placed: readonly Placed[]): Promise<void> {
  for (let from = 0; from < placed.length;) {
    const start = placed[from]!.fileOffset;
    let end = start;
    let to = from;
    while (to < placed.length && placed[to]!.fileOffset === end) end += placed[to++]!.bytes.length;
    await image.storage.writeAt(joined(placed.slice(from, to), end - start), start);
    from = to;
  }
  for (const one of placed) {
    const index = l1IndexOf(image.geometry, one.guestCluster);
    await image.tables.change(index, (table) => map(image, table, index, one));
  }
}

function joined(placed: readonly Placed[], length: number): Uint8Array {
  if (placed.length === 1) return placed[0]!.bytes;
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const one of placed) {
    bytes.set(one.bytes, at);
    at += one.bytes.length;
  }
  return bytes;
}

function map(image: Image, table: DataView, index: number, { guestCluster, bytes, fileOffset }: Placed): void {
  const { geometry } = image;
  releaseEntry(image, checkedEntry(image, table, guestCluster), guestCluster);
  const at = l2IndexOf(geometry, guestCluster) * geometry.l2EntryBytes;
  setCompressed(table, at, geometry.clusterBits, fileOffset, bytes.length);
  if (geometry.extended) setSubclusters(table, at, 0, 0);
  image.tables.changed(index);
}

/** Throws where `image` cannot have compressed clusters. */
export function requireCompressible(image: Image): void {
  if (!image.header.externalData) return;
  throw new ImageError(
    "unsupported",
    `Cannot compress "${image.storage.label}": an image with an external data file cannot have compressed clusters`,
    { path: image.storage.label },
  );
}
