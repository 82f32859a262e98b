/** In a terminal, Deno prompts for a job's permissions before its progress is shown. */
import assert from "node:assert/strict";
import { program } from "../../support/diskcast.ts";
import { openPane, tmuxIsMissing } from "../../support/pane.ts";
import { rng, scratch } from "../../support/qemu.ts";

Deno.test({
  name: "in a terminal: no prompt of Deno stands in a line of progress, or comes at the end of the copy",
  ignore: tmuxIsMissing(),
  async fn() {
    for (const command of ["convert -O qcow2 -f raw disk.raw out", "dd -O qcow2 -f raw if=disk.raw of=out"]) {
      await using folder = await scratch();
      await Deno.writeFile(folder.file("disk.raw"), rng(1).bytes(1 << 20));
      await using pane = await openPane(200, 60);
      const deno = `'${Deno.execPath()}' run --cached-only --allow-read '${program}'`;
      await Deno.writeTextFile(folder.file("run.sh"), `cd '${folder.path}'; exec ${deno} ${command}\n`);
      await pane.line(`clear; sh '${folder.file("run.sh")}'; echo "code=$?."`);
      await pane.until(/Allow\? \[y/);
      // Deno drops input that was typed before its prompt.
      await new Promise((resolve) => setTimeout(resolve, 500));
      await pane.line("y");
      const end = await pane.until(/code=0\./);
      assert.equal(end.match(/Granted write access/g)?.length, 1, end);
      assert.doesNotMatch(end, /\S.*(┏|Deno requests)/, end);
      assert((await Deno.stat(folder.file("out"))).size > 1 << 20);
    }
  },
});
