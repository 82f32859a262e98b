import assert from "node:assert/strict";
import { compare } from "../../../mod.ts";
import { diskcast, startDiskcast } from "../../support/diskcast.ts";
import { faultyFiles, watchedFiles } from "../../support/files.ts";
import { hasQemu, qemuImg, qemuImgOk, qemuIo, rng, rounds, scratch, seed } from "../../support/qemu.ts";
import { samplesIn } from "./support.ts";

Deno.test("compare prints what qemu-img prints, for every pair of images", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  const samples = await samplesIn(folder);
  const random = rng(seed());
  const [raw, flat] = [folder.file("a.raw"), folder.file("a.qcow2")];
  for (const { path } of samples.filter(({ name }) => name === "top.qcow2" || name === "some.raw")) {
    await qemuImgOk("convert", "-O", "raw", path, raw);
    await qemuImgOk("convert", "-O", "qcow2", path, flat);
    samples.push({ name: "a.raw", path: raw, format: "raw" }, { name: "a.qcow2", path: flat, format: "qcow2" });
  }
  const pairs = samples.flatMap((a) => samples.map((b) => [a, b] as const));
  for (const [a, b] of pairs.filter(() => random.chance(0.3))) {
    const args = ["compare", "-f", a.format, "-F", b.format, a.path, b.path];
    const { code, stdout, stderr } = await diskcast(...args);
    const expected = await qemuImg(...args);
    assert.deepEqual([code, stdout, stderr], [expected.code, expected.stdout, ""], `${a.name} ${b.name}`);
  }
});

/**
 * Hides the offset of a status mismatch: qemu-img prints the beginning of an extent that ends too early, diskcast the
 * first byte whose status differs.
 */
function withoutOffset(text: string): string {
  return text.replace(/(?<=^Strict mode: Offset )\d+/, "N");
}

Deno.test("the first difference is found at any offset", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  const [a, b] = [folder.file("a.qcow2"), folder.file("b.qcow2")];
  const random = rng(seed());
  for (let round = 0; round < rounds(6, 12); round++) {
    for (const path of [a, b]) await qemuImgOk("create", "-q", "-f", "qcow2", path, "4M");
    const start = random.int(0, 4000);
    const length = random.int(1, 90);
    for (const path of [a, b]) await qemuIo(path, `write -P 1 ${start}k ${length}k`);
    await qemuIo(random.pick([a, b]), `write -P ${random.int(0, 3)} ${random.int(0, 4 << 20)} ${random.int(1, 4)}`);
    for (const args of [["compare", a, b], ["compare", "-s", a, b], ["compare", "-s", a, a]]) {
      const expected = await qemuImg(...args);
      const { code, stdout } = await diskcast(...args);
      assert.deepEqual([code, withoutOffset(stdout)], [expected.code, withoutOffset(expected.stdout)], args.join(" "));
    }
  }
});

Deno.test("-s compares sizes and block status", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  await qemuImgOk("create", "-q", "-f", "qcow2", folder.file("a.qcow2"), "1M");
  await qemuImgOk("create", "-q", "-f", "qcow2", folder.file("b.qcow2"), "2M");
  await qemuImgOk("create", "-q", "-f", "qcow2", folder.file("c.qcow2"), "1M");
  await qemuIo(folder.file("c.qcow2"), "write -z 64k 64k");
  for (const [one, other] of [["a", "b"], ["a", "c"], ["c", "c"], ["b", "a"]]) {
    for (const flag of ["-s", "-q", "-U", "-p"]) {
      const args = ["compare", flag, folder.file(`${one}.qcow2`), folder.file(`${other}.qcow2`)];
      const [found, expected] = [await diskcast(...args), await qemuImg(...args)];
      assert.equal(found.code, expected.code, args.join(" "));
      if (flag !== "-p") assert.equal(withoutOffset(found.stdout), withoutOffset(expected.stdout), args.join(" "));
    }
  }
});

Deno.test("exit codes state what failed", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  const path = folder.file("a.qcow2");
  await qemuImgOk("create", "-q", "-f", "qcow2", path, "1M");
  await qemuIo(path, "write -P 1 0 1M");
  const args = [["compare", path], ["compare", path, folder.file("none")], ["compare", "-f", "nonsense", path, path]];
  for (const one of args) assert.equal((await diskcast(...one)).code, (await qemuImg(...one)).code, one.join(" "));
  // An L1 entry that lies past the end of the file.
  await qemuImgOk("create", "-q", "-f", "qcow2", folder.file("b.qcow2"), "1M");
  using file = await Deno.open(folder.file("b.qcow2"), { write: true });
  await file.seek(3 * 65536, Deno.SeekMode.Start);
  await file.write(new Uint8Array([0x80, 0, 0, 1, 0, 0, 0, 0]));
  assert.equal((await diskcast("compare", path, folder.file("b.qcow2"))).code, 3);
});

Deno.test("a failed read has its exit code; known zeroes are not read", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  const [a, b] = [folder.file("a.qcow2"), folder.file("b.qcow2")];
  for (const path of [a, b]) {
    await qemuImgOk("create", "-q", "-f", "qcow2", "-o", "preallocation=falloc", path, "8M");
    await qemuIo(path, "write -z 0 7M", "write -P 1 7M 1M");
  }
  const read: number[] = [];
  const files = watchedFiles(({ op, start, end }) => op === "read" && read.push(end - start));
  assert.equal((await compare(a, b, { files })).identical, true);
  const bytes = read.reduce((sum, length) => sum + length, 0);
  assert(bytes >= 2 << 20 && bytes < 4 << 20, `${bytes} bytes were read`);
  const stages: string[] = [];
  const large = faultyFiles(({ op, start, end }) => op === "read" && end - start >= 1 << 18, 1);
  await assert.rejects(compare(a, b, { files: large.files, onStage: (stage) => stages.push(stage) }), { kind: "io" });
  assert.equal(stages.at(-1), "read");
});

Deno.test({
  name: "a signal cancels compare with its exit code",
  ignore: Deno.build.os === "windows",
  async fn() {
    await using folder = await scratch();
    for (const name of ["a.raw", "b.raw"]) {
      using file = await Deno.create(folder.file(name));
      await file.truncate(64 * 2 ** 30);
    }
    // Without FFI holes are read: 64 GiB take long enough.
    const files = [folder.file("a.raw"), folder.file("b.raw")];
    const child = startDiskcast(["compare", "--progress=json", "-f", "raw", "-F", "raw", ...files], {
      read: [folder.path],
    });
    await child.stdin.close();
    const [first, all] = child.stderr.tee();
    // Progress is printed only while the signal listeners are installed.
    assert((await first.getReader().read()).value);
    child.kill("SIGINT");
    const [{ code }, stderr, stdout] = await Promise.all([
      child.status,
      new Response(all).text(),
      new Response(child.stdout).text(),
    ]);
    assert.deepEqual([code, stdout], [130, ""]);
    assert.match(stderr, /Cancelled/);
  },
});
