import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { openQcow2 } from "../../../formats/qcow2/open.ts";
import { openFileStorage } from "../../../formats/storage/file.ts";
import { MemoryStorage } from "../../../formats/storage/memory.ts";
import type { Storage } from "../../../formats/storage/types.ts";
import { guestBytes, hasQemu, mapJson, qemuImgOk, qemuIo, scratch } from "../../support/qemu.ts";
import { bytesOf, extentLines, extentsOf, mapLines, openPath, standalone } from "./support.ts";

const BLOCK = 4096;

/** Storage that reports every block of zeroes as a hole. */
class Sparse extends MemoryStorage {
  requests = 0;

  holeAt(fileOffset: number, limit: number): Promise<{ hole: boolean; end: number }> {
    this.requests++;
    const zero = (at: number) => this.bytes().subarray(at, at + BLOCK).every((byte) => byte === 0);
    const hole = zero(fileOffset - fileOffset % BLOCK);
    let end = fileOffset - fileOffset % BLOCK + BLOCK;
    while (end < limit && zero(end) === hole) end += BLOCK;
    return Promise.resolve({ hole, end: Math.min(end, limit) });
  }
}

for (const options of ["cluster_size=64k", "cluster_size=4k"]) {
  Deno.test(`host holes of preallocated qcow2 read as zero: ${options}`, { ignore: !hasQemu }, async () => {
    await using folder = await scratch();
    const path = folder.file("a.qcow2");
    await qemuImgOk("create", "-q", "-f", "qcow2", "-o", `${options},preallocation=metadata`, path, "8M");
    await qemuIo(path, "write -P 1 100k 8k", "write -P 2 3M 64k", "write -z 5M 64k");
    const storage = new Sparse(await Deno.readFile(path), path);
    const disk = await openQcow2(storage, standalone);
    assert.equal(Buffer.compare(await bytesOf(disk), await guestBytes(path)), 0);
    assert.deepEqual(extentLines(await extentsOf(disk)), [
      `zero 0-${100 << 10}`,
      `data ${100 << 10}-${108 << 10}`,
      `zero ${108 << 10}-${3 << 20}`,
      `data ${3 << 20}-${(3 << 20) + (64 << 10)}`,
      `zero ${(3 << 20) + (64 << 10)}-${8 << 20}`,
    ]);
  });
}

Deno.test(
  "the host is not asked for each extent of a qcow2 file without large holes",
  { ignore: !hasQemu },
  async () => {
    await using folder = await scratch();
    const path = folder.file("a.qcow2");
    await qemuImgOk("create", "-q", "-f", "qcow2", "-o", "cluster_size=64k", path, "8M");
    await qemuIo(path, ...Array.from({ length: 60 }, (_, index) => `write -P 1 ${index * 128}k 64k`));
    const storage = new Sparse(await Deno.readFile(path), path);
    const disk = await openQcow2(storage, standalone);
    assert.equal((await extentsOf(disk)).length, 120);
    assert.ok(storage.requests <= 16, `${storage.requests} requests`);
  },
);

Deno.test("host holes agree with qemu-img map where the host can tell", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  const path = folder.file("a.qcow2");
  await qemuImgOk("create", "-q", "-f", "qcow2", "-o", "preallocation=metadata", path, "64M");
  await qemuIo(path, "write -P 1 1M 64k", "write -P 2 30M 1M");
  await using storage: Storage = await openFileStorage(path);
  await using disk = await openPath(path);
  const map = mapLines(await mapJson(path));
  const expected = storage.holeAt === undefined ? [`data 0-${64 << 20}`] : map;
  assert.deepEqual(extentLines(await extentsOf(disk)), expected);
});
