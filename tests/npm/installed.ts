/**
 * The npm package, packed and run by npx as a user does: in an empty home, without Deno on the PATH. It needs npm and its
 * registry, so `deno task test:npm` runs it, and not the suite.
 *
 * @module
 */
import assert from "node:assert/strict";
import { run, scratch } from "../support/qemu.ts";
import { samplePath } from "../support/sample.ts";
import { fileURLToPath } from "node:url";

/** Programs of the system that npm and its commands start. */
const PROGRAMS = ["node", "npm", "npx", "sh", "env", "uname", "ldd", "getconf"];

Deno.test("npx runs the packed package in an empty home", async (t) => {
  await using folder = await scratch();
  for (const name of ["home", "here", "path"]) await Deno.mkdir(folder.file(name));
  for (const name of PROGRAMS) {
    const found = await run("sh", ["-c", `command -v ${name}`]);
    if (found.code === 0) await Deno.symlink(found.stdout.trim(), folder.file(`path/${name}`));
  }
  const env = {
    HOME: folder.file("home"),
    PATH: folder.file("path"),
    NO_COLOR: "1",
    npm_config_cache: folder.file("home/cache"),
    npm_config_update_notifier: "false",
  };
  const here = folder.file("here");
  const archived = await run("npm", ["pack", "--silent", "--pack-destination", here], {
    cwd: fileURLToPath(new URL("../../dist/npm", import.meta.url)),
    env,
  });
  assert.equal(archived.code, 0, archived.stderr);
  const archive = `./${archived.stdout.trim()}`;
  await Deno.copyFile(samplePath, folder.file("here/sample.qcow2"));
  const npx = (...args: string[]) => run("npx", ["-y", archive, ...args], { cwd: here, env });

  await t.step("there is no deno but that of the package", async () => {
    assert.notEqual((await run("sh", ["-c", "command -v deno"], { cwd: here, env })).code, 0);
  });
  await t.step("--version", async () => {
    const { code, stdout, stderr } = await npx("--version");
    assert.deepEqual([code, stderr], [0, ""]);
    assert.match(stdout, /^diskcast \d/);
  });
  await t.step("a conversion there and back", async () => {
    assert.deepEqual(await npx("convert", "-q", "-O", "raw", "sample.qcow2", "a.raw"), {
      code: 0,
      stdout: "",
      stderr: "",
    });
    assert.deepEqual(await npx("convert", "-q", "-O", "vmdk", "a.raw", "b.vmdk"), { code: 0, stdout: "", stderr: "" });
    const { code, stdout } = await npx("compare", "sample.qcow2", "b.vmdk");
    assert.deepEqual([code, stdout], [0, "Images are identical.\n"]);
  });
  await t.step("installed globally, the command is diskcast", async () => {
    const prefix = folder.file("home/global");
    const { code, stderr } = await run("npm", ["install", "-g", "--prefix", prefix, archive], { cwd: here, env });
    assert.equal(code, 0, stderr);
    const info = await run(`${prefix}/bin/diskcast`, ["info", "b.vmdk"], { cwd: here, env });
    assert.deepEqual([info.code, info.stderr], [0, ""]);
    assert.match(info.stdout, /file format: vmdk/);
    assert.deepEqual(Array.from(Deno.readDirSync(`${prefix}/bin`)).map(({ name }) => name), ["diskcast"]);
  });
});
