/** Every command refuses archives, compressed files and texts where it would guess that they are raw disks. */
import assert from "node:assert/strict";
import { gzip, tar } from "../../support/archives.ts";
import { diskcast } from "../../support/diskcast.ts";
import { scratch } from "../../support/qemu.ts";

const BYTES = new Uint8Array(64 << 10).map((_, at) => at * 7);
const MIB = 1 << 20;

/** Arguments around the image; `works`: those of the same command with the format stated, which then works. */
const commands: readonly (readonly [args: (image: string, other: string) => string[], works?: boolean])[] = [
  [(image, other) => ["convert", "-O", "qcow2", image, other], true],
  [(image, other) => ["convert", "-q", "-O", "qcow2", image, other], true],
  [(image, other) => ["plan", "-O", "qcow2", image, other], true],
  [(image, other) => ["dd", "-O", "qcow2", `if=${image}`, `of=${other}`], true],
  [(image) => ["info", image], true],
  [(image) => ["map", image], true],
  [(image) => ["measure", "-O", "qcow2", image], true],
  [(image) => ["digest", image], true],
  [(image) => ["bench", "-c", "1", image], true],
  [(image) => ["check", image]],
  [(image) => ["check", "-r", "all", image]],
  [(image) => ["resize", image, "+1M"]],
  [(image) => ["snapshot", "-l", image]],
  [(image) => ["bitmap", "--add", image, "b"]],
  [(image) => ["amend", "-o", "compat=1.1", image]],
  [(image) => ["commit", image]],
  [(image) => ["rebase", "-b", "", image]],
];

for (const [args, works] of commands) {
  Deno.test(`a compressed file is no disk: ${args("IMAGE", "OTHER").join(" ")}`, async () => {
    await using folder = await scratch();
    const image = folder.file("disk.raw.gz");
    const content = new Uint8Array(8192);
    content.set(gzip(BYTES));
    await Deno.writeFile(image, content);
    const refused = await diskcast(...args(image, folder.file("other")));
    assert.notEqual(refused.code, 0);
    assert.match(
      refused.stderr,
      /it is gzip-compressed data; decompress it first: gunzip -k \S+disk\.raw\.gz; .*-f raw/,
    );
    assert.deepEqual(await Deno.readFile(image), content);
    assert.equal(await exists(folder.file("other")), false);
    if (!works) return;
    const [name, ...rest] = args(image, folder.file("other"));
    const stated = await diskcast(name!, "-f", "raw", ...rest);
    assert.deepEqual([stated.code, stated.stderr], [0, ""]);
  });
}

Deno.test("compare refuses either of its images", async () => {
  await using folder = await scratch();
  const [ova, disk] = [folder.file("vm.ova"), folder.file("disk.raw")];
  await Deno.writeFile(ova, tar({ "vm.ovf": BYTES }));
  await Deno.writeFile(disk, BYTES);
  for (const args of [[ova, disk], [disk, ova]]) {
    const { code, stderr } = await diskcast("compare", ...args);
    assert.equal(code, 2);
    assert.match(stderr, /it is an OVA, .*; extract it first: tar -xf \S+vm\.ova; /);
  }
  const stated = await diskcast("compare", "-f", "raw", "-F", "raw", ova, ova);
  assert.equal(stated.code, 0);
});

Deno.test("the target of convert -n is refused too, unless its format is stated", async () => {
  await using folder = await scratch();
  const [disk, text] = [folder.file("disk.raw"), folder.file("notes")];
  await Deno.writeFile(disk, new Uint8Array(512));
  await Deno.writeTextFile(text, "do not lose this\n".repeat(100));
  const refused = await diskcast("convert", "-n", "-f", "raw", disk, text);
  if (refused.code !== 0) assert.match(refused.stderr, /it is a text file; give the disk image/);
  assert.equal((await diskcast("convert", "-n", "-f", "raw", "-O", "raw", disk, text)).code, 0);
});

Deno.test("a backing file whose format is not stated is refused", async () => {
  await using folder = await scratch();
  const [base, overlay] = [folder.file("base"), folder.file("overlay.qcow2")];
  await Deno.writeFile(base, gzip(BYTES));
  assert.equal((await diskcast("create", "-q", "-u", "-f", "qcow2", "-b", base, "-F", "raw", overlay, "1M")).code, 0);
  const backing = `backing.file.filename=${base}`;
  const args = ["map", "--image-opts", `driver=qcow2,file.filename=${overlay},${backing}`];
  const { code, stderr } = await diskcast(...args);
  assert.equal(code, 1);
  assert.match(stderr, /base" for a disk image: it is gzip.*backing\.driver/);
  assert.equal((await diskcast(...args.slice(0, 2), `${args[2]},backing.driver=raw`)).code, 0);
});

Deno.test("a raw image that looks like a disk needs no warning; one that looks like nothing has one", async () => {
  await using folder = await scratch();
  const image = folder.file("disk.img");
  const warning = /no format is recognised/;
  for (const [signature, at, warns] of [["", 0, true], ["EFI PART", 512, false], ["XFSB", 0, false]] as const) {
    const bytes = new Uint8Array(MIB);
    bytes.set(new TextEncoder().encode(signature), at);
    await Deno.writeFile(image, bytes);
    const runs = [["info", image], ["convert", "-O", "qcow2", image, folder.file("out")], ["resize", image, "2M"]];
    for (const args of runs) {
      const { code, stderr } = await diskcast(...args);
      assert.deepEqual([code, warning.test(stderr)], [0, warns], `${args[0]} ${signature}: ${stderr}`);
    }
  }
});

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
