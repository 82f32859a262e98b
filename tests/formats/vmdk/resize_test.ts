import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { resize } from "../../../core/resize.ts";
import { convert } from "../../../core/convert.ts";
import type { Preallocation } from "../../../formats/mod.ts";
import { tryFolderCrashes } from "../../support/crash_matrix.ts";
import { libyal } from "../../support/libyal.ts";
import { assertBytes, diskState } from "../../support/model.ts";
import { guestBytes, hasQemu, qemuImg, qemuImgOk, qemuIo, type Rng, rng, scratch, seed } from "../../support/qemu.ts";
import { bytesOf, openPath } from "./support.ts";

const runSeed = seed();
const MIB = 1 << 20;

/** Sub-variants that can change their size, as qemu-img and diskcast make them. */
const KINDS = [
  "subformat=monolithicSparse",
  "subformat=monolithicSparse,zeroed_grain=on",
  "subformat=monolithicFlat",
  "subformat=twoGbMaxExtentSparse",
  "subformat=twoGbMaxExtentFlat",
];

const libvmdk = await libyal("vmdk");

/** All readers that there are see `model`. */
async function assertDisk(path: string, model: Uint8Array): Promise<void> {
  await using disk = await openPath(path);
  assert.equal(disk.size, model.length);
  if (disk.backing === null) assertBytes(await bytesOf(disk), model);
  assertBytes(await guestBytes(path, "vmdk"), model);
  if (!path.includes("Flat")) await qemuImgOk("check", "-q", "-f", "vmdk", path);
  if (!libvmdk || disk.backing !== null) return;
  await Deno.writeFile(`${path}.model`, model);
  await libvmdk(path, `${path}.model`);
  await Deno.remove(`${path}.model`);
}

async function scribble(path: string, model: Uint8Array, random: Rng): Promise<void> {
  const commands = Array.from({ length: 4 }, () => {
    const start = random.int(model.length / 512) * 512;
    const length = Math.min(random.int(1, 600) * 512, model.length - start);
    const value = random.int(1, 256);
    model.fill(value, start, start + length);
    return `write -P ${value} ${start} ${length}`;
  });
  await qemuIo(["-f", "vmdk", path], ...commands);
}

for (const options of KINDS) {
  Deno.test({
    name: `a disk with ${options} grows and shrinks as all readers see it`,
    ignore: !hasQemu,
    async fn() {
      const random = rng(runSeed);
      await using folder = await scratch();
      const path = folder.file(options.includes("Flat") ? "a-Flat.vmdk" : "a.vmdk");
      const model = random.bytes(random.int(1, 6000) * 512);
      await Deno.writeFile(folder.file("model.raw"), model);
      if (random.chance(0.5)) {
        await qemuImgOk("convert", "-f", "raw", "-O", "vmdk", "-o", options, folder.file("model.raw"), path);
      } else {
        const pairs = options.split(",").map((one) => one.split("="));
        await convert({
          sources: [{ path: folder.file("model.raw"), format: "raw" }],
          target: { path, format: "vmdk", options: Object.fromEntries(pairs.map(([k, v]) => [k, v === "on" || v])) },
        });
      }
      let now = model;
      for (let step = 0; step < 5; step++) {
        const size = random.int(1, random.pick([6000, 90_000])) * 512;
        const preallocation: Preallocation = size > now.length
          ? random.pick(
            options.includes("Flat") ? ["off", "falloc", "full"] : ["off", "off", "metadata", "falloc", "full"],
          )
          : "off";
        await resize({ path, format: "vmdk" }, size, { shrink: true, preallocation });
        const next = new Uint8Array(size);
        next.set(now.subarray(0, size));
        now = next;
        if (random.chance(0.5)) await assertDisk(path, now);
        await scribble(path, now, random);
        await assertDisk(path, now);
      }
      if (options.includes("Sparse")) return;
      const before = await Deno.readFile(path);
      await assert.rejects(resize({ path, format: "vmdk" }, 90 * MIB, { preallocation: "metadata" }), {
        kind: "usage",
      });
      assertBytes(await Deno.readFile(path), before);
    },
  });
}

