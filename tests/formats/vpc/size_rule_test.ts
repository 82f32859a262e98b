import assert from "node:assert/strict";
import { diskcast } from "../../support/diskcast.ts";
import { hasQemu, qemuImgOk, scratch } from "../../support/qemu.ts";

Deno.test("force_size_calc chooses the field that states the size, as for qemu-img", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  const path = folder.file("a.vhd");
  const created = await diskcast("create", "-q", "-f", "vpc", path, "10M");
  assert.equal(created.code, 0, created.stderr);
  // A geometry of fewer sectors than the current size states, in both footers.
  const bytes = await Deno.readFile(path);
  for (const footer of [bytes.subarray(0, 512), bytes.subarray(bytes.length - 512)]) {
    footer.set([0, 200, 4, 17], 56);
    const view = new DataView(footer.buffer, footer.byteOffset);
    view.setUint32(64, 0);
    view.setUint32(64, ~footer.reduce((sum, byte) => sum + byte, 0) >>> 0);
  }
  await Deno.writeFile(path, bytes);
  for (const rule of ["auto", "chs", "current_size"]) {
    const args = ["info", "--output=json", "--image-opts", `driver=vpc,force_size_calc=${rule},file.filename=${path}`];
    const { code, stdout, stderr } = await diskcast(...args);
    assert.equal(code, 0, stderr);
    const sizeIn = (text: string) => JSON.parse(text)["virtual-size"];
    const expected = { auto: 10 << 20, chs: 200 * 4 * 17 * 512, current_size: 10 << 20 }[rule];
    assert.equal(sizeIn(stdout), expected, rule);
    // QEMU takes the geometry for creators that it does not know.
    if (rule !== "auto") assert.equal(sizeIn(await qemuImgOk(...args)), expected, rule);
  }
});
