/** The limit of `ulimit -f` is an error like a full disk, though its signal would end the process. */
import assert from "node:assert/strict";
import { denoArgs } from "../support/diskcast.ts";
import { isInstalled, rng, run, scratch, seed } from "../support/qemu.ts";

Deno.test({
  name: "a file that would become larger than the limit of the process: an error, and no file is left",
  ignore: Deno.build.os === "windows" || !isInstalled("bash"),
  async fn() {
    await using folder = await scratch();
    await Deno.writeFile(folder.file("source"), rng(seed()).bytes(8 << 20));
    const grants = { read: [folder.path], write: [folder.path] };
    const [verb, ...flags] = denoArgs(grants);
    // The database with compiled code may be larger than the limit.
    const deno = [Deno.execPath(), verb!, "--no-code-cache", ...flags];
    const words = [...deno, "convert", "-c", "-f", "raw", "-O", "qcow2", "source", "out"];
    const script = 'cd "$1" && shift && ulimit -f 4096 && exec "$@"';
    // Deno writes its cache in the first run.
    await run("bash", ["-c", script.replace("ulimit -f 4096", "true"), "-", folder.path, ...words]);
    await Deno.remove(folder.file("out"));
    const { code, stderr } = await run("bash", ["-c", script, "-", folder.path, ...words]);
    assert.equal(code, 1, stderr);
    assert.match(stderr, /diskcast: Cannot .*: file too large/);
    assert.deepEqual(Array.from(Deno.readDirSync(folder.path), ({ name }) => name), ["source"]);
  },
});
