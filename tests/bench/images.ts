/**
 * The images of the benchmark, made from a seed.
 *
 * @module
 */
import { qemuImgOk, type Rng, run } from "../support/qemu.ts";

/** Data comes in extents of up to so many bytes, with holes between. */
const EXTENT = 8 << 20;
const PIECE = 64 << 10;
const MIB = 2 ** 20;

/**
 * Writes a sparse raw disk of `size` bytes. Half of it is data: one half of that text-like, which compresses well, the other
 * half random, which does not compress.
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

/** A raw disk of `size` bytes that is one hole, but for `data` bytes in pieces of 1 MiB, evenly scattered. */
export async function makeSparseRaw(path: string, size: number, data: number, random: Rng): Promise<void> {
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  await file.truncate(size);
  const pieces = Math.max(1, Math.floor(data / MIB));
  const reach = Math.floor(size / pieces / MIB);
  for (let index = 0; index < pieces; index++) {
    file.seekSync((index * reach + random.int(reach)) * MIB, Deno.SeekMode.Start);
    writeAll(file, random.bytes(MIB));
  }
  await file.sync();
}

/** A qcow2 image of `size` guest bytes with `data` bytes of data in pieces of 64 KiB, evenly scattered. */
export async function makeScattered(path: string, size: number, data: number, random: Rng): Promise<void> {
  await qemuImgOk("create", "-q", "-f", "qcow2", path, `${size}`);
  const pieces = Math.max(1, Math.floor(data / PIECE));
  const reach = Math.floor(size / pieces / PIECE);
  const starts = Array.from({ length: pieces }, (_, index) => (index * reach + random.int(reach)) * PIECE);
  await writePieces(path, starts, PIECE, random);
}

/** A chain of `layers` qcow2 images; each holds its share of `size / 2` bytes of data, strewn over the whole disk. */
export async function makeChain(base: string, size: number, layers: number, random: Rng): Promise<string> {
  const length = 4 * PIECE;
  let path = base;
  for (let depth = 0; depth < layers; depth++) {
    const backing = path;
    path = depth === layers - 1 ? base : `${base}.${depth}`;
    await qemuImgOk(
      "create",
      "-q",
      "-f",
      "qcow2",
      ...(depth > 0 ? ["-b", backing, "-F", "qcow2"] : []),
      path,
      `${size}`,
    );
    const slots = Math.floor(size / length);
    const count = Math.max(1, Math.floor(slots / 2 / layers));
    const starts = Array.from({ length: count }, () => random.int(slots) * length).toSorted((a, b) => a - b);
    await writePieces(path, starts, length, random);
  }
  return path;
}

/** A qcow2 image of 1 TiB of which 20 GiB are allocated: 10 MiB in each 512 MiB. The file itself is nearly all holes. */
export async function makeAllocated(path: string): Promise<void> {
  await qemuImgOk("create", "-q", "-f", "qcow2", path, "502M");
  const commands: string[] = [];
  for (let end = 512; end <= 1 << 20; end += 512) {
    if (end > 512) commands.push(`truncate ${end - 10}M`);
    commands.push(`truncate -m metadata ${end}M`);
  }
  await qemuIoAll(path, commands);
}

/** Half of the pieces text-like, half random; a few different ones of each are enough where nothing is compressed. */
async function writePieces(path: string, starts: readonly number[], length: number, random: Rng): Promise<void> {
  const text = textPool(random);
  const patterns = Array.from({ length: 8 }, (_, index) => `${path}.pattern${index}`);
  for (const [index, pattern] of patterns.entries()) {
    const from = random.int(text.length - length);
    await Deno.writeFile(pattern, index % 2 === 0 ? text.subarray(from, from + length) : random.bytes(length));
  }
  await qemuIoAll(path, starts.map((start) => `write -q -s ${random.pick(patterns)} ${start} ${length}`));
  for (const pattern of patterns) await Deno.remove(pattern);
}

/** Many commands in one process, which never waits for the disk; qemu-io reads them from its standard input. */
async function qemuIoAll(path: string, commands: readonly string[]): Promise<void> {
  const list = `${path}.commands`;
  await Deno.writeTextFile(list, `${commands.join("\n")}\n`);
  const script = 'qemu-io -t unsafe -f qcow2 "$1" < "$0" 2>&1 | tr -d "\\n" | sed "s/qemu-io> //g"';
  const { code, stdout } = await run("bash", ["-c", script, list, path]);
  await Deno.remove(list);
  if (code !== 0 || /fail|error|invalid/i.test(stdout)) throw new Error(`qemu-io on ${path}: ${stdout.slice(-500)}`);
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
