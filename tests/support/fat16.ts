/**
 * A small disk of one partition with a FAT16 file system. Pure; the same bytes on every machine. Structures as in Microsoft's "FAT: General Overview of On-Disk Format", version 1.03; the partition
 * table is that of PC master boot records.
 *
 * @module
 */

const SECTOR = 512;
/** Sector of the partition: 1 MiB, the alignment of current partitioning tools. */
const PARTITION_START = 2048;
const SECTORS_PER_CLUSTER = 4;
const RESERVED = 4;
const ROOT_ENTRIES = 512;
const MEDIA = 0xf8;
const END_OF_CHAIN = 0xffff;
/** FAT16 has at least this many clusters and fewer than 65525; this number alone distinguishes it from FAT12 and FAT32. */
const LEAST_CLUSTERS = 4085;
/** 2026-01-01 12:00:00 in the encoding of DOS. */
const DOS_DATE = (2026 - 1980) << 9 | 1 << 5 | 1;
const DOS_TIME = 12 << 11;

/** A file or, with `entries`, a folder; names are of the form `NAME.EXT` in capitals. */
export type FatEntry =
  | { readonly name: string; readonly content: Uint8Array }
  | { readonly name: string; readonly entries: readonly FatEntry[] };

/** Returns a disk of `size` bytes with one bootable FAT16 partition that holds `entries`. */
export function fatDisk(size: number, label: string, entries: readonly FatEntry[]): Uint8Array {
  const disk = new Uint8Array(size);
  const sectors = size / SECTOR - PARTITION_START;
  writeMasterBootRecord(disk, sectors);
  new Volume(disk.subarray(PARTITION_START * SECTOR), sectors, label).writeRoot(entries);
  return disk;
}

function writeMasterBootRecord(disk: Uint8Array, sectors: number): void {
  const view = new DataView(disk.buffer, 0, SECTOR);
  view.setUint32(440, 0x64636173, true); // Disk signature.
  view.setUint8(446, 0x80); // Bootable.
  disk.set([0xfe, 0xff, 0xff], 447); // Cylinder, head, sector: out of range, so the next fields apply.
  view.setUint8(450, 0x0e); // FAT16, addressed by sector number.
  disk.set([0xfe, 0xff, 0xff], 451);
  view.setUint32(454, PARTITION_START, true);
  view.setUint32(458, sectors, true);
  view.setUint16(510, 0xaa55, true);
}

class Volume {
  readonly fatSectors: number;
  readonly dataStart: number;
  readonly clusters: number;
  #nextCluster = 2;

  constructor(readonly bytes: Uint8Array, readonly sectors: number, readonly label: string) {
    const rootSectors = ROOT_ENTRIES * 32 / SECTOR;
    const left = sectors - RESERVED - rootSectors;
    // The rest holds the clusters and two FATs, of two bytes a cluster.
    this.fatSectors = Math.ceil((left / SECTORS_PER_CLUSTER + 2) * 2 / SECTOR);
    this.dataStart = RESERVED + 2 * this.fatSectors + rootSectors;
    this.clusters = Math.floor((sectors - this.dataStart) / SECTORS_PER_CLUSTER);
    if (this.clusters < LEAST_CLUSTERS || this.clusters > 65_524) throw new RangeError(`${this.clusters} clusters`);
  }

  writeRoot(entries: readonly FatEntry[]): void {
    this.writeBootSector();
    this.link(0, 0xff00 | MEDIA);
    this.link(1, END_OF_CHAIN);
    const root = [entryBytes(this.label.padEnd(11), 0x08, 0, 0), ...entries.map((entry) => this.writeEntry(entry, 0))];
    root.forEach((bytes, at) => this.bytes.set(bytes, (RESERVED + 2 * this.fatSectors) * SECTOR + at * 32));
  }

