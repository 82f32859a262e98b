import assert from "node:assert/strict";
import { completeArgs } from "../../../cli/args/parse_args.ts";
import { convertCommand } from "../../../cli/commands/convert.ts";
import type { ConvertJob } from "../../../mod.ts";
import { creationOptionsText } from "../../../cli/args/creation_options.ts";
import { diskcast } from "../../support/diskcast.ts";
import { fakeFormats, jobOf, parsed } from "../support.ts";

type Row = readonly [args: string, sources: unknown, target: unknown, rest?: Partial<ConvertJob>];

const A = { path: "a" };
const RAW = { path: "b", format: "raw" };

/** Arguments without spaces, and their job. */
const jobs: readonly Row[] = [
  ["a b", [A], RAW],
  ["a a2 a3 b", [A, { path: "a2" }, { path: "a3" }], RAW],
  ["-- -a b", [{ path: "-a" }], RAW],
  ["a - b", [A, { path: "-" }], RAW],
  ["a b -O qcow2", [A], { path: "b", format: "qcow2" }],
  ["-Oqcow2 a b", [A], { path: "b", format: "qcow2" }],
  ["-pcO qcow2 a b", [A], { path: "b", format: "qcow2", compress: true }],
  ["-cpOqcow2 a b", [A], { path: "b", format: "qcow2", compress: true }],
  ["a -c --target-format qcow2 b", [A], { path: "b", format: "qcow2", compress: true }],
  ["--compress --target-format=qcow2 a b", [A], { path: "b", format: "qcow2", compress: true }],
  ["-f vpc a a2 b", [{ path: "a", format: "vpc" }, { path: "a2", format: "vpc" }], RAW],
  ["--source-format=vpc a b", [{ path: "a", format: "vpc" }], RAW],
  ["--source-f vpc a b", [{ path: "a", format: "vpc" }], RAW],
  ["-f raw -f vpc a b", [{ path: "a", format: "vpc" }], RAW],
  ["-o nocow=on a b", [A], { ...RAW, options: { nocow: "on" } }],
  ["-o nocow a b", [A], { ...RAW, options: { nocow: "on" } }],
  [
    "-Oqcow2 -o compat=1.1,cluster_size=4k -o nolazy_refcounts a b",
    [A],
    { path: "b", format: "qcow2", options: { compat: "1.1", cluster_size: "4k", lazy_refcounts: "off" } },
  ],
  ["-Oqcow2 -o data_file=a,,b a b", [A], { path: "b", format: "qcow2", options: { data_file: "a,b" } }],
  ["-o --target-is-zero=x a b", [A], { ...RAW, options: { "--target-is-zero": "x" } }],
  ["-Oqcow2 -B base -F raw a b", [A], { path: "b", format: "qcow2", backing: { path: "base", format: "raw" } }],
  ["-Oqcow2 -b base -F raw a b", [A], { path: "b", format: "qcow2", backing: { path: "base", format: "raw" } }],
  ["-cOqcow2 -Fraw -bbase a b", [A], {
    path: "b",
    format: "qcow2",
    backing: { path: "base", format: "raw" },
    compress: true,
  }],
  ["-B one -b two -Fraw -Oqcow2 a b", [A], {
    path: "b",
    format: "qcow2",
    backing: { path: "two", format: "raw" },
  }],
  ["--backing base --backing-format raw -Oqcow2 a b", [A], {
    path: "b",
    format: "qcow2",
    backing: { path: "base", format: "raw" },
  }],
  ["-Oqcow2 -o backing_file=base,backing_fmt=raw a b", [A], {
    path: "b",
    format: "qcow2",
    backing: { path: "base", format: "raw" },
  }],
  ["-Oqcow2 -o backing_file=x,backing_fmt=raw -B base -F qcow2 a b", [A], {
    path: "b",
    format: "qcow2",
    backing: { path: "base", format: "qcow2" },
  }],
  ["-Oqcow2 -B file:x:y -F raw a b", [A], { path: "b", format: "qcow2", backing: { path: "./x:y", format: "raw" } }],
  ["-n -B base a b", [A], { ...RAW, backing: { path: "base" }, create: false }],
  ["-n a b", [A], { ...RAW, create: false }],
  ["--no-create a b", [A], { ...RAW, create: false }],
  ["--no-c a b", [A], { ...RAW, create: false }],
  ["-n --target-is-zero a b", [A], { ...RAW, create: false, isZero: true }],
  ["-l snap a b", [{ path: "a", snapshot: { idOrName: "snap" } }], RAW],
  ["--snapshot snapshot.id=3 a b", [{ path: "a", snapshot: { id: "3" } }], RAW],
  ["-S 0 a b", [A], RAW, { sparseSize: 0 }],
  ["--sparse-size=64k a b", [A], RAW, { sparseSize: 65536 }],
  ["-S16M a b", [A], RAW, { sparseSize: 16 * 1024 ** 2 }],
  ["-r 1.5M a b", [A], RAW, { rateLimit: 1.5 * 1024 ** 2 }],
  ["--rate-limit 0 a b", [A], RAW, { rateLimit: 0 }],
  ["-m8 a b", [A], RAW, { workers: 8 }],
  ["--parallel 0x10 a b", [A], RAW, { workers: 16 }],
  ["-W a b", [A], RAW],
  ["--oob-writes a b", [A], RAW],
  ["-C a b", [A], RAW, { offload: true }],
  ["--copy-range-offloading a b", [A], RAW, { offload: true }],
  ["-U a b", [A], RAW, { forceShare: true }],
  ["--force-share a b", [A], RAW, { forceShare: true }],
  ["--salvage a b", [A], RAW, { salvage: true }],
  ["--bitmaps -Oqcow2 a b", [A], { path: "b", format: "qcow2" }, { bitmaps: true }],
  ["--bitm -Oqcow2 a b", [A], { path: "b", format: "qcow2" }, { bitmaps: true }],
  ["--bitmaps --skip-b -Oqcow2 a b", [A], { path: "b", format: "qcow2" }, { bitmaps: "skip-broken" }],
  ["--allow-ref d1 --allow-ref=d2 a b", [A], RAW, { allowRefs: ["d1", "d2"] }],
  ["-t none a b", [A], RAW, { sync: "finish" }],
  ["-t off a b", [A], RAW, { sync: "finish" }],
  ["-t writeback a b", [A], RAW, { sync: "finish" }],
  ["-t writethrough a b", [A], RAW, { sync: "always" }],
  ["--target-cache directsync a b", [A], RAW, { sync: "always" }],
  ["-tunsafe a b", [A], RAW, { sync: "never" }],
  ["-T none a b", [A], RAW],
  ["--source-cache unsafe a b", [A], RAW],
  ["file:a:b b", [{ path: "a:b" }], RAW],
  ["./a:b dir/x:y", [{ path: "./a:b" }], { path: "dir/x:y", format: "raw" }],
  ["a file:b", [A], RAW],
  ['json:{"driver":"vpc","file":{"filename":"a"}} b', [{ path: "a", format: "vpc" }], RAW],
  ['-f vpc json:{"file.filename":"a"} b', [{ path: "a", format: "vpc" }], RAW],
  ["--image-opts driver=raw,offset=1M,size=2M,file.filename=a b", [
    { path: "a", format: "raw", offset: 2 ** 20, size: 2 ** 21 },
  ], RAW],
  ["--image-opts file.filename=a,force-share=on b", [A], RAW, { forceShare: true }],
  ["-n a --target-image-opts driver=raw,offset=1M,file.filename=b", [A], {
    ...RAW,
    offset: 2 ** 20,
    create: false,
  }],
  ["-n a --target-image-opts file.filename=b", [A], { path: "b", format: undefined, create: false }],
];

