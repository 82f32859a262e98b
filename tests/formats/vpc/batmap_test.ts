/** The batmap of images by XenServer: every verb keeps it, and keeps it true. */
import assert from "node:assert/strict";
import { convert } from "../../../mod.ts";
import type { EditContext } from "../../../formats/contract.ts";
import { MemoryStorage } from "../../../formats/storage/memory.ts";
import { vpc } from "../../../formats/vpc/mod.ts";
import { diskcast } from "../../support/diskcast.ts";
import { inlineCodecs } from "../../support/codecs.ts";
import { tryMemoryCrashes } from "../../support/crash_matrix.ts";
import { assertBytes, changeContext, contentOf, fingerprint, readerOf, resized } from "../../support/model.ts";
import { hasQemu, qemuImgOk, rng, rounds, run, scratch, seed } from "../../support/qemu.ts";
import { RecordingStorage } from "../../support/storage.ts";
import { AT, buildVhd, type Built, randomImage, seal } from "./build.ts";

const MIB = 1 << 20;
const BLOCK = 4096;
const { check: checkVpc, repair: repairVpc, resize: resizeVpc } = vpc.maintenance as Required<
  NonNullable<typeof vpc.maintenance>
>;

const tap = { type: 3, blockSize: BLOCK, creator: "tap\0", batmap: true } as const;
const block = (index: number, bitmap: number | Uint8Array = 0xff) => ({
  index,
  bitmap,
  data: new Uint8Array(BLOCK).fill(index + 1),
});

const editContext = (parentBytes: Uint8Array): EditContext => ({
  ...inlineCodecs,
  compress: false,
  openNamed: () => Promise.reject(new Error("VHD names no further files")),
  openBacking: () => Promise.resolve(readerOf(parentBytes)),
});

/** Returns the fault of the batmap of an image as XenServer sees it, by the bytes alone; `null` without one. */
function batmapFault(bytes: Uint8Array): string | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [tableAt, entries, blockSize] = [Number(view.getBigUint64(528)), view.getUint32(540), view.getUint32(544)];
  const at = tableAt + Math.ceil(entries * 4 / 512) * 512;
  if (new TextDecoder().decode(bytes.subarray(at, at + 8)) !== "tdbatmap") return "missing";
  const bitsAt = Number(view.getBigUint64(at + 8));
  const bits = bytes.subarray(bitsAt, bitsAt + view.getUint32(at + 16) * 512);
  if (bits.length * 8 < entries) return "too short";
  if (view.getUint32(at + 24) !== ~bits.reduce((sum, byte) => sum + byte, 0) >>> 0) return "checksum";
  if (bytes[at + 28] !== 0x5a || bytes[at + 92] !== 0x5a) return "key hash";
  for (let index = 0; index < bits.length * 8; index++) {
    if ((bits[index >> 3]! & 0x80 >> (index & 7)) === 0) continue;
    const start = index < entries ? view.getUint32(tableAt + index * 4) * 512 : 0xffffffff * 512;
    const sectors = bytes.subarray(start, start + Math.ceil(blockSize / 4096));
    const last = blockSize / 512 & 7;
    const isFull = sectors.every((byte, nth) =>
      (byte | (last > 0 && nth === blockSize >> 12 ? 0xff >> last : 0)) === 0xff
    );
    if (start === 0xffffffff * 512 || !isFull) return `bit ${index}`;
  }
  return null;
}

