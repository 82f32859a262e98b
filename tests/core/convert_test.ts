/** Whole jobs on real files: their results, and the operations on the files. */
import assert from "node:assert/strict";
import { convert } from "../../core/convert.ts";
import type { WorkerIo } from "../../core/workers/worker_io.ts";
import type { ConvertEvent } from "../../core/events.ts";
import type { ConvertJob } from "../../core/job.ts";
import { partName } from "../../core/target/part_name.ts";
import { type Files, hostFiles } from "../../formats/mod.ts";
import { type FileOperation, watchedFiles } from "../support/files.ts";
import { hasQemu, heldForReading, heldOpen, qemuImgOk, qemuIo, type Scratch, scratch } from "../support/qemu.ts";

const KIB = 1024;

/** Runs a job and returns the operations on its files, and the events. */
async function record(job: ConvertJob): Promise<{ operations: FileOperation[]; events: ConvertEvent[] }> {
  const operations: FileOperation[] = [];
  const events: ConvertEvent[] = [];
  await convert(job, {
    files: watchedFiles((operation) => operations.push(operation)),
    onEvent: (event) => events.push(event),
  });
  return { operations, events };
}

async function rawFile(folder: Scratch, name: string, length: number, fill: (bytes: Uint8Array) => void = () => {}) {
  const bytes = new Uint8Array(length);
  fill(bytes);
  await Deno.writeFile(folder.file(name), bytes);
  return folder.file(name);
}

const rawJob = (folder: Scratch, ...sources: string[]): ConvertJob => ({
  sources: sources.map((path) => ({ path, format: "raw" })),
  target: { path: folder.file("out.raw"), format: "raw" },
});

Deno.test("raw to raw is exact to the byte, alone and joined", async () => {
  await using folder = await scratch();
  const five = await rawFile(folder, "five", 5, (bytes) => bytes.fill(5));
  const odd = await rawFile(folder, "odd", 70_001, (bytes) => bytes.fill(9, 60_000));
  await convert(rawJob(folder, five));
  assert.deepEqual(await Deno.readFile(folder.file("out.raw")), await Deno.readFile(five));
  await convert(rawJob(folder, five, odd, five));
  const joined = [...await Deno.readFile(five), ...await Deno.readFile(odd), ...await Deno.readFile(five)];
  assert.deepEqual([...await Deno.readFile(folder.file("out.raw"))], joined);
});

Deno.test("an empty source gives an empty target", async () => {
  await using folder = await scratch();
  await convert(rawJob(folder, await rawFile(folder, "empty", 0)));
  assert.equal((await Deno.stat(folder.file("out.raw"))).size, 0);
});

Deno.test("zeroes inside data are not written, and each byte of data is read and written once", async () => {
  await using folder = await scratch();
  const source = await rawFile(
    folder,
    "source",
    640 * KIB,
    (bytes) => bytes.fill(1, 0, 100 * KIB).fill(2, 300 * KIB, 400 * KIB),
  );
  const { operations } = await record({ ...rawJob(folder, source), sync: "never" });
  const of = (op: string, file: string) =>
    operations.filter((operation) => operation.op === op && operation.file === file).map((
      { start, end },
    ) => [start / KIB, end / KIB]);
  assert.deepEqual(of("write", ".out.raw.diskcast"), [[0, 100], [300, 400]]);
  assert.deepEqual(of("zero", ".out.raw.diskcast"), []);
  const reads = of("read", "source");
  if (reads.length > 0) {
    let at = 0;
    for (const [start, end] of reads) {
      assert.ok(start >= at, "nothing is read twice");
      at = end;
    }
  }
  assert.equal((await Deno.stat(folder.file("out.raw"))).size, 640 * KIB);
});

