/** The command of the npm package: Node.js starts the built form in Deno, with the permissions of the arguments. */
import assert from "node:assert/strict";
import { permissionFlags } from "../../npm/permissions.js";
import { grantsOf } from "../../cli/grants.ts";
import { commands } from "../../cli/commands/mod.ts";
import { buildNpm } from "../support/build_npm.ts";
import { diskcast } from "../support/diskcast.ts";
import { inCi, run, type Scratch, scratch } from "../support/qemu.ts";
import { openPane, tmuxIsMissing } from "../support/pane.ts";
import { samplePath } from "../support/sample.ts";

const POSIX = Deno.build.os !== "windows";

/** Whether Node.js is installed; CI must have it. */
const hasNode = await run("node", ["--version"]).then(({ code }) => code === 0, () => false);
if (!hasNode && inCi) throw new Error("Node.js is not installed, and CI must test the npm package");
if (!hasNode) console.log("Tests of the npm package are left out: Node.js is not installed");

const cases: readonly (readonly [args: string, images: string[], read: string[], write: string[]])[] = [
  ["convert -O qcow2 a/b.vmdk c/d.qcow2", ["a/b.vmdk"], ["c"], ["c"]],
  ["convert -O qcow2 -B base -F qcow2 t.qcow2 out/new", ["t.qcow2", "out/base"], ["out"], ["out"]],
  ["convert -O raw --allow-ref=/more one two three", ["one", "two"], ["/more", "."], ["."]],
  ["convert -n -O raw a b", ["a", "b"], [], ["b"]],
  ["convert -O qcow2 -o data_file=raw/d a o/b", ["a"], ["o", "o/raw"], ["o", "o/raw"]],
  ["plan -O qcow2 a b/c", ["a"], ["b"], []],
  ["dd if=a/b of=c/d bs=1M", ["a/b"], ["c"], ["c"]],
  ["create -f qcow2 -b ../base -F qcow2 sub/x", ["base"], ["sub"], ["sub"]],
  ["info --image-opts driver=qcow2,file.filename=/q,,w", ["/"], [], []],
  ["compare a b", ["a", "b"], [], []],
  ["resize x +1G", ["x"], [], ["x"]],
  ["check x", ["x"], [], []],
  ["check -r all x", ["x"], [], ["x"]],
  ["snapshot -l x", ["x"], [], []],
  ["snapshot -c s x", ["x"], [], ["x"]],
  ["commit f/x", ["f/x"], [], ["f"]],
  ["rebase -b n/base -F qcow2 f/x", ["f/x", "f/n/base"], [], ["f/x"]],
  ["wizard a", ["a"], ["."], ["."]],
  ["d/a.vmdk --ascii file:///b/c.vmdk", ["d/a.vmdk", "/b/c.vmdk"], ["."], ["."]],
  ["", [], ["."], ["."]],
  // The program reports these itself, and opens no file before.
  ["convert -O qcow2", [], [], []],
  ["nonsense a", [], [], []],
  ["convert --help", [], [], []],
  ["formats", [], [], []],
];

Deno.test("a command needs the files that its arguments name, and no others", async () => {
  for (const [args, images, read, write] of cases) {
    const found = await grantsOf(args.split(" ").filter((arg) => arg !== ""));
    assert.deepEqual(found, { images, read, write }, args);
  }
  assert.deepEqual(await grantsOf(["demo"]), { images: [], read: [], write: [], temporary: true });
  for (const { name } of commands) {
    assert(await grantsOf([name, "--help"]), name);
  }
});

