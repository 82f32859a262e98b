/**
 * Syncing a file beside the work on it.
 *
 * @module
 */
import { backgroundWriteback } from "../../../formats/storage/background_writeback.ts";
import { createFileStorage } from "../../../formats/storage/file.ts";
import assert from "node:assert/strict";
import { scratch } from "../../support/qemu.ts";

Deno.test("a file is written while it is being synced", async () => {
  await using folder = await scratch();
  const path = folder.file("a.raw");
  const bytes = new Uint8Array(1 << 20).fill(7);
  {
    await using storage = await createFileStorage(path);
    for (let index = 0; index < 16; index++) {
      await storage.writeAt(bytes, index * bytes.length);
      storage.beginSync();
      if (index % 5 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await storage.sync();
  }
  const found = await Deno.readFile(path);
  assert.equal(found.length, 16 << 20);
  assert.ok(found.every((byte) => byte === 7));
});

Deno.test({
  name: "a sync that failed on the way fails the last one, too",
  ignore: Deno.build.os !== "linux",
  async fn() {
    // A character device cannot be synced.
    using early = backgroundWriteback("/dev/null");
    early.begin();
    await assert.rejects(early.settled());
    early.begin();
    await assert.rejects(early.settled());
  },
});

Deno.test("a file that is not there any more is left to the last sync", async () => {
  await using folder = await scratch();
  using early = backgroundWriteback(folder.file("gone"));
  early.begin();
  await early.settled();
});
