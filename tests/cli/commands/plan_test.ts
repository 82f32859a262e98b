import assert from "node:assert/strict";
import { convert, estimateConversion } from "../../../mod.ts";
import { hasQemu, rng, scratch } from "../../support/qemu.ts";
import { diskcast } from "../../support/diskcast.ts";
import { samplesIn } from "./support.ts";

Deno.test("a plan predicts the conversion, and writes nothing", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  const samples = await samplesIn(folder);
  const names = async () => (await Array.fromAsync(Deno.readDir(folder.path))).map(({ name }) => name).sort();
  const before = await names();
  for (const { path, format } of samples) {
    for (const options of [["-O", "raw"], ["-O", "qcow2"], ["-c", "-O", "qcow2"]]) {
      const args = ["-f", format, ...options, path, folder.file("out")];
      const { code, stdout, stderr } = await diskcast("plan", "--output=json", ...args);
      assert.deepEqual([code, stderr], [0, ""], args.join(" "));
      assert.deepEqual(await names(), before);
      const plan = JSON.parse(stdout);
      const target = { path: folder.file("out"), format: options.at(-1)!, compress: options[0] === "-c" };
      const { totals, fileSize } = await convert({ sources: [{ path, format }], target, sync: "never" });
      const { zeroes: _zeroes, ...done } = totals;
      assert.deepEqual(plan.totals, done, args.join(" "));
      if (target.compress && totals.data > 0) assert.equal(typeof plan["compressed-file-size"], "number");
      else if (options[1] === "qcow2") assert(fileSize <= plan["file-size"] * 1.1 + 65536, `${fileSize} ${stdout}`);
      const human = await diskcast("plan", ...args);
      assert.match(human.stdout, /^source: .*\ntarget: .*\nin the source: .*\nto read and write: /);
      await Deno.remove(folder.file("out"));
    }
  }
});

Deno.test("samples estimate the compressed size within the reported error", async () => {
  await using folder = await scratch();
  const path = folder.file("a.raw");
  const random = rng(7);
  const bytes = new Uint8Array(24 << 20);
  // Each 64 KiB are partly noise, partly text.
  for (let at = 0; at < bytes.length; at += 65536) {
    bytes.fill(65, at, at + 65536);
    bytes.set(random.bytes(random.int(1, 65536)), at);
  }
  await Deno.writeFile(path, bytes);
  const target = { path: folder.file("out"), format: "qcow2", compress: true };
  const { compression, status, sampled } = await estimateConversion({ sources: [{ path, format: "raw" }], target });
  assert.deepEqual(status.data, { extents: 1, bytes: bytes.length });
  assert.equal(sampled, 8 << 20);
  const { fileSize } = await convert({ sources: [{ path, format: "raw" }], target, sync: "never" });
  const share = fileSize / bytes.length;
  assert(compression && compression.error < 0.15, JSON.stringify(compression));
  assert(Math.abs(compression.share - share) < compression.error + 0.08, `${share} ${JSON.stringify(compression)}`);
});

Deno.test("a plan for an existing target is refused", async () => {
  const { code, stderr } = await diskcast("plan", "-n", "tests/samples/sample.qcow2", "x");
  assert.equal(code, 1);
  assert.match(stderr, /only new targets are planned/);
});
