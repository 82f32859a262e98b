import assert from "node:assert/strict";
import { convert, type ConvertEvent, ImageError, inspect, openDisk } from "../../../mod.ts";
import { denoArgs, diskcastProcess } from "../../support/diskcast.ts";
import { assertBytes } from "../../support/model.ts";
import { guestBytes, hasQemu, qemuImgOk, qemuIo, rng, run, type Scratch, scratch, seed } from "../../support/qemu.ts";
import { cowd, descriptor, encode } from "./build.ts";

const SUBFORMATS = [
  "monolithicSparse",
  "monolithicFlat",
  "twoGbMaxExtentSparse",
  "twoGbMaxExtentFlat",
  "streamOptimized",
];

async function rawFile(folder: Scratch, seedOf: number, size = 3_000_000 - 3_000_000 % 512): Promise<Uint8Array> {
  const random = rng(seedOf);
  const bytes = new Uint8Array(size);
  for (let count = 0; count < 12; count++) {
    const start = random.int(size / 512) * 512;
    bytes.set(random.bytes(Math.min(size - start, random.int(1, 300) * 512)), start);
  }
  await Deno.writeFile(folder.file("a.raw"), bytes);
  return bytes;
}

const raw = (folder: Scratch) => [{ path: folder.file("a.raw"), format: "raw" }];

for (const subformat of SUBFORMATS) {
  Deno.test({
    name: `a whole conversion to ${subformat} and back, with workers`,
    ignore: !hasQemu,
    async fn() {
      await using folder = await scratch();
      const bytes = await rawFile(folder, seed(), 40 << 20);
      const path = folder.file("my disk.vmdk");
      for (const workers of [1, 4]) {
        await convert({ sources: raw(folder), target: { path, format: "vmdk", options: { subformat } }, workers });
        assertBytes(await guestBytes(path), bytes);
        await convert({ sources: [{ path }], target: { path: folder.file("b.raw"), format: "raw" }, workers });
        assertBytes(await Deno.readFile(folder.file("b.raw")), bytes);
      }
      const names = [...Deno.readDirSync(folder.path)].map(({ name }) => name).filter((name) => /vmdk/.test(name));
      const others = {
        monolithicFlat: ["my disk-flat.vmdk"],
        twoGbMaxExtentSparse: ["my disk-s001.vmdk"],
        twoGbMaxExtentFlat: ["my disk-f001.vmdk"],
      }[subformat] ?? [];
      assert.deepEqual(names.sort(), [...others, "my disk.vmdk"]);
    },
  });

  Deno.test({
    name: `writes into an existing image of ${subformat}, larger than the source`,
    ignore: !hasQemu,
    async fn() {
      await using folder = await scratch();
      const bytes = await rawFile(folder, seed());
      const size = 4_000_256;
      const path = folder.file("t.vmdk");
      const old = new Uint8Array(size).fill(0x55);
      await Deno.writeFile(folder.file("old.raw"), old);
      const options = ["-o", `subformat=${subformat}`];
      await qemuImgOk("convert", "-f", "raw", "-O", "vmdk", ...options, folder.file("old.raw"), path);
      await convert({ sources: raw(folder), target: { path, format: "vmdk", create: false } });
      const found = await guestBytes(path, "vmdk");
      assertBytes(found.subarray(0, bytes.length), bytes);
      // A unit of a target that compress is replaced whole.
      const kept = subformat === "streamOptimized" ? Math.ceil(bytes.length / 65536) * 65536 : bytes.length;
      assertBytes(found.subarray(kept, old.length), old.subarray(kept));
    },
  });
}

Deno.test("a stream from a source with holes is in order, whatever the number of workers", async () => {
  await using folder = await scratch();
  const size = 96 << 20;
  const bytes = new Uint8Array(size);
  const random = rng(seed());
  for (let at = 0; at < size; at += 65536) if (random.chance(0.5)) bytes.fill(random.int(1, 256), at, at + 65536);
  await Deno.writeFile(folder.file("a.raw"), bytes);
  const path = folder.file("a.vmdk");
  const options = { subformat: "streamOptimized" };
  await convert({ sources: raw(folder), target: { path, format: "vmdk", options }, workers: 16 });
  const image = await Deno.readFile(path);
  const view = new DataView(image.buffer);
  const sectors: number[] = [];
  for (let at = 65536; at < image.length;) {
    const length = view.getUint32(at + 8, true);
    if (length > 0) sectors.push(Number(view.getBigUint64(at, true)));
    at += length > 0 ? Math.ceil((12 + length) / 512) * 512 : 512 + Number(view.getBigUint64(at, true)) * 512;
  }
  assert.deepEqual(sectors, sectors.toSorted((a, b) => a - b));
});

