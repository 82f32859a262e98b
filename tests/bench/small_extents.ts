/**
 * Images of very many small extents: the worst cases of look-ups.
 *
 * @module
 */
import { createFileStorage } from "../../formats/storage/file.ts";
import { inlineCompressor } from "../../formats/mod.ts";
import { vpc } from "../../formats/vpc/mod.ts";
import { cowd } from "../formats/vmdk/build.ts";
import { qemuImgOk, type Rng } from "../support/qemu.ts";

const CLUSTER = 64 << 10;
const SECTOR = 512;

/** A raw disk without a hole in which every other cluster is zero. */
export async function makeFull(path: string, size: number): Promise<void> {
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  const cluster = crypto.getRandomValues(new Uint8Array(CLUSTER));
  for (let at = 0; at < size; at += CLUSTER) await file.write(at % (2 * CLUSTER) === 0 ? cluster.fill(0) : cluster);
}

/** The disk of {@linkcode makeFull} in qcow2, its zero clusters unallocated. */
export async function makeAlternating(path: string, full: string): Promise<void> {
  await qemuImgOk("convert", "-f", "raw", "-O", "qcow2", full, path);
}

/** File offset of the block allocation table in the VHDs that the writer makes; big-endian sectors, 4 bytes each. */
const BAT = 1536;
const BLOCK = 2 << 20;

/** A VHD of 128 MiB whose sector bitmaps state every other sector of each block. The others are zero. */
export async function makeSectors(path: string, random: Rng): Promise<void> {
  await using storage = await createFileStorage(path);
  const size = 128 << 20;
  const writer = await vpc.create!(storage, { size, options: { force_size: true }, backing: null, compress: false }, {
    createNamed: () => Promise.reject(new Error("A VHD names no files")),
    backing: null,
    compressor: inlineCompressor,
  });
  const bytes = random.bytes(SECTOR);
  for (let at = 0; at < size; at += 2 * SECTOR) await writer.write(bytes, at);
  await writer.finish();
  const table = new Uint8Array(size / BLOCK * 4);
  await storage.readAt(table, BAT);
  const bitmap = new Uint8Array(BLOCK / SECTOR / 8).fill(0xaa);
  for (let at = 0; at < table.length; at += 4) {
    await storage.writeAt(bitmap, new DataView(table.buffer).getUint32(at) * SECTOR);
  }
}

/** A COWD extent of `count` grains of one sector, with a hole after each. */
export async function makeCowd(path: string, count: number): Promise<void> {
  const grains = Array.from({ length: 2 * count }, (_, nth) => nth % 2 === 0 ? 1 + nth % 250 : null);
  await Deno.writeFile(path, cowd(grains));
}
