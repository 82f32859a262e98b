import assert from "node:assert/strict";
import { ImageError } from "../../../formats/errors.ts";
import type { ChangeContext } from "../../../formats/maintenance.ts";
import { maintenance } from "../../../formats/qcow2/maintenance.ts";
import { MemoryStorage } from "../../../formats/storage/memory.ts";
import { rng, seed } from "../../support/qemu.ts";
import { golden } from "./golden.ts";

const runSeed = seed();

const context: ChangeContext = {
  pause: () => Promise.resolve(),
  openNamed: () => Promise.reject(new ImageError("refused", "no files")),
  openBelow: () => Promise.reject(new ImageError("refused", "no files")),
  createNamed: () => Promise.reject(new ImageError("refused", "no files")),
};

const verbs: ((storage: MemoryStorage) => Promise<unknown>)[] = [
  (storage) => maintenance.check!(storage, context),
  (storage) => maintenance.repair!(storage, "leaks", context),
  (storage) => maintenance.repair!(storage, "all", context),
  (storage) => maintenance.resize!(storage, 100 << 20, "off", context),
  (storage) => maintenance.resize!(storage, 512, "off", context),
  (storage) => maintenance.empty!(storage, context),
  (storage) => maintenance.forget!(storage, [{ start: 0, end: 1 << 20 }], context),
  (storage) => maintenance.setBacking!(storage, { name: "x", format: "raw" }),
  (storage) => maintenance.snapshots!.create(storage, { name: "n", dateSeconds: 0, dateNanoseconds: 0 }, context),
  (storage) => maintenance.snapshots!.apply(storage, { idOrName: "1" }, context),
  (storage) => maintenance.snapshots!.remove(storage, { idOrName: "1" }, context),
  (storage) => maintenance.amend!(storage, { refcount_bits: 8 }, context),
  (storage) => maintenance.amend!(storage, { compat: "0.10" }, context),
  (storage) => maintenance.administerBitmap!(storage, "b", [{ act: "add", granularity: null, enabled: true }], context),
];

Deno.test("damaged images fail with an ImageError or become what check finds no worse", async () => {
  const random = rng(runSeed);
  const sound = golden("plain").slice();
  for (let round = 0; round < 100; round++) {
    const bytes = sound.slice();
    for (let count = random.int(1, 6); count > 0; count--) {
      // The structures lie in the first clusters; half of all pokes go there.
      const at = random.chance(0.5) ? random.int(200) : random.int(bytes.length);
      bytes[at] = random.chance(0.5) ? random.int(256) : bytes[at] ^ 1 << random.int(8);
    }
    for (const verb of verbs) {
      try {
        await verb(new MemoryStorage(bytes));
      } catch (error) {
        assert(error instanceof ImageError, `round ${round}: ${error instanceof Error ? error.stack : error}`);
      }
    }
  }
});