Deno.test("-S 0 writes everything, -S 64k keeps small zeroes", async () => {
  await using folder = await scratch();
  const source = await rawFile(
    folder,
    "source",
    256 * KIB,
    (bytes) => bytes.fill(1, 0, 4 * KIB).fill(1, 60 * KIB, 64 * KIB),
  );
  const written = async (sparseSize: number) => {
    const { operations } = await record({ ...rawJob(folder, source), sparseSize });
    return operations.filter(({ op }) => op === "write").map(({ start, end }) => [start / KIB, end / KIB]);
  };
  assert.deepEqual(await written(0), [[0, 256]]);
  assert.deepEqual(await written(4096), [[0, 4], [60, 64]]);
  assert.deepEqual(await written(64 * KIB), [[0, 64]]);
});

Deno.test({
  name: "stated zeroes are not read, and not written to a new target",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    const source = folder.file("source.qcow2");
    await qemuImgOk("create", "-q", "-f", "qcow2", source, "64M");
    await qemuIo(
      source,
      "write -P 1 0 1M",
      "write -P 2 8M 1M",
      "write -z 8M 1M",
      "write -z 20M 8M",
      "write -P 3 40M 64k",
    );
    const { operations, events } = await record({
      sources: [{ path: source }],
      target: { path: folder.file("out.raw"), format: "raw" },
    });
    const data = operations.filter(({ op, file, start }) =>
      op === "read" && file === "source.qcow2" && start >= 64 * KIB
    );
    const sizes = data.reduce((sum, { start, end }) => sum + end - start, 0);
    // Besides 1 MiB + 64 KiB of data only metadata is read, clusters of 64 KiB.
    assert.ok(sizes <= (1024 + 64 + 4 * 64) * KIB, `${sizes} bytes are read`);
    const writes = operations.filter(({ op, file }) => op === "write" && file === ".out.raw.diskcast");
    assert.deepEqual([...new Set(writes.map(({ start }) => Math.floor(start / (1024 * KIB))))], [0, 40]);
    assert.equal(operations.filter(({ op }) => op === "zero").length, 0);
    const plan = events.find((event) => event.type === "plan");
    assert.deepEqual(plan?.totals, { data: (1024 + 64) * KIB, zero: 0, skip: (63 * 1024 - 64) * KIB });
    assert.equal((await qemuImgOk("compare", source, folder.file("out.raw"))).trim(), "Images are identical.");
  },
});

Deno.test("progress counts settled pieces: extents tile the disk, and their sums are those of the plan", async () => {
  await using folder = await scratch();
  const source = await rawFile(folder, "source", 3_000_000, (bytes) => bytes.fill(1, 1_000_000, 1_500_000));
  const { events } = await record(rawJob(folder, source));
  const totals = { data: 0, zero: 0, skip: 0 };
  let at = 0;
  for (const event of events) {
    if (event.type !== "extent") continue;
    assert.equal(event.start, at);
    at = event.end;
    totals[event.action === "copy" ? "data" : event.action] += event.end - event.start;
  }
  assert.equal(at, 3_000_000);
  const plan = events.find((event) => event.type === "plan");
  assert.deepEqual(plan?.totals, totals);
  assert.deepEqual(events.filter((event) => event.type === "phase").map((event) => event.phase), [
    "inspect",
    "plan",
    "copy",
    "finish",
  ]);
});

Deno.test("-n writes into the existing file: zeroes are zeroed, the tail is kept; --target-is-zero skips them", async () => {
  await using folder = await scratch();
  const source = await rawFile(folder, "source", 256 * KIB, (bytes) => bytes.fill(1, 0, 64 * KIB));
  const target = await rawFile(folder, "out.raw", 512 * KIB, (bytes) => bytes.fill(0xee));
  const job: ConvertJob = { ...rawJob(folder, source), target: { path: target, format: "raw", create: false } };
  await convert(job);
  const bytes = await Deno.readFile(target);
  assert.deepEqual(bytes.subarray(0, 256 * KIB), await Deno.readFile(source));
  assert.ok(bytes.subarray(256 * KIB).every((byte) => byte === 0xee));

  await rawFile(folder, "out.raw", 512 * KIB, (bytes) => bytes.fill(0xee));
  await convert({ ...job, target: { ...job.target, isZero: true } });
  const skipped = await Deno.readFile(target);
  assert.ok(skipped.subarray(0, 64 * KIB).every((byte) => byte === 1));
  assert.ok(skipped.subarray(64 * KIB).every((byte) => byte === 0xee));

  await rawFile(folder, "out.raw", 100 * KIB);
  await assert.rejects(convert(job), {
    kind: "usage",
    message: /has 102400 bytes, and the source has 262144; give a larger/,
  });
});

