/** The program in the place of qemu-img. */
import assert from "node:assert/strict";
import { isQemuImgName, readMode } from "../../cli/qemu_img_mode.ts";
import { main } from "../../cli/main.ts";
import { denoArgs, diskcast, startDiskcast } from "../support/diskcast.ts";
import { openPane, tmuxIsMissing } from "../support/pane.ts";
import { hasQemu, heldOpen, qemuImg, run, type Scratch, scratch } from "../support/qemu.ts";
import { fakeIo } from "./support.ts";

Deno.test("the mode is on by the name of the program, or by an option before the command", () => {
  for (
    const name of ["qemu-img", "/usr/bin/qemu-img", "C:\\bin\\QEMU-IMG.EXE", "file:///a/qemu-img.js", "./qemu-img.ts"]
  ) {
    assert(isQemuImgName(name), name);
  }
  for (const name of ["diskcast", "file:///qemu-img/mod.ts", "my-qemu-img", "qemu-img-7", "qemu-img.txt", ""]) {
    assert(!isQemuImgName(name), name);
  }
  assert.deepEqual(readMode(["--as-qemu-img", "info", "a"]), { args: ["info", "a"], asQemuImg: true });
  assert.deepEqual(readMode(["info", "--as-qemu-img"]), { args: ["info", "--as-qemu-img"], asQemuImg: false });
  assert.deepEqual(readMode(["info"], true), { args: ["info"], asQemuImg: true });
});

/** Commands that succeed; on most of them diskcast writes a warning, and qemu-img none. */
const warningCommands = [
  ["convert", "-O", "qcow2", "odd", "odd.qcow2"],
  ["convert", "-O", "qcow2", "-o", "size=1M", "odd", "odd2.qcow2"],
  ["convert", "-O", "raw", "over.qcow2", "flat.raw"],
  ["compare", "odd", "odd.qcow2"],
  ["info", "odd"],
  ["map", "odd"],
  ["measure", "-O", "qcow2", "odd"],
  ["dd", "if=odd", "of=copy"],
];

/** Makes a file without a known format that ends inside a sector, and an overlay that does not state its backing format. */
async function images(folder: Scratch): Promise<void> {
  await Deno.writeFile(folder.file("odd"), new Uint8Array(70_000).fill(7));
  await diskcast("create", "-q", "-f", "qcow2", folder.file("base.qcow2"), "1M");
  await diskcast("create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", folder.file("over.qcow2"));
  // The header extension 0xe2792aca is the format of the backing file; 0 ends the extensions.
  const bytes = await Deno.readFile(folder.file("over.qcow2"));
  const view = new DataView(bytes.buffer);
  let at = view.getUint32(100);
  while (view.getUint32(at) !== 0xe2792aca) at += 8;
  view.setUint32(at, 0);
  await Deno.writeFile(folder.file("over.qcow2"), bytes);
}

/** Returns the arguments with the full names of the files in a folder. */
function inFolder(args: readonly string[], folder: Scratch): string[] {
  return args.map((arg) =>
    arg.replace(
      /^(?:(if|of)=)?(odd2?(\.qcow2)?|over\.qcow2|flat\.raw|copy)$/,
      (_all, key, name) => `${key ? `${key}=` : ""}${folder.file(name)}`,
    )
  );
}

Deno.test("in the mode, a command that succeeds writes no harmless warning", async (t) => {
  await using folder = await scratch();
  await images(folder);
  let warned = 0;
  for (const command of warningCommands) {
    await t.step(command.join(" "), async () => {
      const args = inFolder(command, folder);
      const plain = await diskcast(...args);
      assert.equal(plain.code, 0, plain.stderr);
      if (plain.stderr !== "") warned++;
      const { code, stderr } = await diskcast("--as-qemu-img", ...args);
      assert.deepEqual([code, stderr], [0, ""]);
      if (!hasQemu) return;
      const theirs = await qemuImg(...args);
      assert.deepEqual([theirs.code, theirs.stderr], [0, ""]);
    });
  }
  assert(warned >= 4, `without the mode, only ${warned} of the commands warn`);
});

Deno.test("in the mode, a terminal gets no progress without -p, and no wizard", async () => {
  await using folder = await scratch();
  await images(folder);
  const io = { ...fakeIo(true), inIsTerminal: true };
  const written = { out: "", err: "" };
  const terminal = {
    ...io,
    out: (text: string) => void (written.out += text),
    err: (text: string) => void (written.err += text),
  };
  const convert = ["--as-qemu-img", "convert", "-O", "raw", folder.file("odd")];
  assert.equal(await main([...convert, folder.file("a")], terminal), 0);
  assert.deepEqual(written, { out: "", err: "" });
  assert.equal(await main([...convert, "-p", folder.file("b")], terminal), 0);
  assert.match(written.out, /\(100\.00\/100%\)/);
  assert.equal(written.err, "");
  assert.equal(await main([...convert, "--progress=bar", folder.file("c")], terminal), 0);
  assert.match(written.err, /Copying/);
  written.err = "";
  assert.equal(await main(["--as-qemu-img"], terminal), 1);
  assert.match(written.err, /no command is given/);
});

