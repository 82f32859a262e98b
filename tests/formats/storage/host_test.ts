import assert from "node:assert/strict";
import { createFileStorage, type FileStorage, openFileStorage } from "../../../formats/storage/file.ts";
import { heldByQemu, openHostFile, syncFolder } from "../../../formats/storage/host.ts";
import { libcPaths } from "../../../formats/storage/libc.ts";
import { descriptorsIn } from "../../support/files.ts";
import { hasQemu, heldForReading, heldOpen, rng, scratch } from "../../support/qemu.ts";
import { narrowResult } from "./narrow_run.ts";

const onLinux = Deno.build.os === "linux";
const MIB = 1 << 20;

Deno.test("holes are found where they are, at any start and limit", { ignore: !onLinux }, async () => {
  await using folder = await scratch();
  await using storage = await sparseFile(folder.file("a"));
  assert.deepEqual(await holes(storage), [[0, MIB, true], [MIB, 2 * MIB, false], [2 * MIB, 5 * MIB, true]]);
  assert.deepEqual(await storage.holeAt!(1000, 5000), { hole: true, end: 5000 });
  assert.deepEqual(await storage.holeAt!(MIB + 1, MIB + 2), { hole: false, end: MIB + 2 });
  assert.deepEqual(await storage.holeAt!(2 * MIB - 1, 3 * MIB), { hole: false, end: 2 * MIB });
});

Deno.test("a file that is cut off meanwhile has no hole there, but ends", { ignore: !onLinux }, async () => {
  await using folder = await scratch();
  await using storage = await sparseFile(folder.file("a"));
  await Deno.truncate(folder.file("a"), 3 * MIB);
  assert.deepEqual(await storage.holeAt!(2 * MIB, 5 * MIB), { hole: true, end: 3 * MIB });
  assert.deepEqual(await storage.holeAt!(3 * MIB, 5 * MIB), { hole: false, end: 5 * MIB });
  await assert.rejects(storage.readAt(new Uint8Array(1), 4 * MIB), { kind: "corrupt", message: /ends at 3145728/ });
});

Deno.test("look-ups of holes are kept until the storage is written", { ignore: !onLinux }, async () => {
  await using folder = await scratch();
  await sparseFile(folder.file("a")).then((storage) => storage[Symbol.asyncDispose]());
  await using storage = await openFileStorage(folder.file("a"), { write: true });
  assert.deepEqual(await storage.holeAt!(2 * MIB, 5 * MIB), { hole: true, end: 5 * MIB });
  assert.deepEqual(await storage.holeAt!(MIB, 5 * MIB), { hole: false, end: 2 * MIB });
  // The second look-up does not reach the host, which would know of this change.
  await Deno.truncate(folder.file("a"), 0);
  await Deno.truncate(folder.file("a"), 5 * MIB);
  assert.deepEqual(storage.holeAt!(MIB + 1, 5 * MIB), { hole: false, end: 2 * MIB });
  await storage.writeAt(new Uint8Array(MIB).fill(1), 3 * MIB);
  assert.deepEqual(await storage.holeAt!(3 * MIB, 5 * MIB), { hole: false, end: 4 * MIB });
  await storage.zeroAt(3 * MIB, 4 * MIB);
  assert.deepEqual(await storage.holeAt!(3 * MIB, 5 * MIB), { hole: true, end: 5 * MIB });
});

Deno.test("zeroAt gives the space back and keeps its neighbours", { ignore: !onLinux }, async () => {
  await using folder = await scratch();
  const content = rng(2).bytes(4 * MIB);
  await Deno.writeFile(folder.file("a"), content);
  await using storage = await openFileStorage(folder.file("a"), { write: true });
  assert.equal(storage.zeroesCheaply, true);
  await storage.zeroAt(100, 3 * MIB + 5);
  await storage.sync();
  content.fill(0, 100, 3 * MIB + 5);
  assert.ok(Buffer.from(await Deno.readFile(folder.file("a"))).equals(content));
  const { size, blocks } = Deno.statSync(folder.file("a"));
  assert.equal(size, 4 * MIB);
  assert.ok(blocks! * 512 < 2 * MIB, `${blocks} blocks`);
});

Deno.test("reserved space is taken and stays so when it is zeroed", { ignore: !onLinux }, async () => {
  await using folder = await scratch();
  for (const written of [false, true]) {
    const path = folder.file(`${written}`);
    await using storage = await createFileStorage(path);
    await storage.truncate(4 * MIB);
    await storage.reserve(0, 4 * MIB, written);
    await storage.writeAt(rng(3).bytes(MIB), MIB);
    await storage.zeroAt(0, 3 * MIB);
    await storage.sync();
    const { size, blocks } = Deno.statSync(path);
    assert.equal(size, 4 * MIB);
    assert.ok(blocks! * 512 >= 4 * MIB, `${blocks} blocks`);
    assert.ok((await Deno.readFile(path)).every((byte) => byte === 0));
  }
});

