import assert from "node:assert/strict";
import { allFormats } from "../../../mod.ts";
import { diskcast, diskcastProcess } from "../../support/diskcast.ts";
import { guestBytes, hasQemu, mapJson, qemuImg, qemuImgOk, qemuIo, run, scratch } from "../../support/qemu.ts";

const OPTIONS = [
  "compat=0.10",
  "cluster_size=512",
  "cluster_size=2M,lazy_refcounts=on",
  "extended_l2=on",
  "compression_type=zstd",
  "refcount_bits=1",
  "preallocation=metadata",
];

Deno.test("create makes the images that qemu-img makes", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  const info = async (path: string) => {
    const { filename: _name, "actual-size": _size, ...rest } = JSON.parse(
      await qemuImgOk("info", "--output=json", path),
    );
    return rest;
  };
  for (const options of OPTIONS) {
    for (const size of ["0", "1", "5M", "1.5G"]) {
      const args = ["create", "-q", "-f", "qcow2", "-o", options];
      const [ours, theirs] = [folder.file("ours"), folder.file("theirs")];
      await qemuImgOk(...args, theirs, size);
      assert.deepEqual(await diskcast(...args, ours, size), { code: 0, stdout: "", stderr: "" });
      assert.deepEqual(await info(ours), await info(theirs), `${options} ${size}`);
      await qemuImgOk("check", "-q", ours);
    }
  }
});

Deno.test("an overlay has the size of its backing file, or the given one", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  await qemuImgOk("create", "-q", "-f", "qcow2", folder.file("base.qcow2"), "3M");
  await qemuIo(folder.file("base.qcow2"), "write -P 5 1M 1M");
  const path = folder.file("top.qcow2");
  const args = ["create", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2"];
  const { code, stdout } = await diskcast(...args, path);
  assert.equal(code, 0);
  assert.match(
    stdout,
    /^Formatting '.*top\.qcow2', fmt=qcow2 .* size=3145728 backing_file=base\.qcow2 backing_fmt=qcow2 /,
  );
  assert.deepEqual(await guestBytes(path), await guestBytes(folder.file("base.qcow2")));
  assert.equal((await diskcast(...args, path, "8M")).code, 0);
  assert.equal((await mapJson(path)).reduce((sum, { length }) => sum + length, 0), 8 << 20);
  const unseen = await diskcast("create", "-q", "-u", "-f", "qcow2", "-b", "gone.raw", "-F", "raw", path, "1M");
  assert.deepEqual(unseen, { code: 0, stdout: "", stderr: "" });
  assert.match(await qemuImgOk("info", path), /^backing file: gone\.raw/m);
});

Deno.test("every format that can be written is created", async () => {
  await using folder = await scratch();
  for (const { name, create } of allFormats.filter((format) => format.create)) {
    const path = folder.file(`a.${name}`);
    assert(create);
    assert.equal((await diskcast("create", "-q", "-f", name, path, "10M")).code, 0, name);
    const { stdout } = await diskcast("info", "--output=json", path);
    assert(JSON.parse(stdout)["virtual-size"] >= 10 << 20, name);
  }
  assert.equal((await diskcast("create", folder.file("x"), "1000")).code, 0);
  assert.equal((await Deno.stat(folder.file("x"))).size, 1000);
});

Deno.test("a refused create leaves no file and changes none", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  const base = folder.file("base.qcow2");
  await qemuImgOk("create", "-q", "-f", "qcow2", base, "1M");
  const before = await Deno.readFile(base);
  const over = ["-f", "qcow2", "-b", base];
  for (
    const args of [
      [],
      [folder.file("a")],
      [folder.file("a"), "1M", "2M"],
      [folder.file("a"), "-1"],
      ["-f", "nonsense", folder.file("a"), "1M"],
      ["-f", "qcow2", "-o", "cluster_size=3", folder.file("a"), "1M"],
      ["-f", "qcow2", "-o", "size=1M", folder.file("a"), "1M"],
      ["-F", "raw", folder.file("a"), "1M"],
      [...over, folder.file("a")],
      [...over, "-F", "qcow2", base],
      [...over, "-F", "qcow2", "-u", folder.file("a")],
      ["-f", "raw", "-b", base, "-F", "qcow2", folder.file("a")],
      ["-f", "qcow2", "-b", folder.file("gone"), "-F", "raw", folder.file("a")],
    ]
  ) {
    const { code, stdout, stderr } = await diskcast("create", ...args);
    assert.deepEqual([code, stdout], [1, ""], args.join(" "));
    assert.match(stderr, /^diskcast: /);
    assert.notEqual((await qemuImg("create", ...args)).code, 0, args.join(" "));
  }
  assert.deepEqual((await Array.fromAsync(Deno.readDir(folder.path))).map(({ name }) => name), ["base.qcow2"]);
  assert.deepEqual(await Deno.readFile(base), before);
});

Deno.test("the printed command creates the image with no further permission", async () => {
  await using folder = await scratch();
  const args = ["create", "-q", "-f", "qcow2", folder.file("a.qcow2"), "1M"];
  const { code, stdout } = await diskcast(...args.toSpliced(1, 0, "--print-permissions"));
  assert.equal(code, 0);
  if (Deno.build.os === "windows") return;
  const [program, ...printed] = stdout.trim().split(" ");
  assert.equal(program, "deno");
  assert.equal((await run(Deno.execPath(), printed)).code, 0);
  const denied = await diskcastProcess(args);
  assert.equal(denied.code, 1);
  assert.match(denied.stderr, /Hint: the same command with --print-permissions/);
});
