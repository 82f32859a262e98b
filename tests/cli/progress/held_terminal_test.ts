import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { denoArgs } from "../../support/diskcast.ts";
import { run, scratch } from "../../support/qemu.ts";

const script = fileURLToPath(new URL("../../support/held_terminal.py", import.meta.url));
const hasPython = Deno.build.os !== "windows" && canStart();
if (!hasPython) console.log("Tests of a terminal that takes no output are left out: python3 is not installed");

function canStart(): boolean {
  try {
    return new Deno.Command("python3", { args: ["--version"], stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
}

const MIB = 1024 ** 2;

for (const form of ["screen", "bar", "plain", "qemu"]) {
  Deno.test({
    name: `a terminal that takes no output does not hold up the copy: ${form}`,
    ignore: !hasPython,
    fn: async () => {
      await using folder = await scratch();
      const disk = new Uint8Array(4 * MIB).fill(7);
      await Deno.writeFile(folder.file("disk.raw"), disk);
      const program = [Deno.execPath(), ...denoArgs({ read: [folder.path], write: [folder.path] })];
      // Two seconds: long enough for many frames, and for a line after one second.
      const options = [form === "qemu" ? "-p" : `--progress=${form}`, "-r", "2M", "-f", "raw", "-O", "raw"];
      const target = folder.file("out.raw");
      const command = [...program, "convert", ...options, folder.file("disk.raw"), target];
      const { code, stdout, stderr } = await run("python3", [
        script,
        folder.file(".out.raw.diskcast"),
        target,
        "30",
        ...command,
      ]);
      assert.equal(code, 0, stderr);
      const { held: _, ...end } = JSON.parse(stdout);
      assert.deepEqual(end, { appeared: true, code: 0 });
      assert.deepEqual(await Deno.readFile(target), disk);
    },
  });
}
