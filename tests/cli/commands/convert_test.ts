import assert from "node:assert/strict";
import { diskcastProcess, startDiskcast } from "../../support/diskcast.ts";
import { digestOf, hasQemu, qemuImg, run, type Scratch, scratch } from "../../support/qemu.ts";
import { shellWord } from "../../../cli/permissions.ts";

const MIB = 1024 ** 2;

/** Writes a file of `size` bytes that seldom repeat. */
async function fill(path: string, size: number): Promise<void> {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 4) bytes[at] = 1 + at % 251;
  await Deno.writeFile(path, bytes);
}

async function namesIn(folder: Scratch): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(folder.path))).map((entry) => entry.name).sort();
}

Deno.test("a conversion in a pipe prints nothing and copies every byte", async () => {
  await using folder = await scratch();
  await fill(folder.file("a.raw"), 3 * MIB);
  const grants = { read: [folder.path], write: [folder.path], cwd: folder.path };
  assert.deepEqual(await diskcastProcess(["convert", "-f", "raw", "a.raw", "b.raw"], grants), {
    code: 0,
    stdout: "",
    stderr: "",
  });
  assert.equal(await digestOf(folder.file("b.raw")), await digestOf(folder.file("a.raw")));
  assert.deepEqual(await namesIn(folder), ["a.raw", "b.raw"]);
});

Deno.test("several sources, a window and a name with a colon", async () => {
  await using folder = await scratch();
  await fill(folder.file("x:y.raw"), 4096);
  const grants = { read: [folder.path], write: [folder.path], cwd: folder.path };
  const joined = await diskcastProcess(["convert", "-fraw", "./x:y.raw", "file:x:y.raw", "two.raw"], grants);
  assert.deepEqual([joined.code, joined.stderr], [0, ""]);
  const source = await Deno.readFile(folder.file("x:y.raw"));
  assert.deepEqual(await Deno.readFile(folder.file("two.raw")), new Uint8Array([...source, ...source]));
  const args = ["convert", "--image-opts", "driver=raw,offset=512,size=1k,file.filename=x:y.raw", "part.raw"];
  const part = await diskcastProcess(args, grants);
  assert.deepEqual([part.code, part.stderr], [0, ""]);
  assert.deepEqual(await Deno.readFile(folder.file("part.raw")), source.subarray(512, 1536));
});

Deno.test({
  name: "-p writes what qemu-img writes",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    await fill(folder.file("data.raw"), 65536);
    await Deno.writeFile(folder.file("hole.raw"), new Uint8Array(0));
    await Deno.truncate(folder.file("hole.raw"), MIB);
    // Without FFI, holes are not found.
    const grants = { read: [folder.path], write: [folder.path], ffi: true };
    for (const name of Deno.build.os === "linux" ? ["data.raw", "hole.raw"] : ["data.raw"]) {
      const args = ["convert", "-p", "-f", "raw", folder.file(name), folder.file("b.raw")];
      assert.equal((await diskcastProcess(args, grants)).stdout, (await qemuImg(...args)).stdout, name);
    }
    const missing = ["convert", "-p", folder.file("none"), folder.file("b.raw")];
    assert.equal((await diskcastProcess(missing, grants)).stdout, (await qemuImg(...missing)).stdout);
  },
});

Deno.test("JSON progress reports a job from plan to summary", async () => {
  await using folder = await scratch();
  await fill(folder.file("a.raw"), MIB);
  const grants = { read: [folder.path], write: [folder.path] };
  const args = ["convert", "--progress=json", "-fraw", folder.file("a.raw"), folder.file("b.raw")];
  const { code, stdout, stderr } = await diskcastProcess(args, grants);
  assert.deepEqual([code, stdout], [0, ""]);
  const lines = stderr.trimEnd().split("\n").map((line) => JSON.parse(line));
  const types = new Set(lines.map((line) => line.type));
  for (const type of ["phase", "plan", "extent", "status", "summary"]) assert(types.has(type), type);
  const covered = lines.filter((line) => line.type === "extent").reduce((sum, line) => sum + line.end - line.start, 0);
  assert.equal(covered, MIB);
  const last = lines.at(-1);
  assert.deepEqual([last.type, last.ok, last.exitCode, last.size], ["summary", true, 0, MIB]);
});

/** Waits until copying has begun, as the temporary file beside the target shows. */
async function begun(folder: Scratch): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    if ((await namesIn(folder)).length > 1) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error("copying has not begun");
}

