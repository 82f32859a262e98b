/** A plan says what the job then does, and leaves no trace. */
import assert from "node:assert/strict";
import { convert } from "../../core/convert.ts";
import { planConversion } from "../../core/plan_conversion.ts";
import { allFormats } from "../../formats/mod.ts";
import { rng, scratch } from "../support/qemu.ts";

for (const format of allFormats.filter((one) => one.create)) {
  Deno.test(`${format.name}: the plan counts what the job does, and its prediction holds`, async () => {
    await using folder = await scratch();
    const source = folder.file("a.qcow2");
    const raw = new Uint8Array(8 << 20);
    for (let at = 0; at < raw.length; at += 4 << 20) raw.set(rng(at).bytes(65536), at);
    await Deno.writeFile(folder.file("a.raw"), raw);
    await convert({ sources: [{ path: folder.file("a.raw") }], target: { path: source, format: "qcow2" } });
    const job = {
      sources: [{ path: source }],
      target: { path: folder.file("out"), format: format.name, guestSize: { multipleOf: 16 << 20 } },
    };
    const before = [...Deno.readDirSync(folder.file("."))].map(({ name }) => name).sort();
    const plan = await planConversion(job);
    assert.deepEqual([...Deno.readDirSync(folder.file("."))].map(({ name }) => name).sort(), before);
    const summary = await convert(job);
    assert.deepEqual(plan.target, {
      path: job.target.path,
      format: format.name,
      size: summary.size,
      added: 8 << 20,
    });
    const { data, zero, skip } = summary.totals;
    assert.deepEqual(plan.totals, { data, zero, skip });
    const { blocks, size } = await Deno.stat(job.target.path);
    const taken = Math.min(size, blocks === null ? size : blocks * 512);
    assert.ok(taken <= plan.predicted, `predicted ${plan.predicted}, taken ${taken}`);
    // Every allocated cluster counts whole, as in the length of the file.
    assert.ok(plan.predicted <= size + (1 << 20), `predicted ${plan.predicted}, length ${size}`);
  });
}

Deno.test("a plan fails as the job would, and does not plan into what exists", async () => {
  await using folder = await scratch();
  const path = folder.file("a.raw");
  await Deno.writeFile(path, new Uint8Array(512));
  const target = { path: folder.file("out"), format: "raw" };
  const missing = planConversion({ sources: [{ path: folder.file("none") }], target });
  await assert.rejects(missing, { kind: "missing" });
  const inPlace = planConversion({ sources: [{ path }], target: { ...target, create: false } });
  await assert.rejects(inPlace, { kind: "unsupported" });
});
