import assert from "node:assert/strict";
import { convert } from "../../../core/convert.ts";
import { probe } from "../../../core/open/probe.ts";
import { allFormats, MemoryStorage } from "../../../formats/mod.ts";
import { scratch } from "../../support/qemu.ts";

/** The bytes of an image made here. */
async function imageOf(format: string, options: Record<string, string> = {}): Promise<Uint8Array> {
  await using folder = await scratch();
  await Deno.writeFile(folder.file("source"), new Uint8Array(1 << 20));
  const target = { path: folder.file("image"), format, options };
  await convert({ sources: [{ path: folder.file("source"), format: "raw" }], target });
  return await Deno.readFile(target.path);
}

Deno.test("probe: what begins as one format and ends as another is not guessed", async () => {
  const footer = (await imageOf("vpc", { subformat: "fixed" })).slice(-512);
  const qcow2 = await imageOf("qcow2");
  const both = new Uint8Array([...qcow2, ...footer]);
  await assert.rejects(probe(new MemoryStorage(both, "both.img"), allFormats), {
    kind: "refused",
    message: /the marks of .* and of .*-f /,
  });
});

Deno.test("probe: a file that calls itself raw is never taken for something else", async () => {
  const qcow2 = await imageOf("qcow2");
  await assert.rejects(probe(new MemoryStorage(qcow2, "disk.raw"), allFormats), { kind: "refused", message: /-f raw/ });
  assert.equal((await probe(new MemoryStorage(qcow2, "disk.img"), allFormats)).format.name, "qcow2");
  const nothing = await probe(new MemoryStorage(new Uint8Array(4096), "disk.raw"), allFormats);
  assert.deepEqual([nothing.format.name, nothing.guessed], ["raw", true]);
  assert.equal((await probe(new MemoryStorage(new Uint8Array(0), "empty"), allFormats)).format.name, "raw");
});
