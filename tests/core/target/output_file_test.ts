/** The temporary file of a target: who may open it, whose it becomes, and a folder that cannot be synced. */
import assert from "node:assert/strict";
import { convert } from "../../../core/convert.ts";
import type { ConvertJob } from "../../../core/job.ts";
import { copyAccess } from "../../../formats/storage/access.ts";
import { hostFiles } from "../../../formats/mod.ts";
import { createFileStorage, openFileStorage } from "../../../formats/storage/file.ts";
import { type Scratch, scratch } from "../../support/qemu.ts";

const onUnix = Deno.build.os !== "windows";

async function jobIn(folder: Scratch): Promise<ConvertJob> {
  await Deno.writeFile(folder.file("source"), new Uint8Array(4096).fill(7));
  return {
    sources: [{ path: folder.file("source"), format: "raw" }],
    target: { path: folder.file("target"), format: "raw" },
  };
}

const modeOf = async (path: string) => (await Deno.stat(path)).mode! & 0o777;

Deno.test({
  name: "the new file of a private one is never readable for others, and gets the rights of the old one",
  ignore: !onUnix,
  async fn() {
    await using folder = await scratch();
    const job = await jobIn(folder);
    await Deno.writeFile(job.target.path, new Uint8Array(1), { mode: 0o640 });
    await Deno.chmod(job.target.path, 0o640);
    const part = folder.file(".target.diskcast");
    const seen: number[] = [];
    await convert(job, {
      files: {
        ...hostFiles,
        async create(path, options) {
          const file = await hostFiles.create(path, options);
          seen.push(await modeOf(part));
          return file;
        },
      },
    });
    assert.deepEqual(seen, [0o600]);
    assert.equal(await modeOf(job.target.path), 0o640);
  },
});

Deno.test({
  name: "access rights are set for the open file, not for what has its name by then",
  ignore: !onUnix,
  async fn() {
    await using folder = await scratch();
    await Deno.writeFile(folder.file("old"), new Uint8Array(1), { mode: 0o600 });
    await Deno.chmod(folder.file("old"), 0o666);
    await Deno.writeFile(folder.file("victim"), new Uint8Array(1));
    await Deno.chmod(folder.file("victim"), 0o600);
    await using old = await openFileStorage(folder.file("old"));
    await using part = await createFileStorage(folder.file("part"), { ownerOnly: true });
    for (const swap of [Deno.symlink, Deno.link]) {
      await Deno.remove(folder.file("part")).catch(() => {});
      await swap(folder.file("victim"), folder.file("part"));
      assert.throws(() => copyAccess(old, part), { name: "ImageError" });
      assert.equal(await modeOf(folder.file("victim")), 0o600);
    }
  },
});

Deno.test({
  name: "where the folder cannot be synced, the job fails and says that the rename may not last",
  ignore: !onUnix,
  async fn() {
    await using folder = await scratch();
    const job = await jobIn(folder);
    const { openSync } = Deno;
    Deno.openSync = (path, options) =>
      path !== folder.path ? openSync(path, options) : {
        syncSync: () => {
          throw Object.assign(new Error("Input/output error (os error 5)"), { code: "EIO" });
        },
        [Symbol.dispose]: () => {},
      } as unknown as Deno.FsFile;
    try {
      await assert.rejects(convert(job), { kind: "io", message: /is complete and has its name, but a power failure/ });
    } finally {
      Deno.openSync = openSync;
    }
    assert.equal((await Deno.stat(job.target.path)).size, 4096);
  },
});

Deno.test("a file that is longer than numbers can count is refused", async (test) => {
  await using folder = await scratch("/dev/shm").catch(() => scratch());
  const path = folder.file("long");
  await Deno.writeFile(path, new Uint8Array());
  const made = await Deno.truncate(path, 2 ** 53).then(() => true, () => false);
  await test.step({
    name: made ? "on a file system that has such files" : "this file system has no such files",
    ignore: !made,
    fn: () => assert.rejects(openFileStorage(path), { kind: "unsupported", message: /9007199254740991 bytes/ }),
  });
});
