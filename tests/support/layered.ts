/**
 * Random disks of several layers, made by qemu-img and qemu-io, with the commands that made them.
 *
 * @module
 */
import { qemuImgOk, qemuIo, type Rng, type Scratch } from "./qemu.ts";

/** A chain of images. */
export interface LayeredDisk {
  /** The top image. */
  readonly path: string;
  /** All images, the top first. */
  readonly layers: readonly { readonly path: string; readonly format: string }[];
  /** Guest bytes of the top. */
  readonly size: number;
  /** The commands that made it, to repeat a failure. */
  readonly story: readonly string[];
}

const CLUSTERS = [512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536] as const;

/** Makes a disk of one to `most` layers; the lowest may be raw. All sizes are multiples of 512 bytes and of nothing more. */
export async function layeredDisk(folder: Scratch, name: string, random: Rng, most = 3): Promise<LayeredDisk> {
  const story: string[] = [];
  const layers: { path: string; format: string }[] = [];
  const count = random.int(1, most + 1);
  let size = 0;
  for (let depth = 0; depth < count; depth++) {
    // A layer may be longer or shorter than its backing file.
    size = depth > 0 && random.chance(0.6) ? size : random.int(3, 4096) * 512;
    const path = folder.file(`${name}-${depth}`);
    const lower = layers[0];
    const format = depth === 0 && random.chance(0.2) ? "raw" : "qcow2";
    const cluster = random.pick(CLUSTERS);
    const options = format === "raw" ? [] : ["-o", qcow2Options(cluster, random)];
    const backing = lower ? ["-b", lower.path, "-F", lower.format] : [];
    const args = ["create", "-q", "-f", format, ...options, ...backing, path, `${size}`];
    await qemuImgOk(...args);
    const commands = layerCommands(size, format === "raw" ? 0 : cluster, random);
    await qemuIo(["-f", format, "-d", "unmap", path], ...commands);
    story.push(`qemu-img ${args.join(" ")}`, `qemu-io -f ${format} -d unmap ${quoted(commands)} ${path}`);
    layers.unshift({ path, format });
  }
  return { path: layers[0].path, layers, size, story };
}

function qcow2Options(cluster: number, random: Rng): string {
  const options = [`cluster_size=${cluster}`];
  if (random.chance(0.3)) return [...options, "compat=0.10"].join(",");
  if (cluster >= 16_384 && random.chance(0.3)) options.push("extended_l2=on");
  if (random.chance(0.2)) options.push("compression_type=zstd");
  if (random.chance(0.2)) options.push(`refcount_bits=${random.pick([1, 2, 4, 8, 32, 64])}`);
  return options.join(",");
}

function layerCommands(size: number, cluster: number, random: Rng): string[] {
  return [...compressedWrites(size, cluster, random), ...plainCommands(size, random)];
}

/** Compressed writes: each of one whole cluster, or the short one at the end, that holds nothing yet. */
function compressedWrites(size: number, cluster: number, random: Rng): string[] {
  if (cluster === 0 || random.chance(0.5)) return [];
  const clusters = new Set(Array.from({ length: random.int(1, 12) }, () => random.int(Math.ceil(size / cluster))));
  return [...clusters].map((index) => {
    const start = index * cluster;
    return `write -c -P ${random.int(1, 256)} ${start} ${Math.min(cluster, size - start)}`;
  });
}

function plainCommands(size: number, random: Rng): string[] {
  return Array.from({ length: random.int(1, 9) }, () => {
    const start = random.int(size / 512) * 512;
    const length = Math.min(size - start, random.int(1, random.chance(0.5) ? 24 : 700) * 512);
    const kind = random.int(9);
    if (kind < 5) return `write -P ${random.int(1, 256)} ${start} ${length}`;
    if (kind === 5) return `write -P 0 ${start} ${length}`;
    if (kind === 6) return `write -z ${start} ${length}`;
    if (kind === 7) return `write -z -u ${start} ${length}`;
    return `discard ${start} ${length}`;
  });
}

function quoted(commands: readonly string[]): string {
  return commands.map((command) => `-c '${command}'`).join(" ");
}