for (const [args, sources, target, rest] of jobs) {
  Deno.test(`convert ${args}`, async () => {
    assert.deepEqual(await jobOf(args.split(" ")), { sources, target, ...rest });
  });
}

Deno.test("values of options may have spaces and begin with hyphens", async () => {
  assert.deepEqual((await jobOf(["-l", "-x y", "a", "b"])).sources, [{ path: "a", snapshot: { idOrName: "-x y" } }]);
  assert.deepEqual((await jobOf(["--snapshot", "--salv", "a", "b"])).sources, [
    { path: "a", snapshot: { idOrName: "--salv" } },
  ]);
});

Deno.test("a drive letter is no protocol on Windows", async () => {
  assert.deepEqual(await jobOf(["C:\\a.vhd", "D:b"], true), {
    sources: [{ path: "C:\\a.vhd" }],
    target: { path: "D:b", format: "raw" },
  });
  await assert.rejects(jobOf(["C:\\a.vhd", "b"], false), /Unknown protocol "C"/);
});

/** Arguments, and the form of progress that they choose. */
const views: readonly (readonly [args: string, progress: string, quiet?: boolean])[] = [
  ["a b", "auto"],
  ["-p a b", "qemu"],
  ["--progress a b", "qemu"],
  ["--progress=bar a b", "bar"],
  ["--prog=plain a b", "plain"],
  ["--progress=json a b", "json"],
  ["--progress=none a b", "none"],
  ["--progress=auto a b", "auto"],
  ["-q a b", "none", true],
  ["--quiet a b", "none", true],
  ["-q -p a b", "none", true],
  ["-p -q a b", "none", true],
  ["-q --progress=json a b", "json", true],
];