Deno.test("a source and a target may be windows of files", async () => {
  await using folder = await scratch();
  const source = await rawFile(folder, "source", 8 * KIB, (bytes) => bytes.fill(1, 2 * KIB, 4 * KIB));
  const target = await rawFile(folder, "target", 8 * KIB, (bytes) => bytes.fill(7));
  await convert({
    sources: [{ path: source, format: "raw", offset: 2 * KIB, size: 2 * KIB }],
    target: { path: target, format: "raw", create: false, offset: 4 * KIB, size: 2 * KIB },
  });
  const expected = new Uint8Array(8 * KIB).fill(7).fill(1, 4 * KIB, 6 * KIB);
  assert.deepEqual(await Deno.readFile(target), expected);
});

Deno.test("a target that is a source is refused, by name, link, hard link, and anywhere in the chain", async () => {
  await using folder = await scratch();
  const source = await rawFile(folder, "source", 4 * KIB, (bytes) => bytes.fill(1));
  const before = await Deno.readFile(source);
  await Deno.symlink(source, folder.file("soft"));
  await Deno.link(source, folder.file("hard"));
  for (const path of [source, folder.file("soft"), folder.file("hard"), `${folder.path}/./source`]) {
    for (const create of [true, false]) {
      const job: ConvertJob = { sources: [{ path: source, format: "raw" }], target: { path, format: "raw", create } };
      await assert.rejects(convert({ ...job, forceShare: true }), { kind: "refused", message: /reads|read by/ }, path);
    }
  }
  if (hasQemu) {
    await qemuImgOk("create", "-q", "-f", "qcow2", "-b", source, "-F", "raw", folder.file("top.qcow2"));
    const job: ConvertJob = { sources: [{ path: folder.file("top.qcow2") }], target: { path: source, format: "raw" } };
    await assert.rejects(convert({ ...job, forceShare: true }), { kind: "refused" });
  }
  assert.deepEqual(await Deno.readFile(source), before);
});

Deno.test({
  name: "a file that is replaced keeps its owner and its group",
  // Only root may give files away.
  ignore: Deno.build.os === "windows" || Deno.uid() !== 0,
  async fn() {
    await using folder = await scratch();
    const [source, target] = [folder.file("source.raw"), folder.file("target.raw")];
    await Deno.writeFile(source, new Uint8Array(4096).fill(1));
    await Deno.writeFile(target, new Uint8Array(1), { mode: 0o640 });
    await Deno.chown(target, 1234, 2345);
    await convert({ sources: [{ path: source, format: "raw" }], target: { path: target, format: "raw" } });
    const { uid, gid, mode, size } = await Deno.stat(target);
    assert.deepEqual([uid, gid, mode! & 0o777, size], [1234, 2345, 0o640, 4096]);
  },
});

Deno.test("a link to a file stays a link, and the file that it leads to is replaced with its access rights", async () => {
  await using folder = await scratch();
  const source = await rawFile(folder, "source", 4 * KIB, (bytes) => bytes.fill(1));
  await Deno.mkdir(folder.file("elsewhere"));
  const real = await rawFile(folder, "elsewhere/real", 10);
  await Deno.chmod(real, 0o600);
  await Deno.symlink(real, folder.file("out.raw"));
  await convert(rawJob(folder, source));
  assert.ok((await Deno.lstat(folder.file("out.raw"))).isSymlink);
  assert.deepEqual(await Deno.readFile(real), await Deno.readFile(source));
  assert.equal((await Deno.stat(real)).mode! & 0o777, 0o600);
  // A link to what is still to come makes it there.
  await Deno.remove(real);
  await convert(rawJob(folder, source));
  assert.ok((await Deno.lstat(folder.file("out.raw"))).isSymlink);
  assert.deepEqual(await Deno.readFile(real), await Deno.readFile(source));
  await Deno.symlink("round", folder.file("round"));
  const job = { ...rawJob(folder, source), target: { path: folder.file("round"), format: "raw" } };
  await assert.rejects(convert(job), { name: "ImageError" });
});

