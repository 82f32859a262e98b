/** Names of files and texts in images never act on the terminal: not on the screen, not in JSON, not in printed commands. */
import assert from "node:assert/strict";
import { shellWord } from "../../cli/permissions.ts";
import { typeable } from "../../cli/wizard/clack_prompter.ts";
import { diskcast } from "../support/diskcast.ts";
import { isInstalled, run, scratch } from "../support/qemu.ts";

/** ESC, BEL, DEL, the C1 control CSI, and a mark that reorders text. */
const NAME = "a\x1b]0;x\x07\x7f\x9b31m\u202eb.raw";
const CONTROLS = /(?!\n)[\p{Cc}\p{Bidi_Control}]/u;

Deno.test(
  "JSON escapes what acts on a terminal, and says the same",
  { ignore: Deno.build.os === "windows" },
  async () => {
    await using folder = await scratch();
    const path = folder.file(NAME);
    await Deno.writeFile(path, new Uint8Array(512));
    for (const command of [["info"], ["measure", "-O", "qcow2"], ["check"], ["digest"], ["map"]]) {
      const { stdout, stderr } = await diskcast(...command, "--output=json", "-f", "raw", path);
      assert.doesNotMatch(stdout + stderr, CONTROLS, command[0]);
      if (command[0] === "info") assert.equal(JSON.parse(stdout).filename, path);
    }
    const { stdout } = await diskcast("info", "--print-permissions", "-f", "raw", path);
    assert.doesNotMatch(stdout, CONTROLS);
  },
);

Deno.test("a printed word with control characters is the same argument in a shell", {
  ignore: !isInstalled("bash"),
}, async () => {
  for (const arg of [NAME, "\\'\x1b\x9b\u202e'", "\x01" + "7"]) {
    const word = shellWord(arg, false);
    assert.doesNotMatch(word, CONTROLS);
    const { stdout } = await run("bash", ["-c", `printf '%s' ${word}`]);
    assert.equal(stdout, arg);
  }
});

Deno.test("the line of a question shows no name on which the terminal would act", () => {
  assert.equal(typeable("a.raw", false), "a.raw");
  assert.equal(typeable(NAME, false), "");
  const name = typeable(NAME, true);
  assert.doesNotMatch(name, CONTROLS);
  assert.match(name, /^a_\]0;x__.*b\.raw$/);
});