Deno.test("a file that a descriptor names by several names is opened once; the image itself is a loop", async () => {
  await using folder = await scratch();
  const flat = new Uint8Array(12 * 512).map((_, at) => at >> 9);
  await Deno.writeFile(folder.file("one.bin"), flat);
  await Deno.link(folder.file("one.bin"), folder.file("two.bin"));
  const lines = ['RW 4 FLAT "one.bin" 8', 'RW 4 FLAT "./one.bin" 0', 'RW 4 FLAT "two.bin" 4'];
  const [path, out] = [folder.file("a.vmdk"), folder.file("out.raw")];
  await Deno.writeFile(path, encode(descriptor("custom", lines)));
  await convert({ sources: [{ path }], target: { path: out, format: "raw" } });
  const expected = [8, 9, 10, 11, 0, 1, 2, 3, 4, 5, 6, 7];
  assertBytes(await Deno.readFile(out), new Uint8Array(12 * 512).map((_, at) => expected[at >> 9]));
  await Deno.writeFile(path, encode(descriptor("custom", ['RW 1 FLAT "./a.vmdk" 0'])));
  await assert.rejects(convert({ sources: [{ path }], target: { path: out, format: "raw" } }), {
    kind: "corrupt",
    message: /has a loop/,
  });
});

Deno.test({
  name: "a disk of 400 extents is copied where a process may open 256 files",
  ignore: Deno.build.os === "windows",
  async fn() {
    await using folder = await scratch();
    const lines: string[] = [];
    for (let nth = 0; nth < 400; nth++) {
      await Deno.writeFile(folder.file(`e${nth}.bin`), new Uint8Array(512).fill(1 + nth % 250));
      lines.push(`RW 1 FLAT "e${nth}.bin" 0`);
    }
    const [path, out] = [folder.file("a.vmdk"), folder.file("out.raw")];
    await Deno.writeFile(path, encode(descriptor("custom", lines)));
    const args = [
      ...denoArgs({ read: [folder.path], write: [folder.path], ffi: true }),
      "convert",
      "-q",
      "-O",
      "raw",
      path,
      out,
    ];
    const { code, stderr } = await run("sh", ["-c", 'ulimit -n 256 && exec "$@"', "sh", Deno.execPath(), ...args]);
    assert.deepEqual([code, stderr], [0, ""]);
    assertBytes(await Deno.readFile(out), new Uint8Array(400 * 512).map((_, at) => 1 + (at >> 9) % 250));
  },
});

Deno.test("a parent in the file system of ESX is found beside the child, if its content ID is right", async () => {
  await using folder = await scratch();
  const flat = new Uint8Array(8 * 512).fill(7);
  await Deno.writeFile(folder.file("base-flat.vmdk"), flat);
  await Deno.writeFile(folder.file("base.vmdk"), encode(descriptor("vmfs", ['RW 8 VMFS "base-flat.vmdk"'])));
  const child = (cid: string) =>
    descriptor("vmfsSparse", ['RW 8 VMFSSPARSE "child-delta.vmdk"'], [
      `parentCID=${cid}`,
      'parentFileNameHint="/vmfs/volumes/5f0c/vm/base.vmdk"',
    ]);
  await Deno.writeFile(folder.file("child-delta.vmdk"), cowd(new Array(8).fill(null)));
  const path = folder.file("child.vmdk");
  const job = { sources: [{ path }], target: { path: folder.file("out.raw"), format: "raw" } };
  await Deno.writeFile(path, encode(child("1a2b3c4d")));
  await convert(job);
  assertBytes(await Deno.readFile(folder.file("out.raw")), flat);
  assert.deepEqual((await inspect(path)).names[0], {
    role: "backing file",
    name: "/vmfs/volumes/5f0c/vm/base.vmdk",
    format: "vmdk",
    state: "found",
    path: await Deno.realPath(folder.file("base.vmdk")),
  });
  await Deno.writeFile(path, encode(child("00000001")));
  await assert.rejects(convert(job), { kind: "corrupt", message: /another file/ });
});

