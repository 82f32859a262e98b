import assert from "node:assert/strict";
import { ImageError } from "../../../mod.ts";
import { main } from "../../../cli/main.ts";
import { fakeIo, parsed } from "../support.ts";

/** Arguments that are refused before anything is opened, and what the message must say. */
const rejected: readonly (readonly [args: string, message: RegExp])[] = [
  // Values.
  ["-S 100 a b", /"100" for -S: it must be a multiple of 512 up to 16777216/],
  ["-S 17M a b", /"17M" for -S/],
  ["-S -512 a b", /size "-512" of -S/],
  ["-S x a b", /size "x" of -S/],
  ["--round 100 a b", /"100" for --round: it must be a multiple of 512/],
  ["--round 0 a b", /"0" for --round/],
  ["-m 0 a b", /whole number from 1 to 16/],
  ["-m 17 a b", /whole number from 1 to 16/],
  ["-m x a b", /whole number from 1 to 16/],
  ["-r x a b", /size "x" of -r/],
  ["-r -1 a b", /size "-1" of -r/],
  ["-o ,nocow a b", /option list ",nocow"/],
  ["-o nocow, a b", /option list "nocow,"/],
  ["-o nocow -o , a b", /option list ","/],
  ["-l snapshot.x=1 a b", /"snapshot\.x" in -l/],
  ["-t fast a b", /"fast" as the cache mode of -t: it must be none, off/],
  ["-T fast a b", /"fast" as the cache mode of -T/],
  ["-t toString a b", /cache mode of -t/],
  ["--progress=fast a b", /progress as "fast": it must be auto, live, screen, bar, plain, json, none/],
  // Combinations.
  ["--skip-broken-bitmaps a b", /--skip-broken-bitmaps without --bitmaps/],
  ["--target-image-opts a file.filename=b", /--target-image-opts without -n/],
  ["-n -o nocow a b", /-o with -n/],
  ["-n -o help a b", /-o with -n/],
  ["-n -o help --target-image-opts a b", /-o with -n/],
  ["-f raw --image-opts file.filename=a b", /-f with --image-opts/],
  ["-n -O raw --target-image-opts a file.filename=b", /-O with --target-image-opts/],
  ["-Oqcow2 -F raw a b", /-F without -B/],
  ["-n -F raw a b", /-F without -B/],
  ["-Oqcow2 -o backing_fmt=raw a b", /-F without -B/],
  // Names.
  ["", /source and target are missing/],
  ["a", /target \(or the source\) is missing/],
  ["-f qcwo2 a b", /Unknown format "qcwo2" in -f: it must be qcow2, vpc, raw; did you mean "qcow2"\?/],
  ["-O vhd a b", /Unknown format "vhd" in -O.*did you mean "vpc"\?/],
  ["-O xyzzy a b", /Unknown format "xyzzy" in -O: it must be qcow2, vpc, raw$/],
  ["-Oxyzzy -o help", /Unknown format "xyzzy" in -O/],
  ["-Oqcow2 -B x -F xyzzy a b", /Unknown format "xyzzy" in -F/],
  ["-Oqcow2 -o backing_file=x,backing_fmt=xyzzy a b", /Unknown format "xyzzy" in -F/],
  ["--image-opts driver=xyzzy,file.filename=a b", /Unknown format "xyzzy" in driver=/],
  ["--image-opts file.filename=a,backing.driver=xyzzy,backing.file.filename=c b", /Unknown format "xyzzy"/],
  ["-n --target-image-opts a driver=xyzzy,file.filename=b", /Unknown format "xyzzy"/],
  ["x:y.raw b", /Unknown protocol "x" in the file name "x:y\.raw".*write "\.\/x:y\.raw"/],
  ["nbd://host/disk b", /Unknown protocol "nbd"/],
  ["https://host/disk b", /Unknown protocol "https"/],
  ["a x:y", /Unknown protocol "x"/],
  ["-Oqcow2 -B x:y -F raw a b", /Unknown protocol "x"/],
  [":a b", /Unknown protocol ""/],
  ["file: b", /Unknown protocol "file"/],
  ['a json:{"file.filename":"b"}', /Cannot use a json: name as the target/],
  ['-f raw json:{"driver":"vpc","file.filename":"a"} b', /-f with a json: name that has a "driver"/],
  // Sharing.
  ["-U --image-opts file.filename=a,force-share=off b", /-U with force-share=off/],
  ["--image-opts file.filename=a,force-share=on file.filename=c b", /force-share=on for some sources only/],
  // Objects.
  ["--object secret,id=s,data=x a b", /encrypted images are not supported yet/],
  ["--object throttle-group,id=t a b", /object of type "throttle-group"/],
  // Options.
  ["--targ x a b", /which option "--targ" is: it may be --target-format or .* or --target-is-zero/],
  ["--s a b", /it may be --source-format or --snapshot or /],
  ["--salvge a b", /Unknown option "--salvge": did you mean --salvage\?/],
  ["-Z a b", /Unknown option "-Z"/],
  ["-5 a b", /Unknown option "-5"/],
  ["a b -S", /"-S, --sparse-size <size>" argument missing/],
  ["--salvage=yes a b", /Cannot give a value to --salvage: it takes none/],
];

for (const [args, message] of rejected) {
  Deno.test(`refused: convert ${args}`, async () => {
    await assert.rejects(parsed(args === "" ? [] : args.split(" ")), (error) => {
      assert(error instanceof ImageError, String(error));
      assert(error.kind === "usage" || error.kind === "unsupported");
      assert.match(error.message, message);
      assert(!error.message.endsWith("."), error.message);
      return true;
    });
  });
}

Deno.test("an empty option list and an empty file name are refused", async () => {
  await assert.rejects(parsed(["-o", "", "a", "b"]), /option list ""/);
  await assert.rejects(parsed(["", "b"]), /empty file name/);
  await assert.rejects(parsed(["--image-opts", "", "b"]), /empty image description/);
});

/** Contradictions that the library finds in the job before it opens anything; none of these files exists. */
const refusedByJob: readonly (readonly [args: string, message: RegExp])[] = [
  ["--target-is-zero no-a no-b", /-n/],
  ["-l x no-a no-a2 no-b", /snapshot/],
  ["-o color=red no-a no-b", /"color"/],
  ["-B base -F raw no-a no-b", /backing/],
  ["-n -O qcow2 --target-is-zero -B base -F raw no-a no-b", /--target-is-zero/],
  ["-c no-a no-b", /compress/],
  ["--bitmaps no-a no-a2 no-b", /[Bb]itmaps/],
  ["--bitmaps no-a no-b", /bitmaps/],
  ["-C -c -Oqcow2 no-a no-b", /-C with -c/],
  ["-C -S 4k no-a no-b", /-C with -S/],
  ["-C -S 0 no-a no-b", /-C with -S/],
  ["-C --salvage no-a no-b", /-C with --salvage/],
  ["-C --digest no-a no-b", /-C with --digest/],
];

for (const [args, message] of refusedByJob) {
  Deno.test(`refused with exit code 1: convert ${args}`, async () => {
    const io = fakeIo();
    assert.equal(await main(["convert", ...args.split(" ")], io), 1);
    assert.match(io.stderr, message);
    assert.match(io.stderr, /^diskcast: /);
    assert.doesNotMatch(io.stderr, /no-a"? ?(is|does) not|not found/);
    assert.equal(io.stdout, "");
  });
}
