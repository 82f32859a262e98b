/** Commands that the program prints begin with the words that the user can type. */
import assert from "node:assert/strict";
import { programWords, withoutProgramName } from "../../cli/process.ts";
import { diskcast, diskcastProcess } from "../support/diskcast.ts";
import { readEnv, run } from "../support/qemu.ts";
import { fileURLToPath } from "node:url";

const source = { args: [] as string[], main: "file:///a%20b/mod.ts", granted: () => false };

Deno.test("the words before a command: of the option, of the source with its permissions, or diskcast", () => {
  const granting = (...names: string[]) => ({ ...source, granted: (name: string) => names.includes(name) });
  if (Deno.build.os !== "windows") {
    assert.deepEqual(programWords(source), ["deno", "run", "/a b/mod.ts"]);
    assert.deepEqual(programWords(granting("read", "ffi")), [
      "deno",
      "run",
      "--allow-read",
      "--allow-ffi",
      "/a b/mod.ts",
    ]);
    assert.deepEqual(programWords(granting("read", "write", "ffi", "net")), ["deno", "run", "-A", "/a b/mod.ts"]);
  }
  assert.deepEqual(programWords({ ...source, main: "https://example.org/mod.ts" }), [
    "deno",
    "run",
    "https://example.org/mod.ts",
  ]);
  assert.deepEqual(programWords({ ...source, main: "file:///dist/diskcast.js" }), ["diskcast"]);
  assert.deepEqual(programWords({ ...source, args: ["--program=npx diskcast", "info"] }), ["npx", "diskcast"]);
  assert.deepEqual(withoutProgramName(["--program=x y", "--as-qemu-img", "info"]), ["--as-qemu-img", "info"]);
  assert.deepEqual(withoutProgramName(["info", "--program=x"]), ["info", "--program=x"]);
});

Deno.test("hints name the command that was typed", async () => {
  assert.match((await diskcast("convert", "a")).stderr, /Hint: see "diskcast convert --help"/);
  assert.match((await diskcast("--program=npx diskcast", "info")).stderr, /^diskcast: /);
  if (readEnv("DISKCAST_PROGRAM")) return;
  const started = await diskcastProcess(["convert", "a"], { read: ["/a"] });
  assert.match(started.stderr, /Hint: see "deno run .*mod\.ts convert --help"/);
  const named = await diskcastProcess(["--program=npx diskcast", "convert", "a"]);
  assert.match(named.stderr, /Hint: see "npx diskcast convert --help"/);
});

Deno.test("a task prints tasks", async () => {
  const cwd = fileURLToPath(new URL("../../", import.meta.url));
  const { stderr } = await run(Deno.execPath(), ["task", "-q", "convert", "a"], { cwd, env: { NO_COLOR: "1" } });
  const [, hint] = /Hint: see "deno task (diskcast convert --help)"/.exec(stderr)!;
  const { code, stdout } = await run(Deno.execPath(), ["task", "-q", ...hint!.split(" ")], { cwd });
  assert.equal(code, 0);
  assert.match(stdout, /^Usage: diskcast convert/m);
});
