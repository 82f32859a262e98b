import assert from "node:assert/strict";
import { convert, digest, type TargetSpec } from "../../mod.ts";
import { layeredDisk } from "../support/layered.ts";
import { hasQemu, rng, scratch, seed } from "../support/qemu.ts";

Deno.test("convert --digest is the digest of source and target", { ignore: !hasQemu }, async () => {
  const random = rng(seed());
  const wishes: Omit<TargetSpec, "path">[] = [
    { format: "raw" },
    { format: "qcow2" },
    { format: "qcow2", compress: true },
    { format: "qcow2", compress: true, options: { cluster_size: "2M" } },
    { format: "qcow2", options: { cluster_size: "4k", preallocation: "metadata" } },
  ];
  for (const wish of wishes) {
    await using folder = await scratch();
    const disk = await layeredDisk(folder, "disk", random);
    const source = { path: disk.path, format: disk.layers[0].format };
    const target = { ...wish, path: folder.file("target") };
    const { sha256 } = await convert({ sources: [source], target, digest: true, sync: "never" });
    assert.equal(sha256, (await digest({ path: target.path, format: wish.format! })).sha256, disk.story.join("\n"));
  }
});

Deno.test("what stays in the backing file is hashed as well", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  const base = folder.file("base.raw");
  const bytes = new Uint8Array(3 << 20);
  for (let at = 0; at < bytes.length; at += 1000) bytes[at] = at % 251;
  await Deno.writeFile(base, bytes);
  const overlay = folder.file("overlay.qcow2");
  const backing = { path: base, format: "raw" };
  await convert({
    sources: [{ path: base, format: "raw" }],
    target: { path: folder.file("a.qcow2"), format: "qcow2", options: { cluster_size: 4096 } },
  });
  for (const compress of [false, true]) {
    const { sha256, totals } = await convert({
      sources: [{ path: folder.file("a.qcow2"), backing: null }],
      target: { path: overlay, format: "qcow2", compress },
      digest: true,
    });
    assert.equal(sha256, (await digest({ path: base, format: "raw" })).sha256);
    const again = await convert({
      sources: [{ path: overlay }],
      target: { path: folder.file("top.qcow2"), format: "qcow2", backing, compress },
      digest: true,
    });
    assert.equal(again.sha256, sha256);
    const kept = await convert({
      sources: [{ path: folder.file("top.qcow2") }],
      target: { path: folder.file("kept.qcow2"), format: "qcow2", backing, compress },
      digest: true,
    });
    assert.equal(kept.sha256, sha256);
    assert(totals.data > 0);
  }
});
