import assert from "node:assert/strict";
import { createFileStorage, type FileStorage, openFileStorage } from "../../../formats/storage/file.ts";
import { MemoryStorage } from "../../../formats/storage/memory.ts";
import { rng, run, scratch, seed } from "../../support/qemu.ts";
import { narrow, narrowResult } from "./narrow_run.ts";

const onUnix = Deno.build.os !== "windows";

Deno.test("openFileStorage reads any range, several at once", async () => {
  await using folder = await scratch();
  const content = rng(1).bytes(100_001);
  await Deno.writeFile(folder.file("a"), content);
  await using storage = await openFileStorage(folder.file("a"));
  assert.deepEqual([storage.size, storage.isDevice, storage.startsZeroed], [100_001, false, false]);
  const starts = [99_990, 0, 512, 511, 50_000];
  const pieces = starts.map(() => new Uint8Array(11));
  await Promise.all(starts.map((start, index) => storage.readAt(pieces[index]!, start)));
  starts.forEach((start, index) => assert.deepEqual(pieces[index], content.slice(start, start + 11)));
});

Deno.test("readAt past the end tells the size", async () => {
  await using folder = await scratch();
  await Deno.writeFile(folder.file("a"), new Uint8Array(100));
  await using storage = await openFileStorage(folder.file("a"));
  await storage.readAt(new Uint8Array(100), 0);
  await assert.rejects(storage.readAt(new Uint8Array(2), 99), {
    kind: "corrupt",
    offset: 99,
    message: `Cannot read 2 bytes at 99 of "${folder.file("a")}": it ends at 100`,
  });
});

Deno.test("readAt finds that the file was cut by another", async () => {
  await using folder = await scratch();
  await Deno.writeFile(folder.file("a"), new Uint8Array(1000));
  await using storage = await openFileStorage(folder.file("a"));
  await Deno.truncate(folder.file("a"), 700);
  await assert.rejects(storage.readAt(new Uint8Array(1000), 0), { kind: "corrupt", message: /ends at 700$/ });
});

Deno.test("random writes, zeroes and sizes leave what they leave in memory", async () => {
  await using folder = await scratch();
  const random = rng(seed());
  for (const existing of [false, true]) {
    const start = existing ? random.bytes(20_000) : new Uint8Array(0);
    const path = folder.file(`${existing}`);
    if (existing) await Deno.writeFile(path, start);
    await using storage = existing ? await openFileStorage(path, { write: true }) : await createFileStorage(path);
    const model = new MemoryStorage(start);
    for (let step = 0; step < 300; step++) {
      const from = random.int(60_000);
      const until = from + random.int(20_000);
      const verb = random.int(10);
      for (const target of [storage, model]) {
        if (verb < 4) await target.writeAt(rng(step).bytes(until - from), from);
        else if (verb < 8 && until > from) await target.zeroAt(from, until);
        else if (verb === 8) await target.truncate(from);
        else await target.reserve(target.size, target.size + 5000, random.chance(0.5));
      }
      assert.equal(storage.size, model.size);
    }
    assert.ok(Buffer.from(await Deno.readFile(path)).equals(model.bytes()));
  }
});

Deno.test("a new file that is only grown and zeroed takes no space", { ignore: !onUnix }, async () => {
  await using folder = await scratch();
  await using storage = await createFileStorage(folder.file("a"));
  assert.equal(storage.startsZeroed, true);
  await storage.truncate(64 << 20);
  await storage.zeroAt(1 << 20, 63 << 20);
  await storage.zeroAt(63 << 20, 80 << 20);
  assert.equal(storage.size, 80 << 20);
  await storage.sync();
  assert.equal(Deno.statSync(folder.file("a")).blocks, 0);
});

Deno.test("createFileStorage never touches what is there", async () => {
  await using folder = await scratch();
  await Deno.writeTextFile(folder.file("a"), "kept");
  await assert.rejects(createFileStorage(folder.file("a")), { kind: "refused", message: /it exists already$/ });
  assert.equal(await Deno.readTextFile(folder.file("a")), "kept");
  await assert.rejects(createFileStorage(folder.file("no/b")), { kind: "missing" });
});

