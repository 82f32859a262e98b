/** Jobs over an image whose sectors alternate between data and holes: requests do not grow with the number of extents. */
import assert from "node:assert/strict";
import { compare } from "../../core/compare.ts";
import { convert } from "../../core/convert.ts";
import { digest } from "../../core/digest.ts";
import { type FileOperation, watchedFiles } from "../support/files.ts";
import { scratch } from "../support/qemu.ts";
import { cowd, SECTOR } from "../formats/vmdk/build.ts";

const SECTORS = 1 << 14;

Deno.test("alternating sectors are copied, hashed and compared with few requests", async () => {
  await using folder = await scratch();
  const [image, raw, out] = ["a.vmdk", "a.raw", "out.raw"].map((name) => folder.file(name));
  const grains = Array.from({ length: SECTORS }, (_, nth) => nth % 2 === 0 ? 1 + nth % 250 : null);
  await Deno.writeFile(image, cowd(grains));
  const bytes = new Uint8Array(SECTORS * SECTOR);
  grains.forEach((value, nth) => bytes.fill(value ?? 0, nth * SECTOR, (nth + 1) * SECTOR));
  await Deno.writeFile(raw, bytes);
  const operations: FileOperation[] = [];
  // Look-ups of holes inside a known extent do not reach the host; see hole_cache_test.ts.
  const files = watchedFiles((operation) => void (operation.op !== "hole" && operations.push(operation)));
  const [source, other] = [{ path: image, format: "vmdk" }, { path: raw, format: "raw" }];
  const counted = async <T>(job: Promise<T>): Promise<T> => {
    operations.length = 0;
    const result = await job;
    const few = operations.length < SECTORS / 20;
    assert.ok(few, `${operations.length} requests for ${SECTORS} extents`);
    return result;
  };
  await counted(convert({ sources: [source], target: { path: out, format: "raw" } }, { files }));
  assert.deepEqual(await Deno.readFile(out), bytes);
  const { sha256 } = await counted(digest(source, { files }));
  assert.equal(sha256, (await digest(other)).sha256);
  for (const strict of [false, true]) {
    const result = await counted(compare(source, strict ? source : other, { files, strict }));
    assert.equal(result.identical, true);
  }
  bytes[5001 * SECTOR + 7] = 1;
  await Deno.writeFile(raw, bytes);
  const { difference, at } = await compare(source, other, { files });
  assert.deepEqual([difference, at], ["content", 5001 * SECTOR]);
});

Deno.test("-s names the status that differs first only where the bytes before it are equal", async () => {
  await using folder = await scratch();
  const [one, other] = ["one.vmdk", "other.vmdk"].map((name) => folder.file(name));
  const grains: (number | null)[] = Array.from({ length: 256 }, (_, nth) => nth % 2 === 0 ? 7 : null);
  await Deno.writeFile(one, cowd(grains));
  const result = async (changes: readonly (readonly [nth: number, value: number | null])[]) => {
    const changed = [...grains];
    for (const [nth, value] of changes) changed[nth] = value;
    await Deno.writeFile(other, cowd(changed));
    const { difference, at } = await compare(one, other, { strict: true });
    return [difference, at! / SECTOR];
  };
  assert.deepEqual(await result([[101, 0]]), ["status", 101]);
  assert.deepEqual(await result([[50, 8], [101, 0]]), ["content", 50]);
  assert.deepEqual(await result([[101, 0], [120, 8]]), ["status", 101]);
});
