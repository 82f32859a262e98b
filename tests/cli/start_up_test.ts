/** What the program loads before it does what it was asked for: start-up is the sum of it. */
import assert from "node:assert/strict";
import { importsOf } from "../support/architecture.ts";
import { evaluated } from "../support/evaluated.ts";
import { scratch } from "../support/qemu.ts";
import { samplePath } from "../support/sample.ts";

/** What only a format's verbs need: it is loaded for the formats of the job alone. */
const VERBS = /^formats\/(\w+)\/(?:\w+\/)?(open|create|edit|check|repair|resize|writer)\.ts$/;

/** Everything of the screen but the table of units. */
const SCREEN = /^tui\/(?!units\.ts$)/;

/** What belongs to other commands, or to jobs with other wishes. */
const ELSEWHERE =
  /^cli\/(wizard|destinations|commands\/(completions|map)|report\/map|permissions)|^core\/(compare|rebase|commit|target\/gpt|digest|estimate)/;

/** The formats whose verbs are among `modules`. */
function formatsIn(modules: readonly string[]): string[] {
  return [...new Set(modules.flatMap((path) => VERBS.exec(path)?.[1] ?? []))];
}

/** Modules that are not this program's. */
function packagesIn(modules: readonly string[]): string[] {
  return modules.filter((path) => !path.endsWith(".ts"));
}

/** Modules of Node that this program imports for them; each takes as long as dozens of its own. */
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

function assertLean(modules: readonly string[], most: number): void {
  assert.deepEqual(modules.filter((path) => SCREEN.test(path) || ELSEWHERE.test(path)), []);
  assert(modules.length <= most, `${modules.length} modules, at most ${most}:\n${modules.join("\n")}`);
}

Deno.test("--version loads the table of commands and the facts of the formats", async () => {
  const modules = await evaluated(["--version"]);
  assertLean(modules, 60);
  assert(modules.includes("formats/registry.ts") && modules.includes("cli/commands/mod.ts"));
  assert.deepEqual([formatsIn(modules), packagesIn(modules)], [[], []]);
  assert.deepEqual(await nodeIn(modules), []);
  assert.deepEqual(
    modules.filter((path) => /^formats\/storage\/(file|file_storage|host|libc)\.ts$|_options\.ts$/.test(path)),
    [],
  );
});

Deno.test("--help loads what the commands say of themselves, and no package", async () => {
  const modules = await evaluated(["--help"]);
  assertLean(modules.filter((path) => !path.endsWith("_options.ts")), 62);
  assert.deepEqual([formatsIn(modules), packagesIn(modules)], [[], []]);
});

Deno.test("info loads what reads the format of the image", async () => {
  const modules = await evaluated(["info", samplePath], { read: [samplePath] });
  assertLean(modules, 115);
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
    assertLean(modules.filter((path) => path !== "core/compare.ts"), 125);
    assert.deepEqual([formatsIn(modules), packagesIn(modules)], [["qcow2"], []]);
    assert.deepEqual(await nodeIn(modules), []);
  });
}

Deno.test("convert loads what reads the source and what writes the target", async () => {
  await using folder = await scratch();
  const raw = folder.file("a.raw");
  await Deno.writeFile(raw, new Uint8Array(1 << 20).fill(7, 0, 4096));
  const args = ["convert", "-f", "raw", "-O", "qcow2", raw, folder.file("b.qcow2")];
  const modules = await evaluated(args, { read: [folder.path], write: [folder.path] });
  assertLean(modules, 140);
  assert.deepEqual([formatsIn(modules), packagesIn(modules)], [["qcow2"], []]);
  // A new image without compressing, preallocation and bitmaps needs nothing of them, nor what reads existing ones.
  const needless = /qcow2\/(open|edit|clusters\/(decompress|compress|preallocate)|bitmaps\/\w+|snapshots\/\w+)\.ts$/;
  assert.deepEqual(modules.filter((path) => needless.test(path)), []);
  assert.deepEqual(await nodeIn(modules), []);
});
