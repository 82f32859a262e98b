/** `demo` works in a pipe and in a terminal, and leaves nothing. */
import assert from "node:assert/strict";
import { denoArgs, diskcastProcess } from "../../support/diskcast.ts";
import { openPane, tmuxIsMissing, unspaced } from "../../support/pane.ts";
import { run, scratch } from "../../support/qemu.ts";
import { fileURLToPath } from "node:url";

const POSIX = Deno.build.os !== "windows";

Deno.test({ name: "demo in a pipe: lines, and the folder is removed", ignore: !POSIX }, async () => {
  await using folder = await scratch();
  const grants = { read: [folder.path], write: [folder.path], env: { TMPDIR: folder.path } };
  const { code, stdout, stderr } = await diskcastProcess(["demo", "-r", "0", "--progress=plain"], grants);
  assert.deepEqual([code, stdout], [0, ""], stderr);
  assert.match(
    stderr,
    /^Making a disk of 256 MiB .*diskcast-demo-\w+"\n(.*\n)*.*server\.qcow2: [\d.]+ MiB of data.*\n/,
  );
  assert.match(stderr, /\nThe folder of the demonstration is removed\. ".* wizard" converts a disk of yours\n$/);
  assert.deepEqual([...Deno.readDirSync(folder.path)], []);
  const quiet = await diskcastProcess(["demo", "-q", "-r0"], grants);
  assert.deepEqual(quiet, { code: 0, stdout: "", stderr: "" });
});

Deno.test({ name: "demo without the permission says which one is needed", ignore: !POSIX }, async () => {
  const { code, stderr } = await diskcastProcess(["demo"]);
  assert.equal(code, 1);
  assert.match(stderr, /^diskcast: Cannot make a folder for temporary files: .*--allow-read and --allow-write/);
  assert.match((await diskcastProcess(["demo", "disk.raw"])).stderr, /demo makes its own disk/);
});

Deno.test(
  { name: "tmux: demo shows the screen; stopped, it removes its folder", ignore: tmuxIsMissing() },
  async () => {
    await using folder = await scratch();
    await using pane = await openPane(100, 30);
    const program = [Deno.execPath(), ...denoArgs({ read: [folder.path], write: [folder.path] })].join(" ");
    await pane.line(`clear; TMPDIR=${folder.path} ${program} demo; echo END=$?`);
    await pane.until(/server\.qcow2/);
    await pane.until(/MiB\/s/);
    assert.equal((await pane.modes()).alternate, true);
    assert.equal([...Deno.readDirSync(folder.path)].length, 1);
    await pane.press("C-c");
    const text = await pane.until(/^END=\d+/m);
    assert.match(text, /END=130/);
    assert.match(unspaced(text), /Thefolderofthedemonstrationisremoved/);
    assert.deepEqual([...Deno.readDirSync(folder.path)], []);
  },
);

Deno.test({ name: "tmux: the first command of the README shows the screen", ignore: tmuxIsMissing() }, async () => {
  await using folder = await scratch();
  await using pane = await openPane(100, 30);
  const source = fileURLToPath(new URL("../../../", import.meta.url));
  const convert = "convert -p -r 8k -S0 -O qcow2 tests/samples/sample.qcow2";
  // The task may write in the folder of the source only.
  const target = `dist/${folder.path.split("/").at(-1)}.qcow2`;
  await Deno.mkdir(`${source}dist`, { recursive: true });
  await pane.line(`clear; cd ${source}; ${Deno.execPath()} task -q ${convert} ${target}; echo END=$?`);
  await pane.until(/sample\.qcow2/);
  await pane.until(/\bq\b.*\bquit|Copy/);
  assert.equal((await pane.modes()).alternate, true);
  await pane.press("C-c");
  await pane.until(/^END=130/m);
  const piped = await run(Deno.execPath(), [
    "task",
    "-q",
    "convert",
    "-p",
    "-Oqcow2",
    "tests/samples/sample.qcow2",
    target,
  ], {
    cwd: source,
    env: { NO_COLOR: "1" },
  });
  await Deno.remove(`${source}${target}`);
  assert.deepEqual([piped.code, piped.stderr], [0, ""]);
  assert.match(piped.stdout, /\(100\.00\/100%\)\r\n$/);
});