Deno.test("in the mode, a warning that concerns data is written", async () => {
  await using folder = await scratch();
  await images(folder);
  const skip = ["dd", `if=${folder.file("odd")}`, `of=${folder.file("none")}`, "bs=1M", "skip=5"];
  const { code, stderr } = await diskcast("--as-qemu-img", ...skip);
  assert.equal(code, 0);
  assert.match(stderr, /nothing is left of the disk/);
});

Deno.test({
  name: "a module called qemu-img turns the mode on",
  async fn() {
    await using folder = await scratch();
    await images(folder);
    const entry = new URL("../../cli/main.ts", import.meta.url);
    await Deno.writeTextFile(folder.file("qemu-img.ts"), `import { run } from "${entry}";\nawait run();\n`);
    const config = new URL("../../deno.json", import.meta.url).pathname;
    const args = [
      "run",
      "--no-prompt",
      "--cached-only",
      "--no-check",
      "--config",
      config,
      `--allow-read=${folder.path}`,
    ];
    const ran = await run(Deno.execPath(), [...args, folder.file("qemu-img.ts"), "info", folder.file("odd")]);
    assert.deepEqual([ran.code, ran.stderr], [0, ""]);
    assert.match(ran.stdout, /file format: raw/);
  },
});

Deno.test({
  name: "SIGUSR1 during a job writes one line, and opens no debugger",
  ignore: Deno.build.os === "windows",
  async fn() {
    await using folder = await scratch();
    await Deno.writeFile(folder.file("a.raw"), new Uint8Array(1 << 20).fill(5));
    const grants = { read: [folder.path], write: [folder.path], cwd: folder.path };
    const convert = ["--as-qemu-img", "convert", "-fraw", "-r", "1M", "a.raw", "b.raw"];
    const child = startDiskcast(convert, grants);
    await child.stdin.close();
    while (!(await Array.fromAsync(Deno.readDir(folder.path))).some(({ name }) => name !== "a.raw")) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    child.kill("SIGUSR1");
    const [{ code }, stdout, stderr] = await Promise.all([
      child.status,
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    assert.deepEqual([code, stdout], [0, ""]);
    assert.match(stderr, /^ {4}\(\d+\.\d\d\/100%\)\n$/);
  },
});

Deno.test({
  name: "SIGUSR1 opens no debugger where no progress is reported",
  ignore: Deno.build.os === "windows" || tmuxIsMissing(),
  async fn() {
    await using folder = await scratch();
    await using pane = await openPane();
    const command = [Deno.execPath(), ...denoArgs({ read: [folder.path] }), "wizard"].join(" ");
    await pane.line(`cd ${folder.path}; sh -c 'echo $$ > pid; exec ${command}'`);
    await pane.until(/Which disk image/);
    Deno.kill(Number(await Deno.readTextFile(folder.file("pid"))), "SIGUSR1");
    await pane.press("Down");
    await pane.press("C-c");
    assert.doesNotMatch(await pane.until(/READY>\s*$/, 10_000), /Debugger/);
  },
});

Deno.test("--version and --help have what programs look for", { ignore: !hasQemu }, async () => {
  assert.match((await diskcast("--as-qemu-img", "--version")).stdout, /^qemu-img version \d+\.\d+\.\d+ \(diskcast /);
  const { code, stdout } = await diskcast("--as-qemu-img", "--help");
  assert.equal(code, 0);
  assert.match(stdout, /^usage: qemu-img /m);
  assert.match(stdout, /^Supported formats: qcow2 raw vdi vhdx vmdk vpc$/m);
  const commands = (text: string) => [...text.matchAll(/^ {2}([a-z]+) \[/gm)].map((match) => match[1]);
  const theirs = (await qemuImg("--help")).stdout;
  assert.deepEqual(commands(stdout).toSorted(), [...commands(theirs), "bitmap"].toSorted());
  assert.match(stdout, /^ {2}convert .* \[-U\] /m);
});

/** Commands that fail, and the phrase of qemu-img that programs look for; FILE stands for what `files` make. */
const phrases: readonly (readonly [command: string, phrase: string])[] = [
  ["info none", "No such file or directory"],
  ["convert -O qcow2 noise no-folder/x", "No such file or directory"],
  ...["qcow2", "vmdk", "vdi", "vpc", "vhdx"].map((format) =>
    [`info -f ${format} noise`, `Image is not in ${format} format`] as const
  ),
  ["info held.qcow2", 'Failed to get shared "write" lock'],
  ["info held.qcow2", "Is another process using the image"],
  ["resize held.qcow2 2M", 'Failed to get "write" lock'],
  ["resize corrupt.qcow2 2M", "Image is corrupt; cannot be opened"],
  ["create -f vdi -o preallocation=metadata new 1M", "Unsupported preallocation mode"],
  ["create -f nonsense new 1M", "Unknown "],
  ["resize -f raw noise 1k", "Use the --shrink option to perform a shrink operation."],
];

Deno.test("in the mode, errors end with the phrases of qemu-img", { ignore: !hasQemu }, async (t) => {
  await using folder = await scratch();
  await Deno.writeFile(folder.file("noise"), new Uint8Array(4096).fill(0x5a));
  for (const name of ["held.qcow2", "corrupt.qcow2"]) {
    assert.equal((await diskcast("create", "-q", "-f", "qcow2", folder.file(name), "1M")).code, 0);
  }
  const corrupt = await Deno.open(folder.file("corrupt.qcow2"), { write: true });
  await corrupt.seek(79, Deno.SeekMode.Start);
  await corrupt.write(new Uint8Array([2]));
  corrupt.close();
  await using _held = await heldOpen(folder.file("held.qcow2"));
  for (const [command, phrase] of phrases) {
    await t.step(`${command}: ${phrase}`, async () => {
      const args = command.split(" ").map((arg) =>
        /noise|none|folder|\.qcow2|^new$/.test(arg) ? folder.file(arg) : arg
      );
      const { code, stderr } = await diskcast("--as-qemu-img", ...args);
      assert.equal(code, 1);
      assert.match(stderr, /^(diskcast: warning: .*\n)?diskcast: .*\n(Hint: .*\n)?qemu-img: /);
      assert(stderr.slice(stderr.indexOf("qemu-img: ")).includes(phrase), stderr);
      assert.doesNotMatch((await diskcast(...args)).stderr, /^qemu-img: /m);
      // Of the format, qemu-img says so for qcow2 alone.
      if (phrase.startsWith("Image is not in") && !phrase.includes("qcow2")) return;
      assert((await qemuImg(...args)).stderr.includes(phrase), "the phrase is that of qemu-img");
    });
  }
});

Deno.test(
  "in the mode, the size of a VHD is rounded as by qemu-img; else it is exact",
  { ignore: !hasQemu },
  async () => {
    await using folder = await scratch();
    const [ours, theirs] = [folder.file("ours.vhd"), folder.file("theirs.vhd")];
    const virtualSize = async (path: string) =>
      JSON.parse((await diskcast("info", "--output=json", path)).stdout)["virtual-size"];
    for (const size of ["0", "1000", "1M", "10M", "1G", "127G", "130G"]) {
      const args = ["create", "-f", "vpc"];
      const printed = (await qemuImg(...args, theirs, size)).stdout.replace(theirs, ours);
      assert.deepEqual((await diskcast("--as-qemu-img", ...args, ours, size)).stdout, printed);
      assert.equal(await virtualSize(ours), await virtualSize(theirs), size);
    }
    const source = folder.file("source.raw");
    await Deno.writeFile(source, new Uint8Array(5 << 20).fill(7));
    for (const more of [[], ["-o", "subformat=fixed"], ["-o", "force_size=on"]]) {
      const args = ["convert", "-f", "raw", "-O", "vpc", ...more, source];
      await qemuImg(...args, theirs);
      assert.equal((await diskcast("--as-qemu-img", ...args, ours)).code, 0);
      assert.equal(await virtualSize(ours), await virtualSize(theirs), more.join(" "));
      assert.equal((await qemuImg("compare", "-f", "vpc", "-F", "vpc", ours, theirs)).code, 0);
      assert.equal((await diskcast(...args, ours)).code, 0);
      assert.equal(await virtualSize(ours), 5 << 20);
    }
  },
);

Deno.test("in the mode, -c writes a VMDK that is no stream uncompressed", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  const source = folder.file("source.raw");
  await Deno.writeFile(source, new Uint8Array(1 << 20).fill(7));
  const args = ["convert", "-c", "-f", "raw", "-O", "vmdk", source, folder.file("a.vmdk")];
  assert.equal((await diskcast(...args)).code, 1);
  assert.deepEqual(await diskcast("--as-qemu-img", ...args), { code: 0, stdout: "", stderr: "" });
  assert.equal((await qemuImg("compare", "-f", "raw", source, folder.file("a.vmdk"))).code, 0);
});

Deno.test("in the mode, info does not list the files that an image names", async () => {
  await using folder = await scratch();
  const path = folder.file("a.qcow2");
  const args = ["create", "-q", "-f", "qcow2", "-u", "-b", "gone.raw", "-F", "raw", path, "1M"];
  assert.equal((await diskcast(...args)).code, 0);
  assert.match((await diskcast("info", path)).stdout, /^Named files:$/m);
  assert.doesNotMatch((await diskcast("--as-qemu-img", "info", path)).stdout, /Named files/);
  const { stdout } = await diskcast("--as-qemu-img", "info", "--output=json", path);
  assert.equal(JSON.parse(stdout)["named-files"], undefined);
});
