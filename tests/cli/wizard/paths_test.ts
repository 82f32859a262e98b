/** Paths as people type, paste and drop them; names like mistyped ones; Tab. */
import assert from "node:assert/strict";
import {
  completed,
  looksLikePath,
  namesHome,
  nearestNames,
  pathOfText,
  patternOf,
  splitPath,
  wordsOf,
} from "../../../cli/wizard/paths.ts";

const host = { home: "/home/ada", windows: false, exists: (path: string) => path === "odd\\ name " };

const texts: readonly (readonly [text: string, path: string])[] = [
  ["disk.raw", "disk.raw"],
  ["  /d/disk.raw ", "/d/disk.raw"],
  ["'/d/my disk.raw'", "/d/my disk.raw"],
  ['"/d/my disk.raw" ', "/d/my disk.raw"],
  ["/d/my\\ disk\\(1\\).raw", "/d/my disk(1).raw"],
  ["odd\\ name ", "odd\\ name "],
  ["file:///d/my%20disk.raw", "/d/my disk.raw"],
  ["file://localhost/d/a.raw", "/d/a.raw"],
  ["file://server/d/a.raw", "file://server/d/a.raw"],
  ["'file:///d/a.raw'", "/d/a.raw"],
  ["~", "/home/ada"],
  ["~/a.raw", "/home/ada/a.raw"],
  ["~bob/a.raw", "~bob/a.raw"],
  ["$HOME/a.raw", "/home/ada/a.raw"],
  ["${HOME}/a.raw", "/home/ada/a.raw"],
  ['"$HOME/my disk.raw"', "/home/ada/my disk.raw"],
  ["'~/a.raw'", "~/a.raw"],
];

for (const [text, path] of texts) {
  Deno.test(`a typed path: ${text}`, () => assert.equal(pathOfText(text, host), path));
}

Deno.test("typed paths on Windows keep their backslashes", () => {
  const windows = { ...host, home: "C:\\Users\\ada", windows: true };
  assert.equal(pathOfText("C:\\d\\a.raw", windows), "C:\\d\\a.raw");
  assert.equal(pathOfText('"C:\\d\\my disk.raw"', windows), "C:\\d\\my disk.raw");
  assert.equal(pathOfText("file:///C:/d/my%20disk.raw", windows), "C:\\d\\my disk.raw");
  assert.equal(pathOfText("~\\a.raw", windows), "C:\\Users\\ada\\a.raw");
  assert.deepEqual(splitPath("C:\\d\\a", true), ["C:\\d\\", "a"]);
});

Deno.test("without the environment the home folder stays as it is typed", () => {
  const path = pathOfText("~/a.raw", { ...host, home: undefined });
  assert.deepEqual([path, namesHome(path)], ["~/a.raw", true]);
});

Deno.test("words that are paths, and words that are commands", () => {
  for (const word of ["a.vmdk", "./a", "/d/a", "~/x.ova", "'a b'", "file:///a", "C:\\a"]) {
    assert(looksLikePath(word), word);
  }
  for (const word of ["convrt", "-f", "--a.b", "info", "", "..."]) assert(!looksLikePath(word), word);
});

Deno.test("names like a mistyped one: letters, ending, case, a part", () => {
  const names = ["disk.raw", "disk.vmdk", "other.qcow2", "Server-2019.vhdx"];
  assert.equal(nearestNames("dsik.raw", names)[0], "disk.raw");
  assert.deepEqual(nearestNames("disk.vhd", names).slice(0, 2).sort(), ["disk.raw", "disk.vmdk"]);
  assert.deepEqual(nearestNames("server", names), ["Server-2019.vhdx"]);
  assert.deepEqual(nearestNames("zzz", names), []);
  assert.deepEqual(nearestNames("", names), []);
});

Deno.test("Tab completes as far as the names agree", () => {
  assert.equal(completed("d", ["disk1.raw", "disk2.raw"]), "disk");
  assert.equal(completed("disk1", ["disk1.raw", "disk2.raw"]), "disk1.raw");
  assert.equal(completed("disk", ["disk1.raw", "disk2.raw"]), "disk");
  assert.equal(completed("x", ["disk1.raw"]), "x");
});

Deno.test("patterns", () => {
  const names = ["a.vmdk", "b.vmdk", "b.vmdkx", ".c.vmdk", "a+.vmdk"];
  assert.deepEqual(names.filter(patternOf("*.vmdk")), ["a.vmdk", "b.vmdk", "a+.vmdk"]);
  assert.deepEqual(names.filter(patternOf("?.vmdk")), ["a.vmdk", "b.vmdk"]);
  assert.deepEqual(names.filter(patternOf("a+.*")), ["a+.vmdk"]);
  assert.deepEqual(names.filter(patternOf(".*")), [".c.vmdk"]);
});

Deno.test("words of several dropped files", () => {
  assert.deepEqual(wordsOf("'a b.vmdk' c.vmdk \"d e\" f\\ g.vmdk ", false), [
    "'a b.vmdk'",
    "c.vmdk",
    '"d e"',
    "f\\ g.vmdk",
  ]);
  assert.deepEqual(wordsOf('C:\\a.vmdk "C:\\b c.vmdk"', true), ["C:\\a.vmdk", '"C:\\b c.vmdk"']);
  assert.deepEqual(wordsOf("  ", false), []);
});
