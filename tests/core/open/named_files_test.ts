import assert from "node:assert/strict";
import { convert } from "../../../core/convert.ts";
import { isProtocol, resolveNamed } from "../../../core/open/named_files.ts";
import { type Files, hostFiles } from "../../../formats/mod.ts";
import { openDisk } from "../../../core/open/open_disk.ts";
import { descriptorsIn } from "../../support/files.ts";
import { hasQemu, qemuImgOk, qemuIo, run, scratch } from "../../support/qemu.ts";

Deno.test("isProtocol: what qemu would take for a protocol, but no Windows drive", () => {
  const protocols = [
    "nbd://h/x",
    "json:{}",
    "file:/etc/passwd",
    "http://a",
    "fat:rw:/etc",
    "host_device:/dev/sda",
  ];
  for (const name of protocols) assert.ok(isProtocol(name), name);
  for (const name of ["a.raw", "x:y.raw", "./x:y", "/a:b", "C:\\disks\\a.raw", "..", "dir/x:y"]) {
    assert.ok(!isProtocol(name), name);
  }
});

Deno.test("a named file is found in the folder of the image, in its subfolders, and where the user allows", async () => {
  await using folder = await scratch();
  await Deno.mkdir(folder.file("images/deep"), { recursive: true });
  await Deno.mkdir(folder.file("images-2"));
  await Deno.mkdir(folder.file("bases"));
  for (const name of ["images/top", "images/base", "images/deep/base", "images-2/base", "bases/base", "secret"]) {
    await Deno.writeTextFile(folder.file(name), name);
  }
  await Deno.symlink(folder.file("secret"), folder.file("images/link"));
  await Deno.symlink(folder.file("images/top"), folder.file("bases/top"));
  const top = folder.file("images/top");
  const find = (name: string, image = top, refs: string[] = []) => resolveNamed({ name }, "backing file", image, refs);

  assert.equal(await find("base"), folder.file("images/base"));
  assert.equal(await find("deep/base"), folder.file("images/deep/base"));
  assert.equal(await find(folder.file("images/base")), folder.file("images/base"));
  assert.equal(await find("deep/../base"), folder.file("images/base"));
  assert.equal(await find("base", folder.file("bases/top")), folder.file("images/base"));
  assert.equal(await find("../bases/base", top, [folder.file("bases")]), folder.file("bases/base"));

  const windows = { name: "C:\\disks\\gone", others: [".\\deep\\base"] };
  assert.equal(await resolveNamed(windows, "backing file", top, []), folder.file("images/deep/base"));
  assert.equal(await find("C:\\disks\\base"), folder.file("images/base"));
  await assert.rejects(find("..\\secret"), { kind: "refused" });

  for (const name of ["../secret", "../images-2/base", folder.file("secret"), "link", "/etc/hostname", ".."]) {
    await assert.rejects(find(name), (error: { kind: string; message: string }) => {
      assert.equal(error.kind, "refused", name);
      assert.match(error.message, /--allow-ref /);
      assert.ok(error.message.includes(top), "names the image");
      return true;
    });
  }
  for (const name of ["nbd://localhost/x", 'json:{"file.filename":"base"}', "file:base"]) {
    await assert.rejects(find(name), { kind: "refused" });
  }
  // What the image states as other bytes than UTF-8 is the name of another file here.
  await Deno.writeTextFile(folder.file("images/b\ufffdse"), "another file");
  await assert.rejects(find("b\ufffdse"), { kind: "refused", message: /not text \(U\+FFFD\)/ });
  const twoNames = { name: "b\ufffdse", others: ["base"] };
  assert.equal(await resolveNamed(twoNames, "backing file", top, []), folder.file("images/base"));
  await assert.rejects(find("nowhere"), { kind: "missing" });
  // Allowing a folder does not allow its neighbours.
  await assert.rejects(find("../images-2/base", top, [folder.file("images")]), { kind: "refused" });
});

Deno.test({
  name: "an untrusted image reads no file elsewhere, by backing file, data file, absolute name, link or URL",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    await Deno.mkdir(folder.file("in"));
    await Deno.writeFile(folder.file("secret.raw"), new Uint8Array(1 << 16).fill(7));
    await Deno.symlink(folder.file("secret.raw"), folder.file("in/link.raw"));
    const names = [
      folder.file("secret.raw"),
      "../secret.raw",
      "link.raw",
      "nbd://127.0.0.1:1/x",
      'json:{"driver":"null-co"}',
    ];
    for (const [index, name] of names.entries()) {
      const image = folder.file(`in/${index}.qcow2`);
      await qemuImgOk("create", "-f", "qcow2", "-u", "-b", name, "-F", "raw", image, "64k");
      const target = { path: folder.file("in/out.raw"), format: "raw" };
      await assert.rejects(convert({ sources: [{ path: image }], target }), { kind: "refused" }, name);
      await assert.rejects(Deno.stat(target.path), Deno.errors.NotFound);
    }
    const allowed = {
      sources: [{ path: folder.file("in/0.qcow2") }],
      target: { path: folder.file("out.raw"), format: "raw" },
    };
    await convert({ ...allowed, allowRefs: [folder.path] });
    assert.deepEqual(await Deno.readFile(folder.file("out.raw")), new Uint8Array(1 << 16).fill(7));

    await qemuImgOk(
      "create",
      "-f",
      "qcow2",
      "-o",
      `data_file=${folder.file("secret.raw")}`,
      folder.file("in/data.qcow2"),
      "64k",
    );
    await assert.rejects(openDisk(folder.file("in/data.qcow2")), { kind: "refused" });
  },
});