Deno.test("resizing moves the batmap with the end of the table; after a crash the disk is whole and can be repaired", async () => {
  const random = rng(seed());
  for (let round = 0; round < rounds(12, 30); round++) {
    const type = random.pick([3, 4] as const);
    const { built, parentBytes: parent } = randomImage(random, type);
    const parentBytes = type === 4 ? parent : new Uint8Array(0);
    const start = buildVhd({ ...built, creator: "tap\0", batmap: true });
    assert.equal(batmapFault(start), null);
    const model = await contentOf(vpc, new MemoryStorage(start), parentBytes);
    const size = random.int(random.chance(0.4) ? 20 : 600) * 512;
    const state = async (storage: MemoryStorage) => fingerprint(await contentOf(vpc, storage, parentBytes));
    const ended = await tryMemoryCrashes({
      start,
      action: (storage) => resizeVpc(storage, size, random.pick(["off", "metadata"]), changeContext(parentBytes)),
      state: async (storage) => {
        const repaired = new MemoryStorage(storage.bytes());
        await repairVpc(repaired, "all", changeContext(parentBytes));
        const report = await checkVpc(repaired, changeContext(parentBytes));
        assert.equal(report.corruptions, 0, report.problems[0]?.message);
        assert.equal(await state(repaired), await state(storage));
        return await state(storage);
      },
      random,
      most: 20,
    });
    assert.equal(batmapFault(ended.bytes()), null);
    assertBytes(await contentOf(vpc, ended, parentBytes), resized(model, size));
    const { corruptions, problems } = await checkVpc(ended, changeContext(parentBytes));
    assert.equal(corruptions, 0, problems[0]?.message);
  }
});

Deno.test("a shorter disk keeps the length of its table, and grows in it again", async () => {
  const storage = new MemoryStorage(
    buildVhd({ ...tap, size: 6 * BLOCK, blocks: [0, 1, 4, 5].map((nth) => block(nth)) }),
  );
  for (const blocks of [2, 6, 3, 200, 1]) {
    await resizeVpc(storage, blocks * BLOCK, "off", changeContext());
    assert.equal(batmapFault(storage.bytes()), null, `${blocks} blocks`);
    assert.equal((await checkVpc(storage, changeContext())).corruptions, 0);
  }
});

Deno.test("writing keeps the batmap true", async () => {
  const random = rng(seed());
  for (const type of [3, 4] as const) {
    const { built, parentBytes } = randomImage(random, type);
    const storage = new MemoryStorage(buildVhd({ ...built, creator: "tap\0", batmap: true }));
    const writer = await vpc.edit!(storage, editContext(parentBytes));
    for (let at = 0; at < built.size; at += 3 * 512) {
      if (random.chance(0.5)) await writer.write(random.bytes(512), at);
      else await writer.zero(at, at + 512);
    }
    await writer.finish();
    assert.equal(batmapFault(storage.bytes()), null);
  }
});

const headerAt = AT.table + 512;
const WRONG: readonly (readonly [name: string, built: Built, change: (bytes: Uint8Array) => void, found: RegExp])[] = [
  ["none", { ...tap, size: 4 * BLOCK, blocks: [block(1)], batmap: false }, () => {}, /The batmap .* is missing/],
  [
    "a wrong checksum",
    { ...tap, size: 4 * BLOCK, blocks: [block(1)] },
    (bytes) => bytes[headerAt + 24]! ^= 1,
    /checksum/,
  ],
  ["a bit of a free block", { ...tap, size: 4 * BLOCK, blocks: [block(1)] }, (bytes) => {
    // Block 1 becomes block 0, and the bit stays.
    bytes.copyWithin(AT.table, AT.table + 4, AT.table + 8);
    bytes.fill(0xff, AT.table + 4, AT.table + 8);
  }, /states that block 1 is full/],
  ["a bit of a block with a clear bit", { ...tap, size: 4 * BLOCK, blocks: [block(1)] }, (bytes) => {
    bytes[headerAt + 1024] = 0x7f;
  }, /states that block 1 is full/],
  ["a length of no sectors", { ...tap, size: 4 * BLOCK, blocks: [block(1)] }, (bytes) => {
    bytes.fill(0, headerAt + 16, headerAt + 20);
  }, /wrong length/],
  ["a location past the end", { ...tap, size: 4 * BLOCK, blocks: [block(1)] }, (bytes) => {
    bytes[headerAt + 8] = 1;
  }, /wrong location/],
  ["a location in a block", { ...tap, size: 4 * BLOCK, blocks: [block(1), block(2)] }, (bytes) => {
    const view = new DataView(bytes.buffer);
    view.setBigUint64(headerAt + 8, BigInt(headerAt + 1024 + 512));
    // The bytes of the block are the bits.
    view.setUint32(headerAt + 24, ~(512 * 2) >>> 0);
  }, /overlaps the batmap/],
];

