import assert from "node:assert/strict";
import { diskcast } from "../../support/diskcast.ts";
import { hasQemu, qemuImg, qemuImgOk, scratch } from "../../support/qemu.ts";

/** Arguments of `create` that both programs take; `IMAGE`, `BASE` and `DATA` stand for paths. QEMU 7.2 to 10.0 print the same. */
const COMMANDS: readonly string[] = [
  "IMAGE 10M",
  "-f raw IMAGE 0",
  "-f raw IMAGE 1000",
  "-f raw IMAGE 1.5k",
  "-f raw -o size=10M IMAGE",
  "-f raw -o preallocation=off IMAGE 1M",
  "-f raw -o preallocation=falloc IMAGE 1M",
  "-f raw -o extent_size_hint=2M,preallocation=full,nocow=on IMAGE 1M",
  "-f qcow2 IMAGE 10M",
  "-f qcow2 IMAGE 1000",
  "-f qcow2 IMAGE 1G",
  "-f qcow2 -o compat=0.10 IMAGE 10M",
  "-f qcow2 -o compat=v3,refcount_bits=8 IMAGE 10M",
  "-f qcow2 -o cluster_size=4k,lazy_refcounts=on IMAGE 10M",
  "-f qcow2 -o lazy_refcounts IMAGE 10M",
  "-f qcow2 -o lazy_refcounts=yes -o cluster_size=0.5M IMAGE 10M",
  "-f qcow2 -o preallocation=metadata IMAGE 10M",
  "-f qcow2 -o extent_size_hint=1M,preallocation=off,nocow=off IMAGE 10M",
  "-f qcow2 -o extended_l2=on,cluster_size=128k IMAGE 10M",
  "-f qcow2 -o compression_type=zstd IMAGE 10M",
  "-f qcow2 -o data_file_raw=on,data_file=DATA,compat=1.1 IMAGE 10M",
  "-f qcow2 -o data_file=DATA -b BASE -F raw IMAGE 10M",
  "-f qcow2 -b BASE -F raw IMAGE",
  "-f qcow2 -b BASE -F raw IMAGE 20M",
  "-f qcow2 -o backing_file=BASE,backing_fmt=raw,compat=1.1 IMAGE",
  "-f qcow2 -u -b nowhere,x.raw -F raw IMAGE 5M",
  "-f vmdk IMAGE 10M",
  "-f vmdk -o subformat=monolithicFlat IMAGE 10M",
  "-f vmdk -o subformat=streamOptimized IMAGE 10M",
  "-f vmdk -o subformat=twoGbMaxExtentSparse IMAGE 10M",
  "-f vmdk -o hwversion=10,adapter_type=lsilogic IMAGE 10M",
  "-f vmdk -o compat6,zeroed_grain=on,toolsversion=5 IMAGE 10M",
  "-f vdi IMAGE 1000",
  "-f vdi -o static=on,preallocation=off IMAGE 10M",
  "-f vpc IMAGE 10M",
  "-f vpc -o force_size=on IMAGE 10M",
  "-f vpc -o force_size,subformat=fixed,nocow=off IMAGE 10M",
  "-f vhdx IMAGE 10M",
  "-f vhdx IMAGE 20G",
  "-f vhdx -o block_size=1M IMAGE 10M",
  "-f vhdx -o block_state_zero=on,log_size=2M,subformat=dynamic IMAGE 10M",
  "-q -f qcow2 IMAGE 10M",
];

Deno.test("create prints the line of qemu-img, byte for byte", { ignore: !hasQemu }, async (t) => {
  await using folder = await scratch();
  const names = { IMAGE: folder.file("an image"), BASE: folder.file("base.raw"), DATA: folder.file("data.raw") };
  await Deno.writeFile(names.BASE, new Uint8Array(3 << 20));
  for (const command of COMMANDS) {
    await t.step(command, async () => {
      const args = ["create", ...command.split(" ")].map((arg) =>
        arg.replace(/IMAGE|BASE|DATA/g, (name) => names[name as keyof typeof names])
      );
      const theirs = await qemuImgOk(...args);
      await Promise.all([names.IMAGE, names.DATA].map((path) => Deno.remove(path).catch(() => {})));
      assert.deepEqual(await diskcast(...args), { code: 0, stdout: theirs, stderr: "" });
      await Promise.all([names.IMAGE, names.DATA].map((path) => Deno.remove(path).catch(() => {})));
    });
  }
});

Deno.test("options that only one of the programs has follow those of both", async () => {
  await using folder = await scratch();
  const path = folder.file("a.vhd");
  const { stdout } = await diskcast("create", "-f", "vpc", "-o", "sparse=off,subformat=fixed", path, "1M");
  assert.equal(stdout, `Formatting '${path}', fmt=vpc size=1048576 subformat=fixed sparse=off\n`);
});

Deno.test("convert and dd print no line", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  const [source, target] = [folder.file("a.raw"), folder.file("b.qcow2")];
  await Deno.writeFile(source, new Uint8Array(1 << 20));
  for (
    const args of [
      ["convert", "-f", "raw", "-O", "qcow2", source, target],
      ["dd", "-f", "raw", "-O", "qcow2", `if=${source}`, `of=${target}`],
    ]
  ) {
    assert.equal((await qemuImg(...args)).stdout, "");
    const { code, stdout } = await diskcast(...args);
    assert.deepEqual([code, stdout], [0, ""]);
  }
});

Deno.test("attributes of the files that the host refuses are a note, in JSON only", async () => {
  await using folder = await scratch();
  const args = ["create", "-q", "-f", "vdi", "-o", "nocow=on", folder.file("a.vdi"), "1M"];
  const plain = await diskcast(...args);
  assert.deepEqual([plain.code, plain.stderr], [0, ""]);
  const { stderr } = await diskcast("create", "--progress=json", ...args.filter((arg) => arg !== "-q").slice(1));
  const notes = stderr.trim().split("\n").map((line) => JSON.parse(line)).filter(({ type }) => type === "note");
  // On Btrfs the attribute is set.
  if (notes.length > 0) assert.match(notes[0].message, /^The attribute nocow of ".*a\.vdi" was not set: /);
});
