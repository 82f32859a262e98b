import assert from "node:assert/strict";
import { main } from "../../../cli/main.ts";
import { sizeOrChange, withSizeLast } from "../../../cli/commands/resize.ts";
import { hasQemu, qemuImg, qemuImgOk, qemuIo, scratch } from "../../support/qemu.ts";
import { diskcastProcess } from "../../support/diskcast.ts";
import { fakeIo } from "../support.ts";

Deno.test("a size may be absolute or a change, and -10M as the last argument is a size", () => {
  assert.equal(sizeOrChange("10M"), 10 << 20);
  assert.deepEqual(sizeOrChange("+1k"), { by: 1024 });
  assert.deepEqual(sizeOrChange("-1k"), { by: -1024 });
  assert.throws(() => sizeOrChange("+-1k"), { kind: "usage" });
  assert.deepEqual(withSizeLast(["--shrink", "a", "-10M"]), ["--shrink", "a", "--", "-10M"]);
  assert.deepEqual(withSizeLast(["-q", "a", "10M"]), ["-q", "a", "10M"]);
});

Deno.test("commands that change an image refuse wrong arguments by name", async () => {
  const cases: [string, RegExp][] = [
    ["resize a.qcow2", /give the image, then its new size/],
    ["resize --preallocation=some a.qcow2 1M", /off, metadata, falloc, full/],
    ["check -r some a.qcow2", /leaks or all/],
    ["check --output=xml a.qcow2", /human or json/],
    ["snapshot -c a -d b a.qcow2", /more than one/],
    ["rebase a.qcow2", /-b/],
    ["rebase -u -c -b x -F raw a.qcow2", /-u with -c/],
    ["bitmap a.qcow2 b", /--add, --remove/],
    ["bitmap --clear -g 64k a.qcow2 b", /-g without --add/],
    ["bitmap --add -b c.qcow2 a.qcow2 b", /-b without --merge/],
    ["amend a.qcow2", /-o/],
    ["commit -r fast a.qcow2", /fast/],
  ];
  for (const [args, expected] of cases) {
    const io = fakeIo();
    assert.equal(await main(args.split(" "), io), 1, args);
    assert.match(io.stderr, expected, args);
  }
});

Deno.test("every command that changes an image has help with examples", async () => {
  for (const name of ["check", "resize", "rebase", "commit", "snapshot", "bitmap", "amend"]) {
    const io = fakeIo();
    assert.equal(await main([name, "--help"], io), 0);
    assert.match(io.stdout, new RegExp(`Examples:\\n {2}diskcast ${name} `));
  }
});

/** Arguments for both programs, one command after another, each program on its own copy of the same images. */
const script = [
  "check a.qcow2",
  "check -q a.qcow2",
  "check --output=json a.qcow2",
  "check --output=json -r all a.qcow2",
  "check missing.qcow2",
  "check b.raw",
  "check -r leaks leaky.qcow2",
  "check leaky.qcow2",
  "resize a.qcow2 +1M",
  "resize a.qcow2 1M",
  "resize --shrink a.qcow2 -512k",
  "resize a.qcow2 1000",
  "resize -f raw b.raw 3M",
  "resize -f raw --shrink b.raw 1000",
  "resize -q --preallocation=metadata a.qcow2 4M",
  "resize --preallocation=falloc --shrink a.qcow2 2M",
  "snapshot -c one a.qcow2",
  "snapshot -c two a.qcow2",
  "snapshot -a one a.qcow2",
  "snapshot -a none a.qcow2",
  "snapshot -d one a.qcow2",
  "snapshot -d one a.qcow2",
  "snapshot -c x b.raw",
  "rebase -b base.raw a.qcow2",
  "rebase -b base.raw -F raw a.qcow2",
  "rebase -u -b base.raw a.qcow2",
  "rebase -u -b other.raw -F raw a.qcow2",
  "rebase -u -b base.raw -F raw a.qcow2",
  "commit -q a.qcow2",
  "commit -d -b base.raw a.qcow2",
  "commit -b nowhere.raw a.qcow2",
  "rebase -b= a.qcow2",
  "commit a.qcow2",
  "bitmap --add a.qcow2 day",
  "bitmap --add a.qcow2 day",
  "bitmap --disable --add a.qcow2 night",
  "bitmap --add --disable -g 64k a.qcow2 night",
  "bitmap --merge day a.qcow2 night",
  "bitmap --merge gone a.qcow2 night",
  "bitmap --remove a.qcow2 day",
  "bitmap --clear a.qcow2 day",
  "bitmap --add b.raw day",
  "amend -o lazy_refcounts=on a.qcow2",
  "bitmap --remove a.qcow2 night",
  "amend -o compat=0.10 a.qcow2",
  "amend -o refcount_bits=8 a.qcow2",
  "amend -o refcount_bits=7 a.qcow2",
  "amend -o cluster_size=4k a.qcow2",
  "amend -o colour=red a.qcow2",
  "amend -f raw -o size=1M b.raw",
  "check --image-opts driver=qcow2,file.filename=a.qcow2",
  "check --image-opts -f qcow2 driver=qcow2,file.filename=a.qcow2",
  "check -T none -U a.qcow2",
  "check -T magic a.qcow2",
  "check -U -r all a.qcow2",
  "resize --image-opts driver=qcow2,file.filename=a.qcow2 5M",
  "resize --image-opts driver=raw,file.driver=file,file.filename=b.raw +64k",
  "resize --image-opts driver=qcow2,read-only=on,file.filename=a.qcow2 6M",
  "snapshot --image-opts -c three driver=qcow2,file.filename=a.qcow2",
  "snapshot -U -c four a.qcow2",
  "snapshot -U -l a.qcow2",
  "snapshot --image-opts -d three driver=qcow2,file.filename=a.qcow2",
  "bitmap --image-opts --add driver=qcow2,file.filename=a.qcow2 day",
  "bitmap --image-opts --remove driver=qcow2,file.filename=a.qcow2 day",
  "amend --image-opts -o lazy_refcounts=off driver=qcow2,file.filename=a.qcow2",
  "amend -t magic -o lazy_refcounts=off a.qcow2",
  "rebase --image-opts -u -b base.raw -F raw driver=qcow2,file.filename=a.qcow2",
  "rebase -U -t writethrough -T none -b other.raw -F raw a.qcow2",
  "rebase -T magic -b other.raw -F raw a.qcow2",
  "resize a.qcow2 json:{'driver':'qcow2'} 1M",
  "commit -t directsync -d a.qcow2",
  "commit --image-opts -r 1G driver=qcow2,backing.driver=raw,backing.file.filename=other.raw,file.filename=a.qcow2",
  "commit -t magic a.qcow2",
  "commit a.qcow2 b.raw",
  "snapshot",
  "bitmap --add a.qcow2",
  "check --nonsense a.qcow2",
  "resize --shrink a.qcow2 0",
  "amend -o help a.qcow2",
  "amend -o help",
  "compare -T magic a.qcow2 a.qcow2",
  "compare -T none -U a.qcow2 a.qcow2",
];

