/**
 * Structures of a sparse extent file with wrong locations: a verb refuses the image before it writes, or a repair replaces
 * the second copy of a table, and every guest byte that was readable stays.
 */
import assert from "node:assert/strict";
import type { Format } from "../../../formats/mod.ts";
import { MemoryStorage } from "../../../formats/storage/memory.ts";
import type { WritableStorage } from "../../../formats/storage/types.ts";
import { vmdk } from "../../../formats/vmdk/mod.ts";
import { ImageError } from "../../../mod.ts";
import { assertBytes, changeContext, editImage, openImage } from "../../support/model.ts";
import { hasQemu, qemuImgOk, rng, rounds, scratch, seed } from "../../support/qemu.ts";
import { RecordingStorage } from "../../support/storage.ts";
import { make } from "./support.ts";

const MIB = 1 << 20;
const GRAIN = 65_536;
const context = changeContext();
const maintenance = vmdk.maintenance as Required<NonNullable<Format["maintenance"]>>;

const VERBS: Readonly<Record<string, (storage: WritableStorage) => Promise<unknown>>> = {
  async write(storage) {
    const writer = await editImage(vmdk, { storage: storage as MemoryStorage, named: new Map() }, null);
    await writer.write(new Uint8Array(GRAIN).fill(0xee), 0);
    await writer.finish();
  },
  grow: (storage) => maintenance.resize(storage, 100 * MIB, "off", context),
  shrink: (storage) => maintenance.resize(storage, 33 * MIB, "off", context),
  rebase: (storage) => maintenance.setBacking(storage, null),
  empty: (storage) => maintenance.empty(storage, context),
  deallocate: (storage) => maintenance.deallocate(storage, [{ start: 0, end: MIB }], context),
  repair: (storage) => maintenance.repair(storage, "all", context),
};

/** Guest bytes that each verb may change. */
const CHANGES: Readonly<Record<string, readonly [start: number, end: number]>> = {
  write: [0, GRAIN],
  shrink: [33 * MIB, Infinity],
  empty: [0, Infinity],
  deallocate: [0, MIB],
};

/** Returns an image of two grain tables with grains in both. */
async function image(): Promise<Uint8Array> {
  const { storage, writer } = await make("a.vmdk", 40 * MIB, { subformat: "monolithicSparse" });
  for (const at of [0, 1, 20, 33, 39]) await writer.write(new Uint8Array(3 * GRAIN).fill(at + 1), at * MIB);
  await writer.finish();
  return storage.bytes().slice();
}

/** The content of a grain that is a hole. */
const HOLE = new Uint8Array(GRAIN);

/** Returns the content of each grain that can be read, by its number. */
async function readable(bytes: Uint8Array): Promise<Map<number, Uint8Array>> {
  const found = new Map<number, Uint8Array>();
  try {
    const disk = await openImage(vmdk, { storage: new MemoryStorage(bytes), named: new Map() });
    for (let at = 0; at < disk.size;) {
      let end = at + GRAIN;
      try {
        const extent = await disk.extentAt(at, disk.size);
        if (extent.kind === "data") {
          end = Math.min(end, disk.size);
          const part = new Uint8Array(end - at);
          await disk.read(part, at);
          found.set(at / GRAIN, part);
        } else {
          end = extent.end;
          for (let grain = at / GRAIN; grain * GRAIN < end; grain++) found.set(grain, HOLE);
        }
      } catch (error) {
        assert(error instanceof ImageError);
      }
      at = end;
    }
  } catch (error) {
    assert(error instanceof ImageError);
  }
  return found;
}

/** Applies a verb; what was readable is the same after it, or the file is. Returns whether it was refused. */
async function holds(bytes: Uint8Array, verb: string, about: string): Promise<boolean> {
  const before = await readable(bytes);
  const memory = new MemoryStorage(bytes.slice());
  try {
    await VERBS[verb]!(memory);
  } catch (error) {
    assert(error instanceof ImageError, `${about}: ${error}`);
    assertBytes(memory.bytes(), bytes);
    return true;
  }
  const after = await readable(memory.bytes());
  const [from, to] = CHANGES[verb] ?? [0, 0];
  for (const [grain, content] of before) {
    if (grain * GRAIN >= from && grain * GRAIN < to) continue;
    assert(after.has(grain), `${about}: grain ${grain} cannot be read after ${verb}`);
    // Where the directory has no first copy of a table, a repair takes the second.
    if (verb === "repair" && isTableMissing(bytes, grain)) continue;
    const now = after.get(grain)!;
    if (now !== content) assertBytes(now.subarray(0, content.length), content.subarray(0, now.length), grain * GRAIN);
  }
  return false;
}

function isTableMissing(bytes: Uint8Array, grain: number): boolean {
  const view = new DataView(bytes.buffer);
  return view.getUint32(view.getUint32(56, true) * 512 + Math.floor(grain / 512) * 4, true) === 0;
}

interface Parts {
  readonly view: DataView;
  readonly first: number;
  readonly second: number;
  readonly tables: readonly (readonly [first: number, second: number])[];
}

