/** What a large copy leaves in the host's memory. */
import assert from "node:assert/strict";
import { pageCacheTrimmer } from "../../../formats/storage/page_cache.ts";
import { openFileStorage } from "../../../formats/storage/file.ts";
import type { HostFile } from "../../../formats/storage/host.ts";
import { run, scratch } from "../../support/qemu.ts";

function forgetful(): { readonly host: HostFile; readonly told: number[][] } {
  const told: number[][] = [];
  const host = { dropCache: (start: number, end: number) => void told.push([start, end]) } as unknown as HostFile;
  return { host, told };
}

Deno.test("what has been read is forgotten in long ranges, after what may stay has passed", () => {
  const { host, told } = forgetful();
  const trimmer = pageCacheTrimmer(host, 100, 40);
  for (let at = 0; at < 200; at += 10) trimmer.read(at, at + 10);
  assert.deepEqual(told, [[80, 120], [120, 160], [160, 200]]);
  trimmer.read(500, 510);
  trimmer.read(510, 520);
  trimmer.read(300, 310);
  trimmer.read(0, 5);
  assert.deepEqual(told.slice(3), [[500, 520], [300, 310]]);
});

Deno.test("what has been written is forgotten once it is on the disk, after what may stay has passed", () => {
  const { host, told } = forgetful();
  const trimmer = pageCacheTrimmer(host, 100, 40);
  trimmer.wrote(100);
  trimmer.synced();
  assert.deepEqual(told, []);
  trimmer.wrote(1);
  trimmer.synced();
  assert.equal(told.length, 1);
  assert.equal(told[0][0], 0);
});

const hasFincore = await run("fincore", ["--version"]).then(() => true, () => false);

Deno.test({
  name: "the host drops the pages that it gets",
  ignore: Deno.build.os !== "linux" || !hasFincore,
  async fn() {
    await using folder = await scratch();
    const path = folder.file("a");
    const resident = async () => Number((await run("fincore", ["-n", "-b", "-o", "RES", path])).stdout);
    await using storage = await openFileStorage(await made(path), { write: true });
    await storage.sync();
    assert.equal(await resident(), 1 << 20);
    storage.origin.host!.dropCache(0, 1 << 20);
    assert.equal(await resident(), 0);
  },
});

async function made(path: string): Promise<string> {
  await Deno.writeFile(path, new Uint8Array(1 << 20).fill(7));
  return path;
}
