import assert from "node:assert/strict";
import { ImageError } from "../../../formats/errors.ts";
import type { ChangeContext, CheckReport } from "../../../formats/maintenance.ts";
import { qcow2 } from "../../../formats/qcow2/mod.ts";
import { readHeader } from "../../../formats/qcow2/header/header.ts";
import { readOnDiskRefcounts } from "../../../formats/qcow2/refcounts/on_disk_refcounts.ts";
import { MemoryStorage } from "../../../formats/storage/memory.ts";
import type { WritableStorage } from "../../../formats/storage/types.ts";
import { type Rng, rng, rounds, seed } from "../../support/qemu.ts";
import { WatchedStorage } from "../../support/storage.ts";
import { golden } from "./golden.ts";

const runSeed = seed();

const context: ChangeContext = {
  checkpoint: () => Promise.resolve(),
  openNamed: () => Promise.resolve(new MemoryStorage(new Uint8Array(1 << 20))),
  openBacking: () => Promise.reject(new ImageError("refused", "no files")),
  createNamed: () => Promise.reject(new ImageError("refused", "no files")),
};

/** No operation needs a longer file, however large the clusters in a damaged header are. */
const FILE_MAX = 64 << 20;

type Operation = (storage: WritableStorage) => Promise<unknown>;

const operations: { readonly [name: string]: Operation } = {
  check: (storage) => qcow2.maintenance!.check!(storage, context),
  "repair of leaks": (storage) => qcow2.maintenance!.repair!(storage, "leaks", context),
  "repair of all": (storage) => qcow2.maintenance!.repair!(storage, "all", context),
  growth: (storage) => qcow2.maintenance!.resize!(storage, 100 << 20, "off", context),
  "preallocated growth": (storage) => qcow2.maintenance!.resize!(storage, 41 << 20, "metadata", context),
  shrinking: (storage) => qcow2.maintenance!.resize!(storage, 512, "off", context),
  emptying: (storage) => qcow2.maintenance!.empty!(storage, context),
  forgetting: (storage) => qcow2.maintenance!.deallocate!(storage, [{ start: 0, end: 1 << 20 }], context),
  "another backing file": (storage) => qcow2.maintenance!.setBacking!(storage, { name: "x", format: "raw" }),
  "a new snapshot": (storage) =>
    qcow2.maintenance!.snapshots!.create(storage, { name: "n", dateSeconds: 0, dateNanoseconds: 0 }, context),
  "loading a snapshot": (storage) => qcow2.maintenance!.snapshots!.apply(storage, { idOrName: "1" }, context),
  "removing a snapshot": (storage) => qcow2.maintenance!.snapshots!.remove(storage, { idOrName: "1" }, context),
  "other refcounts": (storage) => qcow2.maintenance!.amend!.run(storage, { refcount_bits: 8 }, context),
  "another version": (storage) =>
    qcow2.maintenance!.amend!.run(storage, { compat: "0.10", refcount_bits: 16 }, context),
  "a new bitmap": (storage) =>
    qcow2.maintenance!.bitmaps!.change(storage, "b", [{ action: "add", granularity: null, enabled: true }], context),
  "removing a bitmap": (storage) =>
    qcow2.maintenance!.bitmaps!.change(storage, "bits", [{ action: "remove" }], context),
};

/** Returns the report of a check, or the error of an image that does not open. */
async function found(bytes: Uint8Array): Promise<CheckReport | ImageError> {
  try {
    return await qcow2.maintenance!.check!(new MemoryStorage(bytes), context);
  } catch (error) {
    assert(error instanceof ImageError, error instanceof Error ? error.stack : String(error));
    return error;
  }
}

/** Applies the operation. Returns the bytes after it, or null where it was refused. */
async function changed(bytes: Uint8Array, operation: Operation): Promise<Uint8Array | null> {
  const storage = new MemoryStorage(bytes);
  const watched = new WatchedStorage(storage, ({ op, end }) => {
    assert(op === "read" || op === "hole" || end <= FILE_MAX, `${op} up to byte ${end}`);
  });
  try {
    await operation(watched);
    return storage.bytes();
  } catch (error) {
    if (error instanceof ImageError) return null;
    throw error;
  }
}

for (const kind of ["plain", "v2", "extended", "external"] as const) {
  Deno.test(`damaged images fail with an ImageError or become what check finds no worse: ${kind}`, async () => {
    const random = rng(runSeed);
    const storage = new MemoryStorage(golden(kind));
    await qcow2.maintenance!.repair!(storage, "all", context);
    const valid = storage.bytes();
    const outcomes = { refused: 0, changed: 0 };
    const count = rounds(20, 60);
    for (let round = 0; round < count; round++) {
      const bytes = damaged(valid, random);
      const before = await found(bytes);
      const hidden = before instanceof ImageError ? 0 : await countedPastTheEnd(bytes);
      for (const [name, operation] of Object.entries(operations)) {
        try {
          const result = await changed(bytes, operation);
          outcomes[result === null ? "refused" : "changed"]++;
          if (result !== null) assertNoWorse(before, await found(result), hidden, name === "repair of all");
        } catch (error) {
          throw new Error(`round ${round}, ${name}`, { cause: error });
        }
      }
    }
    const least = count * 100 / 60;
    assert(outcomes.refused > least && outcomes.changed > least, JSON.stringify(outcomes));
  });
}

function damaged(valid: Uint8Array, random: Rng): Uint8Array {
  const bytes = valid.slice();
  for (let count = random.int(1, 6); count > 0; count--) {
    // Most structures lie in the first clusters; half of all modifications go there.
    const at = random.chance(0.5) ? random.int(200) : random.int(bytes.length);
    bytes[at] = random.chance(0.5) ? random.int(256) : bytes[at]! ^ 1 << random.int(8);
  }
  return bytes;
}

/**
 * Returns how many clusters past the end of the file have a refcount; they become leaks when the file grows over them.
 */
async function countedPastTheEnd(bytes: Uint8Array): Promise<number> {
  const storage = new MemoryStorage(bytes);
  const header = await readHeader(storage);
  const { blocks, clustersPerBlock, get } = await readOnDiskRefcounts(storage, header);
  let counted = 0;
  for (const { index } of blocks) {
    const from = Math.max(index * clustersPerBlock, Math.ceil(bytes.length / header.clusterSize));
    for (let cluster = from; cluster < (index + 1) * clustersPerBlock; cluster++) if (await get(cluster) > 0) counted++;
  }
  return counted;
}

function assertNoWorse(
  before: CheckReport | ImageError,
  after: CheckReport | ImageError,
  hidden: number,
  repaired: boolean,
): void {
  // Setting the name of the backing file reads no table.
  if (before instanceof ImageError) return;
  assert(!(after instanceof ImageError), `What opened does not any more: ${after}`);
  const problems = JSON.stringify([before.problems, after.problems]);
  if (repaired) assert(after.corruptions <= before.corruptions, problems);
  if (before.corruptions > 0 || before.checkErrors > 0) return;
  assert.deepEqual([after.corruptions, after.checkErrors], [0, 0], problems);
  assert(after.leaks <= before.leaks + hidden, problems);
}
