import assert from "node:assert/strict";
import {
  digestOf,
  guestBytes,
  hasQemu,
  inCi,
  mapJson,
  mergedMap,
  qemuImg,
  qemuImgOk,
  qemuIo,
  rng,
  scratch,
} from "./qemu.ts";

Deno.test("qemu-img and qemu-io are there where CI=true", () => {
  assert(hasQemu || !inCi, "qemu-img or qemu-io is not installed (Debian: qemu-utils)");
});

Deno.test("the same seed gives the same numbers", () => {
  const [a, b] = [rng(7), rng(7)];
  assert.deepEqual(a.bytes(33), b.bytes(33));
  assert.equal(a.int(5, 500), b.int(5, 500));
  assert.notDeepEqual(rng(7).bytes(33), rng(8).bytes(33));
  assert(Array.from({ length: 1000 }, () => a.int(3, 6)).every((value) => [3, 4, 5].includes(value)));
});

Deno.test("a scratch folder is gone afterwards", async () => {
  let path: string;
  {
    await using folder = await scratch();
    path = folder.path;
    await Deno.writeTextFile(folder.file("a"), "abc");
    assert.equal(
      await digestOf(folder.file("a")),
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    );
  }
  await assert.rejects(Deno.stat(path), Deno.errors.NotFound);
});

Deno.test({
  name: "qemu-img makes and reads images",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    const image = folder.file("a.qcow2");
    await qemuImgOk("create", "-f", "qcow2", image, "1M");
    await qemuIo(image, "write -P 7 64k 64k", "write -P 8 128k 64k");
    const bytes = await guestBytes(image);
    assert.equal(bytes.length, 1 << 20);
    assert.equal(bytes[64 << 10], 7);
    assert.equal(bytes.at(-1), 0);
    assert.deepEqual(mergedMap(await mapJson(image)), [
      { start: 0, length: 64 << 10, depth: 0, zero: true, data: false },
      { start: 64 << 10, length: 128 << 10, depth: 0, zero: false, data: true },
      { start: 192 << 10, length: (1 << 20) - (192 << 10), depth: 0, zero: true, data: false },
    ]);
    assert.notEqual((await qemuImg("info", folder.file("none"))).code, 0);
    await assert.rejects(qemuImgOk("info", folder.file("none")), /none/);
    await assert.rejects(qemuIo(image, "read -P 9 64k 64k"));
  },
});

Deno.test("deno task fuzz runs every test file that repeats more often there", async () => {
  const files = filesIn(new URL("..", import.meta.url));
  for (const url of files.filter(({ pathname }) => pathname.endsWith("_test.ts"))) {
    const source = await Deno.readTextFile(url);
    if (/[=< ]rounds\(\d/.test(source)) assert.match(source, /\bseed\(\)/, url.pathname);
  }
});

function filesIn(folder: URL): URL[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) =>
    isDirectory ? filesIn(new URL(`${name}/`, folder)) : [new URL(name, folder)]
  );
}
