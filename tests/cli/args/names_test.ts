/** Names that are not UTF-8: Deno cannot express them, and U+FFFD in their place is the name of another file. */
import assert from "node:assert/strict";
import { refuseInvalidNames, typedNameProblem } from "../../../cli/args/names.ts";
import { ImageError } from "../../../mod.ts";
import { diskcast, program } from "../../support/diskcast.ts";
import { run, scratch } from "../../support/qemu.ts";

const bytes = (...strings: readonly (string | readonly number[])[]) =>
  Uint8Array.from(strings.flatMap((one) => [...(typeof one === "string" ? new TextEncoder().encode(one) : one), 0]));

Deno.test("an argument with U+FFFD is refused, unless the command line shows that it has this character", () => {
  const args = ["info", "z\ufffd.img"];
  const refused = (commandLine: Uint8Array | null, given = args) => {
    try {
      refuseInvalidNames(given, () => commandLine);
      return null;
    } catch (error) {
      assert(error instanceof ImageError && error.kind === "usage");
      return error.message;
    }
  };
  assert.match(refused(null)!, /may stand for bytes that are not UTF-8.*--allow-all/);
  assert.match(
    refused(bytes("deno", "run", "info", [0x7a, 0xfc, ...[..."\.img"].map((one) => one.charCodeAt(0))]))!,
    /U\+FFFD|not UTF-8/,
  );
  assert.match(refused(bytes("deno", "info", [0x7a, 0xfc, 0x2e, 0x69, 0x6d, 0x67]))!, /it is not UTF-8/);
  assert.equal(refused(bytes("deno", "run", "info", "z\ufffd.img")), null);
  // A name with both.
  assert.match(refused(bytes("info", [0xef, 0xbf, 0xbd, 0xfc]), ["info", "\ufffd\ufffd"])!, /not UTF-8/);
  // The command line lacks the arguments.
  assert.match(refused(bytes("something", "else"))!, /Cannot use/);
  assert.match(refused(bytes())!, /Cannot use/);
  let isRead = false;
  refuseInvalidNames(["info", "zü.img", ""], () => {
    isRead = true;
    return null;
  });
  assert(!isRead, "the command line is read only where an argument has U+FFFD");
});

Deno.test("every command refuses such a name", async () => {
  for (const command of ["info", "convert", "check", "map", "compare", "create", "digest", "resize", "dd", "rebase"]) {
    const { code, stderr } = await diskcast(command, "a", "z\ufffd.img");
    assert.equal(code, 1, command);
    assert.match(stderr, /Cannot use "z\ufffd\.img": U\+FFFD in it may stand for bytes that are not UTF-8/, command);
  }
  const { stderr } = await diskcast("create", "-f", "qcow2", "-b", "z\ufffd", "-F", "raw", "a.qcow2");
  assert.match(stderr, /Cannot use "z\ufffd"/);
});

Deno.test("the wizard takes no such name", () => {
  assert.match(typedNameProblem("z\ufffd")!, /not UTF-8/);
  assert.equal(typedNameProblem("zü"), undefined);
});

Deno.test({
  name: "two names that are not UTF-8 replace no file, and one with U+FFFD itself is written",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using folder = await scratch();
    await Deno.writeFile(folder.file("a.raw"), new Uint8Array(1024).fill(1));
    const start = `"${Deno.execPath()}" run -A --cached-only "${program}" convert -q -f raw -O raw a.raw`;
    const script =
      `cd "${folder.path}"; for name in $'z\\xfc' $'z\\xe4' $'z\\xef\\xbf\\xbd'; do ${start} "$name"; echo $?; done; ` +
      `ls | LC_ALL=C od -An -c | tr -d ' \\n'`;
    const { stdout, stderr } = await run("bash", ["-c", script]);
    assert.equal(stdout, "1\n1\n0\na.raw\\nz357277275\\n");
    assert.match(stderr, /it is not UTF-8/);
  },
});
