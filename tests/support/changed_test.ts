import assert from "node:assert/strict";
import { testsFor } from "./changed.ts";

const sources = new Map([
  ["mod.ts", 'export { convert } from "./core/convert.ts";\n'],
  ["core/convert.ts", 'import type { Job } from "./job.ts";\n'],
  ["core/job.ts", "export interface Job {}\n"],
  ["core/zeroes.ts", "export const zeroes = 0;\n"],
  ["tests/support/run.ts", 'const program = new URL("../../mod.ts", import.meta.url);\n'],
  ["tests/core/convert_test.ts", 'import { convert } from "../../core/convert.ts";\n'],
  ["tests/core/zeroes_test.ts", 'const { zeroes } = await import("../../core/zeroes.ts");\n'],
  ["tests/run_test.ts", 'import "./support/run.ts";\n'],
  ["tests/docs_test.ts", 'const text = Deno.readTextFileSync("docs/commands.md");\n'],
]);

Deno.test("tests are run whose imports reach a change: types, dynamic imports and programs included", () => {
  assert.deepEqual(testsFor(["core/job.ts"], sources), [
    "core/job.ts",
    "tests/core/convert_test.ts",
    "tests/run_test.ts",
  ]);
  assert.deepEqual(testsFor(["core/zeroes.ts"], sources), ["core/zeroes.ts", "tests/core/zeroes_test.ts"]);
  assert.deepEqual(testsFor(["tests/support/run.ts"], sources), ["tests/run_test.ts"]);
  assert.deepEqual(testsFor(["tests/run_test.ts"], sources), ["tests/run_test.ts"]);
});

Deno.test("a file that is no module affects the tests that name it; the configuration affects all", () => {
  assert.deepEqual(testsFor(["docs/commands.md"], sources), ["tests/docs_test.ts"]);
  assert.deepEqual(testsFor(["LICENSE"], sources), []);
  assert.equal(testsFor(["core/zeroes.ts", "deno.json"], sources).length, 4);
});

Deno.test("a module that was removed affects the tests that still import it", () => {
  const fewer = new Map(sources);
  fewer.delete("core/zeroes.ts");
  assert.deepEqual(testsFor(["core/zeroes.ts", "tests/core/old_test.ts"], fewer), ["tests/core/zeroes_test.ts"]);
});
