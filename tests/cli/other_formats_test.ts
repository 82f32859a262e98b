import assert from "node:assert/strict";
import { hasQemu, mapJson, mergedMap, qemuImgOk, scratch } from "../support/qemu.ts";
import { diskcast } from "../support/diskcast.ts";

const SAMPLE = "tests/samples/sample.qcow2";

const SUBFORMATS: readonly (readonly [format: string, option: string])[] = [
  ["vmdk", "subformat=monolithicSparse"],
  ["vmdk", "subformat=twoGbMaxExtentSparse"],
  ["vmdk", "subformat=monolithicFlat"],
  ["vmdk", "subformat=streamOptimized"],
  ["vdi", "static=off"],
  ["vpc", "subformat=dynamic,force_size=on"],
  ["vpc", "subformat=fixed,force_size=on"],
  ["vhdx", "subformat=dynamic"],
];

type Json = { [name: string]: unknown };

for (const [format, option] of SUBFORMATS) {
  Deno.test(`info, map, digest and compare of ${format} ${option}`, { ignore: !hasQemu }, async () => {
    await using folder = await scratch();
    const path = folder.file(`a.${format}`);
    await qemuImgOk("convert", "-O", format, "-o", option, SAMPLE, path);
    const info: Json = JSON.parse((await diskcast("info", "--output=json", "-f", format, path)).stdout);
    const expected: Json = JSON.parse(await qemuImgOk("info", "--output=json", "-f", format, path));
    for (const name of ["filename", "format", "virtual-size", "cluster-size", "dirty-flag"]) {
      assert.deepEqual(info[name], expected[name], name);
    }
    if (format === "vmdk") compareVmdk(info, expected);
    const [digest] = (await diskcast("digest", "-f", format, path)).stdout.split(" ");
    assert.equal(digest, (await diskcast("digest", SAMPLE)).stdout.split(" ")[0]);
    const same = await diskcast("compare", "-f", format, path, SAMPLE);
    assert.deepEqual([same.code, same.stdout], [0, "Images are identical.\n"]);
    const map = await diskcast("map", "--output=json", "-f", format, path);
    // The VHDX driver of QEMU has no block status, so qemu-img reports all of it as data.
    if (format !== "vhdx") {
      assert.deepEqual(mergedMap(JSON.parse(map.stdout)), mergedMap(await mapJson(path, format)));
    }
  });
}

/** Compares the fields of VMDK; QEMU gives no file name to an extent in the image file itself. */
function compareVmdk(info: Json, expected: Json): void {
  const data = (json: Json) => (json["format-specific"] as { data: Json }).data;
  for (const name of ["cid", "parent-cid", "create-type"]) assert.equal(data(info)[name], data(expected)[name], name);
  const [ours] = data(info)["extents"] as Json[];
  const [theirs] = data(expected)["extents"] as Json[];
  for (const name of ["virtual-size", "cluster-size", "compressed"]) assert.equal(ours[name], theirs[name], name);
}
