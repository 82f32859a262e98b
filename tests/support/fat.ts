/**
 * Makes small FAT12, FAT16 and FAT32 volumes with folders of several clusters. Structures as in Microsoft's "FAT: General
 * Overview of On-Disk Format", version 1.03; shares no code with the program.
 *
 * @module
 */

const SECTOR = 512;
const RESERVED = 32;
const ROOT_ENTRIES = 64;

/** A path of the form `EFI/BOOT/BOOTX64.EFI`, and the content of the file. */
export type FatFiles = { readonly [path: string]: Uint8Array };

/** A volume, and the places of it that tests damage. */
export interface MadeFat {
  readonly bytes: Uint8Array;
  /** First cluster of each folder and file, by path. */
  readonly clusters: ReadonlyMap<string, number>;
  /** Offset of the first FAT. */
  readonly fat: number;
  /** Offset of cluster 2. */
  readonly data: number;
  /** Writes the entry of a cluster in the FAT. */
  link(cluster: number, next: number): void;
}

/** Clusters that make the volume one of the type, of one sector each. */
const CLUSTERS = { 12: 600, 16: 4200, 32: 65_600 } as const;

/**
 * Returns a volume with the files. Each folder begins with `padding` deleted entries and as many parts of long names, so that
 * it has several clusters.
 */
export function makeFat(bits: 12 | 16 | 32, files: FatFiles, padding = 0): MadeFat {
  const clusters = CLUSTERS[bits];
  const fatSectors = Math.ceil((clusters + 2) * bits / 8 / SECTOR);
  const rootSectors = bits === 32 ? 0 : ROOT_ENTRIES * 32 / SECTOR;
  const dataSector = RESERVED + fatSectors + rootSectors;
  const total = dataSector + clusters;
  const bytes = new Uint8Array(total * SECTOR);
  const view = new DataView(bytes.buffer);
  const fat = RESERVED * SECTOR;
  const data = dataSector * SECTOR;
  const end = bits === 12 ? 0xfff : bits === 16 ? 0xffff : 0x0fff_ffff;
  let free = 2;
  const link = (cluster: number, next: number) => {
    if (bits === 32) return view.setUint32(fat + 4 * cluster, next, true);
    if (bits === 16) return view.setUint16(fat + 2 * cluster, next, true);
    const at = fat + Math.floor(cluster * 1.5);
    const old = view.getUint16(at, true);
    view.setUint16(at, cluster % 2 === 0 ? (old & 0xf000) | next : (old & 0xf) | (next << 4), true);
  };
  const found = new Map<string, number>();
  const store = (content: Uint8Array): number => {
    const count = Math.max(1, Math.ceil(content.length / SECTOR));
    const first = free;
    for (let index = 0; index < count; index++) {
      link(free, index === count - 1 ? end : free + 1);
      bytes.set(content.subarray(index * SECTOR, (index + 1) * SECTOR), data + (free - 2) * SECTOR);
      free++;
    }
    return first;
  };
  const folder = (prefix: string): Uint8Array => {
    const names = new Set(
      Object.keys(files).filter((path) => path.startsWith(prefix)).map((path) =>
        path.slice(prefix.length).split("/")[0]!
      ),
    );
    const entries: Uint8Array[] = [];
    for (let index = 0; index < padding; index++) entries.push(deleted(), longName());
    for (const name of names) {
      const path = prefix + name;
      const content = files[path];
      const cluster = content === undefined ? store(folder(`${path}/`)) : content.length === 0 ? 0 : store(content);
      found.set(path, cluster);
      entries.push(entryBytes(name, content === undefined ? 0x10 : 0x20, cluster, content?.length ?? 0));
    }
    const all = new Uint8Array(entries.length * 32);
    entries.forEach((entry, index) => all.set(entry, 32 * index));
    return all;
  };
  const root = folder("");
  const rootCluster = bits === 32 ? store(root) : 0;
  if (bits !== 32) bytes.set(root, (RESERVED + fatSectors) * SECTOR);
  bytes.set([0xeb, 0x58, 0x90], 0);
  bytes.set(new TextEncoder().encode("MSDOS5.0"), 3);
  view.setUint16(11, SECTOR, true);
  bytes[13] = 1;
  view.setUint16(14, RESERVED, true);
  bytes[16] = 1;
  view.setUint16(17, bits === 32 ? 0 : ROOT_ENTRIES, true);
  if (total < 65_536) view.setUint16(19, total, true);
  else view.setUint32(32, total, true);
  bytes[21] = 0xf8;
  if (bits === 32) {
    view.setUint32(36, fatSectors, true);
    view.setUint32(44, rootCluster, true);
  } else view.setUint16(22, fatSectors, true);
  bytes[bits === 32 ? 66 : 38] = 0x29;
  bytes.set(new TextEncoder().encode(`FAT${bits}   `), bits === 32 ? 82 : 54);
  view.setUint16(510, 0xaa55, true);
  link(0, (end & ~0xff) | 0xf8);
  link(1, end);
  return { bytes, clusters: found, fat, data, link };
}

function entryBytes(name: string, attributes: number, cluster: number, size: number): Uint8Array {
  const entry = new Uint8Array(32);
  const view = new DataView(entry.buffer);
  const [stem, extension = ""] = name.split(".");
  entry.set(new TextEncoder().encode(stem!.padEnd(8) + extension.padEnd(3)));
  entry[11] = attributes;
  view.setUint16(20, cluster >>> 16, true);
  view.setUint16(26, cluster & 0xffff, true);
  view.setUint32(28, size, true);
  return entry;
}

function deleted(): Uint8Array {
  const entry = entryBytes("GONE", 0x10, 2, 0);
  entry[0] = 0xe5;
  return entry;
}

function longName(): Uint8Array {
  const entry = new Uint8Array(32).fill(0x41);
  entry[11] = 0x0f;
  return entry;
}