Deno.test("names that are too long for a temporary name get one of their own", async () => {
  await using folder = await scratch();
  const source = await rawFile(folder, "source", 4 * KIB, (bytes) => bytes.fill(1));
  const names = ["a", "b"].map((end) => `${"ü".repeat(125)}${end}.raw`);
  const [first, second] = names.map((name) => partName(folder.file(name)));
  assert.notEqual(first, second);
  for (const name of names) {
    await convert({ ...rawJob(folder, source), target: { path: folder.file(name), format: "raw" } });
  }
});

Deno.test("a target that another run is writing is refused; what a killed run left is replaced", async () => {
  await using folder = await scratch();
  const source = await rawFile(folder, "source", 4 * KIB, (bytes) => bytes.fill(1));
  await Deno.writeTextFile(folder.file(".out.raw.diskcast"), "left over, longer than the source".repeat(1000));
  await convert(rawJob(folder, source));
  assert.deepEqual(await Deno.readFile(folder.file("out.raw")), await Deno.readFile(source));

  await Deno.writeTextFile(folder.file(".out.raw.diskcast"), "in use");
  using other = await Deno.open(folder.file(".out.raw.diskcast"), { write: true });
  await other.lock(true);
  await assert.rejects(convert(rawJob(folder, source)), { kind: "refused", message: /another run/ });
  await assert.rejects(
    convert({
      ...rawJob(folder, folder.file(".out.raw.diskcast")),
      target: { path: folder.file("b.raw"), format: "raw" },
    }),
    { kind: "refused", message: /-U/ },
  );
});

Deno.test({
  name: "a target that a virtual machine has open is neither replaced nor changed",
  ignore: !hasQemu || Deno.build.os !== "linux",
  async fn() {
    await using folder = await scratch();
    const source = await rawFile(folder, "source", 4 * KIB, (bytes) => bytes.fill(1));
    const path = await rawFile(folder, "out.raw", 8192 * KIB, (bytes) => bytes.fill(2));
    const job = (create: boolean): ConvertJob => ({
      ...rawJob(folder, source),
      target: { path, format: "raw", create },
    });
    {
      await using _writer = await heldOpen("-f", "raw", path);
      await assert.rejects(convert(job(true)), { kind: "refused", message: /Cannot replace .*stop it first/ });
      await assert.rejects(convert(job(false)), { kind: "refused", message: /Cannot change .*stop it first/ });
    }
    {
      await using _reader = await heldForReading(path);
      await assert.rejects(convert(job(false)), { kind: "refused", message: /Cannot change .*stop it first/ });
      assert.equal((await Deno.readFile(path))[0], 2);
      // A reader of the old file goes on reading it.
      await convert(job(true));
    }
    assert.deepEqual(await Deno.readFile(path), await Deno.readFile(source));
    assert.deepEqual([...Deno.readDirSync(folder.path)].map(({ name }) => name).sort(), ["out.raw", "source"]);
  },
});

Deno.test({
  name: "a run whose temporary file was taken for a left one leaves the other run's alone",
  ignore: Deno.build.os === "windows",
  async fn() {
    await using folder = await scratch();
    const source = await rawFile(folder, "source", 4 * KIB, (bytes) => bytes.fill(1));
    const part = folder.file(".out.raw.diskcast");
    const files: Files = {
      ...hostFiles,
      async create(path) {
        const file = await hostFiles.create(path);
        await Deno.remove(path);
        await Deno.writeTextFile(path, "half of another run's");
        return file;
      },
    };
    await assert.rejects(convert(rawJob(folder, source), { files }), { kind: "refused", message: /another run/ });
    assert.equal(await Deno.readTextFile(part), "half of another run's");
    await assert.rejects(Deno.stat(folder.file("out.raw")), Deno.errors.NotFound);
  },
});

