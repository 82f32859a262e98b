/**
 * The images of the benchmark, made from a seed.
 *
 * @module
 */
import { qemuImgOk, type Rng } from "../support/qemu.ts";

/** Data comes in extents of up to so many bytes, with holes between. */
const EXTENT = 8 << 20;
const PIECE = 64 << 10;

/**
 * Writes a sparse raw disk of `size` bytes. Half of it is data: one half of that text-like, which packs well, the other
 * half random, which does not pack.
 */
export async function makeRaw(path: string, size: number, random: Rng): Promise<void> {
  const text = textPool(random);
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  for (let at = 0, turn = 0; at < size; turn++) {
    const end = Math.min(size, at + random.int(1, EXTENT / PIECE) * PIECE);
    // Hole, text, hole, random: extents and holes have the same mean length.
    if (turn % 2 === 1) {
      file.seekSync(at, Deno.SeekMode.Start);
      for (let start = at; start < end; start += PIECE) {
        const piece = turn % 4 === 1 ? slice(text, random) : random.bytes(PIECE);
        writeAll(file, piece.subarray(0, end - start));
      }
    }
    at = end;
  }
  await file.truncate(size);
  await file.sync();
}

/** The same disk in other formats. */
export async function makeOthers(raw: string, qcow2: string, packed: string | null): Promise<void> {
  await qemuImgOk("convert", "-f", "raw", "-O", "qcow2", raw, qcow2);
  if (packed) await qemuImgOk("convert", "-f", "raw", "-c", "-W", "-m", "16", "-O", "qcow2", raw, packed);
}

/** Lines as a log has them. */
function textPool(random: Rng): Uint8Array {
  const words = "connection closed request file user error warning system started stopped service timeout value cache"
    .split(" ");
  let text = "";
  while (text.length < 1 << 20) {
    text += `${random.int(1e9)} [${random.pick(words)}] ${random.pick(words)} ${random.pick(words)} ${
      random.int(500)
    }\n`;
  }
  return new TextEncoder().encode(text);
}

function slice(text: Uint8Array, random: Rng): Uint8Array {
  const start = random.int(text.length - PIECE);
  return text.subarray(start, start + PIECE);
}

function writeAll(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) done += file.writeSync(bytes.subarray(done));
}
