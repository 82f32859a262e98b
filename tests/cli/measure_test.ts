import assert from "node:assert/strict";
import { allFormats, convert, measure } from "../../mod.ts";
import { hasQemu, qemuImg, qemuImgOk, rng, scratch, seed } from "../support/qemu.ts";
import { runMain, samplesIn } from "./commands_support.ts";

const OPTIONS = [
  "compat=0.10",
  "cluster_size=512",
  "cluster_size=4k,refcount_bits=64",
  "cluster_size=2M",
  "extended_l2=on",
  "refcount_bits=1",
  "preallocation=metadata",
  "preallocation=full",
  "backing_file=x,backing_fmt=raw",
];

Deno.test("raw and qcow2 are measured as qemu-img measures them", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  const targets = [["-O", "raw"], ["-O", "qcow2"], ...OPTIONS.map((options) => ["-O", "qcow2", "-o", options])];
  const random = rng(seed());
  for (const { name, path, format } of await samplesIn(folder)) {
    for (const target of targets.filter(() => random.chance(0.4))) {
      const words = ["measure", "--output=json", "-f", format, ...target, path];
      const { code, stdout, stderr } = await runMain(...words);
      assert.deepEqual([code, stderr], [0, ""], words.join(" "));
      assert.deepEqual(JSON.parse(stdout), JSON.parse(await qemuImgOk(...words)), `${name} ${target.join(" ")}`);
    }
  }
});

Deno.test("new images of any size are measured as qemu-img measures them", { ignore: !hasQemu }, async () => {
  const random = rng(seed());
  for (const options of OPTIONS) {
    const sizes = ["0", "512", "1M", `${random.int(1, 5000) * 512}`, `${random.int(1, 200)}G`, "1T", "7T"];
    for (const size of options === "cluster_size=512" ? sizes.slice(0, 4) : sizes) {
      const words = ["measure", "-O", "qcow2", "-o", options, "--size", size];
      const { code, stdout } = await runMain(...words);
      assert.deepEqual([code, stdout], [0, await qemuImgOk(...words)], words.join(" "));
    }
  }
  const words = ["measure", "--size", "123M"];
  assert.equal((await runMain(...words)).stdout, await qemuImgOk(...words));
});

Deno.test("for other formats the figure is what a conversion writes", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  await samplesIn(folder);
  const source = { path: folder.file("v0.qcow2"), format: "qcow2" };
  for (const { name, create, measure: formula } of allFormats) {
    if (!create || formula) continue;
    const target = { path: folder.file(`out.${name}`), format: name };
    // Zeroes inside data are found by a conversion, and not by measuring.
    const { fileSize } = await convert({ sources: [source], target, sparseSize: 0, sync: "never" });
    const found = await measure({ source, format: name });
    assert(found.required <= found.fullyAllocated, name);
    const converted = await convert({ sources: [source], target, sync: "never" });
    assert(converted.fileSize <= found.required && found.required <= fileSize, `${name}: ${found.required}`);
  }
});

Deno.test("what is packed is measured as if it did not shrink", async () => {
  await using folder = await scratch();
  const path = folder.file("a.raw");
  await Deno.writeFile(path, rng(3).bytes(3 << 20));
  const options = { subformat: "streamOptimized" };
  const source = { path, format: "raw" };
  const target = { path: folder.file("a.vmdk"), format: "vmdk", options };
  const { fileSize } = await convert({ sources: [source], target, sync: "never" });
  const { required } = await measure({ source, format: "vmdk", options });
  assert(required >= fileSize - 65536 && required < fileSize * 1.1, `${required} ${fileSize}`);
});

Deno.test("measure fails as qemu-img does", { ignore: !hasQemu }, async () => {
  const sample = "tests/samples/sample.qcow2";
  for (
    const words of [
      [],
      ["--size", "1M", sample],
      ["--size", "x"],
      ["-O", "nonsense", sample],
      ["-O", "qcow2", "-o", "cluster_size=3", sample],
      ["-O", "qcow2", "-o", "nonsense=1", sample],
      ["none.raw"],
    ]
  ) {
    const { code, stdout, stderr } = await runMain("measure", ...words);
    assert.deepEqual([code, stdout], [(await qemuImg("measure", ...words)).code, ""], words.join(" "));
    assert.match(stderr, /^diskcast: /);
  }
  const help = await runMain("measure", "-O", "qcow2", "-o", "help");
  assert.match(help.stdout, /cluster_size=/);
});