Deno.test({
  name:
    "a file that another program has put in place of the temporary file never becomes the target, and is left alone",
  ignore: Deno.build.os === "windows",
  async fn() {
    await using folder = await scratch();
    const source = await rawFile(folder, "source", 4 * KIB, (bytes) => bytes.fill(1));
    const part = folder.file(".out.raw.diskcast");
    await Deno.writeTextFile(folder.file("out.raw"), "the old file");
    for (const replaced of [true, false]) {
      const job = convert(rawJob(folder, source), {
        onEvent(event) {
          if (event.type !== "phase" || event.phase !== "finish") return;
          Deno.removeSync(part);
          if (replaced) Deno.writeTextFileSync(part, "of another program");
        },
      });
      await assert.rejects(job, { kind: "refused", message: /another program has removed or replaced/ });
      assert.equal(await Deno.readTextFile(folder.file("out.raw")), "the old file");
      if (replaced) assert.equal(await Deno.readTextFile(part), "of another program");
      await Deno.remove(part).catch(() => {});
    }
  },
});

Deno.test("a source that has the temporary name of the target is not taken for a left file", async () => {
  await using folder = await scratch();
  const source = await rawFile(folder, ".out.raw.diskcast", 4 * KIB, (bytes) => bytes.fill(1));
  for (const forceShare of [false, true]) {
    await assert.rejects(convert({ ...rawJob(folder, source), forceShare }), { kind: "refused" });
    assert.equal((await Deno.stat(source)).size, 4 * KIB);
  }
});

Deno.test("a data file is another file than the image, and no protocol", async () => {
  await using folder = await scratch();
  const source = await rawFile(folder, "source", 4 * KIB, (bytes) => bytes.fill(1));
  const target = (data_file: string) => ({ path: folder.file("out"), format: "qcow2", options: { data_file } });
  const job = (data_file: string) => ({ ...rawJob(folder, source), target: target(data_file) });
  await assert.rejects(convert(job("out")), { kind: "usage", message: /two files of the new image have this name/ });
  await assert.rejects(convert(job("nbd:x")), { kind: "usage", message: /write "\.\/nbd:x"/ });
  assert.deepEqual([...Deno.readDirSync(folder.path)].map(({ name }) => name), ["source"]);
  await convert(job("./nbd:x"));
  const back = { path: folder.file("back"), format: "raw" };
  await convert({ sources: [{ path: folder.file("out") }], target: back });
  assert.deepEqual(await Deno.readFile(back.path), await Deno.readFile(source));
});

Deno.test("what has the temporary name and is no file is named", async () => {
  await using folder = await scratch();
  const source = await rawFile(folder, "source", 4 * KIB);
  await Deno.mkdir(folder.file(".out.raw.diskcast"));
  await assert.rejects(convert(rawJob(folder, source)), {
    kind: "refused",
    message: /\.out\.raw\.diskcast": it is a folder/,
  });
});

Deno.test("salvage: what cannot be read becomes zeroes and is reported, the rest is copied", async () => {
  await using folder = await scratch();
  const source = await rawFile(folder, "source", 16 * KIB, (bytes) => bytes.fill(1));
  const files = watchedFiles(({ op, file, start, end }) => {
    const bad = op === "read" && file === "source" && start < 5 * KIB && end > 4 * KIB && end - start < 64 * KIB;
    if (bad) throw Object.assign(new Error("bad sector"), {});
  });
  // Only an ImageError is a failure of the image; anything else is a bug and must not be hidden.
  await assert.rejects(convert({ ...rawJob(folder, source), salvage: true }, { files }), /bad sector/);
  const { ImageError } = await import("../../mod.ts");
  const failing = watchedFiles(({ op, file, start, end }) => {
    const bad = op === "read" && file === "source" && start < 5 * KIB && end > 4 * KIB;
    if (bad) throw new ImageError("io", "Cannot read: bad sector");
  });
  await assert.rejects(convert(rawJob(folder, source), { files: failing }), { kind: "io" });
  const summary = await convert({ ...rawJob(folder, source), salvage: true }, { files: failing });
  assert.deepEqual(summary.bad, [{ start: 4 * KIB, end: 5 * KIB }]);
  const bytes = await Deno.readFile(folder.file("out.raw"));
  assert.deepEqual(bytes, new Uint8Array(16 * KIB).fill(1).fill(0, 4 * KIB, 5 * KIB));
});

