import assert from "node:assert/strict";
import { stripVTControlCharacters } from "node:util";
import stringWidth from "string-width";
import fc from "fast-check";
import { type Model, PHASES, type Result, startModel } from "../../tui/model.ts";
import { columnsOf, cut, head, loadWidths, shortened, tail } from "../../tui/text.ts";
import { themeOf } from "../../tui/theme.ts";
import { update as updateModel } from "../../tui/update.ts";
import { fits, view } from "../../tui/view.ts";
import { difference } from "../../tui/frame.ts";
import { seed } from "../support/qemu.ts";
import { after, halfway, jobOf, MIB, press } from "./support.ts";

await loadWidths("磁盘");

const plain = themeOf({ ascii: false, depth: 0 });
const ascii = themeOf({ ascii: true, depth: 0 });
const bright = themeOf({ ascii: false, depth: 256 });
const update = Deno.env.get("UPDATE_SCREENS") === "1";

/** Compares with a file beside this one; `UPDATE_SCREENS=1` writes it. */
function sameAsFile(name: string, lines: readonly string[]): void {
  const path = new URL(`screens/${name}.txt`, import.meta.url);
  const text = lines.map((line) => `${line.trimEnd()}\n`).join("");
  if (update) Deno.writeTextFileSync(path, text);
  assert.equal(text, Deno.readTextFileSync(path), `${name}.txt; UPDATE_SCREENS=1 writes it anew`);
}

const warned = after(halfway(), 18_000, { type: "warning", message: "the file \x1b[31m is odd" }, {
  type: "bad",
  start: 900 * MIB,
  end: 901 * MIB,
  message: "Cannot read 1048576 bytes",
});

for (const [columns, rows, theme] of [[40, 12, ascii], [80, 24, plain], [120, 40, plain], [200, 50, plain]] as const) {
  Deno.test(`the screen in ${columns} columns`, () => {
    sameAsFile(`main-${columns}`, view(warned, { columns, rows }, theme));
  });
}

const wideJob = jobOf({
  sources: ["/磁盘/サーバー.vmdk", "b.raw"],
  target: "/e\u0301te\u0301/👩‍👩‍👧 диск.qcow2",
  destination: "Köln",
});
const wide = after(halfway(wideJob), 18_000, {
  type: "warning",
  message: "「磁盘」 is named Cafe\u0301 in its descriptor",
});

for (const columns of [40, 80, 120, 200]) {
  Deno.test(`wide and combining characters in ${columns} columns`, () => {
    const lines = view(wide, { columns, rows: 12 }, plain);
    for (const line of lines) assert(stringWidth(line) <= columns, line);
    sameAsFile(`wide-${columns}`, lines);
  });
}

for (const [name, keys] of [["help", "?"], ["runs", "l"], ["errors", "e"], ["map", "mm"], ["asking", "q"]] as const) {
  Deno.test(`the page ${name}`, () => {
    sameAsFile(name, view(press(warned, ...keys).model, { columns: 80, rows: 18 }, plain));
  });
}

function withResult(model: Model, result: Result): Model {
  return updateModel(model, { type: "result", result }).model;
}

/** A line without its escape sequences. */
const seen = (line: string) => stripVTControlCharacters(line);

/** States of all kinds. */
const states = [
  startModel(jobOf(), 0),
  warned,
  press(warned, "p").model,
  press(warned, "ctrl-c").model,
  halfway(jobOf({ compress: true, keepsBacking: true, destination: "Microsoft Azure" }), 60),
  after(warned, 99_000, { type: "phase", phase: "verify" }),
  after(warned, 99_000_000, { type: "phase", phase: "a phase with a name of its own" }),
  after(
    startModel(jobOf({ sources: ["/磁盘/サーバー.vmdk", "b.raw"], target: "/e\u0301e\u0301/👩‍👩‍👧/\u202e.qcow2" }), 0),
    1,
  ),
  after(startModel(jobOf({ sources: ["a\x1b[2Jb\n".repeat(40)], target: "漢".repeat(200) }), 0), 1),
  ...["?", "l", "e", "m"].map((key) => press(warned, key).model),
  press(warned, "q").model,
];