Deno.test("an image that may name other files is granted with its folder", async () => {
  await using folder = await scratch();
  const file = (name: string) => folder.file(name);
  await Deno.writeFile(file("a.raw"), new Uint8Array(1 << 16).fill(1));
  await diskcast("convert", "-fraw", "-Oqcow2", file("a.raw"), file("a.qcow2"));
  await diskcast("create", "-q", "-f", "qcow2", "-b", "a.qcow2", "-F", "qcow2", file("over.qcow2"));
  await diskcast("create", "-q", "-f", "qcow2", "-o", `data_file=${file("data")}`, file("outside.qcow2"), "1M");
  for (const format of ["vmdk", "vhdx", "vdi", "vpc"]) {
    await diskcast("convert", "-fraw", `-O${format}`, file("a.raw"), file(`a.${format}`));
  }
  const withFolder = ["over.qcow2", "outside.qcow2", "a.vmdk", "a.vhdx"];
  for (const name of ["a.raw", "a.qcow2", "a.vdi", "a.vpc", "missing", ...withFolder]) {
    const flags = permissionFlags({ images: [file(name)], read: [], write: [] });
    const paths = withFolder.includes(name) ? `${folder.path},${file(name)}` : file(name);
    assert.deepEqual(flags, [`--allow-read=${paths}`], name);
  }
});

Deno.test("flags: real paths beside links, folders in place of commas, all for devices, and those of the user", async () => {
  await using folder = await scratch();
  const real = await Deno.realPath(folder.path);
  await Deno.mkdir(`${real}/there`);
  if (POSIX) {
    await Deno.symlink("there", `${real}/link`);
    const flags = permissionFlags({ images: [], read: [], write: [`${real}/link`] });
    assert.deepEqual(flags, [`--allow-write=${real}/link,${real}/there`]);
    assert.deepEqual(permissionFlags({ images: ["/dev/loop0"], read: [], write: [] }), ["--allow-all"]);
  }
  const grants = { images: [`${real}/a,b`], read: [], write: [] };
  const env = { DISKCAST_DENO_FLAGS: " --allow-ffi  --v8-flags=--max-old-space-size=4096" };
  assert.deepEqual(permissionFlags(grants, env), [
    `--allow-read=${real}`,
    "--allow-ffi",
    env.DISKCAST_DENO_FLAGS.trim().split(/ +/)[1],
  ]);
});

/** A package that is built, and a `deno` on the PATH that writes its arguments to the file `flags` before it starts. */
interface Installed {
  run(args: readonly string[], name?: string): ReturnType<typeof run>;
  start(args: readonly string[]): Deno.ChildProcess;
  flags(): Promise<string[]>;
}

async function installed(folder: Scratch): Promise<Installed> {
  await buildNpm(folder.file("package"));
  await Deno.mkdir(folder.file("path"));
  await Deno.mkdir(folder.file("here"));
  await Deno.copyFile(samplePath, folder.file("here/sample.qcow2"));
  const flags = folder.file("flags");
  await Deno.writeTextFile(
    folder.file("path/deno"),
    `#!/bin/sh\ncase "$*" in --version|*" grants "*) ;; *) printf '%s\\n' "$@" > ${flags}; echo $$ > ${
      folder.file("pid")
    };; esac\nexec ${Deno.execPath()} "$@"\n`,
    { mode: 0o755 },
  );
  const launcher = folder.file("package/bin/diskcast.js");
  await Deno.symlink(launcher, folder.file("qemu-img"));
  const options = {
    cwd: folder.file("here"),
    env: { NO_COLOR: "1", DENO_DIR: folder.file("cache"), PATH: `${folder.file("path")}:${Deno.env.get("PATH")}` },
  };
  return {
    run: (args, name = launcher) => run("node", [name, ...args], options),
    start: (args) =>
      new Deno.Command("node", {
        args: [launcher, ...args],
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
        ...options,
      })
        .spawn(),
    flags: async () => (await Deno.readTextFile(flags)).split("\n").filter((line) => line.startsWith("--allow")),
  };
}

