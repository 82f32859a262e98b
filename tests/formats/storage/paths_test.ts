import assert from "node:assert/strict";
import path from "node:path/posix";
import fc from "fast-check";
import { posix } from "../../../formats/storage/paths.ts";
import { seed } from "../../support/qemu.ts";

const piece = fc.constantFrom("a", "b.c", ".", "..", "/", "/", " ", "\\", "é");
const paths = fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join("").replace(/^\/+/, "/"));
const options = { seed: seed(), numRuns: 2000 };

for (const name of ["basename", "dirname", "extname", "isAbsolute"] as const) {
  Deno.test(`${name} is that of node:path`, () => {
    fc.assert(fc.property(paths, (one) => assert.equal(posix[name](one), path[name](one))), options);
  });
}

Deno.test("join, resolve and relative are those of node:path", { ignore: Deno.build.os === "windows" }, () => {
  fc.assert(
    fc.property(paths, paths, paths, (one, two, three) => {
      assert.equal(posix.join(one, two, three), path.join(one, two, three));
      assert.equal(posix.resolve(one, two, three), path.resolve(one, two, three));
      assert.equal(posix.relative(one, two), path.relative(one, two));
    }),
    options,
  );
});

Deno.test("two slashes at the beginning are as good as one", () => {
  assert.deepEqual([posix.dirname("//a"), posix.resolve("//a/b"), posix.join("//", "a")], ["/", "/a/b", "/a"]);
});
