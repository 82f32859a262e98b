/** The built form, as `deno task build` makes it: it runs anywhere, with the permissions that the source needs. */
import assert from "node:assert/strict";
import { dirname } from "node:path";
import { pathToFileURL } from "node:url";
import { commandDefs } from "../cli/commands/mod.ts";
import { build } from "./support/build.ts";
import { samplePath } from "./support/sample.ts";
import { digestOf, hasQemu, type Outcome, qemuImgOk, rng, run, type Scratch, scratch } from "./support/qemu.ts";

const source = new URL("../", import.meta.url);

/** Runs the built form in `folder`/here, with an empty cache, without network, packages and configuration. */
async function built(folder: Scratch, args: readonly string[], flags: readonly string[] = []): Promise<Outcome> {
  const isolated = ["--no-prompt", "--no-config", "--no-remote", "--no-npm", "--cached-only"];
  return await run(Deno.execPath(), ["run", ...isolated, ...flags, folder.file("dist/diskcast.js"), ...args], {
    cwd: folder.file("here"),
    env: { NO_COLOR: "1", DENO_DIR: folder.file("cache") },
  });
}

/** The files below `folder` by path, with the digest of each. */
async function digests(folder: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const { name, isDirectory } of await Array.fromAsync(Deno.readDir(folder))) {
    const inside = isDirectory
      ? Object.entries(await digests(`${folder}/${name}`)).map(([path, digest]) => [`${name}/${path}`, digest])
      : [[name, await digestOf(`${folder}/${name}`)]];
    Object.assign(found, Object.fromEntries(inside));
  }
  return found;
}

/** Copies a file, or a folder and all in it. */
async function copyAll(from: URL, to: string): Promise<void> {
  if (!(await Deno.stat(from)).isDirectory) {
    await Deno.mkdir(dirname(to), { recursive: true });
    return await Deno.copyFile(from, to);
  }
  for await (const { name } of Deno.readDir(from)) await copyAll(new URL(`${from.href}/${name}`), `${to}/${name}`);
}

/** The chunks that `args` evaluate, by the coverage that V8 keeps. */
async function chunksOf(folder: Scratch, args: readonly string[], flags: readonly string[]): Promise<string[]> {
  const coverage = folder.file("coverage");
  const { code, stderr } = await built(folder, args, [`--coverage=${coverage}`, ...flags]);
  assert.equal(code, 0, stderr);
  const names = await Array.fromAsync(Deno.readDir(coverage), async ({ name }) => {
    const { url } = JSON.parse(await Deno.readTextFile(`${coverage}/${name}`)) as { readonly url: string };
    return url.slice(url.lastIndexOf("/") + 1);
  });
  await Deno.remove(coverage, { recursive: true });
  return names;
}