Deno.test({ name: "the command of the npm package", ignore: !hasNode || !POSIX }, async (t) => {
  await using folder = await scratch();
  const { run, start, flags } = await installed(folder);
  const here = await Deno.realPath(folder.file("here"));

  await t.step(
    "its manifest names a licence, the command and the packages of Deno, and no install script",
    async () => {
      const manifest = JSON.parse(await Deno.readTextFile(folder.file("package/package.json")));
      const { version } = JSON.parse(await Deno.readTextFile(new URL("../../deno.json", import.meta.url)));
      assert.deepEqual([manifest.name, manifest.version, manifest.license], ["diskcast", version, "MIT"]);
      assert.deepEqual([manifest.scripts, manifest.dependencies], [undefined, undefined]);
      assert.equal(Object.keys(manifest.optionalDependencies).length, 6);
      for (const path of [manifest.bin.diskcast, ...manifest.files, "LICENSE", "README.md", "program/LICENSES.txt"]) {
        await Deno.stat(folder.file(`package/${path}`));
      }
    },
  );

  await t.step("a conversion may read its source and write the folder of its target, and nothing else", async () => {
    await Deno.mkdir(`${here}/out`);
    const { code, stdout, stderr } = await run(["convert", "-q", "-O", "raw", "sample.qcow2", "out/a.raw"]);
    assert.deepEqual([code, stdout, stderr], [0, "", ""]);
    assert.deepEqual(await flags(), [`--allow-read=${here}/out,${here}/sample.qcow2`, `--allow-write=${here}/out`]);
    assert.equal((await run(["compare", "sample.qcow2", "out/a.raw"])).code, 0);
    assert.deepEqual(await flags(), [`--allow-read=${here}/out/a.raw,${here}/sample.qcow2`]);
  });

  await t.step("commands without files get no permission", async () => {
    assert.equal((await run(["--version"])).code, 0);
    assert.deepEqual(await flags(), []);
  });

  await t.step("its exit code is that of the program, and so is its output", async () => {
    const { code, stderr } = await run(["convert", "-O", "raw", "none.qcow2", "b.raw"]);
    assert.equal(code, 1);
    assert.match(stderr, /^diskcast: .*none\.qcow2.*no such file/);
    assert.equal((await run(["compare", "sample.qcow2", "none.qcow2"])).code, 2);
  });

  await t.step("a link of the name qemu-img turns on the mode of that name", async () => {
    await Deno.writeFile(`${here}/odd`, new Uint8Array(700).fill(1));
    assert.match((await run(["info", "odd"])).stderr, /no format is recognised/);
    assert.equal((await run(["info", "odd"], folder.file("qemu-img"))).stderr, "");
  });

  await t.step("a program that stops itself stops the job, and continues with it", async () => {
    if (tmuxIsMissing() || Deno.build.os !== "linux") return;
    await using pane = await openPane();
    const path = `${folder.file("path")}:$PATH`;
    await pane.line(`cd ${here}; PATH=${path} node ${folder.file("package/bin/diskcast.js")} demo --progress=bar`);
    await pane.until(/Copying/);
    const pid = Number(await Deno.readTextFile(folder.file("pid")));
    // 0 would stop this test.
    assert(pid > 1);
    Deno.kill(pid, "SIGSTOP");
    await pane.until(/Stopped[^]*READY>/);
    await pane.line("fg");
    await pane.until(/left[^]*Copying|Copying[^]*left/);
    await pane.press("C-c");
    await pane.until(/Cancelled[^]*READY>/);
  });

  await t.step("signals reach the program", async () => {
    const child = start(["convert", "-O", "raw", "-S0", "-r", "2M", "sample.qcow2", "slow.raw"]);
    const begun = () => Array.from(Deno.readDirSync(here)).some(({ name }) => name.includes("slow"));
    while (!begun()) await new Promise((resolve) => setTimeout(resolve, 10));
    child.kill("SIGUSR1");
    const reader = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
    assert.match((await reader.read()).value!, /^\d+ %/);
    child.kill("SIGTERM");
    while (!(await reader.read()).done);
    await child.stdout.cancel();
    const { code } = await child.status;
    assert.equal(code, 143);
    assert(!begun(), "the unfinished target stays");
  });
});
