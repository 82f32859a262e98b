import assert from "node:assert/strict";
import type { OptionValues } from "../../../formats/options.ts";
import { qcow2 } from "../../../formats/qcow2/mod.ts";
import { assertBytes, createImage, openImage, readAll, resized, workAtRandom } from "../../support/model.ts";
import { hasQemu, rng, scratch, seed } from "../../support/qemu.ts";
import { assertJudged, save } from "./write_support.ts";

const runSeed = seed();

/** An image to create. */
interface Case {
  readonly options: OptionValues;
  readonly compress?: boolean;
  /** Whether the image has a backing file. */
  readonly backing?: boolean;
}

const clusterSizes = [512, 1024, 4096, 16384, 65536, 1 << 20, 2 << 20];

const cases: Case[] = [
  ...clusterSizes.flatMap((cluster_size): Case[] => [
    { options: { cluster_size } },
    { options: { cluster_size }, backing: true },
    { options: { cluster_size, compat: "0.10" } },
    { options: { cluster_size, compat: "0.10" }, backing: true },
    { options: { cluster_size, preallocation: "metadata" } },
    { options: { cluster_size }, compress: true },
  ]),
  ...[1, 2, 4, 8, 32, 64].flatMap((refcount_bits): Case[] => [
    { options: { refcount_bits, cluster_size: 4096 } },
    { options: { refcount_bits, cluster_size: 512 } },
    { options: { refcount_bits, cluster_size: 4096 }, compress: true },
    { options: { refcount_bits, cluster_size: 512 }, compress: true },
  ]),
  ...[16384, 65536, 2 << 20].flatMap((cluster_size): Case[] => [
    { options: { cluster_size, extended_l2: true } },
    { options: { cluster_size, extended_l2: true }, backing: true },
    { options: { cluster_size, extended_l2: true }, compress: true },
    { options: { cluster_size, extended_l2: true, preallocation: "metadata" }, backing: true },
    { options: { cluster_size, extended_l2: true, preallocation: "metadata" } },
  ]),
  { options: { compat: "0.10" }, compress: true },
  { options: { compat: "0.10" }, compress: true, backing: true },
  { options: { compression_type: "zstd" }, compress: true },
  { options: { compression_type: "zstd", cluster_size: 512 }, compress: true },
  { options: { compression_type: "zstd", extended_l2: true }, compress: true, backing: true },
  { options: { preallocation: "falloc" } },
  { options: { preallocation: "full", compat: "0.10" } },
  { options: { lazy_refcounts: true } },
  { options: { data_file: "data.raw" } },
  { options: { data_file: "data.raw" }, backing: true },
  { options: { data_file: "data.raw", cluster_size: 512 } },
  { options: { data_file: "data.raw", extended_l2: true } },
  { options: { data_file: "data.raw", extended_l2: true }, backing: true },
  { options: { data_file: "data.raw", preallocation: "metadata" } },
  { options: { data_file: "data.raw", data_file_raw: true } },
  { options: { data_file: "data.raw", data_file_raw: true, preallocation: "full" } },
];

for (const [nth, one] of cases.entries()) {
  const text = Object.entries(one.options).map(([name, value]) => `${name}=${value}`).join(",");
  const name = `a new image with ${text}${one.compress ? ", compressed" : ""}${
    one.backing ? ", over a backing file" : ""
  }`;
  Deno.test({ name, ignore: !hasQemu, fn: () => tryCase(one, runSeed + nth) });
}

async function tryCase(
  { options, compress = false, backing: hasBacking = false }: Case,
  caseSeed: number,
): Promise<void> {
  const random = rng(caseSeed);
  const cluster = Number(options.cluster_size ?? 65536);
  // A few of the largest clusters.
  const size = 512 * random.int(1, Math.max(1000, (cluster < 1 << 20 ? 24 : 8) * cluster / 512));
  const backing = hasBacking ? backingBytes(random.bytes(512 * random.int(1, 2 * size / 512)), random.int(4)) : null;
  const model = resized(backing ?? new Uint8Array(0), size);
  const image = await createImage(qcow2, size, options, { compress, backing });
  await workAtRandom(image.writer, model, random, 60);
  await image.writer.finish();
  await using folder = await scratch();
  await assertJudged(await save(image, folder, backing), model);
  if (options.data_file_raw) assertBytes(image.named.get("data.raw")!.bytes(), model);
  const disk = await openImage(qcow2, image);
  assertBytes(await readAll(disk, backing ?? undefined), model);
}

/** Returns random bytes with holes of zeroes. */
function backingBytes(bytes: Uint8Array, holes: number): Uint8Array {
  const part = Math.floor(bytes.length / 8);
  for (let hole = 0; hole < holes; hole++) bytes.fill(0, 2 * hole * part, (2 * hole + 1) * part);
  return bytes;
}

Deno.test("an empty new image is small", async () => {
  const image = await createImage(qcow2, 1 << 40);
  await image.writer.finish();
  assert(image.storage.bytes().length <= 5 * 65536, `${image.storage.bytes().length} bytes`);
});