Deno.test("no line is wider than the terminal, no screen higher, in any size and state", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...states),
      fc.oneof(fc.integer({ min: 1, max: 320 }), fc.integer({ min: 36, max: 60 })),
      fc.integer({ min: 1, max: 70 }),
      fc.constantFrom(plain, ascii, bright),
      (model, columns, rows, theme) => {
        const lines = view(model, { columns, rows }, theme);
        assert(lines.length <= rows);
        for (const line of lines) {
          assert(stringWidth(line) <= columns, `${stringWidth(line)} > ${columns}: ${line}`);
          // Names and messages cannot control the terminal: colours are the only escape sequences.
          assert.doesNotMatch(seen(line), /[\p{Cc}\u202e]/u);
        }
      },
    ),
    { numRuns: 600, seed: seed() },
  );
});

Deno.test("at 40 columns and 8 rows there are still map, bar, rate and keys", () => {
  const lines = view(warned, { columns: 40, rows: 8 }, plain);
  assert.equal(lines.length, 8);
  const text = lines.join("\n");
  for (const word of [/Copying █/, /^z?D+/m, /^Rate /m, /\? help/]) assert.match(text, word);
});

Deno.test("at 40 columns all phases of a destination are shown", () => {
  const job = jobOf({ destination: "Microsoft Azure", phases: [...PHASES, "verify"] });
  const lines = view(halfway(job), { columns: 40, rows: 8 }, plain);
  assert.equal(lines[1], "✓Inspect ✓Plan ▶Copy ·Finish ·Verify");
});