Deno.test("the built form", async (t) => {
  await using folder = await scratch();
  await Deno.mkdir(folder.file("here"));
  const dist = folder.file("dist");
  const { files } = await build(dist);

  await t.step("is started without a permission", async () => {
    const version = JSON.parse(await Deno.readTextFile(new URL("deno.json", source))).version;
    assert.deepEqual(await built(folder, ["--version"]), { code: 0, stdout: `diskcast ${version}\n`, stderr: "" });
    const help = await built(folder, ["--help"]);
    assert.deepEqual([help.code, help.stderr], [0, ""]);
    for (const { name, summary } of await commandDefs()) {
      assert(help.stdout.includes(name) && help.stdout.includes(summary));
    }
  });

  await t.step("compresses in workers, and may read and write only what is named", async () => {
    const random = rng(4);
    const raw = folder.file("here/a.raw");
    await Deno.writeFile(raw, Uint8Array.from({ length: 8 << 20 }, () => random.int(0, 15)));
    for (const [option, target] of [["compression_type=zlib", "a.qcow2"], ["compression_type=zstd", "b.qcow2"]]) {
      const args = ["convert", "-q", "-c", "-f", "raw", "-O", "qcow2", "-o", option!, "a.raw", target!];
      const grants = [`--allow-read=${folder.file("here")}`, `--allow-write=${folder.file("here")}`];
      assert.deepEqual(await built(folder, args, grants), { code: 0, stdout: "", stderr: "" });
      assert((await Deno.stat(folder.file(`here/${target}`))).size < 6 << 20, "it is compressed");
      if (hasQemu) await qemuImgOk("compare", "-f", "raw", "-F", "qcow2", raw, folder.file(`here/${target}`));
    }
    assert.equal((await built(folder, ["info", "a.qcow2"])).code, 1);
  });

  await t.step("prints a command that starts it", async () => {
    const { stdout } = await built(folder, ["info", "--print-permissions", samplePath], [`--allow-read=${samplePath}`]);
    assert(stdout.includes(folder.file("dist/diskcast.js")), stdout);
  });

  await t.step("is installed in an empty home, and runs from another folder", async () => {
    const env = { HOME: folder.file("home"), DENO_DIR: folder.file("home/cache"), NO_COLOR: "1" };
    const install = async (name: string, ...args: string[]) => {
      const flags = ["install", "-g", "-n", name, "--root", folder.file("home"), "--allow-read", "--allow-write"];
      const { code, stderr } = await run(Deno.execPath(), [...flags, folder.file("dist/diskcast.js"), ...args], {
        env,
      });
      assert.equal(code, 0, stderr);
      const bin = folder.file(`home/bin/${name}`);
      const PATH = `${dirname(Deno.execPath())}:${Deno.env.get("PATH")}`;
      return (...args: string[]) => run(bin, args, { cwd: folder.file("here"), env: { ...env, PATH } });
    };
    const diskcast = await install("diskcast");
    const converted = await diskcast("convert", "-q", "-O", "raw", samplePath, "installed.raw");
    assert.deepEqual(converted, { code: 0, stdout: "", stderr: "" });
    const asQemuImg = await install("qemu-img", "--", "--as-qemu-img");
    await Deno.writeFile(folder.file("here/odd"), new Uint8Array(700).fill(1));
    assert.match((await diskcast("info", "odd")).stderr, /no format is recognised/);
    assert.equal((await asQemuImg("info", "odd")).stderr, "");
  });

  await t.step("does not ask where there is no terminal", async () => {
    const { code, stderr } = await built(folder, ["wizard"]);
    assert.deepEqual([code, /^diskcast: Cannot ask: this is not a terminal/.test(stderr)], [1, true], stderr);
  });

  await t.step("loads a small part for a small command", async () => {
    const loaded = await chunksOf(folder, ["info", samplePath], [`--allow-read=${samplePath}`]);
    assert(loaded.includes("diskcast.js") && loaded.length < files / 4, `${loaded.length} of ${files}`);
    const needless = /^(clack|string-width|tui-(?!human)|core-convert|formats-v\w+-(open|create|edit|check)\b)/;
    assert.deepEqual(loaded.filter((name) => needless.test(name)), []);
  });

  await t.step("carries the licences of what it holds", async () => {
    const licences = await Deno.readTextFile(`${dist}/LICENSES.txt`);
    for (const name of ["diskcast ", "@clack/prompts@", "string-width@"]) {
      assert(new RegExp(`^${name}[\\d.]+\n\n.*Licen[cs]e`, "ims").test(licences), name);
    }
  });

  await t.step("is the same bytes from a source elsewhere, without what an earlier build left", async () => {
    const copy = folder.file("copy");
    for (const name of ["cli", "core", "formats", "tui", "mod.ts", "deno.json", "deno.lock", "LICENSE"]) {
      await copyAll(new URL(name, source), `${copy}/${name}`);
    }
    const other = folder.file("other");
    await Deno.mkdir(`${other}/chunks`, { recursive: true });
    await Deno.writeTextFile(`${other}/chunks/stale.js`, "");
    await build(other, pathToFileURL(`${copy}/`));
    assert.deepEqual(await digests(other), await digests(dist));
  });
});
