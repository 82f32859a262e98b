/** Copying by the host: `-C`, and files that share their blocks. */
import assert from "node:assert/strict";
import { convert } from "../../../core/convert.ts";
import type { ConvertJob } from "../../../core/job.ts";
import { type Files, type HostCopy, hostFiles, ImageError, type StoredFile } from "../../../formats/mod.ts";
import { diskcastProcess } from "../../support/diskcast.ts";
import { hasQemu, qemuImgOk, qemuIo, rng, run, type Scratch, scratch } from "../../support/qemu.ts";

const KIB = 1024;
const onLinux = Deno.build.os === "linux";

interface Call {
  readonly length: number;
  readonly how: HostCopy;
}

/** The host's files; new ones list the requests to copy. `copy`: returns how many bytes of a request are copied. */
function copyingFiles(calls: Call[], copy?: (length: number) => number): Files {
  return {
    ...hostFiles,
    async create(path) {
      const file = await hostFiles.create(path);
      const real = file.copyFrom?.bind(file);
      const copyFrom: StoredFile["copyFrom"] = async (source, start, end, fileOffset, how) => {
        calls.push({ length: end - start, how });
        const most = copy ? copy(end - start) : end - start;
        return most > 0 ? await real?.(source, start, start + most, fileOffset, how) ?? 0 : 0;
      };
      return Object.assign(file, { copyFrom });
    },
  };
}

/** Data of odd lengths with zeroes in and between them, as raw, as qcow2, as a chain of two cluster sizes, and in other formats. */
async function sources(folder: Scratch): Promise<{ path: string; format: string }[]> {
  const raw = folder.file("source.raw");
  await Deno.writeFile(raw, new Uint8Array(0));
  await Deno.truncate(raw, 3_000_320);
  await qemuIo(
    ["-f", "raw", raw],
    "write -P 7 0 70k",
    "write -P 8 512k 300k",
    "write -z 600k 20k",
    "write -P 9 2900k 29k",
  );
  const qcow2 = folder.file("source.qcow2");
  await qemuImgOk("convert", "-f", "raw", "-O", "qcow2", "-o", "cluster_size=4k", raw, qcow2);
  const top = folder.file("top.qcow2");
  await qemuImgOk("create", "-q", "-f", "qcow2", "-b", qcow2, "-F", "qcow2", top);
  await qemuIo(top, "write -P 5 40k 100k", "write -z 700k 64k", "discard 1M 64k");
  const others = ["vmdk", "vdi", "vhdx"].map((format) => ({ path: folder.file(`source.${format}`), format }));
  for (const { path, format } of others) await qemuImgOk("convert", "-f", "raw", "-O", format, raw, path);
  return [{ path: raw, format: "raw" }, { path: qcow2, format: "qcow2" }, { path: top, format: "qcow2" }, ...others];
}

const jobOf = (folder: Scratch, source: ConvertJob["sources"][0], format: string, rest = {}): ConvertJob => ({
  sources: [source],
  target: { path: folder.file(`out.${format}`), format },
  ...rest,
});

async function sameDisk(a: { path: string; format: string }, b: { path: string; format: string }): Promise<void> {
  await qemuImgOk("compare", "-f", a.format, "-F", b.format, a.path, b.path);
  if (b.format === "qcow2") await qemuImgOk("check", b.path);
}

Deno.test({
  name: "-C: the host copies data that is uncompressed in both files, and the disks are equal",
  ignore: !hasQemu || !onLinux,
  async fn() {
    await using folder = await scratch();
    for (const source of await sources(folder)) {
      for (const format of ["raw", "qcow2"]) {
        const calls: Call[] = [];
        const job = jobOf(folder, source, format, { offload: true });
        const { totals } = await convert(job, { files: copyingFiles(calls) });
        await sameDisk(source, job.target as { path: string; format: string });
        assert.ok(calls.length > 0 && calls.every(({ how }) => how === "copy"));
        const copied = calls.reduce((sum, { length }) => sum + length, 0);
        assert.equal(copied, totals.data, `${source.path} to ${format}: the host copies all data`);
        assert.equal(totals.zeroes, 0, "zeroes in the data are not looked for");
      }
    }
  },
});