Deno.test("below 40 by 8 there is the bar", () => {
  assert(!fits({ columns: 39, rows: 8 }) && !fits({ columns: 40, rows: 7 }) && fits({ columns: 40, rows: 8 }));
  const lines = view(warned, { columns: 39, rows: 20 }, ascii);
  assert.match(lines[0], /^Copying #+-+ +\d+ %$/);
  assert.equal(lines[1], "The screen needs 40x8");
  assert.equal(view(warned, { columns: 20, rows: 1 }, ascii).length, 1);
});

Deno.test("without colour no escape is written; for colour-blind people the map has the letters of a map without colour", () => {
  const size = { columns: 80, rows: 30 };
  assert(view(warned, size, plain).every((line) => !line.includes("\x1b")));
  const maps = [plain, themeOf({ ascii: false, depth: 256, colourBlind: true })].map((theme) =>
    view(warned, size, theme).slice(4, 8).map((line) => seen(line))
  );
  assert.match(maps[0].join(""), /D+z+/);
  assert.deepEqual(maps[1], maps[0]);
});

Deno.test("in colour the map has two cells in a character; an error keeps its letter", () => {
  const lines = view(warned, { columns: 80, rows: 30 }, bright);
  const map = lines.slice(4, 10).map((line) => seen(line)).join("\n");
  assert.match(map, /█+▀+█/);
  assert.match(map, / E+ /);
  // deno-lint-ignore no-control-regex
  assert.match(lines.join(""), /\x1b\[1;38;5;\d+;48;5;\d+mE/);
  assert.match(seen(lines[3]), /one cell = 1\.\d MiB/);
});

Deno.test("colours: all of them, 256 and 16; light and dark backgrounds differ", () => {
  const codes = (depth: 16 | 256 | 16777216, light = false) => themeOf({ ascii: false, depth, light }).sgr("text:data");
  assert.deepEqual([codes(16777216), codes(256), codes(16)], ["38;2;79;157;247", "38;5;75", "94"]);
  assert.notEqual(codes(16777216, true), codes(16777216));
});

Deno.test("the height is used: the map takes the lines that are free", () => {
  const rowsOf = (rows: number) =>
    view(halfway(), { columns: 200, rows }, plain).filter((line) => /[Dz.]{60}/.test(line));
  assert(rowsOf(50).length >= 28 && rowsOf(70).length >= rowsOf(50).length + 18, `${rowsOf(50).length}`);
});

Deno.test("partitions are drawn above the map", () => {
  const half = halfway();
  const partitions = [{ start: MIB, end: 512 * MIB, name: "1 EFI" }];
  const model = { ...half, job: { ...half.job, partitions } };
  assert(view(model, { columns: 120, rows: 40 }, plain).some((line) => /│1 EFI─+│/.test(line)));
});

Deno.test("where the rate limit limits, it is named and no stage is", () => {
  const text = (rateLimit?: number) =>
    view(halfway(jobOf(rateLimit ? { rateLimit } : {})), { columns: 120, rows: 40 }, plain).join("\n");
  assert.match(text(), /70 % limits/);
  assert.match(text(16 * MIB), /-r 16M limits/);
  assert.doesNotMatch(text(16 * MIB), /% limits/);
  assert.match(text(64 * MIB), /70 % limits/);
});

Deno.test("reasons are shown whole on the page of errors", () => {
  const message = `Cannot read: ${"the reason is long, ".repeat(12)}and this is its end`;
  const model = press(after(halfway(), 18_000, { type: "warning", message }), "e").model;
  const page = view(model, { columns: 60, rows: 24 }, plain).join(" ").replaceAll(/\s+/g, " ");
  assert(page.includes("and this is its end"), page);
});

Deno.test("the result: text, values, the next command", () => {
  const result = {
    ok: true,
    text: "a → b",
    rows: [["file", "41.0 MiB"], ["sha256", "ab".repeat(32)]] as const,
    command: "diskcast compare a b",
  };
  const model = withResult(halfway(), result);
  sameAsFile("result", view(model, { columns: 80, rows: 24 }, plain));
  assert.equal(press(model, "x").effect, "leave");
});

Deno.test("the plain look is ASCII alone", () => {
  for (const state of states.slice(0, 7)) {
    for (const line of view(state, { columns: 120, rows: 40 }, ascii)) assert.match(line, /^[\x20-\x7e]*$/);
  }
});

Deno.test("widths that are computed without string-width are the same", () => {
  for (const theme of [plain, ascii]) {
    const glyphs = Object.values(theme.glyphs).flatMap((one): string[] =>
      typeof one === "string" ? [one] : Object.values(one)
    );
    for (const glyph of glyphs) assert.equal(columnsOf(glyph), stringWidth(glyph), glyph);
  }
  for (const text of ["disk", "磁盘", "e\u0301", "👩‍👩‍👧", "é", "", "─│"]) assert.equal(columnsOf(text), stringWidth(text));
});

Deno.test("names are cut between characters", () => {
  assert.equal(head("磁盘盘", 5), "磁盘");
  assert.equal(tail("ae\u0301", 1), "e\u0301");
  assert.equal(cut("abcdef", 4, "…"), "abc…");
  assert.equal(shortened("/images/web/disk.vmdk", 12, "…"), "/im…isk.vmdk");
  for (let columns = 0; columns < 20; columns++) {
    assert(columnsOf(shortened("/磁盘/サーバー.vmdk", columns, "…")) <= columns);
  }
});

Deno.test("a frame writes the lines that differ, and the last one, on which the cursor stays", () => {
  assert.equal(difference(["a", "b", "c"], ["a", "x", "c"]), "\x1b[2;1H\x1b[2Kx\x1b[3;1H\x1b[2Kc");
  assert.equal(difference(["a", "b", "c"], ["a", "x"]), "\x1b[2;1H\x1b[2Kx\x1b[3;1H\x1b[2K");
  assert.equal(difference(null, ["a"]), "\x1b[0m\x1b[2J\x1b[1;1H\x1b[2Ka");
  const one = view(warned, { columns: 120, rows: 40 }, bright);
  const two = view(after(warned, 18_100), { columns: 120, rows: 40 }, bright);
  assert(difference(one, two).length < 1500, "only clocks have moved");
});

Deno.test("stages have bars only where all of them fit on one line", () => {
  const busy = { type: "load", read: 4, decompress: 8, compress: 4, write: 12.5 } as const;
  const model = after(halfway(jobOf({ compress: true })), 17_500, busy);
  const busyLines = (columns: number) =>
    view(model, { columns, rows: 19 }, ascii).filter((line) => /^Busy /.test(line));
  assert.match(
    busyLines(120)[0],
    /^Busy {2}read #*-* \d+ % {2}decompress #*-* \d+ % {2}compress #*-* \d+ % {2}write #/,
  );
  assert.match(busyLines(100)[0], /^Busy {2}read \d+ % {2}decompress \d+ % {2}compress \d+ % {2}write \d+ % limits$/);
});
