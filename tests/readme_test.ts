import assert from "node:assert/strict";
import { allFormats } from "../mod.ts";
import type { Format } from "../mod.ts";
import { commandDefs } from "../cli/commands/mod.ts";

const top = new URL("..", import.meta.url);
const read = (path: string) => Deno.readTextFileSync(new URL(path, top));

Deno.test("the README's table of formats is that of the registry", () => {
  const [, ...rows] = tableAfter(read("README.md"), "## Formats");
  const wanted = allFormats.toSorted((a, b) => a.name < b.name ? -1 : 1).map(rowOf);
  const text = wanted.map((row) => `| ${row.join(" | ")} |`).join("\n");
  assert.deepEqual(rows, wanted, `the rows must be (deno fmt aligns them):\n${text}`);
});

Deno.test("the README's first two commands for a machine with Node.js are the conversion and the tests", () => {
  const commands = read("README.md").split("\n").filter((line) => /^[$ ]*npx -y deno@/.test(line));
  assert.equal(commands.length, 2);
  assert.match(commands[0], /^npx -y deno@2\.9\.6 task convert .*tests\/samples\/sample\.qcow2 out\.qcow2$/);
  assert.equal(commands[1], "npx -y deno@2.9.6 task test");
  assert(read(".ci/run").includes(commands[1]), ".ci/run runs the same");
});

Deno.test("the README's table beside qemu-img has figures of docs/performance.md", () => {
  const cases: readonly (readonly [label: RegExp, found: readonly (readonly [name: string, program: string])[]])[] = [
    [/^raw → compressed qcow2/, [
      ["raw → qcow2 -c, zlib", "qemu-img"],
      ["raw → qcow2 -c, zlib", "qemu-img -W -m 16"],
      ["raw → qcow2 -c, zlib", "diskcast"],
    ]],
    [/^qcow2 → VMDK/, [["qcow2 → vmdk", "qemu-img"], ["qcow2 → vmdk", "diskcast"]]],
    [/^qcow2 → raw; raw → qcow2/, [
      ["qcow2 → raw", "qemu-img"],
      ["raw → qcow2", "qemu-img"],
      ["qcow2 → raw", "diskcast"],
      ["raw → qcow2", "diskcast"],
    ]],
  ];
  const measured = new Map<string, string>();
  let name = "";
  for (const line of read("docs/performance.md").split("\n").filter((line) => /^\| .*\d s? ?\(/.test(line))) {
    const [first, program, wall] = line.slice(1, -1).split("|").map((cell) => cell.trim());
    name = first || name;
    const key = `${name}: ${program}`;
    if (!measured.has(key)) measured.set(key, `${Number(/^[\d.]+/.exec(wall)![0]).toFixed(1)} s`);
  }
  const rows = read("README.md").split("\n").filter((line) => line.startsWith("| "));
  for (const [label, found] of cases) {
    const row = rows.find((line) => label.test(line.slice(2)))!;
    const figures = [...row.matchAll(/[\d.]+ s\b/g)].map(([figure]) => figure);
    assert.deepEqual(figures, found.map(([name, program]) => measured.get(`${name}: ${program}`)), row);
  }
});

Deno.test("links of the documentation lead somewhere", () => {
  for (
    const name of [
      "README.md",
      ...[...Deno.readDirSync(new URL("docs", top))].map((entry) => `docs/${entry.name}`),
    ]
  ) {
    if (!name.endsWith(".md")) continue;
    const links = [...read(name).matchAll(/\]\(([^)#]+)[^)]*\)/g)].map(([, link]) => link);
    for (const link of links.filter((link) => !link.includes("://"))) {
      assert(Deno.statSync(new URL(link, new URL(name, top))).isFile, `${name}: ${link}`);
    }
  }
});

Deno.test("options that the documentation names are options of the program", async () => {
  const known = (await commandDefs()).flatMap(({ options }) => options.map(({ long }) => `--${long}`));
  const notOurs = /^--(allow-(read|write|ffi|env|all)|no-prompt|help)$/;
  for (const name of ["README.md", "docs/differences.md", "docs/permissions.md"]) {
    for (const [option] of read(name).matchAll(/(?<![\w-])--[a-z][a-z-]+/g)) {
      if (!notOurs.test(option)) assert(known.includes(option), `${name}: ${option}`);
    }
  }
});

Deno.test("all of the public API is documented, and public itself", () => {
  const { success, stderr } = new Deno.Command(Deno.execPath(), {
    args: ["doc", "--lint", "mod.ts"],
    cwd: top,
    env: { NO_COLOR: "1" },
  }).outputSync();
  assert(success, new TextDecoder().decode(stderr));
});

Deno.test("no committed text names a package registry", () => {
  const listed = new Deno.Command("git", {
    args: ["grep", "-lIE", "registry\\.(npmjs|yarnpkg)|npm\\.jsr\\.io"],
    cwd: top,
  });
  const found = new TextDecoder().decode(listed.outputSync().stdout).trim().split("\n").filter(Boolean);
  assert.deepEqual(found.filter((path) => path !== "tests/readme_test.ts"), []);
});

function rowOf(format: Format): string[] {
  const { has, subformats: kinds, maxSize } = format;
  const list = (names: readonly string[]) => names.length > 0 ? names.join(", ") : "-";
  const backing = has.overlays ? "yes" : has.backing ? "read" : "no";
  return [
    `\`${format.name}\``,
    format.title,
    format.extensions.join(", "),
    format.create ? list(kinds.written) : "no",
    list(kinds.read),
    sizeText(maxSize),
    ...[backing, has.compression, has.snapshots, has.bitmaps].map((value) =>
      typeof value === "string" ? value : value ? "yes" : "no"
    ),
  ];
}

/** Returns a number of bytes in the largest unit in which it is an integer of at least 1. */
function sizeText(bytes: number): string {
  if (bytes === Number.MAX_SAFE_INTEGER) return "that of the host";
  const half = 2 ** 49 - bytes;
  if (half > 0 && half < 2 ** 30) return `512 TiB - ${sizeText(half)}`;
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  while (bytes % 1024 === 0 && unit + 1 < units.length) {
    bytes /= 1024;
    unit++;
  }
  return `${bytes} ${units[unit]}`;
}

Deno.test("the largest disk of a format can be planned, and one sector more is refused", async () => {
  for (const format of allFormats) {
    if (!format.create || format.maxSize === Number.MAX_SAFE_INTEGER) continue;
    const plan = { size: format.maxSize, options: {}, backing: null, compress: false };
    await format.checkPlan?.(plan);
    const check = async (size: number) => await format.checkPlan?.({ ...plan, size });
    await assert.rejects(check(plan.size + 512), { kind: "usage" }, format.name);
  }
});

/** Returns the rows of the first table after a heading, without the separator. */
function tableAfter(text: string, heading: string): string[][] {
  const lines = text.slice(text.indexOf(`\n${heading}\n`)).split("\n");
  const start = lines.findIndex((line) => line.startsWith("|"));
  const end = lines.findIndex((line, at) => at > start && !line.startsWith("|"));
  return lines.slice(start, end).filter((line) => !/^\|[-| ]+$/.test(line))
    .map((line) => line.slice(1, -1).split("|").map((cell) => cell.trim()));
}
