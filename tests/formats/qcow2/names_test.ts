/** Names that are not UTF-8 in qcow2 images: changes of an image keep their bytes. */
import assert from "node:assert/strict";
import { MemoryStorage } from "../../../formats/storage/memory.ts";
import { qcow2 } from "../../../formats/qcow2/mod.ts";
import { changeContext, createImage, openImage } from "../../support/model.ts";

const LATIN1 = [0x62, 0xfc, 0x72, 0x6f]; // "büro"

/** Returns how often the name stands in the bytes. */
function count(bytes: Uint8Array): number {
  return Buffer.from(bytes).toString("latin1").split("b\xfcro").length - 1;
}

/** Replaces the UTF-8 bytes of "bXro" by the Latin-1 name, everywhere. */
function renamed(storage: MemoryStorage): MemoryStorage {
  const text = Buffer.from(storage.bytes()).toString("latin1");
  return new MemoryStorage(
    new Uint8Array(Buffer.from(text.replaceAll("bXro", String.fromCharCode(...LATIN1)), "latin1")),
  );
}

Deno.test("changes of an image keep the bytes of names of backing file, snapshots and bitmaps", async () => {
  const context = changeContext(new Uint8Array(1 << 20).fill(5));
  const image = await createImage(qcow2, 1 << 20, {}, { backing: new Uint8Array(1 << 20) });
  await image.writer.finish();
  const text = Buffer.from(image.storage.bytes()).toString("latin1").replace("backing.raw", "bXro.raw\0\0\0");
  const made = new MemoryStorage(new Uint8Array(Buffer.from(text, "latin1")));
  const { resize, snapshots, bitmaps, amend, repair } = qcow2.maintenance!;
  await snapshots!.create(made, { name: "bXro", dateSeconds: 0, dateNanoseconds: 0 }, context);
  await bitmaps!.change(made, "bXro", [{ action: "add", granularity: null, enabled: true }], context);
  const storage = renamed(made);
  assert.equal(count(storage.bytes()), 3);
  await snapshots!.create(storage, { name: "new", dateSeconds: 0, dateNanoseconds: 0 }, context);
  await bitmaps!.change(storage, "new", [{ action: "add", granularity: null, enabled: true }], context);
  await resize!(storage, 2 << 20, "off", context);
  await amend!.run(storage, { refcount_bits: 32 }, context);
  await repair!(storage, "all", context);
  await qcow2.maintenance!.empty!(storage, context);
  const disk = await openImage(qcow2, { storage, named: new Map() });
  assert.equal(disk.backing?.name.slice(0, 4), "b\ufffdro");
  const listed = disk.info["snapshots"] as { name: string }[];
  assert.deepEqual(listed.map(({ name }) => name), ["b\ufffdro", "new"]);
  const text2 = Buffer.from(storage.bytes()).toString("latin1");
  assert.equal(count(storage.bytes()) >= 3, true, "backing file, snapshot, bitmap");
  assert(!text2.includes("b\xef\xbf\xbdro"), "no name became U+FFFD");
  assert.equal((await qcow2.maintenance!.check!(storage, context)).corruptions, 0);
});
