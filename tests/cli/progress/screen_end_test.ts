/** The end of the live screen, on a terminal made by `script` (util-linux) at which no key is typed. */
import assert from "node:assert/strict";
import { denoArgs } from "../../support/diskcast.ts";
import { isInstalled, scratch } from "../../support/qemu.ts";

Deno.test({
  name: "--no-wait leaves the screen when the job has ended, and --bell rings",
  ignore: Deno.build.os !== "linux" || !isInstalled("script"),
  async fn() {
    await using folder = await scratch();
    await Deno.writeFile(folder.file("source"), new Uint8Array(1 << 20).fill(1));
    const grants = { read: [folder.path], write: [folder.path] };
    const options = ["--progress=screen", "--no-wait", "--bell", "-f", "raw", "-O", "qcow2"];
    const words = [Deno.execPath(), ...denoArgs(grants), "convert", ...options, "source", "out"];
    const command = `stty cols 100 rows 30; exec ${words.map((word) => `'${word}'`).join(" ")}`;
    const child = new Deno.Command("script", {
      args: ["-qec", command, "/dev/null"],
      cwd: folder.path,
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const text = await new Response(child.stdout).text();
    await child.stdin.close().catch(() => {});
    assert.equal((await child.status).code, 0, text);
    assert(text.includes("\x1b[?1049h"), text);
    assert(text.includes("\x07\x1b]9;out: the conversion has ended"), text);
    assert.match(text, / {2}file {4}.*, qcow2/);
  },
});
