/** Completion: what follows which words, and that a real shell gets it. */
import assert from "node:assert/strict";
import { allFormats } from "../../mod.ts";
import { commands } from "../../cli/commands.ts";
import { DIRECTIVE, proposals } from "../../cli/completion_words.ts";
import { presets } from "../../cli/presets.ts";
import { diskcast } from "../support/diskcast.ts";
import { run, scratch } from "../support/qemu.ts";

const known = { commands: commands.map(({ def }) => def), formats: allFormats };
const after = (...words: string[]) => proposals(words, known);
const values = (...words: string[]) => after(...words).values.map(([value]) => value);

Deno.test("commands first, then options and files", () => {
  for (const { def } of commands) assert.ok(values("").includes(def.name), def.name);
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

Deno.test("values of options, apart, attached and cut at a comma", () => {
  const written = allFormats.filter(({ create, edit }) => create ?? edit).map(({ name }) => name);
  for (const words of [["-O", ""], ["-c", "-O", ""], ["--target-format", ""], ["-cO", ""]]) {
    assert.deepEqual(values("convert", ...words), written, words.join(" "));
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

Deno.test("a script for each shell, without any permission; another shell is refused", async () => {
  for (const shell of ["bash", "zsh", "fish", "powershell"]) {
    const { code, stdout, stderr } = await diskcast(["completions", shell]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /diskcast complete|& diskcast/, shell);
  }
  const { code, stderr } = await diskcast(["completions", "tcsh"]);
  assert.equal(code, 1);
  assert.match(stderr, /one of bash, zsh, fish, powershell/);
});

const hasBash = Deno.build.os !== "windows" && (await run("bash", ["--version"]).catch(() => ({ code: 1 }))).code === 0;

Deno.test({
  name: "bash completes formats, options and destinations",
  ignore: !hasBash,
  async fn() {
    await using folder = await scratch();
    const { stdout } = await diskcast(["completions", "bash"]);
    await Deno.writeTextFile(folder.file("completion"), stdout);
    const main = new URL("../../mod.ts", import.meta.url).pathname;
    // Of bash-completion, which the script builds on, this is what it uses.
    await Deno.writeTextFile(
      folder.file("try"),
      `diskcast() { '${Deno.execPath()}' run --no-prompt --cached-only '${main}' "$@"; }
_get_comp_words_by_ref() { words=("\${COMP_WORDS[@]}"); cword=$COMP_CWORD; cur=\${words[cword]}; prev=\${words[cword-1]}; }
compopt() { :; }
source '${folder.file("completion")}'
try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); __diskcast_complete; echo "\${COMPREPLY[*]}"; }
try diskcast conv
try diskcast convert -O ""
try diskcast convert --for azu
try diskcast convert -O qcow2 -o compat=1
`,
    );
    const { code, stdout: tried, stderr } = await run("bash", ["--norc", folder.file("try")]);
    assert.equal(code, 0, stderr);
    const [first, formats, place, option] = tried.split("\n");
    assert.equal(first, "convert");
    assert.deepEqual(
      formats?.split(/\s+/).sort(),
      allFormats.filter((one) => one.create).map(({ name }) => name).sort(),
    );
    assert.deepEqual([place, option], ["azure", "compat=1.1"]);
  },
});
