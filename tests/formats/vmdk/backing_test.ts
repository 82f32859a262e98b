import assert from "node:assert/strict";
import { commit } from "../../../core/commit.ts";
import { openDisk } from "../../../core/open/open_disk.ts";
import { rebase } from "../../../core/rebase.ts";
import { tryFolderCrashes } from "../../support/crash_matrix.ts";
import { faultyFiles, type FileOperation } from "../../support/files.ts";
import { assertBytes, diskState, readerOf } from "../../support/model.ts";
import {
  copyOf,
  guestBytes,
  hasQemu,
  qemuImgOk,
  qemuIo,
  type Rng,
  rng,
  type Scratch,
  scratch,
  seed,
} from "../../support/qemu.ts";
import { openPath } from "./support.ts";

const runSeed = seed();
const MIB = 1 << 20;

const KINDS = [
  "subformat=monolithicSparse",
  "subformat=monolithicSparse,zeroed_grain=on",
  "subformat=twoGbMaxExtentSparse",
];

async function scribble(path: string, size: number, random: Rng, count = 4): Promise<void> {
  const commands = Array.from({ length: count }, () => {
    const start = random.int(size / 512) * 512;
    const length = Math.min(random.int(1, 600) * 512, size - start);
    return `write ${random.chance(0.25) ? "-z" : `-P ${random.int(4)}`} ${start} ${length}`;
  });
  await qemuIo(["-f", "vmdk", path], ...commands);
}

/** A chain base.vmdk, middle.vmdk, top.vmdk, and other.vmdk, with much of base in it and longer than all. */
async function makeChain(folder: Scratch, options: string, random: Rng): Promise<string> {
  const create = async (name: string, size: number, backingBytes?: string) => {
    const backing = backingBytes === undefined ? [] : ["-b", backingBytes, "-F", "vmdk"];
    await qemuImgOk("create", "-q", "-f", "vmdk", "-o", options, ...backing, folder.file(name), `${size}`);
    await scribble(folder.file(name), size, random);
  };
  await create("base.vmdk", 3 * MIB);
  await create("middle.vmdk", 3 * MIB, "base.vmdk");
  await create("top.vmdk", 3 * MIB + 1024, "middle.vmdk");
  await create("other.vmdk", 4 * MIB);
  await qemuImgOk("convert", "-n", "-f", "vmdk", "-O", "vmdk", folder.file("base.vmdk"), folder.file("other.vmdk"));
  await scribble(folder.file("other.vmdk"), 4 * MIB, random, 2);
  return folder.file("top.vmdk");
}

/** Returns the guest bytes as diskcast reads the chain, as text. */
async function chainState(path: string): Promise<string> {
  await using disk = await openDisk({ path, format: "vmdk" });
  return await diskState(disk);
}

async function parentOf(path: string): Promise<string | undefined> {
  await using disk = await openPath(path);
  return disk.backing?.name;
}

for (const options of KINDS) {
  Deno.test({
    name: `rebasing a vmdk with ${options} keeps its content`,
    ignore: !hasQemu,
    async fn() {
      const random = rng(runSeed);
      for (const name of ["base.vmdk", "other.vmdk", null]) {
        await using chain = await scratch();
        const before = await guestBytes(await makeChain(chain, options, random));
        for (const dropsSame of [false, true]) {
          await using folder = await copyOf(chain);
          const path = folder.file("top.vmdk");
          await rebase({ path }, name === null ? null : { name, format: "vmdk" }, { dropsSame });
          assert.equal(await parentOf(path), name ?? undefined);
          // qemu-img compares the content IDs as it reads.
          assertBytes(await guestBytes(path), before);
          assert.equal(await chainState(path), await diskState(readerOf(before)));
        }
      }
    },
  });

  Deno.test({
    name: `committing a vmdk with ${options} gives the base its content, and the chain stays whole`,
    ignore: !hasQemu,
    async fn() {
      await using chain = await scratch();
      const before = await guestBytes(await makeChain(chain, options, rng(runSeed)));
      for (const more of [{}, { keepsTop: true }, { base: "base.vmdk" }]) {
        await using folder = await copyOf(chain);
        const path = folder.file("top.vmdk");
        const base = more.base === undefined ? undefined : folder.file(more.base);
        const done = await commit({ path }, { ...more, ...(base !== undefined && { base }) });
        assertBytes(await guestBytes(path), before);
        assert.equal(await chainState(path), await diskState(readerOf(before)));
        assertBytes((await guestBytes(done.base)).subarray(0, before.length), before);
        assert.equal(done.emptied, Object.keys(more).length === 0);
        if (!done.emptied) continue;
        await using disk = await openPath(path);
        const { kind, end } = await disk.extentAt(0, disk.size);
        assert.deepEqual([kind, end], ["hole", disk.size]);
      }
    },
  });
}

