import assert from "node:assert/strict";
import { builtFiles, packagesIn } from "./chunks.ts";

/** Texts of the bundler: an entry, two chunks of modules, one that only passes a name on, a package. */
const chunks = new Map([
  [
    "main.js",
    'import {\n  a\n} from "./chunk-AAAAAAAA.js";\nimport "./chunk-BBBBBBBB.js";\n\n// cli/main.ts\n' +
    'a(() => import("./b-CCCCCCCC.js"), () => import("./dist-DDDDDDDD.js"));\n',
  ],
  ["chunk-AAAAAAAA.js", "// core/x.ts\nvar x = 1;\n\n// core/a.ts\nfunction a() {\n}\n\nexport {\n  a\n};\n"],
  ["chunk-BBBBBBBB.js", "// core/b.ts\nvar b = 'import(\"./x.ts\")';\n\nexport {\n  b\n};\n"],
  ["b-CCCCCCCC.js", 'import {\n  b\n} from "./chunk-BBBBBBBB.js";\nexport {\n  b\n};\n'],
  [
    "dist-DDDDDDDD.js",
    '// ../../cache/npm/host/@some/thing/1.2.3/dist/index.mjs\nimport { x } from "node:fs";\nexport {\n  x\n};\n',
  ],
]);

Deno.test("chunks get names of their own, and only the imports that are needed", () => {
  assert.deepEqual([...builtFiles(chunks, "main.js")], [
    ["chunks/core-a.js", chunks.get("chunk-AAAAAAAA.js")],
    ["chunks/core-b.js", chunks.get("chunk-BBBBBBBB.js")],
    [
      "chunks/some-thing-dist-index.js",
      '// npm:@some/thing@1.2.3/dist/index.mjs\nimport { x } from "node:fs";\nexport {\n  x\n};\n',
    ],
    [
      "main.js",
      'import {\n  a\n} from "./chunks/core-a.js";\n\n// cli/main.ts\n' +
      'a(() => import("./chunks/core-b.js"), () => import("./chunks/some-thing-dist-index.js"));\n',
    ],
  ]);
});

Deno.test("the same modules get the same names, whatever the bundler calls their chunks", () => {
  const renamed = [...chunks].map(([name, text]) =>
    [name, text].map((part) => part.replaceAll(/[A-D]{8}/g, (hash) => `Z${hash.slice(1)}`)) as [string, string]
  );
  assert.deepEqual(builtFiles(new Map(renamed.reverse()), "main.js"), builtFiles(chunks, "main.js"));
});

Deno.test("packages are found by the paths of their modules", () => {
  assert.deepEqual(packagesIn(chunks), [
    { name: "@some/thing@1.2.3", folder: "../../cache/npm/host/@some/thing/1.2.3" },
  ]);
});

for (
  const [what, text, message] of [
    [
      "a chunk that is needed for its effect alone",
      'import "./dist-DDDDDDDD.js";\n',
      /effect alone: .*dist-DDDDDDDD\.js/,
    ],
    ["a package that is not inside", 'import {\n  x\n} from "somewhere";\n', /"main\.js" imports somewhere/],
    ["a chunk that is missing", 'import {\n  x\n} from "./chunk-EEEEEEEE.js";\n', /"chunk-EEEEEEEE\.js" is imported/],
  ] as const
) {
  Deno.test(`${what} is refused`, () => {
    assert.throws(() => builtFiles(new Map([...chunks, ["main.js", text]]), "main.js"), message);
  });
}