for (const [name, built, change, found] of WRONG) {
  Deno.test(`check finds a batmap with ${name}, and repair makes it right`, async () => {
    const bytes = buildVhd(built);
    change(bytes);
    const storage = new MemoryStorage(bytes);
    const model = await contentOf(vpc, storage);
    const { corruptions, problems } = await checkVpc(storage, changeContext());
    assert(corruptions > 0);
    assert.match(problems[0]!.message, found);
    await repairVpc(storage, "all", changeContext());
    assert.equal((await checkVpc(storage, changeContext())).corruptions, 0);
    assert.match(batmapFault(storage.bytes()) ?? "", /^(key hash)?$/, "a new batmap has no key hash");
    assertBytes(await contentOf(vpc, storage), model);
  });
}

Deno.test("a block over the batmap is not written", async () => {
  const [, built, change] = WRONG.find(([name]) => name === "a location in a block")!;
  const bytes = buildVhd(built);
  change(bytes);
  const storage = new RecordingStorage(new MemoryStorage(bytes));
  await assert.rejects(vpc.edit!(storage, editContext(new Uint8Array(0))), {
    kind: "corrupt",
    message: /overlaps the batmap/,
  });
  await assert.rejects(resizeVpc(storage, 64 * MIB, "off", changeContext()), { kind: "corrupt" });
  assert.deepEqual(storage.of("write", "zero", "truncate"), []);
});

Deno.test("an unknown structure that the header refers to is not overwritten, nor truncated", async () => {
  const bytes = buildVhd({ type: 3, size: 4 * BLOCK, blockSize: BLOCK, blocks: [block(0), block(3)] });
  const at = AT.table + 512;
  new DataView(bytes.buffer).setBigUint64(512 + 8, BigInt(at));
  seal(bytes.subarray(512, 1536), 36);
  const storage = new RecordingStorage(new MemoryStorage(bytes));
  await assert.rejects(resizeVpc(storage, 1000 * BLOCK, "off", changeContext()), {
    kind: "unsupported",
    message: new RegExp(`unknown structure at ${at}`),
  });
  assert.deepEqual(storage.of("write", "zero", "truncate").filter(({ start }) => start > 0), []);
  const shrunk = new MemoryStorage(bytes);
  await resizeVpc(shrunk, BLOCK, "off", changeContext());
  assert.equal(shrunk.size, bytes.length, "the unknown structure may have any length");
});

Deno.test({
  name: "creator=tap: XenServer finds its creator and a true batmap; QEMU and libvhdi read the disk",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    const raw = folder.file("a.raw");
    const data = rng(seed()).bytes(5 * MIB + 1024);
    data.fill(0, MIB, 5 * MIB);
    await Deno.writeFile(raw, data);
    for (const subformat of ["dynamic", "fixed"]) {
      const path = folder.file(`${subformat}.vhd`);
      const options = { creator: "tap", subformat };
      await convert({ sources: [{ path: raw, format: "raw" }], target: { path, format: "vpc", options } });
      const bytes = await Deno.readFile(path);
      assert.deepEqual([...bytes.subarray(-512 + 28, -512 + 36)], [...new TextEncoder().encode("tap\0"), 0, 1, 0, 3]);
      if (subformat === "dynamic") {
        assert.equal(batmapFault(bytes), "key hash", "a new image has none");
        const at = AT.table + 512;
        assert.deepEqual([bytes[at + 512], bytes[at + 28]], [0b1010_0000, 0]);
      }
      assert.match(await qemuImgOk("compare", "-f", "vpc", "-F", "raw", path, raw), /identical/);
      const { stdout, code } = await run("vhdiinfo", [path]).catch(() => ({ stdout: "", code: -1 }));
      if (code >= 0) assert.match(stdout, new RegExp(`\\b${data.length} bytes`));
      assert.equal((await diskcast("check", "-q", path)).code, 0);
    }
  },
});