for (const [args, progress, quiet = false] of views) {
  Deno.test(`convert ${args} shows ${progress}`, async () => {
    const request = await parsed(args.split(" "));
    assert(request.kind === "job");
    const { withoutScreen, ...view } = request.view;
    assert.deepEqual(view, { progress, quiet, printPermissions: false, warnings: [] });
    // -p states the form where --progress=live finds no terminal.
    assert.equal(withoutScreen, /(^| )(-p|--progress) /.test(args) ? "qemu" : undefined);
    assert.deepEqual(request.job, { sources: [A], target: RAW });
  });
}

Deno.test("--print-permissions does not change the job", async () => {
  const request = await parsed(["--print-permissions", "a", "b"]);
  assert(request.kind === "job" && request.view.printPermissions);
  assert.deepEqual(request.job, { sources: [A], target: RAW });
});

Deno.test("a size among the creation options is dropped, with a warning", async () => {
  const request = await parsed(["-o", "size=1M,nocow", "a", "b"]);
  assert(request.kind === "job");
  assert.deepEqual(request.job.target, { ...RAW, options: { nocow: "on" } });
  assert.match(request.view.warnings.join("\n"), /size in -o has no effect/);
});

Deno.test("-o help lists the options of the target's format, with or without files", async () => {
  for (const args of ["-Oqcow2 -o help", "-O qcow2 -o ? a b", "-o compat=1.1,help -Oqcow2"]) {
    const request = await parsed(args.split(" "));
    assert(request.kind === "options", args);
    assert.equal(request.format.name, "qcow2");
  }
  const raw = await parsed(["-o", "help"]);
  assert(raw.kind === "options" && raw.format.name === "raw");
});

Deno.test("the list of creation options shows values, help and defaults", () => {
  const text = creationOptionsText(fakeFormats[0]!);
  assert.match(text, /cluster_size=<size>\s+bytes of a cluster \(default: 64k\)\n/);
  assert.match(text, /lazy_refcounts=on\|off\s+delay refcounts \(default: off\)\n/);
  assert.match(text, /compat=0\.10\|1\.1\s+version \(default: 1\.1\)\n/);
  assert.match(text, /data_file=<text>\s+keep the data in this file\n/);
  assert.match(text, /backing_file=<file>\s+as -B\n/);
  assert.doesNotMatch(creationOptionsText(fakeFormats[2]!), /backing_file/);
  assert.match(
    creationOptionsText(fakeFormats[1]!),
    /nocow=on\|off .*\n.*extent_size_hint=<size> .*\n.*preallocation=off /,
  );
});

Deno.test("help wins over missing files", async () => {
  for (const args of [["-h"], ["--help"], ["--hel"], ["a", "-h"]]) {
    assert.equal((await parsed(args)).kind, "help");
    assert.match(
      (await diskcast("convert", ...args)).stdout,
      /Usage: diskcast convert \[options\] SOURCE\.\.\. TARGET/,
    );
  }
});

Deno.test("every option of the help has its short and long name there", async () => {
  const { stdout } = await diskcast("convert", "--help");
  const names = "-f -l -U -T -O -o -B -F -c -n -t -S -r -m -W -C -p -q --source-format --source-cache --snapshot " +
    "--target-format --target-format-options --target-cache --backing --backing-format --sparse-size --no-create " +
    "--rate-limit --parallel --oob-writes --copy-range-offloading --progress --quiet --compress --image-opts " +
    "--target-image-opts --force-share --target-is-zero --salvage --bitmaps --skip-broken-bitmaps --object";
  for (const name of names.split(" ")) assert.match(stdout, new RegExp(`^ .*${name}\\b`, "m"), name);
});

Deno.test("the help's example of an option that is cut short is one", () => {
  const short = /cut short where the rest is clear: (--[a-z-]+)\./.exec(convertCommand.notes ?? "")?.[1];
  assert(short !== undefined);
  const [whole] = completeArgs(convertCommand, [short, "x"]);
  assert(whole.startsWith(short) && whole !== short, whole);
});
