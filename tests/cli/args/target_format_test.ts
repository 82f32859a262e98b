/** The format of a target without `-O`, and endings that disagree with it. */
import assert from "node:assert/strict";
import { parseConvert } from "../../../cli/commands/convert.ts";
import { diskcast } from "../../support/diskcast.ts";
import { scratch } from "../../support/qemu.ts";
import { allFormats } from "../../../mod.ts";

async function jobOf(args: readonly string[], asQemuImg = false) {
  const request = await parseConvert(args, allFormats, false, asQemuImg);
  assert(request.kind === "job");
  return { format: request.job.target.format, warnings: request.view.warnings };
}

const ENDINGS: readonly (readonly [target: string, format: string])[] = [
  ["b.qcow2", "qcow2"],
  ["B.QCOW2", "qcow2"],
  ["d.d/b.vmdk", "vmdk"],
  ["b.vhd", "vpc"],
  ["b.vhdx", "vhdx"],
  ["b.vdi", "vdi"],
  ["b.raw", "raw"],
  ["b.img", "raw"],
  ["b", "raw"],
  ["folder.vmdk/b", "raw"],
  ["b-flat.vmdk", "raw"],
  ["b-s001.vmdk", "raw"],
  ["/dev/sdz", "raw"],
];

for (const [target, format] of ENDINGS) {
  Deno.test(`without -O, ${target} is ${format}; as qemu-img it is raw`, async () => {
    assert.deepEqual(await jobOf(["a", target]), { format, warnings: [] });
    assert.deepEqual(await jobOf(["-n", "a", target]), { format, warnings: [] });
    assert.equal((await jobOf(["a", target], true)).format, "raw");
  });
}

Deno.test("an ending that disagrees with -O has a warning, .img agrees with every format", async () => {
  const cases = [["raw", "b.vmdk"], ["qcow2", "b.raw"], ["vpc", "b.vhdx"], ["qcow2", "b.iso"]];
  for (const [format = "", target = ""] of cases) {
    const { warnings } = await jobOf(["-O", format, "a", target]);
    assert.match(warnings.join(), new RegExp(`"${target}" has the ending of .* gets the format ${format}`));
  }
  for (const args of [["-O", "qcow2", "a", "b.img"], ["-O", "raw", "a", "b-flat.vmdk"], ["-O", "vpc", "a", "b.vhd"]]) {
    assert.deepEqual((await jobOf(args)).warnings, []);
  }
  assert.match((await jobOf(["--for", "azure", "a", "b.vmdk"])).warnings.join(), /the ending of vmdk/);
});

Deno.test("convert and plan write what the ending says; as qemu-img they write raw in silence", async () => {
  await using folder = await scratch();
  const [source, target] = [folder.file("a.raw"), folder.file("b.vdi")];
  await Deno.writeFile(source, new Uint8Array(1 << 20));
  const formatNow = async () => JSON.parse((await diskcast("info", "--output=json", target)).stdout).format;
  assert.match((await diskcast("plan", "-f", "raw", "--output=json", source, target)).stdout, /"format": "vdi"/);
  assert.deepEqual(await diskcast("convert", "-f", "raw", source, target), { code: 0, stdout: "", stderr: "" });
  assert.equal(await formatNow(), "vdi");
  const asQemuImg = await diskcast("--as-qemu-img", "convert", "-f", "raw", source, target);
  assert.deepEqual(asQemuImg, { code: 0, stdout: "", stderr: "" });
  assert.equal(await formatNow(), "raw");
});
