import assert from "node:assert/strict";
import { resize } from "../../core/resize.ts";
import { changeSnapshots, listSnapshots } from "../../core/snapshot.ts";
import { assertBytes, fingerprint, resized } from "../support/model.ts";
import { hasQemu, qemuImgOk, qemuIo, type Rng, rng, rounds, type Scratch, scratch, seed } from "../support/qemu.ts";
import { judgedBytes } from "../formats/qcow2/write_support.ts";
import { assertCheck, tryCrashes } from "../support/crash_matrix.ts";

const runSeed = seed();

const shapes = [
  "cluster_size=4096",
  "cluster_size=512",
  "cluster_size=16k,extended_l2=on",
  "refcount_bits=64,cluster_size=512",
  "refcount_bits=32,cluster_size=1k",
  "cluster_size=64k",
];

interface Listed {
  readonly snapshots?: readonly { readonly name: string }[];
  readonly "virtual-size": number;
}

async function listed(path: string): Promise<Listed> {
  return JSON.parse(await qemuImgOk("info", "--output=json", path));
}

/** Everything that a crash must not tear: the disk, its size, its snapshots. */
async function stateOf(path: string): Promise<string> {
  const bytes = await judgedBytes(path);
  const parts = [`${bytes.length} ${fingerprint(bytes)}`];
  for (const { name } of await listSnapshots({ path, format: "qcow2" })) {
    parts.push(`${name} ${fingerprint(await judgedBytes(path, name))}`);
  }
  return parts.join("\n");
}

async function scribble(path: string, size: number, random: Rng): Promise<void> {
  const commands: string[] = [];
  for (let count = 0; count < 4; count++) {
    const start = random.int(size / 512) * 512;
    const length = Math.min(random.int(1, 400) * 512, size - start);
    commands.push(
      random.chance(0.2) ? `write -z ${start} ${length}` : `write -P ${random.int(256)} ${start} ${length}`,
    );
  }
  await qemuIo(path, ...commands);
}

async function makeImage(folder: Scratch, options: string, size: number, random: Rng): Promise<string> {
  const path = folder.file("image.qcow2");
  await Deno.writeFile(folder.file("backing.raw"), random.bytes(3 << 19));
  const backing = ["-b", folder.file("backing.raw"), "-F", "raw"];
  await qemuImgOk("create", "-q", "-f", "qcow2", "-o", options, ...backing, path, `${size}`);
  await qemuIo(path, "write -c -P 9 256k 64k", "write -c -P 10 512k 64k");
  await scribble(path, size, random);
  return path;
}

for (const options of shapes) {
  Deno.test({
    name: `snapshots and sizes of an image with ${options} change as qemu-img reads them`,
    ignore: !hasQemu,
    fn: () => work(options, rng(runSeed)),
  });
}

async function work(options: string, random: Rng): Promise<void> {
  await using folder = await scratch();
  let size = 1 << 20;
  const path = await makeImage(folder, options, size, random);
  const image = { path, format: "qcow2" };
  let now = await judgedBytes(path);
  const kept = new Map<string, Uint8Array>();
  const steps = rounds(8, 24);
  for (let step = 1; step <= steps; step++) {
    const names = [...kept.keys()];
    switch (random.int(5)) {
      case 0: {
        const name = `s${step}`;
        await changeSnapshots(image, { action: "create", name });
        kept.set(name, now);
        break;
      }
      case 1: {
        if (names.length === 0) break;
        const name = random.pick(names);
        await changeSnapshots(image, { action: "apply", snapshot: { idOrName: name } });
        now = kept.get(name)!;
        size = now.length;
        break;
      }
      case 2: {
        if (names.length < 2) break;
        const name = random.pick(names);
        await changeSnapshots(image, { action: "remove", snapshot: { name } });
        kept.delete(name);
        break;
      }
      case 3: {
        size = random.int(1, (3 << 20) / 512) * 512;
        await resize(image, size, { shrink: true });
        now = resized(now, size);
        break;
      }
      case 4:
        await scribble(path, size, random);
        now = await judgedBytes(path);
        break;
    }
    await assertCheck(path, [0]);
    assertBytes(await judgedBytes(path), now);
    const { snapshots = [], "virtual-size": found } = await listed(path);
    assert.deepEqual([snapshots.map(({ name }) => name), found], [[...kept.keys()], size]);
    // A damaged snapshot stays damaged.
    if (step % 3 !== 0 && step !== steps) continue;
    for (const [name, bytes] of kept) {
      const there = await judgedBytes(path, name);
      // qemu-img shows a snapshot at the present size of the disk.
      const most = Math.min(there.length, bytes.length);
      assertBytes(there.subarray(0, most), bytes.subarray(0, most));
    }
  }
}

