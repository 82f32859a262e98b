/**
 * Makes images for the tests of commands.
 *
 * @module
 */
import { qemuImgOk, qemuIo, type Scratch } from "../../support/qemu.ts";

/** One image and its format. */
export interface Sample {
  readonly name: string;
  readonly path: string;
  readonly format: string;
}

const VARIANTS: readonly string[] = [
  "compat=0.10",
  "cluster_size=512",
  "cluster_size=2M,lazy_refcounts=on",
  "extended_l2=on",
  "compression_type=zstd,refcount_bits=1",
  "preallocation=metadata",
];

/** Makes raw and qcow2 images of many variants with qemu-img; some with backing file, snapshots and bitmaps. */
export async function samplesIn(folder: Scratch): Promise<Sample[]> {
  const samples: Sample[] = [];
  const add = async (name: string, format: string, args: string[], ...commands: string[]) => {
    const path = folder.file(name);
    await qemuImgOk("create", "-q", "-f", format, ...args.map((arg) => arg === "IMAGE" ? path : arg));
    if (commands.length > 0) await qemuIo(["-f", format, path], ...commands);
    samples.push({ name, path, format });
    return path;
  };
  const writes = ["write -P 1 0 1M", "write -P 2 1600k 4k", "write -z 128k 128k", "write -P 3 7340031 2"];
  await add("empty.raw", "raw", ["IMAGE", "3M"]);
  await add("some.raw", "raw", ["IMAGE", "8M"], ...writes);
  await add("empty.qcow2", "qcow2", ["IMAGE", "5M"]);
  for (const [index, options] of VARIANTS.entries()) {
    const zeroes = options.startsWith("compat") ? writes.filter((one) => !one.includes("-z")) : writes;
    await add(`v${index}.qcow2`, "qcow2", ["-o", options, "IMAGE", "8M"], ...zeroes);
  }
  const base = await add("base.qcow2", "qcow2", ["IMAGE", "6M"], "write -P 4 0 3M", "discard 1M 64k");
  const top = await add(
    "top.qcow2",
    "qcow2",
    ["-o", "cluster_size=4k", "-b", "base.qcow2", "-F", "qcow2", "IMAGE", "9M"],
    "write -P 5 500k 100k",
    "write -z 2M 512k",
    "write -P 6 8M 1000",
  );
  await add("absolute.qcow2", "qcow2", ["-b", base, "-F", "qcow2", "IMAGE"], "write -P 7 1M 1M");
  await add("data.qcow2", "qcow2", ["-o", `data_file=${folder.file("data.bin")}`, "IMAGE", "2M"], "write -P 8 0 2M");
  await qemuImgOk("snapshot", "-c", "first", top);
  await qemuIo(top, "write -P 9 3M 64k");
  await qemuImgOk("snapshot", "-c", "ein zweiter", top);
  await qemuImgOk("bitmap", "--add", top, "bits");
  await qemuImgOk("bitmap", "--add", "--disable", "-g", "128k", top, "more");
  const compressed = folder.file("compressed.qcow2");
  await qemuImgOk("convert", "-c", "-O", "qcow2", top, compressed);
  samples.push({ name: "compressed.qcow2", path: compressed, format: "qcow2" });
  return samples;
}