Deno.test({
  name: "of an image that was cut off inside its last cluster, the host copies no byte that is not there",
  ignore: !hasQemu || !onLinux,
  async fn() {
    await using folder = await scratch();
    const source = { path: folder.file("cut.qcow2"), format: "qcow2" };
    await qemuImgOk("create", "-q", "-f", "qcow2", source.path, "10M");
    await qemuIo(source.path, "write -P 9 0 1M");
    const { size } = await Deno.stat(source.path);
    for (const cut of [5000, 8192]) {
      await Deno.truncate(source.path, size - cut);
      for (const format of ["raw", "qcow2"]) {
        const job = jobOf(folder, source, format, { offload: true });
        const calls: Call[] = [];
        await assert.rejects(convert(job, { files: copyingFiles(calls) }), {
          kind: "corrupt",
          message: /missing in all/,
        });
        assert.ok(calls.length > 0);
      }
    }
  },
});

Deno.test({
  name: "a host that refuses, at once or on the way, gets no further request, and the disk is whole",
  ignore: !hasQemu || !onLinux,
  async fn() {
    await using folder = await scratch();
    for (const source of await sources(folder)) {
      for (const format of ["raw", "qcow2"]) {
        for (const most of [0, 512, 5000]) {
          const calls: Call[] = [];
          const job = jobOf(folder, source, format, { offload: true });
          await convert(job, { files: copyingFiles(calls, () => most) });
          await sameDisk(source, job.target as { path: string; format: string });
          assert.equal(calls.length, 1);
        }
      }
    }
  },
});

Deno.test({
  name: "without -C the host only shares blocks, and zeroes are found where it does not",
  ignore: !hasQemu || !onLinux,
  async fn() {
    await using folder = await scratch();
    const [source] = await sources(folder);
    const calls: Call[] = [];
    const { totals } = await convert(jobOf(folder, source, "raw"), { files: copyingFiles(calls, () => 0) });
    assert.ok(calls.every(({ how }) => how === "clone"));
    assert.ok(totals.data > 0);
    await sameDisk(source, { path: folder.file("out.raw"), format: "raw" });
  },
});

Deno.test({
  name: "data that must be examined or written out never bypasses this program",
  ignore: !hasQemu || !onLinux,
  async fn() {
    await using folder = await scratch();
    const [source] = await sources(folder);
    for (const rest of [{ digest: true }, { salvage: true }, { sparseSize: 0 }]) {
      const calls: Call[] = [];
      await convert(jobOf(folder, source, "raw", rest), { files: copyingFiles(calls) });
      assert.deepEqual(calls, []);
      for (const format of ["raw", "qcow2"]) {
        const refused = convert(jobOf(folder, source, format, { ...rest, offload: true }));
        await assert.rejects(refused, (error) => error instanceof ImageError && error.kind === "usage");
      }
    }
  },
});

Deno.test({
  name: "-C does its work without --allow-ffi, too",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    const [source] = await sources(folder);
    const out = folder.file("out.qcow2");
    const { code, stderr } = await diskcastProcess([
      "convert",
      "-C",
      "-q",
      "-f",
      "raw",
      "-O",
      "qcow2",
      source.path,
      out,
    ], {
      read: [folder.path],
      write: [folder.path],
    });
    assert.equal(code, 0, stderr);
    await sameDisk(source, { path: out, format: "qcow2" });
  },
});

Deno.test({
  name: "on a file system that can, source and target share their blocks",
  ignore: !hasQemu || !onLinux,
  async fn() {
    await using folder = await scratch();
    const image = folder.file("fs.img");
    await Deno.writeFile(image, new Uint8Array(0));
    await Deno.truncate(image, 400 << 20);
    await Deno.mkdir(folder.file("fs"));
    const made = await run("mkfs.xfs", ["-q", image]).catch(() => ({ code: 1, stderr: "mkfs.xfs is not installed" }));
    const mounted = made.code === 0 ? await run("mount", ["-o", "loop", image, folder.file("fs")]) : made;
    if (mounted.code !== 0) {
      return console.warn(`blocks that are shared cannot be tested here: ${mounted.stderr.trim()}`);
    }
    try {
      const source = { path: folder.file("fs/source.raw"), format: "raw" };
      await Deno.writeFile(source.path, rng(3).bytes(20 << 20));
      const free = async () => Number((await run("stat", ["-f", "-c", "%f", folder.file("fs")])).stdout) * 4 * KIB;
      await run("sync", ["-f", folder.file("fs")]);
      const before = await free();
      for (const format of ["raw", "qcow2"]) {
        const path = folder.file(`fs/out.${format}`);
        await convert({ sources: [source], target: { path, format } });
        await sameDisk(source, { path, format });
      }
      assert.ok(before - await free() < 4 << 20, "40 MiB of disks take next to no space");
    } finally {
      await run("umount", [folder.file("fs")]);
    }
  },
});
