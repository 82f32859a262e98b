import assert from "node:assert/strict";
import { denoCommand, shellWord } from "../../cli/permissions.ts";
import { run } from "../support/qemu.ts";

Deno.test({
  name: "a shell gives every word back as it was",
  ignore: Deno.build.os === "windows",
  async fn() {
    const words = [
      "plain",
      "a b",
      "it's",
      "''",
      "",
      "$HOME",
      "`id`",
      "a\\b",
      "a\nb",
      '"',
      "*",
      "~",
      "#x",
      "é",
      "a,b=c",
    ];
    const { stdout } = await run("sh", [
      "-c",
      `printf '%s\\0' ${words.map((word) => shellWord(word, false)).join(" ")}`,
    ]);
    assert.deepEqual(stdout.split("\0").slice(0, -1), words);
  },
});

Deno.test("words for Windows are quoted as its programs read them", () => {
  assert.equal(shellWord("C:\\disks\\a.vhd", true), "C:\\disks\\a.vhd");
  assert.equal(shellWord("C:\\my disks\\", true), '"C:\\my disks\\\\"');
  assert.equal(shellWord('say "x"', true), '"say \\"x\\""');
  assert.equal(shellWord('a\\"b', true), '"a\\\\\\"b"');
  assert.equal(shellWord("", true), '""');
});

Deno.test("paths stand once, sorted; nothing to read or write means no flag", () => {
  const command = (read: string[], write: string[]) => denoCommand({ read, write }, "m.ts", ["convert"], false).command;
  assert.equal(command(["/b", "/a", "/b"], ["/c"]), "deno run --allow-read=/a,/b --allow-write=/c m.ts convert");
  assert.equal(command([], []), "deno run m.ts convert");
});

Deno.test("for a path with a comma, the folder above it is allowed, and that is told", () => {
  const { command, widened } = denoCommand({ read: ["/x/a,b/c"], write: ["/x/y/d,e"] }, "m.ts", [], false);
  assert.equal(command, "deno run --allow-read=/x --allow-write=/x/y m.ts");
  assert.deepEqual(widened, [{ path: "/x/a,b/c", allowed: "/x" }, { path: "/x/y/d,e", allowed: "/x/y" }]);
});
