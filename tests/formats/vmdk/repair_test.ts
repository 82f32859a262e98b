import assert from "node:assert/strict";
import { check } from "../../../core/check.ts";
import { tryFolderCrashes } from "../../support/crash_matrix.ts";
import { assertBytes, fingerprint } from "../../support/model.ts";
import { guestBytes, hasQemu, qemuImg, qemuImgOk, qemuIo, rng, scratch, seed } from "../../support/qemu.ts";
import { bytesOf, openPath } from "./support.ts";

const runSeed = seed();
const MIB = 1 << 20;

/** An image of two grain tables with some data, in one file or in an extent of its own. */
async function make(path: string, subformat = "monolithicSparse"): Promise<string> {
  await qemuImgOk("create", "-q", "-f", "vmdk", "-o", `subformat=${subformat}`, path, "40M");
  await qemuIo(["-f", "vmdk", path], "write -P 1 0 300k", "write -P 2 9M 100k", "write -P 3 39M 1M");
  return subformat === "monolithicSparse" ? path : path.replace(".vmdk", "-s001.vmdk");
}

/** Where the directories and the first tables are, in bytes. */
function locationsIn(bytes: Uint8Array) {
  const view = new DataView(bytes.buffer);
  const [second, first] = [view.getUint32(48, true) * 512, view.getUint32(56, true) * 512];
  return {
    view,
    directories: [first, second],
    tables: [view.getUint32(first, true) * 512, view.getUint32(second, true) * 512],
  };
}

type Damage = (locations: ReturnType<typeof locationsIn>) => void;

/** What is damaged, how many corruptions that is, and how many stay. */
const DAMAGES: readonly (readonly [name: string, found: number, left: number, damage: Damage])[] = [
  ["nothing", 0, 0, () => {}],
  ["the second copy of a table", 1, 0, ({ view, tables }) => view.setUint32(tables[1] + 4, 0)],
  ["the directory's entry of a second copy", 1, 0, ({ view, directories }) => view.setUint32(directories[1], 0)],
  ["an entry past the end of the file", 2, 0, ({ view, tables }) => view.setUint32(tables[0] + 4, 0x7fffffff, true)],
  ["the directory's entry of a first copy", 1, 0, ({ view, directories }) => view.setUint32(directories[0], 0)],
  ["an entry in both copies", 1, 1, ({ view, tables }) => {
    for (const table of tables) view.setUint32(table + 4, 0x7fffffff, true);
  }],
  ["an entry that both copies give to two grains", 1, 1, ({ view, tables }) => {
    for (const table of tables) view.setUint32(table + 4, view.getUint32(table));
  }],
  ["an entry whose second copy is another's grain", 2, 1, ({ view, tables }) => {
    view.setUint32(tables[0] + 4, 0x7fffffff, true);
    view.setUint32(tables[1] + 4, view.getUint32(tables[1]));
  }],
  ["the mark of a closed image", 0, 0, ({ view }) => view.setUint8(72, 1)],
];

for (const subformat of ["monolithicSparse", "twoGbMaxExtentSparse"]) {
  for (const [name, corruptions, left, damage] of DAMAGES) {
    Deno.test({
      name: `check -r mends ${name}: ${subformat}`,
      ignore: !hasQemu,
      async fn() {
        await using folder = await scratch();
        const path = folder.file("a.vmdk");
        const extent = await make(path, subformat);
        const model = await guestBytes(path, "vmdk");
        const bytes = await Deno.readFile(extent);
        damage(locationsIn(bytes));
        const longer = new Uint8Array(bytes.length + 200_000);
        longer.set(bytes);
        await Deno.writeFile(extent, longer);
        const found = await check({ path, format: "vmdk" });
        assert.deepEqual(
          [found.corruptions, found.leaks],
          [corruptions, corruptions > 0 ? 0 : 3],
          JSON.stringify(found),
        );
        const fewer = await check({ path, format: "vmdk" }, { repair: "leaks" });
        assert.deepEqual([fewer.corruptions, fewer.leaksFixed], [corruptions, corruptions > 0 ? 0 : 3]);
        const mended = await check({ path, format: "vmdk" }, { repair: "all" });
        assert.deepEqual([mended.corruptions, mended.corruptionsFixed, mended.leaks], [left, corruptions - left, 0]);
        if (left > 0) return;
        assertBytes(await guestBytes(path, "vmdk"), model);
        await using disk = await openPath(path);
        assertBytes(await bytesOf(disk), model);
        for (const file of new Set([path, extent])) {
          if (file === path) assert.equal((await qemuImg("check", file)).code, 0);
        }
        const after = await Deno.readFile(extent);
        assert.equal(after[72], 0);
        // A copy that was made anew lies behind everything.
        assert(after.length < longer.length || /directory/.test(name));
      },
    });
  }
}

Deno.test({
  name: "a crash while an image is mended leaves it no worse",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    const path = folder.file("a.vmdk");
    await make(path);
    const bytes = await Deno.readFile(path);
    const locations = locationsIn(bytes);
    for (const nth of [1, 2, 8]) DAMAGES[nth][3](locations);
    locations.view.setUint32(locations.directories[0] + 4, 0);
    const longer = new Uint8Array(bytes.length + 200_000);
    longer.set(bytes);
    await Deno.writeFile(path, longer);
    const before = await guestBytes(path, "vmdk");
    let now = before;
    const state = async () => {
      await using disk = await openPath(path);
      now = await bytesOf(disk);
      return fingerprint(now);
    };
    await tryFolderCrashes({
      folder: folder.path,
      action: (files) => check({ path, format: "vmdk" }, { repair: "all", files }),
      state,
      mixed: () => assertBytes(now.subarray(0, 32 * MIB), before.subarray(0, 32 * MIB)),
      random: rng(runSeed),
      most: 20,
    });
    const { corruptions, leaks } = await check({ path, format: "vmdk" });
    assert.deepEqual([corruptions, leaks], [0, 0]);
    assert.equal((await guestBytes(path, "vmdk"))[39 * MIB], 3);
  },
});
