/**
 * Preallocation of a new image.
 *
 * @module
 */
import type { Content } from "../../content.ts";
import type { WritableStorage } from "../../storage/types.ts";
import type { Image } from "../image.ts";
import { setEntry, setSubclusters } from "../mapping/l2_entry.ts";
import type { Preallocation } from "../../maintenance.ts";
import { writeZeroes } from "./write_data.ts";

/**
 * Maps every guest cluster to a host cluster, in guest order. Without a backing file all clusters are data that reads
 * as zeroes; with one (extended L2 entries) the subclusters stay unallocated.
 *
 * @returns the offset in `image.data` of guest byte 0
 */
export async function preallocate(image: Image, mode: Preallocation): Promise<number> {
  const { header, geometry, data } = image;
  const { clusterSize } = geometry;
  const clusters = Math.ceil(header.size / clusterSize);
  if (clusters === 0) return 0;
  const base = header.externalData ? 0 : await image.allocator.allocateAtEnd(clusters) * clusterSize;
  for (let index = 0; index < header.l1.entries; index++) {
    const first = index * geometry.l2Entries;
    const count = Math.min(geometry.l2Entries, clusters - first);
    await image.tables.change(index, (table) => {
      for (let nth = 0; nth < count; nth++) {
        setEntry(table, nth * geometry.l2EntryBytes, base + (first + nth) * clusterSize, true);
        if (geometry.extended && header.backing === null) setSubclusters(table, nth * 16, 0, 0xffffffff);
      }
      image.tables.changed(index);
    });
  }
  // A data file is as long as the disk, so that it is the disk's raw image.
  await reserveZeroed(data, base, header.externalData ? header.size : base + clusters * clusterSize, mode);
  return base;
}

/** Makes `[start, end)` read as zeroes, with space on the host where `mode` asks for it. */
async function reserveZeroed(data: WritableStorage, start: number, end: number, mode: Preallocation): Promise<void> {
  if (data.startsZeroed) {
    if (mode !== "metadata") await data.reserve(start, end, mode === "full");
  } else if (mode === "full") {
    await writeZeroes(data, start, end);
  } else {
    await data.zeroAt(start, end);
  }
}

/** Returns a writer for guest bytes that are all allocated in guest order, so that it needs no table. */
export function linearWriter(image: Image, base: number, mode: Preallocation) {
  const { data } = image;
  return {
    write: (content: Content, start: number) => content.writeTo(data, base + start),
    async zero(start: number, end: number): Promise<void> {
      if (mode === "metadata") return await data.zeroAt(base + start, base + end);
      // A hole would deallocate the reserved space.
      await writeZeroes(data, base + start, base + end);
    },
  };
}
