import assert from "node:assert/strict";
import { convert } from "../../../core/convert.ts";
import { resize } from "../../../core/resize.ts";
import type { Preallocation } from "../../../formats/mod.ts";
import { tryFolderCrashes } from "../../support/crash_matrix.ts";
import { libyal } from "../../support/libyal.ts";
import { assertBytes, diskState, readAll } from "../../support/model.ts";
import { guestBytes, hasQemu, qemuImg, qemuImgOk, qemuIo, type Rng, rng, scratch, seed } from "../../support/qemu.ts";
import { AT, build, GUID, logEntry, MIB, ring, setBat } from "./build.ts";
import { filled, pathOpened } from "./support.ts";

const runSeed = seed();
const libvhdi = await libyal("vhdx");

/** All readers that there are see `model`. */
async function assertDisk(path: string, model: Uint8Array): Promise<void> {
  await using disk = await pathOpened(path);
  assertBytes(await readAll(disk), model);
  assertBytes(await guestBytes(path, "vhdx"), model);
  await qemuImgOk("check", "-q", "-f", "vhdx", path);
  if (!libvhdi) return;
  await Deno.writeFile(`${path}.model`, model);
  await libvhdi(path, `${path}.model`);
  await Deno.remove(`${path}.model`);
}

async function scribble(path: string, model: Uint8Array, random: Rng): Promise<void> {
  const start = random.int(model.length / 512) * 512;
  const length = Math.min(random.int(1, 3000) * 512, model.length - start);
  const value = random.int(1, 256);
  await qemuIo(["-f", "vhdx", path], `write -P ${value} ${start} ${length}`);
  model.fill(value, start, start + length);
}

for (const subformat of ["dynamic", "fixed"]) {
  Deno.test({
    name: `a ${subformat} disk grows and shrinks as all readers see it`,
    ignore: !hasQemu,
    async fn() {
      const random = rng(runSeed);
      await using folder = await scratch();
      const path = folder.file("a.vhdx");
      let now = random.bytes(random.int(1, 9000) * 512);
      await Deno.writeFile(folder.file("model.raw"), now);
      if (random.chance(0.5)) {
        const options = `subformat=${subformat},block_size=1M`;
        await qemuImgOk("convert", "-f", "raw", "-O", "vhdx", "-o", options, folder.file("model.raw"), path);
      } else {
        const target = { path, format: "vhdx", options: { subformat, block_size: 2 * MIB } };
        await convert({ sources: [{ path: folder.file("model.raw"), format: "raw" }], target });
      }
      for (let step = 0; step < 6; step++) {
        const size = random.int(1, random.pick([9000, 60_000])) * 512;
        const kinds: Preallocation[] = subformat === "fixed" ? ["off", "falloc", "full"] : ["off", "metadata", "full"];
        const preallocation = size > now.length ? random.pick(kinds) : "off";
        await resize({ path, format: "vhdx" }, size, { shrink: true, preallocation });
        const next = new Uint8Array(size);
        next.set(now.subarray(0, size));
        now = next;
        if (random.chance(0.5)) await assertDisk(path, now);
        await scribble(path, now, random);
        await assertDisk(path, now);
      }
    },
  });
}

async function stateOf(path: string, random: Rng): Promise<string> {
  await using disk = await pathOpened(path);
  if (random.chance(0.3)) {
    const copy = `${path}.copy`;
    await Deno.copyFile(path, copy);
    const { code, stderr } = await qemuImg("check", "-q", "-r", "all", "-f", "vhdx", copy);
    assert.equal(code, 0, stderr);
    const { "virtual-size": size } = JSON.parse(await qemuImgOk("info", "--output=json", "-f", "vhdx", copy));
    await Deno.remove(copy);
    assert.equal(size, disk.size);
  }
  return await diskState(disk);
}

const CRASHES: {
  readonly [name: string]: { from: number; to: number; fixed?: boolean; preallocation?: Preallocation };
} = {
  "growing": { from: 3 * MIB + 1536, to: 9 * MIB },
  "growing so that the BAT moves": { from: 3 * MIB + 1536, to: 140_000 * MIB },
  "growing with preallocation": { from: 3 * MIB + 1536, to: 9 * MIB, preallocation: "full" },
  "growing a fixed disk": { from: 3 * MIB + 1536, to: 9 * MIB, fixed: true },
  "shrinking": { from: 9 * MIB, to: 2 * MIB + 512 },
};