const signals = [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const;

for (const [signal, expected] of signals) {
  Deno.test({
    name: `${signal} ends a job with ${expected} and leaves no target`,
    ignore: Deno.build.os === "windows",
    async fn() {
      await using folder = await scratch();
      await fill(folder.file("a.raw"), 4 * MIB);
      const grants = { read: [folder.path], write: [folder.path], cwd: folder.path };
      const child = startDiskcast(["convert", "-fraw", "-r", "256k", "a.raw", "b.raw"], grants);
      await child.stdin.close();
      await begun(folder);
      child.kill(signal);
      const [{ code }, stdout, stderr] = await Promise.all([
        child.status,
        new Response(child.stdout).text(),
        new Response(child.stderr).text(),
      ]);
      assert.deepEqual([code, stdout], [expected, ""]);
      assert.match(stderr, /^diskcast: .*[Cc]ancel/);
      assert.deepEqual(await namesIn(folder), ["a.raw"]);
    },
  });
}

Deno.test({
  name: "SIGUSR1 prints the progress",
  ignore: Deno.build.os === "windows",
  async fn() {
    await using folder = await scratch();
    await fill(folder.file("a.raw"), MIB);
    const grants = { read: [folder.path], write: [folder.path], cwd: folder.path };
    const child = startDiskcast(["convert", "-fraw", "-r", "2M", "a.raw", "b.raw"], grants);
    await child.stdin.close();
    await begun(folder);
    const part = folder.file(".b.raw.diskcast");
    while ((await Deno.stat(part).catch(() => null))?.blocks === 0) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    child.kill("SIGUSR1");
    const [{ code }, stdout, stderr] = await Promise.all([
      child.status,
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    assert.deepEqual([code, stdout], [0, ""]);
    assert.match(stderr, /^\d+ %, .* of 1\.0 MiB.*\n$/);
  },
});

Deno.test("--print-permissions must read the images", async () => {
  await using folder = await scratch();
  const { code, stderr } = await diskcastProcess([
    "convert",
    "--print-permissions",
    folder.file("a"),
    folder.file("b"),
  ]);
  assert.equal(code, 1);
  assert.match(stderr, /Hint: .*add --allow-read/);
});

Deno.test({
  name: "the printed command runs the job with no further permission, and prints nothing else",
  ignore: Deno.build.os === "windows",
  async fn() {
    await using folder = await scratch();
    await Deno.mkdir(folder.file("it's my"));
    await fill(folder.file("it's my/a.raw"), 4096);
    const cwd = folder.path;
    const args = ["convert", "--print-perm", "-fraw", "it's my/a.raw", "b.raw"];
    const printed = await diskcastProcess(args, { read: [cwd], cwd });
    assert.deepEqual([printed.code, printed.stderr], [0, ""]);
    assert.match(printed.stdout, /^deno run [^\n]*--allow-read=[^\n]* --allow-write=[^\n]* convert -fraw [^\n]*\n$/);
    assert.doesNotMatch(printed.stdout, /--print-perm/);
    assert.deepEqual(await namesIn(folder), ["it's my"]);
    const command = printed.stdout.trim().replace(/^deno run/, `${shellWord(Deno.execPath(), false)} run --no-prompt`);
    const outcome = await run("sh", ["-c", command], { cwd });
    assert.deepEqual(outcome, { code: 0, stdout: "", stderr: "" });
    assert.deepEqual(await namesIn(folder), ["b.raw", "it's my"]);
  },
});

Deno.test({
  name: "the printed command reads a source through a link",
  ignore: Deno.build.os === "windows",
  async fn() {
    await using folder = await scratch();
    for (const name of ["in", "out", "real"]) await Deno.mkdir(folder.file(name));
    await fill(folder.file("real/a.raw"), 4096);
    await Deno.symlink("../real/a.raw", folder.file("in/a.raw"));
    const cwd = folder.path;
    const args = ["convert", "--print-permissions", "-fraw", "in/a.raw", "out/b.raw"];
    const printed = await diskcastProcess(args, { read: [cwd], cwd });
    const command = printed.stdout.trim().replace(/^deno run/, `${shellWord(Deno.execPath(), false)} run --no-prompt`);
    const outcome = await run("sh", ["-c", command], { cwd });
    assert.deepEqual(outcome, { code: 0, stdout: "", stderr: "" });
    assert.equal(await digestOf(folder.file("out/b.raw")), await digestOf(folder.file("real/a.raw")));
  },
});

Deno.test({
  name: "the printed command allows a data file in another folder, too",
  ignore: Deno.build.os === "windows",
  async fn() {
    await using folder = await scratch();
    for (const name of ["in", "out", "data"]) await Deno.mkdir(folder.file(name));
    await fill(folder.file("in/a.raw"), 4096);
    const cwd = folder.path;
    const options = `data_file=${folder.file("data/d.raw")}`;
    const args = ["convert", "--print-permissions", "-fraw", "-Oqcow2", "-o", options, "in/a.raw", "out/b.qcow2"];
    const printed = await diskcastProcess(args, { read: [cwd], cwd });
    const command = printed.stdout.trim().replace(/^deno run/, `${shellWord(Deno.execPath(), false)} run --no-prompt`);
    const outcome = await run("sh", ["-c", command], { cwd });
    assert.deepEqual(outcome, { code: 0, stdout: "", stderr: "" });
    assert.deepEqual((await Deno.stat(folder.file("data/d.raw"))).size, 4096);
  },
});

Deno.test("the message of a missing permission names the flag and --print-permissions", async () => {
  await using folder = await scratch();
  await fill(folder.file("a.raw"), 4096);
  const args = ["convert", "-fraw", folder.file("a.raw"), folder.file("b.raw")];
  const { code, stderr } = await diskcastProcess(args, { read: [folder.path] });
  assert.equal(code, 1);
  assert.match(stderr, /--allow-write=/);
  assert.match(stderr, /Hint: .*--print-permissions/);
  const narrow = await diskcastProcess(args, { read: [folder.path], write: [folder.file("b.raw")] });
  assert.equal(narrow.code, 1);
  assert(narrow.stderr.includes(`Deno must be allowed to write its folder, add --allow-write=${folder.path}\n`));
});