function partsOf(bytes: Uint8Array): Parts {
  const view = new DataView(bytes.buffer);
  const [second, first] = [view.getUint32(48, true) * 512, view.getUint32(56, true) * 512];
  const tables = [0, 1].map((index) =>
    [view.getUint32(first + index * 4, true) * 512, view.getUint32(second + index * 4, true) * 512] as const
  );
  return { view, first, second, tables };
}

/** A damage, and whether a repair makes it right. */
const DAMAGES: readonly (readonly [name: string, repaired: boolean, damage: (parts: Parts) => void])[] = [
  ["a second copy over the grain directory", true, ({ view, first, second }) => {
    view.setUint32(second, first / 512 - 1, true);
  }],
  ["a second copy over a grain", true, ({ view, second, tables }) => {
    view.setUint32(second, view.getUint32(tables[0]![0], true) + 3, true);
  }],
  ["a second copy over the first copy of another table", true, ({ view, second, tables }) => {
    view.setUint32(second, tables[1]![0] / 512, true);
  }],
  ["a second copy in the descriptor", true, ({ view, second }) => view.setUint32(second + 4, 3, true)],
  ["a second copy past the end of the file", true, ({ view, second }) => view.setUint32(second, 0x10_0000, true)],
  ["second copies over each other", true, ({ view, second, tables }) => {
    view.setUint32(second, tables[1]![1] / 512 + 1, true);
  }],
  ["a first copy in the descriptor", false, ({ view, first }) => view.setUint32(first, 4, true)],
  ["a first copy over a grain", false, ({ view, first, tables }) => {
    view.setUint32(first, view.getUint32(tables[0]![0], true), true);
  }],
  ["two first copies in one place", false, ({ view, first, tables }) => {
    view.setUint32(first, tables[1]![0] / 512, true);
  }],
  ["a descriptor over the directories", false, ({ view, first }) => view.setUint32(36, first / 512 + 1, true)],
  ["a redundant directory over a grain", false, ({ view, tables }) => {
    view.setUint32(48, view.getUint32(tables[0]![0], true), true);
  }],
  ["a grain in the descriptor", false, ({ view, tables }) => view.setUint32(tables[0]![0], 2, true)],
];

for (const [name, repaired, damage] of DAMAGES) {
  Deno.test(`${name}: found by check, ${repaired ? "repaired" : "not repaired"}, and not written`, async () => {
    const bytes = await image();
    damage(partsOf(bytes));
    const { check } = maintenance;
    assert((await check(new MemoryStorage(bytes), context)).corruptions > 0);
    for (const [verb, action] of Object.entries(VERBS)) {
      if (verb === "repair" && repaired) continue;
      const memory = new MemoryStorage(bytes.slice());
      const storage = new RecordingStorage(memory);
      await assert.rejects(action(verb === "write" ? memory : storage), { kind: "corrupt" }, verb);
      assertBytes(memory.bytes(), bytes);
    }
    if (!repaired) return;
    const before = await readable(bytes);
    const storage = new MemoryStorage(bytes);
    await VERBS["repair"]!(storage);
    const { corruptions, problems } = await check(storage, context);
    assert.equal(corruptions, 0, problems[0]?.message);
    const after = await readable(storage.bytes());
    assert.equal(after.size, 640);
    for (const [grain, content] of before) assertBytes(after.get(grain)!, content, grain * GRAIN);
    for (const verb of Object.keys(VERBS)) assert.equal(await holds(storage.bytes(), verb, name), false);
  });
}

Deno.test("damaged directories, tables and headers: what was readable stays readable, or nothing is written", async () => {
  const random = rng(seed());
  const valid = await image();
  let refused = 0;
  for (let round = 0; round < rounds(40, 150); round++) {
    const bytes = valid.slice();
    const { view, first, second, tables } = partsOf(bytes);
    const sectors = bytes.length / 512;
    for (let count = random.int(1, 3); count > 0; count--) {
      const at = random.pick([
        first + random.int(2) * 4,
        second + random.int(2) * 4,
        tables[random.int(2)]![random.int(2)]! + random.int(80) * 4,
        random.pick([28, 36, 48, 56, 64]),
      ]);
      view.setUint32(
        at,
        random.pick([random.int(40), random.int(sectors), sectors - 1, view.getUint32(at, true) ^ 1]),
        true,
      );
    }
    for (const verb of Object.keys(VERBS)) if (await holds(bytes, verb, `round ${round}`)) refused++;
  }
  assert(refused > 0);
});

Deno.test({
  name: "qemu-img reads what a repair leaves",
  ignore: !hasQemu,
  async fn() {
    await using folder = await scratch();
    const bytes = await image();
    await Deno.writeFile(folder.file("valid.vmdk"), bytes);
    for (const [nth, [, repaired, damage]] of DAMAGES.entries()) {
      if (!repaired) continue;
      const storage = new MemoryStorage(bytes.slice());
      damage(partsOf(storage.bytes()));
      await VERBS["repair"]!(storage);
      const path = folder.file(`${nth}.vmdk`);
      await Deno.writeFile(path, storage.bytes());
      assert.match(
        await qemuImgOk("compare", "-f", "vmdk", "-F", "vmdk", path, folder.file("valid.vmdk")),
        /identical/,
      );
    }
  },
});