for (const options of [KINDS[0], KINDS[2]]) {
  Deno.test({
    name: `a crash while a vmdk with ${options} is rebased or committed changes no guest byte`,
    ignore: !hasQemu,
    async fn() {
      const random = rng(runSeed);
      for (
        const action of [
          (path: string, files: Parameters<typeof rebase>[2]) =>
            rebase({ path }, { name: "other.vmdk", format: "vmdk" }, { ...files, dropsSame: true }),
          (path: string, files: Parameters<typeof rebase>[2]) => commit({ path }, files),
        ]
      ) {
        await using folder = await scratch();
        const path = await makeChain(folder, options, random);
        await tryFolderCrashes({
          folder: folder.path,
          action: (files) => action(path, { files }),
          state: () => chainState(path),
          random,
          most: 12,
        });
        assert.equal(await chainState(path), await diskState(readerOf(await guestBytes(path))));
      }
    },
  });
}

Deno.test({
  name: "while data is committed into a vmdk, QEMU opens the overlay, whichever write to the base fails",
  ignore: !hasQemu,
  async fn() {
    await using chain = await scratch();
    const before = await guestBytes(await makeChain(chain, KINDS[0]!, rng(runSeed)));
    const toBase = ({ op, file }: FileOperation) => op === "write" && file === "middle.vmdk";
    const counted = faultyFiles(toBase, 0);
    {
      await using folder = await copyOf(chain);
      await commit({ path: folder.file("top.vmdk") }, { files: counted.files });
    }
    // The last write to the base is that of its new content ID.
    for (const nth of [1, counted.count() >> 1, counted.count() - 1]) {
      await using folder = await copyOf(chain);
      const path = folder.file("top.vmdk");
      await assert.rejects(commit({ path }, { files: faultyFiles(toBase, nth).files }), { kind: "io" });
      assertBytes(await guestBytes(path), before);
    }
  },
});

Deno.test({
  name: "a moved parent gets its new name, and what cannot be a parent is refused",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    const path = await makeChain(folder, KINDS[0], rng(runSeed));
    const before = await guestBytes(path);
    await Deno.rename(folder.file("middle.vmdk"), folder.file("größer als.vmdk"));
    await rebase({ path }, { name: "größer als.vmdk", format: "vmdk" }, { unsafe: true });
    assertBytes(await guestBytes(path), before);
    const start = await Deno.readFile(path);
    const rejects = async (name: string, format: string, unsafe: boolean, message: RegExp, image = path) => {
      await assert.rejects(rebase({ path: image }, { name, format }, { unsafe }), { message });
    };
    await Deno.writeFile(folder.file("a.raw"), new Uint8Array(MIB));
    await rejects("a.raw", "raw", true, /must be vmdk/);
    await rejects('a".vmdk', "vmdk", true, /quotes/);
    await rejects(`${"x".repeat(10_300)}.vmdk`, "vmdk", true, /there is room for/);
    await rejects("other.vmdk", "vmdk", true, /content ID .* is not known/, folder.file("base.vmdk"));
    for (const subformat of ["monolithicFlat", "streamOptimized"]) {
      const image = folder.file(`${subformat}.vmdk`);
      await qemuImgOk("create", "-q", "-f", "vmdk", "-o", `subformat=${subformat}`, image, "3M");
      await rejects("other.vmdk", "vmdk", false, /flat extents|streamOptimized/, image);
    }
    assertBytes(await Deno.readFile(path), start);
  },
});
