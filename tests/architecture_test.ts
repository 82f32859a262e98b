import assert from "node:assert/strict";
import { importsOf, longFiles, MAX_LINES, violations } from "./support/architecture.ts";

const top = new URL("..", import.meta.url);
const parts = ["cli", "core", "formats", "tui", "tests"];

Deno.test("imports go one way, without cycles; only the command line prints and exits", () => {
  const sources = readSources();
  assert(sources.size > 20 && sources.has("mod.ts") && sources.has("formats/registry.ts"));
  assert.deepEqual(violations(sources), []);
});

Deno.test("every file is reached from mod.ts and the entry of the built form by literal paths, so that both have it", () => {
  const sources = readSources();
  const reached = new Set<string>(["mod.ts", "cli/diskcast.ts"]);
  // The loop over a set includes elements that are added meanwhile.
  for (const path of reached) {
    for (const one of importsOf(path, sources.get(path) ?? "")) if (one.path !== null) reached.add(one.path);
  }
  const ours = [...sources.keys()].filter((path) => !path.startsWith("tests/"));
  assert.deepEqual(ours.filter((path) => !reached.has(path)), []);
});

Deno.test("no module is imported for its effect alone: the build drops such imports", () => {
  const found = [...readSources()].filter(([path, source]) => !path.startsWith("tests/") && /^import "/m.test(source));
  assert.deepEqual(found.map(([path]) => path), []);
});

Deno.test("a long file that is listed exists, is long and has a reason", () => {
  const sources = readSources();
  for (const [path, reason] of Object.entries(longFiles)) {
    assert(reason.length > 10, path);
    assert((sources.get(path) ?? "").split("\n").length > MAX_LINES, `${path} needs no entry`);
  }
});

Deno.test("the top level holds nothing else than its known files and folders", () => {
  const allowed = new Set([
    ...parts,
    "mod.ts",
    "docs",
    "npm",
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
    "deno.json",
    "deno.lock",
  ]);
  const tracked = new Deno.Command("git", { args: ["ls-files"], cwd: top, stderr: "null" }).outputSync();
  if (!tracked.success) return; // The source in an archive has no list of its files.
  const names = new Set(new TextDecoder().decode(tracked.stdout).trim().split("\n").map((path) => path.split("/")[0]));
  assert.deepEqual([...names].filter((name) => !name.startsWith(".") && !allowed.has(name)), []);
});

/** Sources with one violation each, and a part of its text. */
const examples: readonly (readonly [path: string, source: string, violation: RegExp])[] = [
  ["cli/a.ts", 'import { x } from "../core/copy/plan.ts";', /cli imports mod\.ts and tui/],
  ["cli/a.ts", 'import type { x } from "../formats/mod.ts";', /cli imports mod\.ts and tui/],
  ["tui/a.ts", 'import { x } from "../mod.ts";', /tui imports types/],
  ["tui/a.ts", 'import type { x } from "../cli/main.ts";', /tui imports types/],
  ["core/a.ts", 'import { x } from "../formats/extent.ts";', /core imports formats\/mod\.ts/],
  ["core/a.ts", 'import { x } from "../formats/qcow2/mod.ts";', /core imports formats\/mod\.ts/],
  ["core/a.ts", 'import { x } from "../mod.ts";', /core imports formats\/mod\.ts/],
  ["core/a.ts", 'new Worker(new URL("../cli/work.ts", import.meta.url), {});', /core imports formats\/mod\.ts/],
  ["core/open/a.ts", 'import type { x } from "../copy/plan.ts";', /open never imports copy/],
  ["core/open/a.ts", 'import { x } from "../convert.ts";', /never imports a job/],
  ["mod.ts", 'import { x } from "./cli/main.ts";', /only when run/],
  ["mod.ts", 'export { x } from "./formats/raw.ts";', /mod\.ts imports core/],
  ["formats/raw.ts", 'import { x } from "./qcow2/mod.ts";', /never imports another/],
  ["formats/qcow2/mod.ts", 'import type { x } from "../raw.ts";', /never imports another/],
  ["formats/raw.ts", 'import { x } from "./storage/memory.ts";', /only types of storage/],
  ["formats/raw.ts", 'import { x } from "../core/copy/plan.ts";', /contract and helpers/],
  ["formats/raw.ts", 'import { x } from "./registry.ts";', /contract and helpers/],
  ["formats/bytes.ts", 'import { x } from "./raw.ts";', /a helper imports helpers/],
  ["formats/mod.ts", 'export { x } from "../core/copy/plan.ts";', /nothing above it/],
  ["formats/storage/file.ts", 'import type { x } from "../extent.ts";', /storage imports errors\.ts, bytes\.ts/],
  ["core/a.ts", 'import { x } from "@clack/prompts";', /only cli may use it/],
  ["core/a.ts", 'import { x } from "fast-check";', /only tests may use it/],
  ["cli/a.ts", 'import { x } from "jsr:@std/path";', /not among the packages/],
  ["cli/a.ts", 'import { x } from "https://example.org/a.ts";', /not among the packages/],
  ["core/a.ts", '  console.log("x");', /console\.log: only cli/],
  ["tui/a.ts", "  Deno.exit(1);", /Deno\.exit: only cli/],
  ["formats/raw.ts", "a;\n".repeat(MAX_LINES + 1), /601 lines/],
  ["bench/a.ts", "", /stands outside/],
  ["core/a.ts", 'import {\n  b,\n} from "./b.ts";', /import cycle: core\/b\.ts → core\/a\.ts → core\/b\.ts/],
];

for (const [path, source, violation] of examples) {
  Deno.test(`a violation is found: ${path}: ${source.slice(0, 60).replaceAll("\n", " ")}`, () => {
    // A violation may also close a cycle, which is another violation.
    assert.match(violations(withFile(path, source)).join("\n"), violation);
  });
}

Deno.test("allowed imports are no violation", () => {
  assert.deepEqual(violations(validSources()), []);
});

function validSources(): Map<string, string> {
  return new Map([
    ["mod.ts", 'export { x } from "./core/copy/plan.ts";\nif (import.meta.main) await import("./cli/main.ts");\n'],
    ["cli/main.ts", 'import { text } from "@clack/prompts";\nimport { x } from "../mod.ts";\nconsole.log(x);\n'],
    ["tui/view.ts", 'import type { x } from "../mod.ts";\n'],
    ["core/copy/plan.ts", '/**\n * console.log(1)\n */\nimport { x } from "../../formats/mod.ts";\n// Deno.exit(1)\n'],
    ["core/b.ts", 'import { a } from "./a.ts";\n'],
    ["formats/mod.ts", 'export * from "./contract.ts";\nexport { allFormats } from "./registry.ts";\n'],
    ["formats/registry.ts", 'import { raw } from "./raw.ts";\nimport { qcow2 } from "./qcow2/mod.ts";\n'],
    ["formats/contract.ts", 'import type { Storage } from "./storage/types.ts";\n'],
    ["formats/raw.ts", 'import { x } from "./bytes.ts";\nimport type { S } from "./storage/types.ts";\n'],
    ["formats/qcow2/mod.ts", 'import { x } from "./header.ts";\nimport zlib from "node:zlib";\n'],
    ["formats/storage/file.ts", 'import { x } from "../errors.ts";\n'],
  ]);
}

function withFile(path: string, source: string): Map<string, string> {
  return validSources().set(path, source);
}

function readSources(): Map<string, string> {
  const sources = new Map<string, string>();
  const walk = (folder: string): void => {
    for (const entry of Deno.readDirSync(new URL(folder, top))) {
      const path = folder + entry.name;
      if (entry.isDirectory && !entry.name.startsWith(".")) walk(`${path}/`);
      else if (/\.tsx?$/.test(entry.name)) sources.set(path, Deno.readTextFileSync(new URL(path, top)));
    }
  };
  for (const entry of Deno.readDirSync(top)) {
    if (entry.isDirectory && parts.includes(entry.name)) walk(`${entry.name}/`);
    else if (entry.name.endsWith(".ts")) sources.set(entry.name, Deno.readTextFileSync(new URL(entry.name, top)));
  }
  return sources;
}