Deno.test("a copy without FFI equals one with holes, and neither asks", { ignore: !onLinux }, async () => {
  await using folder = await scratch();
  await Deno.mkdir(folder.file("to"));
  const source = folder.file("a");
  await (await sparseFile(source))[Symbol.asyncDispose]();
  const flags = [`--allow-read=${source}`, `--allow-write=${folder.file("to")}`];
  const rows: [string, string[], boolean][] = [["none", [], false], ["all", ["--allow-ffi"], true]];
  const libc = libcPaths().find(exists);
  if (libc) rows.push(["path", [`--allow-ffi=${libc}`], true]);
  for (const [name, ffi, able] of rows) {
    const target = folder.file(`to/${name}`);
    assert.deepEqual(await narrowResult([...flags, ...ffi], "open", source), {
      size: 5 * MIB,
      isDevice: false,
      findsHoles: able,
    });
    assert.deepEqual(await narrowResult([...flags, ...ffi], "copy", source, target), { identity: false, cheap: able });
    assert.ok(Buffer.from(await Deno.readFile(target)).equals(await Deno.readFile(source)), name);
    const used = Deno.statSync(target).blocks! * 512;
    assert.ok(able ? used < 2 * MIB : used >= 5 * MIB, `${name}: ${used} bytes used`);
  }
});

Deno.test("the calls are those of the open file, whatever has its name now; its position stays", {
  ignore: !onLinux,
}, async () => {
  await using folder = await scratch();
  const path = folder.file("a");
  using file = await Deno.open(path, { read: true, write: true, createNew: true });
  await file.truncate(MIB);
  await Deno.rename(path, folder.file("b"));
  await Deno.writeFile(path, new Uint8Array(MIB).fill(1));
  const { dev, ino } = file.statSync();
  for (const identity of [{ dev, ino: ino! }, null]) {
    file.seekSync(77, Deno.SeekMode.Start);
    const before = descriptorsIn(folder.path);
    using host = openHostFile(path, { file, identity, write: true });
    assert.equal(descriptorsIn(folder.path), before, "they take no descriptor of their own");
    assert.equal(file.seekSync(0, Deno.SeekMode.Current), 77);
    assert.deepEqual(host?.holeAt(0, MIB), { hole: true, end: MIB });
  }
  const host = openHostFile(path, { file, identity: null, write: true })!;
  host[Symbol.dispose]();
  assert.equal(host.holeAt(0, MIB), null, "a disposed one uses no descriptor that may be another file's");
});

Deno.test("a device in exclusive use has calls of its own, of that file alone", { ignore: !onLinux }, async () => {
  await using folder = await scratch();
  const path = folder.file("a");
  using file = await Deno.open(path, { read: true, write: true, createNew: true });
  const { dev, ino } = file.statSync();
  for (const identity of [{ dev, ino: ino! }, null]) {
    const opened = { file, identity, write: true, exclusive: true };
    const same = openHostFile(path, opened);
    assert.ok(same);
    same[Symbol.dispose]();
    await Deno.rename(path, folder.file("b"));
    await Deno.writeFile(path, new Uint8Array(1));
    assert.equal(openHostFile(path, opened), null);
    await Deno.remove(path);
    assert.equal(openHostFile(path, opened), null);
    await Deno.rename(folder.file("b"), path);
  }
});

Deno.test("QEMU's locks are seen", { ignore: !onLinux || !hasQemu }, async () => {
  await using folder = await scratch();
  const path = folder.file("a");
  await Deno.writeFile(path, new Uint8Array(8 * MIB).fill(1));
  const uses = ["read", "replace", "change"] as const;
  const rows: [hold: () => Promise<AsyncDisposable>, held: boolean[]][] = [
    [() => heldOpen("-f", "raw", path), [true, true, true]],
    [() => heldOpen("-r", "-f", "raw", path), [false, false, false]],
    [() => heldForReading(path), [false, false, true]],
  ];
  for (const [hold, held] of rows) {
    {
      await using _held = await hold();
      assert.deepEqual(uses.map((use) => heldByQemu(path, use)), held);
      assert.equal(await narrowResult([`--allow-read=${path}`, "--allow-ffi"], "held", path), held[0]);
    }
    assert.deepEqual(uses.map((use) => heldByQemu(path, use)), [false, false, false]);
  }
  assert.equal(await narrowResult([`--allow-read=${path}`], "held", path), null);
  assert.equal(await narrowResult(["--allow-ffi"], "held", path), null);
});

Deno.test("syncFolder works with read access or FFI, and says when it cannot", { ignore: !onLinux }, async () => {
  await using folder = await scratch();
  assert.equal(syncFolder(folder.path), true);
  assert.equal(syncFolder(folder.file("none")), false);
  assert.equal(await narrowResult([], "syncFolder", folder.path), false);
  assert.equal(await narrowResult([`--allow-read=${folder.path}`], "syncFolder", folder.path), true);
  assert.equal(await narrowResult(["--allow-ffi"], "syncFolder", folder.path), true);
});

/** 5 MiB, of which the second is data. */
async function sparseFile(path: string): Promise<FileStorage> {
  const storage = await createFileStorage(path);
  await storage.writeAt(rng(1).bytes(MIB), MIB);
  await storage.truncate(5 * MIB);
  await storage.sync();
  return storage;
}

async function holes(storage: FileStorage): Promise<[number, number, boolean][]> {
  const found: [number, number, boolean][] = [];
  for (let position = 0; position < storage.size;) {
    const { hole, end } = await storage.holeAt!(position, storage.size);
    found.push([position, end, hole]);
    position = end;
  }
  return found;
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
