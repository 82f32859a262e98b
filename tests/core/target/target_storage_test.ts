/**
 * The storage of a target: when it is synced.
 *
 * @module
 */
import { MemoryStorage } from "../../../formats/mod.ts";
import type { SyncMode } from "../../../core/job.ts";
import { targetStorage } from "../../../core/target/target_storage.ts";
import assert from "node:assert/strict";

/** Returns the calls of a storage while 80 MiB are written in parts of 16 MiB, and one part is zeroed. */
async function callsOf(sync: SyncMode): Promise<string[]> {
  const calls: string[] = [];
  const inner = new MemoryStorage();
  const watched = Object.assign(Object.create(inner) as MemoryStorage, {
    writeAt: () => Promise.resolve(void calls.push("write")),
    zeroAt: () => Promise.resolve(void calls.push("zero")),
    sync: () => Promise.resolve(void calls.push("sync")),
    beginSync: () => void calls.push("begin"),
  });
  const storage = targetStorage(watched, { sync });
  const part = new Uint8Array(16 << 20);
  for (let index = 0; index < 5; index++) await storage.writeAt(part, index * part.length);
  await storage.zeroAt(0, part.length);
  return calls;
}

Deno.test("a target that is to be safe at the end is brought to the disk beside the copy", async () => {
  assert.deepEqual(await callsOf("finish"), ["write", "write", "begin", "write", "write", "begin", "write", "zero"]);
});

Deno.test("a target that is to be safe after every write is synced after every write", async () => {
  assert.deepEqual((await callsOf("always")).join(" "), `${"write sync ".repeat(5)}zero sync`);
});

Deno.test("a target that need not be safe is never synced", async () => {
  assert.deepEqual((await callsOf("never")).join(" "), `${"write ".repeat(5)}zero`);
});
