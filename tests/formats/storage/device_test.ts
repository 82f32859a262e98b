/** What only a superuser can try: block devices and a full file system. Elsewhere skipped, with the reason printed. */
import assert from "node:assert/strict";
import { convert } from "../../../core/convert.ts";
import { planConversion } from "../../../mod.ts";
import { raw } from "../../../formats/raw.ts";
import { createFileStorage, openFileStorage } from "../../../formats/storage/file.ts";
import { inlineCodecs } from "../../support/codecs.ts";
import { loopDevice, mountedExt4, whyNoLoopDevice } from "../../support/devices.ts";
import { diskcast } from "../../support/diskcast.ts";
import { putGpt } from "../../support/gpt.ts";
import { rng, run, scratch } from "../../support/qemu.ts";
import { narrowResult } from "./narrow_run.ts";

const MIB = 1 << 20;
const reason = await whyNot();
if (reason) console.warn(`Tests of block devices and of a full file system are skipped: ${reason}`);

Deno.test("a block device is read, written and zeroed in place", { ignore: reason !== null }, async () => {
  await using folder = await scratch();
  const content = rng(1).bytes(4 * MIB);
  await Deno.writeFile(folder.file("a"), content);
  await using device = await loopDevice(folder.file("a"));
  await using storage = await openFileStorage(device.path, { write: true });
  assert.deepEqual([storage.isDevice, storage.size, storage.startsZeroed], [true, 4 * MIB, false]);
  await storage.writeAt(new Uint8Array(1000).fill(7), 5000);
  await storage.zeroAt(MIB - 100, 2 * MIB + 700);
  await storage.zeroAt(3 * MIB + 1, 3 * MIB + 9);
  await storage.sync();
  content.fill(7, 5000, 6000).fill(0, MIB - 100, 2 * MIB + 700).fill(0, 3 * MIB + 1, 3 * MIB + 9);
  const bytes = new Uint8Array(4 * MIB);
  await storage.readAt(bytes, 0);
  assert.ok(Buffer.from(bytes).equals(content));
});

Deno.test("a block device keeps its size", { ignore: reason !== null }, async () => {
  await using folder = await scratch();
  await Deno.writeFile(folder.file("a"), new Uint8Array(MIB).fill(1));
  await using device = await loopDevice(folder.file("a"));
  await using storage = await openFileStorage(device.path, { write: true });
  await storage.truncate(512);
  assert.equal(storage.size, MIB);
  const tooLong = {
    kind: "io",
    message: `Cannot grow the device "${device.path}": it has ${MIB} bytes, and ${MIB + 1} are needed`,
  };
  await assert.rejects(storage.truncate(MIB + 1), tooLong);
  await assert.rejects(storage.writeAt(new Uint8Array(2), MIB - 1), tooLong);
  await assert.rejects(storage.zeroAt(0, MIB + 1), tooLong);
  await assert.rejects(storage.reserve(0, MIB + 1, false), tooLong);
  const writer = await raw.edit!(storage, editContext);
  assert.deepEqual([writer.traits.size, writer.traits.startsZeroed], [MIB, false]);
});

