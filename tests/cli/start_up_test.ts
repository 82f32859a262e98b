/** The modules that a command evaluates. Start-up time is their sum. */
import assert from "node:assert/strict";
import { importsOf } from "../support/architecture.ts";
import { evaluated } from "../support/evaluated.ts";
import { scratch } from "../support/qemu.ts";
import { samplePath } from "../support/sample.ts";

/** The modules of a format's operations, evaluated only for the formats of the job. */
const OPERATIONS = /^formats\/(\w+)\/(?:\w+\/)?(open|create|edit|check|repair|resize|writer)\.ts$/;

/** The screen, without the state of progress and the texts that all forms of progress share. */
const SCREEN = /^tui\/(?!(bounded_output|human|progress|rate)\.ts$)/;

/** Modules of other commands, and of options that are not given. */
const ELSEWHERE =
  /^cli\/(wizard|destinations|commands\/(completions|map)|report\/map|permissions)|^core\/(compare|rebase|commit|target\/gpt|digest|estimate)/;

/** The formats whose operations are among `modules`. */
function formatsIn(modules: readonly string[]): string[] {
  return [...new Set(modules.flatMap((path) => OPERATIONS.exec(path)?.[1] ?? []))];
}

/** Packages among `modules`. */
function packagesIn(modules: readonly string[]): string[] {
  return modules.filter((path) => !path.endsWith(".ts"));
}

/** Modules of Node that `modules` import statically; each takes as long as dozens of modules of this program. */
async function nodeIn(modules: readonly string[]): Promise<string[]> {
  const found = new Set<string>();
  for (const path of modules.filter((path) => path.endsWith(".ts"))) {
    const source = await Deno.readTextFile(new URL(`../../${path}`, import.meta.url));
    for (const { specifier, kind } of importsOf(path, source)) {
      if (kind === "static" && specifier.startsWith("node:")) found.add(specifier);
    }
  }
  return [...found].sort();
}

/** The only file of cli/commands that is evaluated before a command is run. */
const TABLE = "cli/commands/mod.ts";

function commandFilesIn(modules: readonly string[]): string[] {
  return modules.filter((path) => path.startsWith("cli/commands/"));
}

function assertFew(modules: readonly string[], max: number): void {
  assert.deepEqual(modules.filter((path) => SCREEN.test(path) || ELSEWHERE.test(path)), []);
  assert(modules.length <= max, `${modules.length} modules, at most ${max}:\n${modules.join("\n")}`);
}

Deno.test("--version loads the table of commands and the registry of formats", async () => {
  const modules = await evaluated(["--version"]);
  assertFew(modules, 55);
  assert(modules.includes("formats/registry.ts"));
  assert.deepEqual(commandFilesIn(modules), [TABLE]);
  assert.deepEqual([formatsIn(modules), packagesIn(modules)], [[], []]);
  assert.deepEqual(await nodeIn(modules), []);
  assert.deepEqual(
    modules.filter((path) =>
      /^formats\/storage\/(file|file_storage|host|libc)\.ts$|^cli\/args\/\w+_options/.test(path)
    ),
    [],
  );
});

Deno.test("--help loads the table of commands too, and no package", async () => {
  const modules = await evaluated(["--help"]);
  assertFew(modules, 57);
  assert.deepEqual(commandFilesIn(modules), [TABLE]);
  assert.deepEqual([formatsIn(modules), packagesIn(modules)], [[], []]);
});

Deno.test("info loads the reading part of the image's format", async () => {
  const modules = await evaluated(["info", samplePath], { read: [samplePath] });
  assertFew(modules, 100);
  assert.deepEqual([formatsIn(modules), packagesIn(modules)], [["qcow2"], []]);
  assert.deepEqual(
    modules.filter((path) => /^core\/(convert|copy|workers|target)|qcow2\/(create|clusters\/decompress)/.test(path)),
    [],
  );
  assert.deepEqual(await nodeIn(modules), []);
});

for (const command of ["compare", "check"]) {
  Deno.test(`${command} loads neither packages nor modules of Node`, async () => {
    const images = command === "compare" ? [samplePath, samplePath] : [samplePath];
    const modules = await evaluated([command, ...images], { read: [samplePath] });
    assertFew(modules.filter((path) => !path.startsWith("core/compare")), 120);
    assert.deepEqual([formatsIn(modules), packagesIn(modules)], [["qcow2"], []]);
    assert.deepEqual(await nodeIn(modules), []);
  });
}

Deno.test("convert loads the reading part of the source's format and the writing part of the target's", async () => {
  await using folder = await scratch();
  const raw = folder.file("a.raw");
  await Deno.writeFile(raw, new Uint8Array(1 << 20).fill(7, 0, 4096));
  const args = ["convert", "-f", "raw", "-O", "qcow2", raw, folder.file("b.qcow2")];
  const modules = await evaluated(args, { read: [folder.path], write: [folder.path] });
  assertFew(modules, 142);
  assert.deepEqual([formatsIn(modules), packagesIn(modules)], [["qcow2"], []]);
  // A new image without compression, preallocation and bitmaps needs neither their modules nor those that read images.
  const needless = /qcow2\/(open|edit|clusters\/(decompress|compress|preallocate)|bitmaps\/\w+|snapshots\/\w+)\.ts$/;
  assert.deepEqual(modules.filter((path) => needless.test(path)), []);
  assert.deepEqual(await nodeIn(modules), []);
});
