import assert from "node:assert/strict";
import type { Files } from "../../../formats/mod.ts";
import { vhdx } from "../../../formats/vhdx/mod.ts";
import { inlineCodecs } from "../../support/codecs.ts";
import { tryFolderCrashes } from "../../support/crash_matrix.ts";
import { assertBytes, fingerprint, readAll, readerOf } from "../../support/model.ts";
import { guestBytes, hasQemu, qemuImg, type Rng, rng, scratch, seed } from "../../support/qemu.ts";
import { type Block, build, GUID, MIB } from "./build.ts";
import { filled, pathOpened } from "./support.ts";

const runSeed = seed();
const SIZE = 10 * MIB;
const parent = { parent_linkage: `{${GUID.data}}`, relative_path: ".\\parent.vhdx" };

/** The guest bytes over `backing`. Now and then, where qemu-img knows the kind of image, it replays the log and sees the same. */
async function look(path: string, parentBytes: Uint8Array | undefined, random: Rng): Promise<Uint8Array> {
  await using disk = await pathOpened(path);
  const bytes = await readAll(disk, parentBytes);
  if (parentBytes !== undefined || !random.chance(0.3)) return bytes;
  const copy = `${path}.copy`;
  try {
    await Deno.copyFile(path, copy);
    const { code, stderr } = await qemuImg("check", "-q", "-r", "all", "-f", "vhdx", copy);
    assert.equal(code, 0, stderr);
    assertBytes(await guestBytes(copy, "vhdx"), bytes);
  } finally {
    await Deno.remove(copy);
  }
  return bytes;
}

const KINDS: { readonly [name: string]: { readonly states: readonly number[]; readonly fixed?: boolean } } = {
  "a dynamic image": { states: [0, 2, 6, 6] },
  "a fixed image": { states: [6], fixed: true },
  "a differencing image": { states: [0, 0, 2, 6, 7, 7] },
};

for (const [name, { states, fixed = false }] of Object.entries(KINDS)) {
  Deno.test({
    name: `a crash while ${name} is written leaves every sector old or new`,
    ignore: !hasQemu,
    async fn() {
      await using folder = await scratch();
      const random = rng(runSeed);
      const parentBytes = states.includes(7) ? random.bytes(SIZE) : undefined;
      const path = folder.file("a.vhdx");
      const blocks = blocksOf(states, random);
      await Deno.writeFile(path, build({ size: SIZE, blocks, fixed, ...(parentBytes && { parent }) }));
      /** All that the disk was meant to be, one after another. */
      const versions: Uint8Array[] = [await look(path, parentBytes, random)];
      let now = versions[0];
      await tryFolderCrashes({
        folder: folder.path,
        action: (files) => change(path, files, versions, parentBytes, random),
        async state() {
          now = await look(path, parentBytes, random);
          return fingerprint(now);
        },
        mixed() {
          for (let at = 0; at < now.length; at += 512) {
            const sector = now.subarray(at, at + 512);
            const known = versions.some((version) => isSame(sector, version.subarray(at, at + 512)));
            assert(known, `the sector at guest byte ${at} has never been like that`);
          }
        },
        random,
        most: 12,
      });
    },
  });
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}

function blocksOf(states: readonly number[], random: Rng): { [block: number]: Block } {
  const blocks: { [block: number]: Block } = {};
  for (let block = 0; block < SIZE / MIB; block++) {
    const state = random.pick(states);
    const content = filled(random.int(1, 256));
    blocks[block] = { state, ...(state >= 6 && { content }), ...(state === 7 && { bits: random.bytes(256) }) };
  }
  return blocks;
}

/** Zeroes whole blocks, so that file offsets are used again, and writes here and there. */
async function change(
  path: string,
  files: Files,
  versions: Uint8Array[],
  parentBytes: Uint8Array | undefined,
  random: Rng,
): Promise<void> {
  await using storage = await files.open(path, { write: true });
  const writer = await vhdx.edit!(storage, {
    ...inlineCodecs,
    compress: false,
    openNamed: () => Promise.reject(new Error("It names no such file")),
    openBacking: () => Promise.resolve(readerOf(parentBytes ?? new Uint8Array(0))),
  });
  for (let step = 0; step < 14; step++) {
    const model = versions.at(-1)!.slice();
    const block = random.int(SIZE / MIB);
    const start = step % 2 === 0 ? block * MIB : random.int(SIZE / 512 - 8) * 512;
    const end = Math.min(SIZE, step % 2 === 0 ? start + random.int(1, 9) * MIB : start + random.int(1, 900) * 512);
    if (step % 2 === 0) {
      await writer.zero(start, end);
      model.fill(0, start, end);
    } else {
      const bytes = random.bytes(end - start);
      await writer.write(bytes, start);
      model.set(bytes, start);
    }
    versions.push(model);
  }
  await writer.finish();
  assertBytes(await look(path, parentBytes, random), versions.at(-1)!);
}