Deno.test("salvage, a digest and a rate limit leave nothing to workers", async () => {
  await using folder = await scratch();
  const source = folder.file("source.qcow2");
  await Deno.writeFile(folder.file("a.raw"), new Uint8Array(1 << 20).fill(7));
  await convert({
    sources: [{ path: folder.file("a.raw"), format: "raw" }],
    target: { path: source, format: "qcow2", compress: true },
  });
  const { promise: never } = Promise.withResolvers<never>();
  let offers = 0;
  const workerIo: WorkerIo = {
    width: 2,
    accepts: () => (offers++, false),
    expect: () => {},
    copy: () => never,
    decompressInto: () => never,
    compare: () => never,
    hash: () => never,
    [Symbol.dispose]: () => {},
  };
  for (
    const [changes, expected] of [[{ salvage: true }, 0], [{ digest: true }, 0], [{ rateLimit: 1 << 30 }, 0], [
      {},
      2,
    ]] as const
  ) {
    offers = 0;
    const target = { path: folder.file("out.raw"), format: "raw" };
    await convert({ sources: [{ path: source, format: "qcow2" }], target, ...changes }, { workerIo });
    assert.equal(offers, expected);
  }
});

Deno.test("a rate limit is kept on average", async () => {
  await using folder = await scratch();
  const source = await rawFile(folder, "source", 512 * KIB, (bytes) => bytes.fill(1));
  const { seconds } = await convert({ ...rawJob(folder, source), rateLimit: 2 << 20 });
  assert.ok(seconds >= 0.24, `512 KiB at 2 MiB/s took ${seconds} s`);
});

Deno.test("cancelling ends the job within the copy and leaves nothing", async () => {
  await using folder = await scratch();
  const source = await rawFile(folder, "source", 8 << 20, (bytes) => bytes.fill(1));
  const controller = new AbortController();
  const job = { ...rawJob(folder, source), rateLimit: 4 << 20 };
  const onEvent = (event: ConvertEvent) => {
    if (event.type === "extent") setTimeout(() => controller.abort(), 0);
  };
  await assert.rejects(convert(job, { signal: controller.signal, onEvent }), { kind: "cancelled" });
  assert.deepEqual([...Deno.readDirSync(folder.path)].map(({ name }) => name), ["source"]);
  await assert.rejects(convert(job, { signal: AbortSignal.abort() }), { kind: "cancelled" });
});

Deno.test("a job is cancelled while space is being reserved", async () => {
  await using folder = await scratch();
  const source = folder.file("source");
  using file = await Deno.open(source, { createNew: true, write: true });
  await file.truncate(2 ** 31);
  const controller = new AbortController();
  let reserved = 0;
  const files = watchedFiles(({ op, start, end }) => {
    if (op !== "reserve") return;
    reserved += end - start;
    controller.abort();
  });
  const options = { preallocation: "falloc" };
  const job: ConvertJob = {
    ...rawJob(folder, source),
    target: { path: folder.file("out.raw"), format: "raw", options },
  };
  await assert.rejects(convert(job, { files, signal: controller.signal }), { kind: "cancelled" });
  assert.ok(reserved < 2 ** 30, `${reserved} bytes were reserved`);
  assert.deepEqual([...Deno.readDirSync(folder.path)].map(({ name }) => name), ["source"]);
});