Deno.test("extents stay in the folder of their descriptor, unless the user allows another", async () => {
  await using folder = await scratch();
  await using elsewhere = await scratch();
  await Deno.writeFile(elsewhere.file("secret"), new Uint8Array(4096).fill(7));
  await Deno.mkdir(folder.file("inner"));
  const target = { path: folder.file("out.raw"), format: "raw" };
  const relative = `../../${elsewhere.path.split("/").at(-1)}/secret`;
  for (const name of [elsewhere.file("secret"), relative]) {
    const path = folder.file("inner/a.vmdk");
    await Deno.writeFile(path, encode(descriptor("monolithicFlat", [`RW 8 FLAT "${name}" 0`])));
    const job = { sources: [{ path }], target };
    await assert.rejects(convert(job), (error) => {
      assert(error instanceof ImageError && error.kind === "refused", String(error));
      assert.match(error.message, /--allow-ref/);
      return true;
    });
    await convert({ ...job, allowRefs: [elsewhere.path] });
    assertBytes(await Deno.readFile(target.path), new Uint8Array(4096).fill(7));
  }
  const path = folder.file("inner/a.vmdk");
  await Deno.writeFile(path, encode(descriptor("monolithicFlat", ['RW 8 FLAT "nbd://host/x" 0'])));
  await assert.rejects(convert({ sources: [{ path }], target }), { kind: "refused" });
});

Deno.test({
  name: "a chain is followed by its names, and a changed parent is reported",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    const [base, top] = [folder.file("base.vmdk"), folder.file("top.vmdk")];
    await qemuImgOk("create", "-q", "-f", "vmdk", base, "1M");
    await qemuIo(["-f", "vmdk", base], "write -P 1 0 1M");
    await qemuImgOk("create", "-q", "-f", "vmdk", "-b", "base.vmdk", "-F", "vmdk", top, "1M");
    await qemuIo(["-f", "vmdk", top], "write -P 2 64k 64k");
    {
      await using disk = await openDisk(top);
      const bytes = new Uint8Array(1 << 20);
      await disk.read(bytes, 0);
      assert.deepEqual([bytes[0], bytes[65536], bytes[131072]], [1, 2, 1]);
    }
    await Deno.writeFile(folder.file("a.raw"), new Uint8Array(512));
    await convert({ sources: raw(folder), target: { path: base, format: "vmdk", create: false } });
    const job = { sources: [{ path: top }], target: { path: folder.file("b.raw"), format: "raw" } };
    await assert.rejects(convert(job), { kind: "corrupt" });
  },
});

Deno.test("compression of a kind that cannot compress is refused before anything is created", async () => {
  await using folder = await scratch();
  await rawFile(folder, 1);
  const target = { path: folder.file("a.vmdk"), format: "vmdk", compress: true };
  const events: ConvertEvent[] = [];
  const job = { sources: raw(folder), target };
  await assert.rejects(convert(job, { onEvent: (event) => events.push(event) }), {
    kind: "usage",
    message: /subformat=streamOptimized/,
  });
  assert.deepEqual([...Deno.readDirSync(folder.path)].map(({ name }) => name), ["a.raw"]);
});

Deno.test({
  name: "from the command line, with no more permissions than the folder",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    const bytes = await rawFile(folder, seed());
    const grants = { read: [folder.path], write: [folder.path] };
    for (const subformat of SUBFORMATS) {
      const options = `subformat=${subformat},adapter_type=lsilogic,compat6`;
      const args = ["convert", "-f", "raw", "-O", "vmdk", "-o", options, folder.file("a.raw"), folder.file("a.vmdk")];
      const { code, stderr } = await diskcastProcess(args, grants);
      assert.equal(code, 0, stderr);
      assertBytes(await guestBytes(folder.file("a.vmdk")), bytes);
    }
    const refused = await diskcastProcess(
      ["convert", "-c", "-f", "raw", "-O", "vmdk", folder.file("a.raw"), folder.file("b.vmdk")],
      grants,
    );
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /streamOptimized/);
  },
});
