/**
 * Reads directories of FAT12, FAT16 and FAT32: "FAT: General Overview of On-Disk Format", version 1.03, and chapter 13.3 of the
 * UEFI Specification 2.10. Every number of the volume is checked, because a guest can write any.
 *
 * @module
 */
import { asciiText, ceilDiv, type GuestReader, isPowerOfTwo, viewOf } from "../../formats/mod.ts";

/** An entry of a directory, by its short name. */
export interface FatEntry {
  /** `NAME.EXT` in capitals. */
  readonly name: string;
  readonly isDirectory: boolean;
  /** Bytes of a file; 0 for a directory. */
  readonly size: number;
  /** First cluster; 0: none. */
  readonly cluster: number;
}

/** A FAT volume inside a disk. */
export interface FatVolume {
  /** Returns the entries of a directory; `null` where there is none of that path. Names are compared in capitals. */
  list(path: readonly string[]): Promise<FatEntry[] | null>;
}

/** The numbers of a volume, in bytes from its start unless they are clusters. */
interface Layout {
  readonly bits: 12 | 16 | 32;
  readonly fat: number;
  readonly fatSize: number;
  /** The root directory of FAT12 and FAT16. */
  readonly root: number;
  readonly rootSize: number;
  /** The root directory of FAT32. */
  readonly rootCluster: number;
  /** The first cluster, which has number 2. */
  readonly data: number;
  readonly clusterSize: number;
  readonly clusters: number;
}

/** Bytes of a directory entry. */
const ENTRY = 32;
/** Most bytes of a directory that are read; the folders of boot loaders have a few entries. */
const MAX_DIRECTORY = 256 << 10;
const DIRECTORY = 0x10;
/** Volume label; with the bits of hidden, system and read-only: a part of a long name. */
const LABEL = 0x08;
/** First byte of the name: the entry is free, or free as are all after it. */
const FREE = 0xe5;

/**
 * Opens the FAT volume in `[start, start + size)` of a disk; `null` where there is none.
 *
 * @throws ImageError where the disk cannot be read
 */
export async function openFat(disk: GuestReader, start: number, size: number): Promise<FatVolume | null> {
  const end = Math.min(start + size, disk.size);
  if (start + 512 > end) return null;
  const read = async (at: number, length: number): Promise<Uint8Array> => {
    const bytes = new Uint8Array(Math.max(0, Math.min(length, end - start - at)));
    if (bytes.length > 0) await disk.read(bytes, start + at);
    return bytes;
  };
  const layout = layoutOf(await read(0, 512), end - start);
  if (layout === null) return null;
  const volume = new Volume(layout, read);
  return { list: (path) => volume.list(path) };
}

/** Returns the layout that a boot sector states; `null` where it is not one of FAT, or states more than the volume has. */
function layoutOf(boot: Uint8Array, size: number): Layout | null {
  const view = viewOf(boot);
  if (boot[510] !== 0x55 || boot[511] !== 0xaa) return null;
  const sector = view.getUint16(11, true);
  const [perCluster, fats] = [boot[13]!, boot[16]!];
  if (!isPowerOfTwo(sector) || sector < 512 || sector > 4096 || !isPowerOfTwo(perCluster)) return null;
  const reserved = view.getUint16(14, true);
  const rootEntries = view.getUint16(17, true);
  const total = view.getUint16(19, true) || view.getUint32(32, true);
  const fatSectors = view.getUint16(22, true) || view.getUint32(36, true);
  const rootSectors = ceilDiv(rootEntries * ENTRY, sector);
  const dataSector = reserved + fats * fatSectors + rootSectors;
  const clusters = Math.floor((total - dataSector) / perCluster);
  if (reserved === 0 || fats === 0 || fatSectors === 0 || clusters < 1 || total * sector > size) return null;
  // The number of clusters alone decides the type: page 14 of the overview.
  const bits = clusters < 4085 ? 12 : clusters < 65525 ? 16 : 32;
  return {
    bits,
    fat: reserved * sector,
    fatSize: fatSectors * sector,
    root: (reserved + fats * fatSectors) * sector,
    rootSize: rootEntries * ENTRY,
    rootCluster: bits === 32 ? view.getUint32(44, true) : 0,
    data: dataSector * sector,
    clusterSize: perCluster * sector,
    clusters,
  };
}

class Volume {
  constructor(
    readonly layout: Layout,
    readonly read: (at: number, length: number) => Promise<Uint8Array>,
  ) {}

  async list(path: readonly string[]): Promise<FatEntry[] | null> {
    const { layout } = this;
    let entries = layout.bits === 32
      ? await this.entriesOf(layout.rootCluster)
      : entriesIn(await this.read(layout.root, Math.min(layout.rootSize, MAX_DIRECTORY)));
    for (const name of path) {
      const found = entries.find((one) => one.isDirectory && one.name === name.toUpperCase());
      if (found === undefined) return null;
      entries = await this.entriesOf(found.cluster);
    }
    return entries;
  }

  /** Returns the entries of the directory whose chain of clusters begins at `first`. */
  async entriesOf(first: number): Promise<FatEntry[]> {
    const { clusterSize, data } = this.layout;
    const found: FatEntry[] = [];
    let cluster = first;
    // The limit ends loops of the chain as well.
    for (let bytes = 0; bytes < MAX_DIRECTORY && this.isCluster(cluster); bytes += clusterSize) {
      const part = await this.read(data + (cluster - 2) * clusterSize, clusterSize);
      found.push(...entriesIn(part));
      if (hasEnd(part)) break;
      cluster = await this.nextOf(cluster);
    }
    return found;
  }

  /** Marks of bad and last clusters lie above all clusters. */
  isCluster(cluster: number): boolean {
    return cluster >= 2 && cluster < this.layout.clusters + 2;
  }

  async nextOf(cluster: number): Promise<number> {
    const { bits, fat, fatSize } = this.layout;
    const at = Math.floor(cluster * bits / 8);
    const length = bits === 32 ? 4 : 2;
    if (at + length > fatSize) return 0;
    const bytes = await this.read(fat + at, length);
    if (bytes.length < length) return 0;
    const view = viewOf(bytes);
    if (bits === 32) return view.getUint32(0, true) & 0x0fff_ffff;
    const value = view.getUint16(0, true);
    if (bits === 16) return value;
    return cluster % 2 === 0 ? value & 0xfff : value >> 4;
  }
}

function hasEnd(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at += ENTRY) if (bytes[at] === 0) return true;
  return bytes.length === 0;
}

/** Returns the entries in the bytes of a directory, up to its end. Labels and long names are left out. */
function entriesIn(bytes: Uint8Array): FatEntry[] {
  const found: FatEntry[] = [];
  for (let at = 0; at + ENTRY <= bytes.length && bytes[at] !== 0; at += ENTRY) {
    const entry = bytes.subarray(at, at + ENTRY);
    const attributes = entry[11]!;
    if (entry[0] === FREE || (attributes & LABEL) !== 0) continue;
    const view = viewOf(entry);
    const [stem, extension] = [entry.subarray(0, 8), entry.subarray(8, 11)].map((part) => asciiText(part).trimEnd());
    const isDirectory = (attributes & DIRECTORY) !== 0;
    found.push({
      name: extension === "" ? stem! : `${stem}.${extension}`,
      isDirectory,
      size: isDirectory ? 0 : view.getUint32(28, true),
      cluster: view.getUint16(20, true) * 0x1_0000 + view.getUint16(26, true),
    });
  }
  return found;
}
