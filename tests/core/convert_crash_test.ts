import assert from "node:assert/strict";
import { convert } from "../../core/convert.ts";
import { tryCrashes } from "../support/crash_matrix.ts";
import { guestBytes, hasQemu, qemuImgOk, qemuIo, rng, scratch, seed } from "../support/qemu.ts";
import { tornAt } from "../support/model.ts";
import { judgedBytes } from "../formats/qcow2/write_support.ts";

const SIZE = 1 << 20;

for (const compress of [false, true]) {
  Deno.test({
    name: `a crash while converting into an existing image${
      compress ? ", compressed," : ""
    } leaves bytes that are old or new`,
    ignore: !hasQemu,
    async fn() {
      await using folder = await scratch();
      const random = rng(seed());
      const [path, source] = [folder.file("target.qcow2"), folder.file("source.raw")];
      await qemuImgOk("create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", path, `${SIZE}`);
      await qemuIo(path, "write -P 1 0 600k", "write -z 100k 64k");
      await qemuImgOk("snapshot", "-c", "kept", path);
      const bytes = random.bytes(SIZE).fill(0, 200 << 10, 300 << 10).fill(7, 700 << 10, 900 << 10);
      await Deno.writeFile(source, bytes);
      const [before, kept] = [await guestBytes(path), await judgedBytes(path, "kept")];
      await tryCrashes({
        path,
        action: (files) =>
          convert({
            sources: [{ path: source, format: "raw" }],
            target: { path, format: "qcow2", create: false, compress },
            workers: 1,
          }, { files }),
        state: () => Promise.resolve(""),
        async mixed() {
          const now = await guestBytes(path);
          const torn = tornAt(now, before, bytes);
          assert.equal(torn, -1, `guest byte ${torn} is neither old nor new`);
          assert.deepEqual(await judgedBytes(path, "kept"), kept);
        },
        random,
        most: 20,
      });
      assert.deepEqual(await guestBytes(path), bytes);
    },
  });
}