Deno.test("two nodes of one device are one source and target", { ignore: reason !== null }, async () => {
  await using folder = await scratch();
  const content = rng(2).bytes(MIB);
  await Deno.writeFile(folder.file("a"), content);
  await using device = await loopDevice(folder.file("a"));
  const node = folder.file("node");
  const number = Deno.statSync(device.path).rdev!;
  const made = await run("mknod", [node, "b", `${number >> 8}`, `${number & 0xff}`]);
  if (made.code !== 0) return console.warn(`a second node of a device cannot be made here: ${made.stderr.trim()}`);
  const job = { sources: [{ path: node, format: "raw" }], target: { path: device.path, format: "qcow2" } };
  await assert.rejects(convert(job), { kind: "refused", message: /same file as .*node", which the job reads/ });
  assert.deepEqual(await Deno.readFile(folder.file("a")), content);
});

Deno.test("a mounted device is refused by every command that writes, and its file system stays", {
  ignore: reason !== null,
}, async (t) => {
  await using folder = await scratch();
  await Deno.writeFile(folder.file("source"), rng(3).bytes(MIB));
  await Deno.writeFile(folder.file("a"), new Uint8Array(8 * MIB));
  await using device = await loopDevice(folder.file("a"));
  await using mounted = await mountedExt4(device.path, folder);
  await Deno.writeTextFile(`${mounted.path}/kept`, "kept");
  const name = device.path.replace("/dev/", "");
  const message = `diskcast: Cannot write to the device "${device.path}": ${name} is mounted at "${mounted.path}"; ` +
    "unmount it first (--force-device writes nevertheless, and destroys what is there)\n";
  const before = await readAll(device.path);
  for (
    const args of [
      ["convert", "-f", "raw", "-O", "raw", folder.file("source"), device.path],
      ["convert", "-n", "-f", "raw", "-O", "raw", folder.file("source"), device.path],
      ["dd", "-f", "raw", `if=${folder.file("source")}`, `of=${device.path}`],
      ["create", "-f", "qcow2", device.path, "1M"],
      ["resize", "--shrink", "-f", "raw", device.path, "1M"],
      ["bench", "-w", "-q", "-f", "raw", "-c", "1", device.path],
    ]
  ) {
    await t.step(args[0]!, async () => {
      const outcome = await diskcast(...args);
      assert.deepEqual([outcome.code, outcome.stderr], [1, message]);
    });
  }
  await t.step("the kernel refuses as well", async () => {
    await using storage = await openFileStorage(device.path, { write: true, exclusive: true });
    assert.equal(storage.claim, "refused");
  });
  assert.ok(before.equals(await readAll(device.path)), "the file system was written to");
});

Deno.test("a free device is reserved while it is written, and --force-device writes to a mounted one", {
  ignore: reason !== null,
}, async () => {
  await using folder = await scratch();
  const content = rng(4).bytes(MIB);
  await Deno.writeFile(folder.file("source"), content);
  await Deno.writeFile(folder.file("a"), new Uint8Array(8 * MIB));
  await using device = await loopDevice(folder.file("a"));
  const args = ["convert", "-f", "raw", "-O", "raw", folder.file("source"), device.path];
  {
    await using mounted = await mountedExt4(device.path, folder);
    assert.deepEqual(await diskcast(...args, "--force-device"), { code: 0, stdout: "", stderr: "" });
    void mounted;
  }
  {
    await using storage = await openFileStorage(device.path, { write: true, exclusive: true });
    assert.equal(storage.claim, "granted");
    assert.notEqual((await run("mount", [device.path, folder.path])).code, 0);
  }
  assert.equal((await diskcast(...args)).code, 0);
  assert.ok((await readAll(device.path)).subarray(0, MIB).equals(content));
});

Deno.test("a device is checked for its destination as a file is, up to the end of the image", {
  ignore: reason !== null,
}, async () => {
  await using folder = await scratch();
  const disk = new Uint8Array(4 * MIB);
  putGpt(disk, 512);
  await Deno.writeFile(folder.file("source"), disk);
  await Deno.writeFile(folder.file("a"), new Uint8Array(8 * MIB));
  await using device = await loopDevice(folder.file("a"));
  const { code, stderr } = await diskcast("convert", "-f", "raw", "--for", "usb", folder.file("source"), device.path);
  assert.equal(code, 0, stderr);
  assert.match(
    stderr,
    /^USB stick, SD card, bare metal will take it: raw, 4 MiB, GPT valid; and it may not boot there/m,
  );
  assert.match(stderr, /sgdisk -e \/dev\/loop\d+ moves it\n$/);
});

Deno.test(
  "the plan for a device counts the zeroes that are written over its old bytes",
  { ignore: reason !== null },
  async () => {
    await using folder = await scratch();
    await Deno.writeFile(folder.file("source"), new Uint8Array());
    await Deno.truncate(folder.file("source"), MIB);
    await Deno.writeFile(folder.file("a"), new Uint8Array(2 * MIB).fill(1));
    await using device = await loopDevice(folder.file("a"));
    const sources = [{ path: folder.file("source"), format: "raw" }];
    const planned = async (path: string) => (await planConversion({ sources, target: { path, format: "raw" } })).totals;
    assert.deepEqual(await planned(device.path), { data: 0, zero: MIB, skip: 0 });
    assert.deepEqual(await planned(folder.file("b")), { data: 0, zero: 0, skip: MIB });
  },
);

Deno.test("a device with sectors of 4096 bytes: a GPT in other ones is refused, or written anew", {
  ignore: reason !== null,
}, async () => {
  await using folder = await scratch();
  const disk = new Uint8Array(4 * MIB);
  const start = 64;
  putGpt(disk, 512, [{ type: "0fc63daf-8483-4772-8e79-3d69d8477de4", first: start, last: start + 63 }]);
  disk.fill(7, start * 512, (start + 64) * 512);
  await Deno.writeFile(folder.file("source"), disk);
  await Deno.writeFile(folder.file("a"), new Uint8Array(8 * MIB));
  const made = await run("losetup", ["--find", "--show", "--sector-size", "4096", folder.file("a")]);
  if (made.code !== 0) return console.warn(`no loop device has sectors of 4096 bytes here: ${made.stderr.trim()}`);
  const device = made.stdout.trim();
  try {
    const args = ["convert", "-f", "raw", "-O", "raw", folder.file("source"), device];
    const refused = await diskcast(...args);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /sectors of 512 bytes, and raw gives it sectors of 4096; .*--convert-gpt/);
    const converted = await diskcast(...args, "--convert-gpt");
    assert.equal(converted.code, 0, converted.stderr);
    const { stdout } = await diskcast("info", "--contents", "--output=json", "-f", "raw", device);
    const { contents } = JSON.parse(stdout);
    assert.deepEqual([contents["partition-table"], contents["sector-size"]], ["gpt", 4096]);
    assert.deepEqual([contents.partitions[0].start, contents.partitions[0].size], [start * 512, 64 * 512]);
  } finally {
    assert.equal((await run("losetup", ["--detach", device])).code, 0);
  }
});

Deno.test("Deno opens a device only with all permissions", { ignore: reason !== null }, async () => {
  await using folder = await scratch();
  await Deno.writeFile(folder.file("a"), new Uint8Array(MIB));
  await using device = await loopDevice(folder.file("a"));
  assert.deepEqual(await narrowResult(["--allow-read"], "open", device.path), {
    kind: "permission",
    message:
      `Cannot open "${device.path}": Deno opens what lies in /dev, /proc or /sys only with all permissions, add --allow-all`,
  });
  const opened = await narrowResult(["--allow-all"], "open", device.path);
  assert.deepEqual(opened, { size: MIB, isDevice: true, findsHoles: Deno.build.os === "linux" });
});

Deno.test("a full file system is reported as such, with the offset", { ignore: reason !== null }, async () => {
  await using folder = await scratch();
  await using small = await tmpfs(folder.file("small"), "1m");
  const path = `${small.path}/a`;
  await using storage = await createFileStorage(path);
  await storage.truncate(4 * MIB);
  await storage.writeAt(new Uint8Array(600_000), 0);
  await assert.rejects(storage.writeAt(new Uint8Array(600_000), 600_000), {
    kind: "io",
    offset: 600_000,
    message: `Cannot write 600000 bytes at 600000 of "${path}": no space left on device`,
  });
  const noRoom = {
    kind: "io",
    message: `Cannot reserve ${2 * MIB} bytes at ${2 * MIB} of "${path}": no space left on device`,
  };
  await assert.rejects(storage.reserve(2 * MIB, 4 * MIB, false), noRoom);
  await assert.rejects(storage.reserve(2 * MIB, 4 * MIB, true), { kind: "io", message: /no space left on device$/ });
});

async function readAll(device: string): Promise<Buffer> {
  await using storage = await openFileStorage(device);
  const bytes = Buffer.alloc(storage.size);
  await storage.readAt(bytes, 0);
  return bytes;
}

const editContext = {
  ...inlineCodecs,
  compress: false,
  openNamed: () => Promise.reject(new Error("raw names no file")),
  openBacking: () => Promise.reject(new Error("there is no backing file")),
};

async function tmpfs(path: string, size: string): Promise<AsyncDisposable & { readonly path: string }> {
  await Deno.mkdir(path);
  const made = await run("mount", ["-t", "tmpfs", "-o", `size=${size}`, "none", path]);
  if (made.code !== 0) throw new Error(made.stderr);
  return { path, [Symbol.asyncDispose]: async () => assert.equal((await run("umount", [path])).code, 0) };
}

async function whyNot(): Promise<string | null> {
  const why = await whyNoLoopDevice();
  if (why !== null) return why;
  await using folder = await scratch();
  try {
    await using _small = await tmpfs(folder.file("small"), "1m");
    return null;
  } catch (error) {
    return error instanceof Error ? error.message.trim() : String(error);
  }
}