/** What a reader of the specification sees; qemu-img must see the same where it looks at the same numbers. */
async function stateOf(path: string): Promise<string> {
  await using disk = await openPath(path);
  await qemuImgOk("check", "-q", "-f", "vmdk", path);
  return await diskState(disk);
}

const CRASHES: {
  readonly [name: string]: { options: string; from: number; to: number; preallocation?: Preallocation };
} = {
  "growing within a table": { options: "subformat=monolithicSparse", from: 3 * MIB + 1536, to: 9 * MIB },
  "growing by many tables": { options: "subformat=monolithicSparse", from: 3 * MIB + 1536, to: 5000 * MIB },
  "growing with preallocation": {
    options: "subformat=monolithicSparse",
    from: 3 * MIB + 1536,
    to: 36 * MIB,
    preallocation: "metadata",
  },
  "shrinking": { options: "subformat=monolithicSparse", from: 70 * MIB, to: 2 * MIB + 512 },
  "growing a flat file": { options: "subformat=monolithicFlat", from: 3 * MIB, to: 4 * MIB },
  "shrinking a flat file": { options: "subformat=monolithicFlat", from: 3 * MIB, to: 2 * MIB },
  "growing by extents": { options: "subformat=twoGbMaxExtentSparse", from: 3 * MIB, to: 4500 * MIB },
};

for (const [name, { options, from, to, preallocation }] of Object.entries(CRASHES)) {
  Deno.test({
    name: `a crash while ${name} leaves the old disk or the new`,
    ignore: !hasQemu,
    async fn() {
      await using folder = await scratch();
      const random = rng(runSeed);
      const path = folder.file("a.vmdk");
      await qemuImgOk("create", "-q", "-f", "vmdk", "-o", options, path, `${from}`);
      await qemuIo(["-f", "vmdk", path], "write -P 5 0 1M", `write -P 6 ${from - 66048} 66048`);
      const count = await tryFolderCrashes({
        folder: folder.path,
        action: (files) =>
          resize({ path, format: "vmdk" }, to, { shrink: true, files, ...(preallocation && { preallocation }) }),
        state: () => stateOf(path),
        random,
      });
      assert(count > 3);
      await using disk = await openPath(path);
      assert.equal(disk.size, to);
      assert.equal(JSON.parse(await qemuImgOk("info", "--output=json", path))["virtual-size"], to);
    },
  });
}

Deno.test({
  name: "what is new hides a longer parent",
  ignore: !hasQemu,
  async fn() {
    const random = rng(runSeed);
    for (
      const [options, preallocation] of [["", "off"], ["zeroed_grain=on", "off"], ["", "full"], [
        "zeroed_grain=on",
        "metadata",
      ]] as const
    ) {
      for (const subformat of ["monolithicSparse", "twoGbMaxExtentSparse"]) {
        await using folder = await scratch();
        const [base, path] = [folder.file("base.vmdk"), folder.file("a.vmdk")];
        await Deno.writeFile(folder.file("base.raw"), random.bytes(2 * MIB));
        await qemuImgOk("convert", "-f", "raw", "-O", "vmdk", folder.file("base.raw"), base);
        const size = random.int(1, 4000) * 512;
        const more = ["-o", ["subformat=" + subformat, options].filter(Boolean).join(",")];
        await qemuImgOk("create", "-q", "-f", "vmdk", ...more, "-b", "base.vmdk", "-F", "vmdk", path);
        await resize({ path, format: "vmdk" }, size, { shrink: true });
        if (random.chance(0.5)) await qemuIo(["-f", "vmdk", path], `write -P 9 ${size - 512} 512`);
        const before = await guestBytes(path);
        await resize({ path, format: "vmdk" }, 40 * MIB, { preallocation });
        const after = await guestBytes(path);
        const model = new Uint8Array(40 * MIB);
        model.set(before);
        assertBytes(after, model);
      }
    }
  },
});