for (const [name, { from, to, fixed = false, preallocation = "off" }] of Object.entries(CRASHES)) {
  Deno.test({
    name: `a crash while ${name} leaves the old disk or the new`,
    ignore: !hasQemu,
    async fn() {
      await using folder = await scratch();
      const random = rng(runSeed);
      const path = folder.file("a.vhdx");
      const options = `subformat=${fixed ? "fixed" : "dynamic"},block_size=1M`;
      await qemuImgOk("create", "-q", "-f", "vhdx", "-o", options, path, `${from}`);
      await qemuIo(["-f", "vhdx", path], "write -P 5 0 1M", `write -P 6 ${from - 66048} 66048`);
      await tryFolderCrashes({
        folder: folder.path,
        action: (files) => resize({ path, format: "vhdx" }, to, { shrink: true, files, preallocation }),
        state: () => stateOf(path, random),
        random,
        most: 20,
      });
      assert.equal(JSON.parse(await qemuImgOk("info", "--output=json", path))["virtual-size"], to);
      await qemuIo(
        ["-f", "vhdx", path],
        `write -P 7 ${to - 4096} 4096`,
        `read -P 7 ${to - 4096} 4096`,
        "read -P 5 0 1M",
      );
    },
  });
}

Deno.test("leavings behind the end of the disk do not show when it grows", async () => {
  const bytes = build({
    size: MIB + 512,
    blocks: { 0: { state: 6, content: filled(1) }, 1: { state: 6, content: filled(2) } },
  });
  setBat(new DataView(bytes.buffer), 2, 6, AT.blocks);
  await using folder = await scratch();
  const path = folder.file("a.vhdx");
  await Deno.writeFile(path, bytes);
  await resize({ path, format: "vhdx" }, 3 * MIB);
  const model = new Uint8Array(3 * MIB).fill(1, 0, MIB).fill(2, MIB, MIB + 512);
  await using disk = await pathOpened(path);
  assertBytes(await readAll(disk), model);
});

Deno.test("what cannot change its size is refused, and stays as it is", async () => {
  await using folder = await scratch();
  const path = folder.file("a.vhdx");
  const log = ring([[0, logEntry({ sequence: 1, tail: 0, changes: [] })]]);
  const parent = { parent_linkage: `{${GUID.data}}`, relative_path: ".\\parent.vhdx" };
  const two = build({ size: 3 * MIB, blocks: { 0: { state: 6, content: filled(1) } } });
  setBat(new DataView(two.buffer), 2, 6, AT.blocks);
  const fixed = { fixed: true, blocks: { 0: { state: 6, content: filled(1) } } };
  const cases: [Uint8Array, number, Preallocation, RegExp][] = [
    [build({ size: MIB, parent }), 2 * MIB, "off", /differencing/],
    [build({ size: MIB, logGuid: GUID.log, log }), 2 * MIB, "off", /log is in use/],
    [build({ size: MIB, sector: 4096 }), 2 * MIB + 512, "off", /whole ones/],
    [build({ size: MIB }), 2 ** 46 + 512, "off", /64 TiB/],
    [build({ size: MIB, ...fixed }), 2 * MIB, "metadata", /fixed/],
    [two, 4 * MIB, "off", /has the location of another/],
  ];
  for (const [bytes, size, preallocation, message] of cases) {
    await Deno.writeFile(path, bytes);
    await assert.rejects(resize({ path, format: "vhdx" }, size, { preallocation }), { message });
    assertBytes(await Deno.readFile(path), bytes);
  }
});

Deno.test({
  name: "a file without holes gets none, by writing and by another size",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using folder = await scratch();
    const random = rng(runSeed);
    const path = folder.file("a.vhdx");
    const dense = async (after: string) => {
      const { blocks, size } = await Deno.stat(path);
      assert((blocks ?? 0) * 512 >= size, `${after}: ${blocks} blocks for ${size} bytes`);
    };
    for (const subformat of ["dynamic", "fixed"]) {
      await Deno.writeFile(folder.file("a.raw"), random.bytes(3 * MIB));
      const sources = [{ path: folder.file("a.raw"), format: "raw" }];
      const options = { subformat, block_size: MIB, sparse: false };
      await convert({ sources, target: { path, format: "vhdx", options, guestSize: 6 * MIB + 512 } });
      await dense("creation");
      const model = random.bytes(6 * MIB + 512).fill(0, 100_000, 5 * MIB);
      await Deno.writeFile(folder.file("a.raw"), model);
      await convert({ sources, target: { path, format: "vhdx", create: false } });
      await dense("writing");
      await resize({ path, format: "vhdx" }, 9 * MIB);
      await dense("growing");
      await resize({ path, format: "vhdx" }, 8 * MIB, { shrink: true });
      await dense("shrinking");
      const grown = new Uint8Array(8 * MIB);
      grown.set(model);
      await using disk = await pathOpened(path);
      assertBytes(await readAll(disk), grown);
    }
  },
});
