import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { convert } from "../../../mod.ts";
import { assertBytes } from "../../support/model.ts";
import { rng, run, scratch, seed } from "../../support/qemu.ts";
import { bytesOf, openPath } from "./support.ts";

const runSeed = seed();
const ignore = Deno.build.os === "windows";

/** Reads everything that comes out of a pipe into a file. */
async function drain(pipe: string, to: string): Promise<void> {
  using from = await Deno.open(pipe);
  await Deno.writeFile(to, from.readable);
}

Deno.test({
  name: "a stream goes into a pipe, and what needs positions does not",
  ignore,
  async fn() {
    await using folder = await scratch();
    const model = rng(runSeed).bytes(1 << 20).fill(0, 100_000, 400_000);
    const [raw, pipe, image] = [folder.file("a.raw"), folder.file("p"), folder.file("a.vmdk")];
    await Deno.writeFile(raw, model);
    assert.equal((await run("mkfifo", [pipe])).code, 0);
    const sources = [{ path: raw, format: "raw" }];
    for (const format of ["raw", "qcow2", "vmdk", "vhdx", "vdi", "vpc"]) {
      await assert.rejects(convert({ sources, target: { path: pipe, format } }), {
        kind: "unsupported",
        message: /pipe/,
      });
    }
    const drained = drain(pipe, image);
    await convert({ sources, target: { path: pipe, format: "vmdk", options: { subformat: "streamOptimized" } } });
    await drained;
    await using disk = await openPath(image);
    assertBytes(await bytesOf(disk), model);
    assert((await Deno.stat(pipe)).isFifo, "the pipe is still there");
  },
});

Deno.test({
  name: "a job that is cancelled does not wait for the reader of its pipe",
  ignore,
  async fn() {
    await using folder = await scratch();
    const [raw, pipe] = [folder.file("a.raw"), folder.file("p")];
    await Deno.writeFile(raw, rng(runSeed).bytes(1 << 20));
    assert.equal((await run("mkfifo", [pipe])).code, 0);
    const target = { path: pipe, format: "vmdk", options: { subformat: "streamOptimized" } };
    const cancelledConvert = async () => {
      const controller = new AbortController();
      const timer = setTimeout(() => controller.abort(), 300);
      const job = { sources: [{ path: raw, format: "raw" }], target };
      await assert.rejects(convert(job, { signal: controller.signal }), { kind: "cancelled" });
      clearTimeout(timer);
    };
    // There is no reader.
    await cancelledConvert();
    using reader = await Deno.open(pipe);
    assert.equal(await reader.read(new Uint8Array(1)), null, "the reader that comes late finds an end");
    // There is one that reads nothing, and more than the pipe holds.
    await cancelledConvert();
    for (const part = new Uint8Array(1 << 16); await reader.read(part) !== null;);
  },
});

Deno.test({
  name: "standard output holds nothing but the stream",
  ignore,
  async fn() {
    await using folder = await scratch();
    const model = rng(runSeed).bytes(1 << 20);
    const [raw, image] = [folder.file("a.raw"), folder.file("a.vmdk")];
    await Deno.writeFile(raw, model);
    const words = ["convert", "-p", "--digest", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized"];
    // Deno opens what lies in /dev only with all permissions.
    const main = fileURLToPath(new URL("../../../mod.ts", import.meta.url));
    const args = ["run", "-A", "--cached-only", main, ...words, raw, "/dev/stdout"];
    const { code, stdout, stderr: errorBytes } = await new Deno.Command(Deno.execPath(), { args }).output();
    const stderr = new TextDecoder().decode(errorBytes);
    await Deno.writeFile(image, stdout);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /100\.00\/100%/);
    assert.match(stderr, /^[0-9a-f]{64} {2}\/dev\/stdout$/m);
    await using disk = await openPath(image);
    assertBytes(await bytesOf(disk), model);
  },
});
