import assert from "node:assert/strict";
import { allFormats } from "../../mod.ts";
import { denoCommand, shellWord } from "../../cli/permissions.ts";
import { diskcastProcess } from "../support/diskcast.ts";
import { run, scratch } from "../support/qemu.ts";

Deno.test({
  name: "a shell passes every quoted argument unchanged",
  ignore: Deno.build.os === "windows",
  async fn() {
    const args = [
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
      `printf '%s\\0' ${args.map((arg) => shellWord(arg, false)).join(" ")}`,
    ]);
    assert.deepEqual(stdout.split("\0").slice(0, -1), args);
  },
});

Deno.test("arguments for Windows are quoted as its programs parse them", () => {
  assert.equal(shellWord("C:\\disks\\a.vhd", true), "C:\\disks\\a.vhd");
  assert.equal(shellWord("C:\\my disks\\", true), '"C:\\my disks\\\\"');
  assert.equal(shellWord('say "x"', true), '"say \\"x\\""');
  assert.equal(shellWord('a\\"b', true), '"a\\\\\\"b"');
  assert.equal(shellWord("", true), '""');
});

Deno.test("paths are sorted and unique; nothing to read or write means no flag", () => {
  const command = (read: string[], write: string[]) => denoCommand({ read, write }, "m.ts", ["convert"], false).command;
  assert.equal(command(["/b", "/a", "/b"], ["/c"]), "deno run --allow-read=/a,/b --allow-write=/c m.ts convert");
  assert.equal(command([], []), "deno run m.ts convert");
});

Deno.test("for a path with a comma, the folder above it is allowed, with a warning", () => {
  const files = { read: ["/x/a,b/c", "/x/a,b/d"], write: ["/x/y/d,e"] };
  const { command, warnings } = denoCommand(files, "m.ts", [], false);
  assert.equal(command, "deno run --allow-read=/x --allow-write=/x/y m.ts");
  assert.equal(warnings.length, 2);
  assert.match(warnings[0]!, /all of "\/x" is allowed/);
  assert.match(warnings[1]!, /all of "\/x\/y" is allowed/);
});

Deno.test("a device needs all permissions, with a warning", () => {
  const { command, warnings } = denoCommand({ read: ["/a"], write: ["/dev"] }, "m.ts", ["convert"], false);
  assert.equal(command, "deno run --allow-all m.ts convert");
  assert.match(warnings.join(), /only with all permissions: "\/dev"/);
  assert.equal(denoCommand({ read: ["/device"], write: [] }, "m.ts", [], false).warnings.length, 0);
});

for (const { name, create } of allFormats) {
  if (!create) continue;
  Deno.test(`a conversion to ${name} and a comparison need access to the folder alone`, async () => {
    await using folder = await scratch();
    const [source, target] = [folder.file("a.raw"), folder.file("b")];
    await Deno.writeFile(source, new Uint8Array(3 << 20).fill(7, 0, 1 << 20));
    const grants = { read: [folder.path], write: [folder.path] };
    const { code, stderr } = await diskcastProcess(["convert", "-f", "raw", "-O", name, source, target], grants);
    assert.deepEqual([code, stderr], [0, ""]);
    const compared = await diskcastProcess(["compare", "-f", "raw", "-F", name, source, target], {
      read: [folder.path],
    });
    assert.equal(compared.code, 0, compared.stderr);
  });
}