Deno.test({
  name: "a split disk grows by extents of its own kind",
  ignore: !hasQemu,
  async fn() {
    for (const kind of ["Sparse", "Flat"]) {
      await using folder = await scratch();
      const path = folder.file("a b.vmdk");
      await qemuImgOk("create", "-q", "-f", "vmdk", "-o", `subformat=twoGbMaxExtent${kind}`, path, "100M");
      await qemuIo(["-f", "vmdk", path], "write -P 3 99M 1M");
      await Deno.writeTextFile(folder.file(`a b-${kind[0].toLowerCase()}003.vmdk`), "mine");
      await assert.rejects(resize({ path }, 5000 * MIB), { kind: "refused", message: /give that one another name/ });
      await Deno.remove(folder.file(`a b-${kind[0].toLowerCase()}003.vmdk`));
      await resize({ path }, 5000 * MIB);
      await qemuIo(["-f", "vmdk", path], "write -P 4 2040M 16M", "write -P 5 4999M 1M");
      await using disk = await openPath(path);
      const data = new Uint8Array(2 * MIB);
      await disk.read(data.subarray(0, MIB), 99 * MIB);
      await disk.read(data.subarray(MIB), 4999 * MIB);
      assertBytes(data, new Uint8Array(2 * MIB).fill(3, 0, MIB).fill(5, MIB));
      await disk.read(data, 2046 * MIB);
      assertBytes(data, new Uint8Array(2 * MIB).fill(4));
      const extents = disk.info.extents as readonly { readonly "virtual-size": number }[];
      assert.deepEqual(extents.map((extent) => extent["virtual-size"] / MIB), [2047, 2047, 906]);
      await assert.rejects(resize({ path }, 3000 * MIB, { shrink: true }), {
        kind: "unsupported",
        message: /convert it/,
      });
      await resize({ path }, 4500 * MIB, { shrink: true });
      assert.equal(JSON.parse(await qemuImgOk("info", "--output=json", path))["virtual-size"], 4500 * MIB);
    }
  },
});

Deno.test({
  name: "what cannot change its size is refused, and stays as it is",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    const make = async (name: string, text: (old: string) => string, ...options: string[]) => {
      const path = folder.file(name);
      await qemuImgOk("create", "-q", "-f", "vmdk", ...options, path, "4M");
      const old = Buffer.from(await Deno.readFile(path)).toString("latin1");
      await Deno.writeFile(path, new Uint8Array(Buffer.from(text(old), "latin1")));
      return path;
    };
    const same = (old: string) => old;
    const flat = ["-o", "subformat=monolithicFlat"];
    const cases: [string, number, RegExp][] = [
      [await make("stream.vmdk", same, "-o", "subformat=streamOptimized"), 8 * MIB, /streamOptimized/],
      [await make("odd.vmdk", same), 8 * MIB + 1, /multiple of 512/],
      [await make("none.vmdk", same), 0, /size would be 0/],
      [await make("vast.vmdk", same), 2 ** 46, /at most/],
      [
        await make("tracked.vmdk", (old) => old.replace("version=1", 'changeTrackPath="x"\nversion=1'), ...flat),
        8 * MIB,
        /tracked/,
      ],
      [await make("readonly.vmdk", (old) => old.replace("RW ", "RDONLY "), ...flat), 8 * MIB, /RDONLY/],
      [await make("zero.vmdk", (old) => old.replace(/RW (\d+) .*/, "$&\nRW 8 ZERO"), ...flat), 8 * MIB, /ZERO/],
      [
        await make(
          "shared.vmdk",
          (old) => old.replace(/RW \d+ FLAT (.*) 0/, "RW 8 FLAT $1 0\nRW 8 FLAT $1 8"),
          ...flat,
        ),
        8 * MIB,
        /shares/,
      ],
    ];
    for (const [path, size, message] of cases) {
      const before = await Deno.readFile(path);
      await assert.rejects(resize({ path, format: "vmdk" }, size, { shrink: true }), { message }, path);
      assertBytes(await Deno.readFile(path), before);
    }
    assert.equal((await qemuImg("check", "-q", cases[0][0])).code, 0);
  },
});