Deno.test("Deno's permission is not asked for a file that would be refused", async () => {
  await using folder = await scratch();
  await Deno.mkdir(folder.file("in"));
  await Deno.writeFile(folder.file("secret.raw"), new Uint8Array(512));
  const job = JSON.stringify({ path: folder.file("in/a.qcow2"), name: folder.file("secret.raw") });
  await Deno.writeFile(folder.file("in/a.qcow2"), new Uint8Array(512));
  const module = new URL("../../../core/open/named_files.ts", import.meta.url).href;
  const program = `import { resolveNamed } from "${module}"; const { path, name } = ${job};
    await resolveNamed({ name }, "backing file", path, []).catch((error) => console.log(error.kind, error.message));`;
  await Deno.writeTextFile(folder.file("p.ts"), program);
  const outcome = async (...grants: string[]) =>
    (await run(Deno.execPath(), ["run", "--no-prompt", "--no-check", ...grants, folder.file("p.ts")])).stdout;
  const all = await outcome("--allow-read");
  assert.match(all, /^refused .*--allow-ref/);
  assert.equal(await outcome(`--allow-read=${folder.file("in")}`), all);
});

Deno.test({
  name: "a chain with a loop is an error, a long one is followed, one beyond the limit is refused",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    const image = (index: number) => folder.file(`${index}.qcow2`);
    await qemuImgOk("create", "-q", "-f", "qcow2", "-o", "cluster_size=512", image(0), "4k");
    await qemuIo(image(0), "write -P 9 0 4k");
    const head = await Deno.readFile(image(0));
    // The same small image with another backing name each time: made by hand, three hundred processes would take long.
    await qemuImgOk(
      "create",
      "-q",
      "-f",
      "qcow2",
      "-u",
      "-b",
      "000.qcow2",
      "-F",
      "qcow2",
      "-o",
      "cluster_size=512",
      image(1),
      "4k",
    );
    const template = await Deno.readFile(image(1));
    const text = new TextDecoder("latin1").decode(template);
    const at = text.indexOf("000.qcow2");
    assert.ok(at > 0 && head.length > 0);
    await Deno.rename(image(0), folder.file("000.qcow2"));
    for (let index = 1; index <= 513; index++) {
      const bytes = template.slice();
      bytes.set(new TextEncoder().encode(String(index - 1).padStart(3, "0")), at);
      await Deno.writeFile(folder.file(`${String(index).padStart(3, "0")}.qcow2`), bytes);
    }
    {
      await using disk = await openDisk({ path: folder.file("511.qcow2"), format: "qcow2" });
      const bytes = new Uint8Array(4096);
      await disk.read(bytes, 0);
      assert.deepEqual(bytes, new Uint8Array(4096).fill(9));
      assert.equal(disk.layers.length, 512);
      const descriptors = Deno.build.os === "linux" ? descriptorsIn(folder.path) : 0;
      assert.ok(descriptors < 250, `${descriptors} descriptors`);
    }
    await assert.rejects(openDisk(folder.file("512.qcow2")), { kind: "unsupported" });
    const loop = template.slice();
    loop.set(new TextEncoder().encode("005"), at);
    await Deno.writeFile(folder.file("003.qcow2"), loop);
    await assert.rejects(openDisk(folder.file("005.qcow2")), { kind: "corrupt", message: /loop/ });
  },
});

/** The host's files; while "base" is opened, the folder "sub" is a link to "outside". `back`: not any more afterwards. */
function swappingFiles(folder: { file(name: string): string }, back: boolean): Files {
  const swap = async () => {
    await Deno.rename(folder.file("images/sub"), folder.file("images/other"));
    await Deno.symlink(folder.file("outside"), folder.file("images/sub"));
  };
  const restore = async () => {
    await Deno.remove(folder.file("images/sub"));
    await Deno.rename(folder.file("images/other"), folder.file("images/sub"));
  };
  return {
    ...hostFiles,
    async open(path, options) {
      if (!path.endsWith("sub/base")) return await hostFiles.open(path, options);
      await swap();
      const file = await hostFiles.open(path, options);
      if (back) await restore();
      return file;
    },
  };
}

for (const back of [false, true]) {
  Deno.test({
    name:
      `a folder that is replaced by a link while a named file is opened lets no file outside be read, back: ${back}`,
    ignore: !hasQemu,
    async fn() {
      await using folder = await scratch();
      await Deno.mkdir(folder.file("images/sub"), { recursive: true });
      await Deno.mkdir(folder.file("outside"));
      for (const name of ["images/sub/base", "outside/base"]) {
        await Deno.writeFile(folder.file(name), new Uint8Array(512));
      }
      const path = folder.file("images/top");
      await qemuImgOk("create", "-q", "-f", "qcow2", "-b", "sub/base", "-F", "raw", path);
      const files = swappingFiles(folder, back);
      await assert.rejects(openDisk({ path }, { files }), {
        kind: "refused",
        message: /was replaced while it was opened/,
      });
    },
  });
}
