/** Completion: candidates by arguments, and the answer to a shell. */
import assert from "node:assert/strict";
import { allFormats } from "../../../mod.ts";
import { runComplete } from "../../../cli/commands/completions.ts";
import { commandDefs, commands } from "../../../cli/commands/mod.ts";
import { complete, DIRECTIVE } from "../../../cli/args/completion.ts";
import { presets } from "../../../cli/destinations/table.ts";
import { diskcastProcess } from "../../support/diskcast.ts";
import { fakeIo } from "../support.ts";

const defs = await commandDefs();
const after = (...args: string[]) =>
  complete(args, { commands, command: defs.find(({ name }) => name === args[0]), formats: allFormats });
const values = (...args: string[]) => after(...args).values.map(([value]) => value);

Deno.test("the first argument is a command, then come options and files", () => {
  for (const { name } of commands) assert.ok(values("").includes(name), name);
  assert.deepEqual(values("conv"), ["convert"]);
  assert.deepEqual(values("help", "form"), ["formats"]);
  assert.ok(values("convert", "--").includes("--for") && values("convert", "-").includes("-O"));
  assert.deepEqual(values("convert", "--target-format-o"), ["--target-format-options"]);
  assert.equal(after("convert", "").directive, DIRECTIVE.files);
  assert.equal(after("convert", "--", "-").directive, DIRECTIVE.files);
  assert.equal(after("formats", "").directive, DIRECTIVE.noFiles);
  assert.deepEqual(values("completions", ""), ["bash", "zsh", "fish", "powershell"]);
  assert.deepEqual(values("nothing", ""), []);
});

Deno.test("values of options: separate, attached, after a comma", () => {
  const written = allFormats.filter(({ create, edit }) => create ?? edit).map(({ name }) => name);
  for (const args of [["-O", ""], ["-c", "-O", ""], ["--target-format", ""], ["-cO", ""]]) {
    assert.deepEqual(values("convert", ...args), written, args.join(" "));
  }
  assert.deepEqual(values("convert", "-Oqc"), ["-Oqcow2"]);
  assert.deepEqual(values("convert", "--target-format=qc"), ["--target-format=qcow2"]);
  assert.deepEqual(values("convert", "--for", "").sort(), presets.map(({ name }) => name).sort());
  assert.deepEqual(values("convert", "--for=azu"), ["--for=azure"]);
  assert.ok(values("convert", "-O", "qcow2", "-o", "cl").includes("cluster_size="));
  assert.equal(after("convert", "-O", "qcow2", "-o", "cl").directive, DIRECTIVE.noFiles + DIRECTIVE.noSpace);
  assert.deepEqual(values("convert", "-Oqcow2", "-o", "compat="), [
    "compat=0.10",
    "compat=1.1",
    "compat=v2",
    "compat=v3",
  ]);
  assert.deepEqual(values("convert", "-O", "qcow2", "-o", "cluster_size=1M,lazy_refcounts="), [
    "cluster_size=1M,lazy_refcounts=on",
    "cluster_size=1M,lazy_refcounts=off",
  ]);
  assert.deepEqual(values("convert", "--for", "azure", "-o", "subf"), ["subformat="]);
  assert.deepEqual(values("convert", "-t", "writet"), ["writethrough"]);
  assert.deepEqual(values("convert", "--progress=js"), ["--progress=json"]);
  assert.equal(after("convert", "-B", "").directive, DIRECTIVE.files);
  assert.equal(after("convert", "--allow-ref", "").directive, DIRECTIVE.folders);
});

Deno.test("completions prints a script for each shell, without any permission; another shell is refused", async () => {
  for (const shell of ["bash", "zsh", "fish", "powershell"]) {
    const { code, stdout, stderr } = await diskcastProcess(["completions", shell]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /diskcast complete|& diskcast/, shell);
  }
  const { code, stderr } = await diskcastProcess(["completions", "tcsh"]);
  assert.equal(code, 1);
  assert.match(stderr, /one of bash, zsh, fish, powershell/);
});

Deno.test("a shell completes the argument at the cursor, or a new one", async () => {
  for (const args of [["--", "convert", "-O", ""], ["--next", "convert", "-O"]]) {
    const io = fakeIo();
    assert.equal(await runComplete(args, commands, io), 0);
    const lines = io.stdout.trimEnd().split("\n");
    assert.ok(lines.some((line) => line.startsWith("qcow2\t")) && lines.at(-1) === ":4", args.join(" "));
  }
});