Deno.test("openFileStorage refuses what is no file", async () => {
  await using folder = await scratch();
  await assert.rejects(openFileStorage(folder.file("none")), { kind: "missing" });
  await assert.rejects(openFileStorage(folder.path), { kind: "refused", message: /it is a folder$/ });
});

Deno.test("openFileStorage refuses a pipe without waiting for its writer", { ignore: !onUnix }, async () => {
  await using folder = await scratch();
  assert.equal((await run("mkfifo", [folder.file("pipe")])).code, 0);
  await assert.rejects(openFileStorage(folder.file("pipe")), { kind: "refused", message: /it is a pipe/ });
  await assert.rejects(openFileStorage("/dev/null"), {
    kind: "refused",
    message: /neither a file nor a block device$/,
  });
});

Deno.test("identity is that of the file, not of its name", { ignore: !onUnix }, async () => {
  await using folder = await scratch();
  await Deno.writeTextFile(folder.file("a"), "a");
  await Deno.link(folder.file("a"), folder.file("b"));
  await Deno.writeTextFile(folder.file("c"), "a");
  const identities = [];
  for (const name of ["a", "b", "c"]) {
    await using storage: FileStorage = await openFileStorage(folder.file(name));
    identities.push(storage.identity);
  }
  assert.deepEqual(identities[0], identities[1]);
  assert.notDeepEqual(identities[0], identities[2]);
});

Deno.test("disposing twice is harmless; a closed file fails with io", async () => {
  await using folder = await scratch();
  const storage = await createFileStorage(folder.file("a"));
  await storage[Symbol.asyncDispose]();
  await storage[Symbol.asyncDispose]();
  await assert.rejects(storage.writeAt(new Uint8Array(1), 0), { kind: "io", offset: 0 });
});

Deno.test("a lock keeps other processes out, and ends with its file", async () => {
  await using folder = await scratch();
  const path = folder.file("a");
  await Deno.writeFile(path, new Uint8Array(1));
  const child = narrow([`--allow-read=${folder.path}`], "lock", path).spawn();
  const output = child.stdout.getReader();
  assert.match(new TextDecoder().decode((await output.read()).value), /^locked/);
  await using storage = await openFileStorage(path);
  await assert.rejects(storage.lock(false), { kind: "refused", message: /another program is writing to it$/ });
  await assert.rejects(storage.lock(true), { kind: "refused", message: /it is in use$/ });
  await child.stdin.close();
  await output.cancel();
  await child.status;
  await storage.lock(true);
});

Deno.test("shared locks stand side by side, an exclusive one does not join them", async () => {
  await using folder = await scratch();
  await Deno.writeFile(folder.file("a"), new Uint8Array(1));
  await using one = await openFileStorage(folder.file("a"));
  await using two = await openFileStorage(folder.file("a"));
  await one.lock(false);
  await two.lock(false);
  await assert.rejects(two.lock(true), { kind: "refused" });
});

Deno.test("errors name the flag that is missing, and nothing is asked", async () => {
  await using folder = await scratch();
  const path = folder.file("a");
  await Deno.writeFile(path, new Uint8Array(1));
  const permission = (text: string) => ({ kind: "permission", message: text });
  assert.deepEqual(
    await narrowResult([], "open", path),
    permission(`Cannot open "${path}": Deno must be allowed to read it, add --allow-read=${path}`),
  );
  assert.deepEqual(
    await narrowResult([`--allow-read=${path}`], "edit", path),
    permission(`Cannot open "${path}": Deno must be allowed to write it, add --allow-write=${path}`),
  );
  const back = folder.file("b");
  assert.deepEqual(
    await narrowResult([`--allow-write=${back}`], "readBack", back),
    permission(
      `Cannot read back from the new file "${back}": Deno must be allowed to, add --allow-read=${folder.path}`,
    ),
  );
  const flags = [`--allow-write=${folder.path}`, `--allow-read=${folder.path}`];
  assert.deepEqual(await narrowResult(flags, "readBack", folder.file("c")), [2, 3]);
});