/** Returns the arguments with the folder put before the names of files. */
function inFolder(args: string, folder: string): string[] {
  return args.split(" ").map((arg) => arg.replace(/(?<=^|=)\w+\.(qcow2|raw)/g, (name) => `${folder}/${name}`))
    .flatMap((arg) => arg === "-b=" ? ["-b", ""] : [arg]);
}

/** Returns sizes and times of the last change. */
async function fileTimes(...paths: string[]): Promise<string> {
  const found = await Promise.all(paths.map((path) => Deno.stat(path)));
  return found.map(({ size, mtime, ctime }) => `${size} ${mtime?.getTime()} ${ctime?.getTime()}`).join(", ");
}

Deno.test({
  name: "a script for qemu-img ends step by step with the same exit codes and images",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    const [ours, theirs] = [folder.file("ours"), folder.file("theirs")];
    for (const path of [ours, theirs]) {
      await Deno.mkdir(path);
      await qemuImgOk("create", "-q", "-f", "qcow2", `${path}/a.qcow2`, "2M");
      await qemuIo(`${path}/a.qcow2`, "write -P 3 100k 700k");
      await qemuImgOk("create", "-q", "-f", "qcow2", `${path}/leaky.qcow2`, "2M");
      await Deno.writeFile(`${path}/b.raw`, new Uint8Array(2 << 20).fill(1));
      for (const name of ["base.raw", "other.raw"]) {
        await Deno.writeFile(`${path}/${name}`, new Uint8Array(4 << 20).fill(2));
      }
      using file = await Deno.open(`${path}/leaky.qcow2`, { write: true });
      await file.seek(2 * 65536 + 100, Deno.SeekMode.Start);
      await file.write(new Uint8Array([0, 1, 0, 1]));
      await file.truncate(60 * 65536);
    }
    /** The files of each name when they were last found to be equal. */
    const judged = new Map<string, string>();
    for (const args of script) {
      const expected = await qemuImg(...inFolder(args, theirs));
      const io = fakeIo();
      const code = await main(inFolder(args, ours), io);
      assert.equal(code, expected.code, `${args}: ${io.stderr}${io.stdout}\n${expected.stderr}${expected.stdout}`);
      if (args.includes("json") && code === 0) {
        const [one, other] = [JSON.parse(io.stdout), JSON.parse(expected.stdout)];
        assert.deepEqual({ ...one, filename: "" }, { ...other, filename: "" }, args);
      }
      for (const name of ["a.qcow2", "b.raw", "base.raw"]) {
        const files = await fileTimes(`${ours}/${name}`, `${theirs}/${name}`);
        if (judged.get(name) === files) continue;
        judged.set(name, files);
        const [format] = name.split(".").slice(-1);
        const same = await qemuImg("compare", "-f", format!, "-F", format!, `${ours}/${name}`, `${theirs}/${name}`);
        assert.equal(same.code, 0, `after "${args}": ${name}: ${same.stdout}${same.stderr}`);
        if (format !== "raw") assert.equal((await qemuImg("check", `${ours}/${name}`)).code, 0, `after "${args}"`);
      }
    }
  },
});

Deno.test({
  name: "--print-permissions of a change names all files that the change needs",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    const [top, base] = [folder.file("top.qcow2"), folder.file("base.raw")];
    await Deno.writeFile(base, new Uint8Array(1 << 20).fill(7));
    await qemuImgOk("create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", top);
    for (
      const args of [
        ["commit", top],
        ["resize", top, "+1M"],
        ["check", top],
        ["snapshot", "-c", "one", top],
        ["snapshot", "-l", top],
        ["bitmap", "--add", top, "day"],
        ["amend", "-o", "lazy_refcounts=on", top],
        ["bench", "-w", "-c", "9", top],
        ["bench", "-c", "9", top],
        ["check", "-r", "all", "--image-opts", `driver=qcow2,file.filename=${top}`],
        ["rebase", "-b", "", top],
      ]
    ) {
      const io = fakeIo();
      assert.equal(await main([args[0]!, "--print-permissions", ...args.slice(1)], io), 0, io.stderr);
      const grants = (name: string) => new RegExp(`--allow-${name}=(\\S+)`).exec(io.stdout)?.[1]?.split(",") ?? [];
      const ran = await diskcastProcess(args, { read: grants("read"), write: grants("write") });
      assert.equal(ran.code, 0, `${args.join(" ")}: ${io.stdout}${ran.stderr}`);
    }
  },
});
