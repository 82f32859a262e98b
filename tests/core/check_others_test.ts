import assert from "node:assert/strict";
import { check } from "../../core/check.ts";
import { checkJson } from "../../cli/commands/check.ts";
import { hasQemu, qemuImg, qemuImgOk, qemuIo, scratch } from "../support/qemu.ts";

/** An image of `format` with some data; 32 MiB, so that every format has several blocks. */
async function make(path: string, format: string): Promise<void> {
  await qemuImgOk("create", "-q", "-f", format, path, "32M");
  await qemuIo(["-f", format, path], "write -P 1 0 3M", "write -P 2 9M 100k", "write -P 3 31M 1M");
}

async function patch(path: string, at: number, bytes: readonly number[]): Promise<void> {
  using file = await Deno.open(path, { write: true });
  await file.seek(at, Deno.SeekMode.Start);
  await file.write(new Uint8Array(bytes));
}

/** Both find the same. */
async function assertSame(path: string, format: string): Promise<number> {
  const { code, stdout, stderr } = await qemuImg("check", "-f", format, "--output=json", path);
  const result = await check({ path, format });
  const found = result.corruptions > 0 ? 2 : 0;
  assert.equal(found, code, `${JSON.stringify(result)}\n${stdout}${stderr}`);
  // Places of a VDI in which no block lies, and missing bytes, are looked for here only.
  const { leaks: _leaks, "missing-bytes": _missing, ...json } = checkJson(result);
  assert.deepEqual(json, JSON.parse(stdout));
  return found;
}

Deno.test({
  name: "check finds in VDI images what qemu-img finds",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    const path = folder.file("a.vdi");
    // The block map begins at byte 512.
    const cases: [number, number[]][] = [
      [388, [9, 0, 0, 0]],
      [512, [1, 0, 0, 0]],
      [512 + 8, [255, 0, 0, 0]],
      [512 + 4 * 20, [2, 0, 0, 0]],
    ];
    await make(path, "vdi");
    assert.equal(await assertSame(path, "vdi"), 0);
    const intact = await Deno.readFile(path);
    for (const [at, bytes] of cases) {
      await Deno.writeFile(path, intact);
      await patch(path, at, bytes);
      assert.equal(await assertSame(path, "vdi"), 2);
    }
  },
});

Deno.test({
  name: "check finds no problem in intact VMDK and VHDX images, as qemu-img does",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    for (const format of ["vmdk", "vhdx"]) {
      const path = folder.file(`a.${format}`);
      await make(path, format);
      assert.equal(await assertSame(path, format), 0);
    }
  },
});

Deno.test({
  name: "check finds blocks past the end of the file, and two at one file offset",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    const vpc = folder.file("a.vpc");
    await make(vpc, "vpc");
    assert.equal((await check({ path: vpc, format: "vpc" })).corruptions, 0);
    const intact = await Deno.readFile(vpc);
    // The block allocation table begins at byte 1536; its second entry becomes the first.
    await patch(vpc, 1536 + 4, [...intact.subarray(1536, 1540)]);
    assert.equal((await check({ path: vpc, format: "vpc" })).corruptions, 1);
    await patch(vpc, 1536 + 4, [0x7f, 0, 0, 0]);
    assert.equal((await check({ path: vpc, format: "vpc" })).corruptions, 1);

    const vmdk = folder.file("a.vmdk");
    await make(vmdk, "vmdk");
    const header = new DataView((await Deno.readFile(vmdk)).buffer);
    const table = header.getUint32(header.getUint32(56, true) * 512, true) * 512;
    // The grain of the guest bytes from 9 MiB on becomes that of the first bytes.
    await patch(vmdk, table + 4 * 144, [...new Uint8Array(header.buffer, table, 4)]);
    const shared = await check({ path: vmdk, format: "vmdk" });
    const message = `The guest bytes from ${144 << 16} on have the same location as those from 0 on`;
    // The other copy of the table says what it said before.
    assert.deepEqual([shared.corruptions, shared.problems[0].message], [2, message]);
    await make(vmdk, "vmdk");
    const { size } = await Deno.stat(vmdk);
    await Deno.truncate(vmdk, size - 65536);
    assert.equal((await check({ path: vmdk, format: "vmdk" })).corruptions, 1);
    assert.notEqual((await qemuImg("check", "-f", "vmdk", vmdk)).code, 0);
  },
});

Deno.test("raw images have nothing to check", async () => {
  const path = await Deno.makeTempFile({ suffix: ".raw" });
  assert.equal((await check({ path, format: "raw" })).unsupported, true);
  await Deno.remove(path);
});