  writeBootSector(): void {
    const view = new DataView(this.bytes.buffer, this.bytes.byteOffset, SECTOR);
    this.bytes.set([0xeb, 0x3c, 0x90]); // Jump over the parameters.
    this.text("DISKCAST", 3);
    view.setUint16(11, SECTOR, true);
    view.setUint8(13, SECTORS_PER_CLUSTER);
    view.setUint16(14, RESERVED, true);
    view.setUint8(16, 2); // FATs.
    view.setUint16(17, ROOT_ENTRIES, true);
    view.setUint16(19, this.sectors < 65_536 ? this.sectors : 0, true);
    view.setUint8(21, MEDIA);
    view.setUint16(22, this.fatSectors, true);
    view.setUint16(24, 63, true); // Sectors of a track.
    view.setUint16(26, 255, true); // Heads.
    view.setUint32(28, PARTITION_START, true);
    view.setUint32(32, this.sectors < 65_536 ? 0 : this.sectors, true);
    view.setUint8(36, 0x80); // First hard disk.
    view.setUint8(38, 0x29); // The next three fields are present.
    view.setUint32(39, 0x20260101, true);
    this.text(this.label.padEnd(11), 43);
    this.text("FAT16   ", 54);
    this.bytes.set([0xcd, 0x18, 0xeb, 0xfe], 62); // No operating system: return to the firmware, then loop.
    view.setUint16(510, 0xaa55, true);
  }

  writeEntry(entry: FatEntry, parent: number): Uint8Array {
    const name = shortName(entry.name);
    if ("content" in entry) {
      const first = entry.content.length === 0 ? 0 : this.writeChain(entry.content);
      return entryBytes(name, 0x20, first, entry.content.length);
    }
    // The folder's own cluster comes before those of its entries.
    const folder = new Uint8Array(SECTORS_PER_CLUSTER * SECTOR);
    const first = this.writeChain(folder);
    folder.set(entryBytes(".".padEnd(11), 0x10, first, 0), 0);
    folder.set(entryBytes("..".padEnd(11), 0x10, parent, 0), 32);
    entry.entries.forEach((one, at) => folder.set(this.writeEntry(one, first), 64 + at * 32));
    this.bytes.set(folder, this.at(first));
    return entryBytes(name, 0x10, first, 0);
  }

  writeChain(content: Uint8Array): number {
    const first = this.#nextCluster;
    const count = Math.ceil(content.length / (SECTORS_PER_CLUSTER * SECTOR));
    this.#nextCluster += count;
    if (this.#nextCluster > this.clusters + 2) throw new RangeError("the disk is full");
    for (let cluster = first; cluster < first + count; cluster++) {
      this.link(cluster, cluster + 1 < first + count ? cluster + 1 : END_OF_CHAIN);
    }
    this.bytes.set(content, this.at(first));
    return first;
  }

  link(cluster: number, next: number): void {
    for (const fat of [0, 1]) {
      const at = (RESERVED + fat * this.fatSectors) * SECTOR + cluster * 2;
      this.bytes[at] = next & 0xff;
      this.bytes[at + 1] = next >> 8;
    }
  }

  at(cluster: number): number {
    return (this.dataStart + (cluster - 2) * SECTORS_PER_CLUSTER) * SECTOR;
  }

  text(text: string, at: number): void {
    this.bytes.set(new TextEncoder().encode(text), at);
  }
}

function entryBytes(name: string, attributes: number, cluster: number, size: number): Uint8Array {
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode(name));
  view.setUint8(11, attributes);
  view.setUint16(14, DOS_TIME, true);
  view.setUint16(16, DOS_DATE, true);
  view.setUint16(18, DOS_DATE, true);
  view.setUint16(22, DOS_TIME, true);
  view.setUint16(24, DOS_DATE, true);
  view.setUint16(26, cluster, true);
  view.setUint32(28, size, true);
  return bytes;
}

function shortName(name: string): string {
  const [stem = "", ending = ""] = name.split(".");
  if (!/^[A-Z0-9_-]{1,8}$/.test(stem) || !/^[A-Z0-9_-]{0,3}$/.test(ending)) throw new RangeError(`name ${name}`);
  return stem.padEnd(8) + ending.padEnd(3);
}
