import assert from "node:assert/strict";
import { allFormats, convert, measure } from "../../../mod.ts";
import { hasQemu, qemuImg, qemuImgOk, rng, scratch, seed } from "../../support/qemu.ts";
import { diskcast } from "../../support/diskcast.ts";
import { samplesIn } from "./support.ts";

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
      const args = ["measure", "--output=json", "-f", format, ...target, path];
      const { code, stdout, stderr } = await diskcast(...args);
      assert.deepEqual([code, stderr], [0, ""], args.join(" "));
      assert.deepEqual(JSON.parse(stdout), JSON.parse(await qemuImgOk(...args)), `${name} ${target.join(" ")}`);
    }
  }
});

Deno.test("new images of any size are measured as qemu-img measures them", { ignore: !hasQemu }, async () => {
  const random = rng(seed());
  for (const options of OPTIONS) {
    const sizes = ["0", "512", "1M", `${random.int(1, 5000) * 512}`, `${random.int(1, 200)}G`, "1T", "7T"];
    for (const size of options === "cluster_size=512" ? sizes.slice(0, 4) : sizes) {
      const args = ["measure", "-O", "qcow2", "-o", options, "--size", size];
      const { code, stdout } = await diskcast(...args);
      assert.deepEqual([code, stdout], [0, await qemuImgOk(...args)], args.join(" "));
    }
  }
  const args = ["measure", "--size", "123M"];
  assert.equal((await diskcast(...args)).stdout, await qemuImgOk(...args));
});

Deno.test("for other formats the required size is that of a conversion", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  await samplesIn(folder);
  const source = { path: folder.file("v0.qcow2"), format: "qcow2" };
  for (const { name, create, measure: formula } of allFormats) {
    if (!create || formula) continue;
    const target = { path: folder.file(`out.${name}`), format: name };
    // A conversion finds zeroes inside data, measure does not.
    const { fileSize } = await convert({ sources: [source], target, sparseSize: 0, sync: "never" });
    const found = await measure({ source, format: name });
    assert(found.required <= found.fullyAllocated, name);
    const converted = await convert({ sources: [source], target, sync: "never" });
    assert(converted.fileSize <= found.required && found.required <= fileSize, `${name}: ${found.required}`);
  }
});

Deno.test("without -c, a compressed target is measured as if it did not shrink", async () => {
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
    const args of [
      [],
      ["--size", "1M", sample],
      ["--size", "x"],
      ["-O", "nonsense", sample],
      ["-O", "qcow2", "-o", "cluster_size=3", sample],
      ["-O", "qcow2", "-o", "nonsense=1", sample],
      ["none.raw"],
    ]
  ) {
    const { code, stdout, stderr } = await diskcast("measure", ...args);
    assert.deepEqual([code, stdout], [(await qemuImg("measure", ...args)).code, ""], args.join(" "));
    assert.match(stderr, /^diskcast: /);
  }
  const help = await diskcast("measure", "-O", "qcow2", "-o", "help");
  assert.match(help.stdout, /cluster_size=/);
});

/** Returns a disk of text and noise, in stretches and mixed, with zeroes inside its data. */
function mixedDisk(random: ReturnType<typeof rng>, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size;) {
    const end = Math.min(size, at + random.int(1, 40) * 65536);
    const kind = random.int(4);
    if (kind > 0) bytes.fill(65, at, end);
    for (let unit = at; kind > 1 && unit < end; unit += 65536) {
      bytes.set(random.bytes(kind === 2 ? random.int(1, 65536) : 65536).subarray(0, end - unit), unit);
    }
    at = end;
  }
  return bytes;
}

Deno.test("with -c the required size is that of a conversion, within the reported error", async () => {
  await using folder = await scratch();
  const random = rng(seed());
  const path = folder.file("a.raw");
  const source = { path, format: "raw" };
  for (const size of [16 << 20, 3 << 20, 65536 + 512, 0]) {
    await Deno.writeFile(path, mixedDisk(random, size));
    for (
      const [format, options] of [
        ["qcow2", {}],
        ["qcow2", { compression_type: "zstd", cluster_size: "256k" }],
        ["vmdk", { subformat: "streamOptimized" }],
      ] as const
    ) {
      if (format === "vmdk" && size === 0) continue;
      const target = { path: folder.file("out"), format, options, compress: true };
      const converted = await convert({ sources: [source], target, sync: "never" });
      // The file of an image without data ends inside the cluster of its L1 table; measure counts whole clusters.
      const cluster = format === "vmdk" ? 1 : "cluster_size" in options ? 256 << 10 : 64 << 10;
      const fileSize = Math.ceil(converted.fileSize / cluster) * cluster;
      const { required, requiredError } = await measure({ source, format, options, compress: true });
      const figures = `${format} ${size}: ${required} give or take ${requiredError}, is ${fileSize}`;
      assert(requiredError !== undefined && requiredError <= 0.3 * size + (300 << 10), figures);
      // Outside two standard errors lies one estimate of twenty.
      assert(Math.abs(required - fileSize) <= 2 * requiredError, figures);
    }
  }
});

Deno.test("-c adds a field to those of qemu-img, and is refused where nothing is compressed", async () => {
  const sample = "tests/samples/sample.qcow2";
  const plain = await diskcast("measure", "--output=json", "-O", "qcow2", sample);
  const compressed = await diskcast("measure", "-c", "--output=json", "-O", "qcow2", sample);
  const [before, after] = [JSON.parse(plain.stdout), JSON.parse(compressed.stdout)];
  assert.deepEqual(Object.keys(before).concat("required-error").sort(), Object.keys(after).sort());
  assert(after.required < before.required && after["fully-allocated"] === before["fully-allocated"]);
  assert.match(
    (await diskcast("measure", "-c", "-O", "qcow2", sample)).stdout,
    /^required size: \d+\nrequired size error: /,
  );
  for (const args of [["-O", "raw"], ["-O", "vdi"], ["-O", "qcow2", "-o", "preallocation=full"]]) {
    const { code, stderr } = await diskcast("measure", "-c", ...args, sample);
    assert.equal(code, 1, args.join(" "));
    assert.match(stderr, /^diskcast: Cannot /);
  }
});
