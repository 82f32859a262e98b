import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { ImageError } from "../../../formats/errors.ts";
import { guestBytes, hasQemu, qemuImgOk, qemuIo, scratch } from "../../support/qemu.ts";
import { bytesOf, extentsOf, openPath } from "./support.ts";

Deno.test("qcow2 snapshots read as they were taken", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  for (const options of ["compat=0.10", "compat=1.1", "cluster_size=512", "extended_l2=on,cluster_size=16k"]) {
    const path = folder.file("a.qcow2");
    await qemuImgOk("create", "-q", "-f", "qcow2", "-o", options, path, "1M");
    await qemuIo(path, "write -P 1 0 100k", "write -c -P 9 512k 64k");
    const first = await guestBytes(path);
    await qemuImgOk("snapshot", "-c", "first", path);
    await qemuIo(path, "write -P 2 50k 100k", "write -z 600k 64k", "discard 0 20k");
    const second = await guestBytes(path);
    await qemuImgOk("snapshot", "-c", "1", path); // its name is the ID of the other
    await qemuIo(path, "write -P 3 0 1M");
    await using now = await openPath(path);
    assert.equal(Buffer.compare(await bytesOf(now), await guestBytes(path)), 0);
    for (
      const [choice, expected] of [
        [{ idOrName: "first" }, first],
        [{ idOrName: "1" }, first],
        [{ idOrName: "2" }, second],
        [{ name: "1" }, second],
        [{ id: "2", name: "1" }, second],
        [{ id: "1" }, first],
      ] as const
    ) {
      await using disk = await openPath(path, choice);
      assert.equal(Buffer.compare(await bytesOf(disk), expected), 0, JSON.stringify(choice));
    }
  }
});

Deno.test("a qcow2 snapshot has its own size", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  const path = folder.file("a.qcow2");
  await qemuImgOk("create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", path, "3M");
  await qemuIo(path, "write -P 1 0 3M");
  await qemuImgOk("snapshot", "-c", "small", path);
  await qemuImgOk("resize", "-q", path, "9M");
  await qemuIo(path, "write -P 2 2M 7M");
  await qemuImgOk("snapshot", "-c", "large", path);
  await qemuImgOk("resize", "-q", "--shrink", path, "1M");
  for (const [name, size, at, byte] of [["small", 3, 2, 1], ["large", 9, 8, 2]] as const) {
    await using disk = await openPath(path, { idOrName: name });
    assert.equal(disk.size, size << 20);
    assert.deepEqual(await extentsOf(disk), [{ kind: "data", compressed: false, start: 0, end: size << 20 }]);
    const piece = new Uint8Array(1 << 20);
    await disk.read(piece, at << 20);
    assert.ok(piece.every((value) => value === byte));
  }
});

Deno.test(
  "a snapshot that is not there is missing, and the message names those that are",
  { ignore: !hasQemu },
  async () => {
    await using folder = await scratch();
    const path = folder.file("a.qcow2");
    await qemuImgOk("create", "-q", "-f", "qcow2", path, "1M");
    const missing = (pattern: RegExp) => (error: unknown) =>
      error instanceof ImageError && error.kind === "missing" && pattern.test(error.message);
    await assert.rejects(openPath(path, { idOrName: "x" }), missing(/"x" of .*: the image has none$/));
    await qemuImgOk("snapshot", "-c", "first", path);
    await qemuImgOk("snapshot", "-c", "other", path);
    await assert.rejects(openPath(path, { idOrName: "x" }), missing(/it has "first" \(ID "1"\), "other" \(ID "2"\)$/));
    await assert.rejects(
      openPath(path, { id: "2", name: "first" }),
      missing(/with the ID "2" and with the name "first"/),
    );
    await assert.rejects(openPath(path, {}), missing(/without ID and name/));
  },
);
