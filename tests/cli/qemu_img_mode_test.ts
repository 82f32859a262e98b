/** The program in the place of qemu-img. */
import assert from "node:assert/strict";
import { isQemuImgName, readMode } from "../../cli/qemu_img_mode.ts";
import { main } from "../../cli/main.ts";
import { denoArgs, diskcast, startDiskcast } from "../support/diskcast.ts";
import { openPane, tmuxIsMissing } from "../support/pane.ts";
import { hasQemu, qemuImg, run, type Scratch, scratch } from "../support/qemu.ts";
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