const changes: { readonly [name: string]: (path: string, files: Parameters<typeof resize>[2]) => Promise<unknown> } = {
  "taking a snapshot": (path, options) => changeSnapshots({ path }, { action: "create", name: "new" }, options),
  "loading a snapshot": (path, options) =>
    changeSnapshots({ path }, { action: "apply", snapshot: { idOrName: "kept" } }, options),
  "removing a snapshot": (path, options) =>
    changeSnapshots({ path }, { action: "remove", snapshot: { idOrName: "kept" } }, options),
  "growing": (path, options) => resize({ path }, 5 << 19, options),
  "growing with preallocation": (path, options) => resize({ path }, 5 << 19, { ...options, preallocation: "full" }),
  "shrinking": (path, options) => resize({ path }, 350 << 10, { ...options, shrink: true }),
};

for (const [name, change] of Object.entries(changes)) {
  Deno.test({
    name: `a crash while ${name} leaves the old state or the new`,
    ignore: !hasQemu,
    async fn() {
      await using folder = await scratch();
      const random = rng(runSeed);
      for (const options of ["cluster_size=512", "cluster_size=16k,extended_l2=on"]) {
        const path = await makeImage(folder, options, 1 << 20, random);
        await qemuImgOk("snapshot", "-c", "kept", path);
        await qemuIo(path, "write -P 77 100k 300k");
        await tryCrashes({
          path,
          action: (files) => change(path, { files }),
          state: () => stateOf(path),
          random,
          most: 6,
        });
      }
    },
  });
}

Deno.test({
  name: "preallocated growth is there, and bitmaps follow the size",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    for (const preallocation of ["metadata", "falloc", "full"] as const) {
      const path = folder.file(`${preallocation}.qcow2`);
      await qemuImgOk("create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", path, "1000k");
      await qemuImgOk("bitmap", "--add", "-g", "512", path, "b");
      await qemuIo(path, "write -P 4 990k 10k");
      await resize({ path }, 40 << 20, { preallocation });
      await assertCheck(path, [0]);
      const map = JSON.parse(await qemuImgOk("map", "--output=json", path));
      assert(map.every(({ start, present }: { start: number; present: boolean }) => start < 1000 << 10 || present));
      const bytes = await judgedBytes(path);
      const model = new Uint8Array(40 << 20);
      model.fill(4, 990 << 10, 1000 << 10);
      assertBytes(bytes, model);
      await resize({ path }, 995 << 10, { shrink: true });
      await assertCheck(path, [0]);
      await qemuIo(path, "write -P 5 0 10k");
      await assertCheck(path, [0]);
    }
  },
});

Deno.test({
  name: "an image with a data file changes its size with it",
  ignore: !hasQemu,
  async fn() {
    for (const raw of ["off", "on"]) {
      await using folder = await scratch();
      const path = folder.file("image.qcow2");
      const options = `data_file=${folder.file("data.raw")},data_file_raw=${raw}`;
      await qemuImgOk("create", "-q", "-f", "qcow2", "-o", options, path, "1000k");
      await qemuIo(path, "write -P 5 900k 100k");
      await resize({ path }, 3 << 20);
      await resize({ path }, 950 << 10, { shrink: true });
      await resize({ path }, 2 << 20, { preallocation: "falloc" });
      await assertCheck(path, [0]);
      const model = new Uint8Array(2 << 20);
      model.fill(5, 900 << 10, 950 << 10);
      assertBytes(await judgedBytes(path), model);
      await assert.rejects(changeSnapshots({ path }, { action: "create", name: "x" }), { kind: "unsupported" });
    }
  },
});
