import assert from "node:assert/strict";
import { digest } from "../../../mod.ts";
import { digestOf, hasQemu, qemuImgOk, scratch } from "../../support/qemu.ts";
import { watchedFiles } from "../../support/files.ts";
import { diskcast } from "../../support/diskcast.ts";
import { samplesIn } from "./support.ts";

Deno.test("the digest is that of the raw disk, for every format", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  const raw = folder.file("guest.raw");
  for (const { name, path, format } of await samplesIn(folder)) {
    await qemuImgOk("convert", "-f", format, "-O", "raw", path, raw);
    const expected = `${await digestOf(raw)}  ${path}\n`;
    assert.deepEqual(await diskcast("digest", "-f", format, path), { code: 0, stdout: expected, stderr: "" }, name);
    assert.deepEqual(await diskcast("digest", "-m", "1", "-q", path), { code: 0, stdout: expected, stderr: "" }, name);
  }
  const top = folder.file("top.qcow2");
  await qemuImgOk("convert", "-l", "first", "-O", "raw", top, raw);
  const { stdout } = await diskcast("digest", "--output=json", "-l", "first", top);
  const found = JSON.parse(stdout);
  assert.equal(found["sha256"], await digestOf(raw));
  assert.equal(found["read"] + found["known-zero"], 9 << 20);
});

Deno.test("a raw image has the digest of its bytes, to the last one", async () => {
  await using folder = await scratch();
  const path = folder.file("a.raw");
  await Deno.writeFile(path, new Uint8Array(1_234_567).fill(7, 1_000_000));
  assert.equal((await digest({ path, format: "raw" })).sha256, await digestOf(path));
});

Deno.test("holes are hashed without being read", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  const path = folder.file("a.qcow2");
  await qemuImgOk("create", "-q", "-f", "qcow2", path, "64M");
  let bytes = 0;
  const files = watchedFiles(({ op, start, end }) => op === "read" && (bytes += end - start));
  const { totals } = await digest(path, { files });
  assert.deepEqual(totals, { data: 0, zero: 64 << 20, skip: 0 });
  assert(bytes < 1 << 20, `${bytes} bytes were read`);
});

Deno.test("digest shows progress in the forms of convert", async () => {
  const path = "tests/samples/sample.qcow2";
  const json = await diskcast("digest", "--progress=json", path);
  const lines = json.stderr.trimEnd().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(lines.at(-1).ok, true);
  const totals = lines.find((line) => line.type === "totals").totals;
  assert.equal(totals.data + totals.zero, 64 << 20);
  const qemu = await diskcast("digest", "-p", path);
  assert.match(qemu.stdout, /^ {4}\(0\.00\/100%\)\r.* {4}\(100\.00\/100%\)\r\n[0-9a-f]{64} {2}tests/s);
  assert.equal((await diskcast("digest")).code, 1);
  const none = await diskcast("digest", "none.raw");
  assert.deepEqual([none.code, none.stdout], [1, ""]);
});
