/** Memory that begins with a page. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { pageMemory } from "../../formats/page_memory.ts";
import { rng, scratch, seed } from "../support/qemu.ts";

const main = fileURLToPath(new URL("../../mod.ts", import.meta.url));

Deno.test("memory for files begins with a page of the processor", () => {
  for (const length of [1, 4096, 300_000, 1 << 20]) {
    const memory = pageMemory(length);
    assert.equal(memory.length, length);
    const address = Deno.UnsafePointer.value(Deno.UnsafePointer.of(memory as Uint8Array<ArrayBuffer>));
    assert.equal(BigInt(address) % 4096n, 0n);
  }
});

Deno.test("without WebAssembly, files are read, compared and written from other memory", async () => {
  await using folder = await scratch();
  await Deno.writeFile(folder.file("a.raw"), rng(seed()).bytes(3 << 20));
  const run = async (...args: string[]) => {
    const command = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--v8-flags=--jitless", main, ...args],
      cwd: folder.path,
    });
    assert.equal((await command.output()).code, 0);
  };
  await run("convert", "-q", "-f", "raw", "-O", "qcow2", "a.raw", "b.qcow2");
  await run("compare", "-q", "-f", "raw", "-F", "qcow2", "a.raw", "b.qcow2");
});
