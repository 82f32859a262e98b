import assert from "node:assert/strict";
import { parseFlag, parseNumber, parseSize } from "../../../mod.ts";
import {
  asksForHelp,
  optionValues,
  parseOptionLists,
  parseSnapshot,
  splitList,
} from "../../../cli/args/option_list.ts";
import { hasQemu, qemuImg } from "../../support/qemu.ts";

/** A size as written, and its bytes; `null`: refused. */
const sizes: readonly (readonly [text: string, bytes: number | null])[] = [
  ["0", 0],
  ["1", 1],
  ["512", 512],
  ["1b", 1],
  ["1B", 1],
  ["1k", 1024],
  ["1K", 1024],
  ["3M", 3 * 1024 ** 2],
  ["2g", 2 * 1024 ** 3],
  ["2.5T", 2.5 * 1024 ** 4],
  ["1P", 1024 ** 5],
  ["1.5k", 1536],
  ["1.k", 1024],
  ["1.0", 1],
  ["1.00k", 1024],
  ["1.9999k", 2047],
  ["0.0001k", 0],
  ["010", 10],
  ["+1k", 1024],
  [" 1k", 1024],
  ["0x400", 1024],
  ["0X10", 16],
  ["0x1b", 27],
  ["0x400k", 1024 ** 2],
  ["", null],
  [".", null],
  ["k", null],
  [".5k", null],
  ["1.5", null],
  ["1.5b", null],
  ["1k ", null],
  ["1kB", null],
  ["1e3", null],
  ["1,5k", null],
  ["1_000", null],
  ["1.1.1", null],
  ["0x", null],
  ["0xg", null],
  ["0x.8k", null],
  ["-1", null],
  ["-0", null],
  ["abc", null],
];

Deno.test("sizes are read as qemu-img reads them", () => {
  for (const [text, bytes] of sizes) {
    if (bytes === null) assert.throws(() => parseSize(text, "-S"), { kind: "usage" }, text);
    else assert.equal(parseSize(text, "-S"), bytes, text);
  }
});

Deno.test("sizes are exact or refused", () => {
  assert.equal(parseSize("9007199254740991", "x"), 2 ** 53 - 1);
  for (const text of ["9007199254740992", "9007199254740993", "8P", "1E", "0x20000000000000", "1".repeat(40)]) {
    assert.throws(() => parseSize(text, "x"), /must be between 0 and 9007199254740991/, text);
  }
});

Deno.test({
  name: "qemu-img agrees with every size of the table",
  ignore: !hasQemu,
  async fn() {
    for (const [text, bytes] of sizes) {
      const measured = await qemuImg("measure", "--output=json", "-O", "raw", "--size", text);
      assert.equal(measured.code === 0, bytes !== null, text);
      // measure rounds up to sectors.
      if (bytes !== null) assert.equal(JSON.parse(measured.stdout).required, Math.ceil(bytes / 512) * 512, text);
    }
  },
});

Deno.test("numbers take decimal, hexadecimal and octal, within limits", () => {
  for (const [text, value] of [["1", 1], ["16", 16], ["0x8", 8], ["010", 8], [" 8", 8]] as const) {
    assert.equal(parseNumber(text, "-m", 1, 16), value, text);
  }
  for (const text of ["0", "17", "8.0", "8k", "", "-1", "09", "x", "0x", "1 "]) {
    assert.throws(() => parseNumber(text, "-m", 1, 16), /whole number from 1 to 16/, text);
  }
});

Deno.test("flags have several words for on and off", () => {
  for (const text of ["on", "yes", "true", "y"]) assert.equal(parseFlag(text, "x"), true);
  for (const text of ["off", "no", "false", "n"]) assert.equal(parseFlag(text, "x"), false);
  for (const text of ["", "1", "ON", "maybe"]) assert.throws(() => parseFlag(text, "x"), { kind: "usage" });
});

Deno.test("a doubled comma is a comma of the value", () => {
  assert.deepEqual(splitList("a=1,,2,b=,c=x=y,d"), [
    { key: "a", value: "1,2" },
    { key: "b", value: "" },
    { key: "c", value: "x=y" },
    { key: "d", value: undefined },
  ]);
  assert.deepEqual(splitList("a=,,,b=2"), [{ key: "a", value: "," }, { key: "b", value: "2" }]);
});

Deno.test("option lists are joined; stray commas are refused", () => {
  assert.deepEqual(parseOptionLists(["a=1", "b=2,,"]), [{ key: "a", value: "1" }, { key: "b", value: "2," }]);
  for (const list of ["", ",", ",,", ",a=b", "a=b,", "a=b,,,"]) {
    assert.throws(() => parseOptionLists(["x=y", list]), /Cannot read the option list/, list);
  }
});

Deno.test("a name alone is on, and off after no, unless that is its name", () => {
  const values = (list: string) => optionValues(parseOptionLists([list]), ["nocow", "lazy"]);
  assert.deepEqual(values("lazy"), { lazy: "on" });
  assert.deepEqual(values("nolazy"), { lazy: "off" });
  assert.deepEqual(values("nocow"), { nocow: "on" });
  assert.deepEqual(values("nonocow"), { nocow: "off" });
  assert.deepEqual(values("lazy=off,lazy=on"), { lazy: "on" });
});

Deno.test("help can stand anywhere in an option list, but not as a value", () => {
  for (const list of ["help", "?", "a=b,help", "?,a"]) assert(asksForHelp(parseOptionLists([list])), list);
  for (const list of ["a=help", "help=on", "helpme"]) assert(!asksForHelp(parseOptionLists([list])), list);
});

Deno.test("a snapshot is named by ID, by name, or by either", () => {
  assert.deepEqual(parseSnapshot("snap 1"), { idOrName: "snap 1" });
  assert.deepEqual(parseSnapshot(""), { idOrName: "" });
  assert.deepEqual(parseSnapshot("snapshot"), { idOrName: "snapshot" });
  assert.deepEqual(parseSnapshot("snapshot.id=1"), { id: "1" });
  assert.deepEqual(parseSnapshot("snapshot.id=1,snapshot.name=a,,b"), { id: "1", name: "a,b" });
  for (const text of ["snapshot.", "snapshot.foo=1", "snapshot.id=1,x=2", "snapshot.name=a,b"]) {
    assert.throws(() => parseSnapshot(text), { kind: "usage" }, text);
  }
});
