import assert from "node:assert/strict";
import { commit } from "../../core/commit.ts";
import { rebase } from "../../core/rebase.ts";
import { assertBytes, fingerprint, tornAt } from "../support/model.ts";
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
} from "../support/qemu.ts";
import { assertCheck, tryCrashes } from "../support/crash_matrix.ts";

const runSeed = seed();

const shapes = [
  "cluster_size=4096",
  "cluster_size=512",
  "cluster_size=16k,extended_l2=on",
  "compat=0.10,cluster_size=2k",
];

async function scribble(path: string, size: number, random: Rng, count = 5): Promise<void> {
  const commands: string[] = [];
  for (; count > 0; count--) {
    const start = random.int(size / 512) * 512;
    const length = Math.min(random.int(1, 600) * 512, size - start);
    commands.push(random.chance(0.25) ? `write -z ${start} ${length}` : `write -P ${random.int(4)} ${start} ${length}`);
  }
  await qemuIo(path, ...commands);
}

/** A chain base.qcow2, middle.qcow2, top.qcow2 of different sizes, and other.qcow2 with much of base in it. */
async function makeChain(folder: Scratch, options: string, random: Rng): Promise<string> {
  const create = async (name: string, size: number, backingPath?: string) => {
    const backing = backingPath === undefined ? [] : ["-b", backingPath, "-F", "qcow2"];
    await qemuImgOk("create", "-q", "-f", "qcow2", "-o", options, ...backing, folder.file(name), `${size}`);
    await scribble(folder.file(name), size, random);
  };
  await create("base.qcow2", 3 << 20);
  await create("middle.qcow2", random.pick([2 << 20, 3 << 20, 4 << 20]), "base.qcow2");
  await create("top.qcow2", random.pick([(3 << 20) + 1024, 4 << 20]), "middle.qcow2");
  await Deno.copyFile(folder.file("base.qcow2"), folder.file("other.qcow2"));
  await scribble(folder.file("other.qcow2"), 3 << 20, random, 2);
  return folder.file("top.qcow2");
}

async function backingOf(path: string): Promise<string | undefined> {
  return JSON.parse(await qemuImgOk("info", "--output=json", path))["backing-filename"];
}

for (const options of shapes) {
  Deno.test({
    name: `rebasing an image with ${options} keeps its content`,
    ignore: !hasQemu,
    async fn() {
      const random = rng(runSeed);
      for (const name of ["base.qcow2", "other.qcow2", null]) {
        await using folder = await scratch();
        const path = await makeChain(folder, options, random);
        const before = await guestBytes(path);
        const start = await Deno.readFile(path);
        // qemu-img keeps the same guest bytes.
        await qemuImgOk("rebase", "-b", name ?? "", ...(name ? ["-F", "qcow2"] : []), path);
        assertBytes(await guestBytes(path), before);
        for (const more of [{}, { dropsSame: true }, { compress: true }]) {
          if (more.compress && options.includes("extended")) continue;
          await Deno.writeFile(path, start);
          await rebase({ path }, name === null ? null : { name, format: "qcow2" }, more);
          await assertCheck(path, [0]);
          assertBytes(await guestBytes(path), before);
          assert.equal(await backingOf(path), name ?? undefined);
        }
      }
    },
  });

  Deno.test({
    name: `committing an image with ${options} gives the base its content`,
    ignore: !hasQemu,
    async fn() {
      await using chain = await scratch();
      const before = await guestBytes(await makeChain(chain, options, rng(runSeed)));
      for (const more of [{}, { keepsTop: true }, { base: "base.qcow2" }]) {
        await using folder = await copyOf(chain);
        const path = folder.file("top.qcow2");
        const base = more.base === undefined ? undefined : folder.file(more.base);
        const done = await commit({ path }, { ...more, ...(base !== undefined && { base }) });
        for (const file of [path, done.base]) await assertCheck(file, [0]);
        assertBytes(await guestBytes(path), before);
        const baseBytes = await guestBytes(done.base);
        assertBytes(baseBytes.subarray(0, before.length), before);
        assert.equal(done.emptied, Object.keys(more).length === 0);
        if (!done.emptied) continue;
        const map = JSON.parse(await qemuImgOk("map", "--output=json", path));
        assert(map.every(({ depth }: { depth: number }) => depth > 0), "the image is empty");
      }
    },
  });
}

Deno.test({
  name: "an image without a backing file keeps its content over one that has more",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    const random = rng(runSeed);
    const path = folder.file("top.qcow2");
    await qemuImgOk("create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", path, "2M");
    await scribble(path, 2 << 20, random);
    await Deno.writeFile(folder.file("full.raw"), random.bytes(3 << 20));
    const before = await guestBytes(path);
    await rebase({ path }, { name: "full.raw", format: "raw" });
    assertBytes(await guestBytes(path), before);
    await assertCheck(path, [0]);
    await assert.rejects(rebase({ path }, { name: "top.qcow2", format: "qcow2" }), { kind: "refused" });
    await rebase({ path }, { name: "elsewhere.raw", format: "raw" }, { unsafe: true });
    assert.equal(await backingOf(path), "elsewhere.raw");
    await assert.rejects(rebase({ path }, { name: "x" }, { unsafe: true }), { kind: "usage" });
  },
});

async function digest(path: string): Promise<string> {
  return fingerprint(await guestBytes(path));
}

for (const more of [{}, { dropsSame: true }, { compress: true }]) {
  Deno.test({
    name: `a crash while rebasing with ${JSON.stringify(more)} changes no guest byte`,
    ignore: !hasQemu,
    async fn() {
      await using folder = await scratch();
      const random = rng(runSeed);
      const path = await makeChain(folder, "cluster_size=4k", random);
      await tryCrashes({
        path,
        action: (files) => rebase({ path }, { name: "other.qcow2", format: "qcow2" }, { ...more, files }),
        state: () => digest(path),
        random,
        most: 20,
      });
    },
  });
}

Deno.test({
  name: "a crash while committing changes no guest byte of the image",
  ignore: !hasQemu,
  async fn() {
    const random = rng(runSeed);
    await using folder = await scratch();
    const path = await makeChain(folder, "cluster_size=4k", random);
    const middle = folder.file("middle.qcow2");
    const before = await guestBytes(path);
    const start = await Deno.readFile(path);
    const old = await guestBytes(middle);
    await tryCrashes({
      path: middle,
      action: (files) => commit({ path }, { files }),
      state: () => Promise.resolve(""),
      async mixed() {
        // The image is emptied only when all this is done.
        await Deno.writeFile(path, start);
        assertBytes(await guestBytes(path), before);
        const now = await guestBytes(middle);
        const torn = tornAt(now, old, before);
        assert.equal(torn, -1, `guest byte ${torn} of the base is neither old nor new`);
      },
      random,
      most: 20,
    });
    await Deno.writeFile(path, start);
    await tryCrashes({
      path,
      action: (files) => commit({ path }, { files }),
      state: () => digest(path),
      random,
    });
  },
});
