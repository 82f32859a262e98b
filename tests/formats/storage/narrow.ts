/**
 * What the storage tests run as a process of its own, with few permissions: `narrow.ts VERB PATH…`. The result, or the
 * kind and message of the error, is printed as JSON.
 *
 * @module
 */
import { ImageError } from "../../../formats/errors.ts";
import { raw } from "../../../formats/raw.ts";
import { createFileStorage, type FileStorage, openFileStorage } from "../../../formats/storage/file.ts";
import { heldByQemu, syncFolder } from "../../../formats/storage/host.ts";
import { inlineCodecs } from "../../support/codecs.ts";

const verbs: { readonly [verb: string]: (...paths: string[]) => Promise<unknown> } = {
  /** Opens for reading; what is known. */
  async open(path) {
    await using storage = await openFileStorage(path!);
    return { size: storage.size, isDevice: storage.isDevice, findsHoles: storage.holeAt !== undefined };
  },
  /** Opens for writing. */
  async edit(path) {
    await using storage = await openFileStorage(path!, { write: true });
    return { size: storage.size };
  },
  /** Copies data runs only. */
  async copy(from, to) {
    await using source = await openFileStorage(from!);
    await using target = await createFileStorage(to!);
    await copyRuns(source, target);
    await target.sync();
    return { identity: target.identity !== null, cheap: target.zeroesCheaply };
  },
  /** Reads back from a new file. */
  async readBack(path) {
    await using storage = await createFileStorage(path!);
    await storage.writeAt(new Uint8Array([1, 2, 3]), 0);
    const bytes = new Uint8Array(2);
    await storage.readAt(bytes, 1);
    return [...bytes];
  },
  /** Takes a lock, says so, and keeps it until the standard input ends. */
  async lock(path) {
    await using storage = await openFileStorage(path!);
    await storage.lock(true);
    console.log("locked");
    for await (const _ of Deno.stdin.readable);
  },
  /** Reserves space, or is refused. */
  async reserve(path) {
    await using storage = await createFileStorage(path!);
    await storage.reserve(0, 1 << 20, false);
    return { size: storage.size };
  },
  devices: async (root) => (await import("../../../formats/storage/block_devices.ts")).blockDevices(root!),
  held: (path) => Promise.resolve(heldByQemu(path!)),
  syncFolder: (path) => Promise.resolve(syncFolder(path!)),
};

async function copyRuns(source: FileStorage, target: FileStorage): Promise<void> {
  const disk = await raw.open(source, {
    ...inlineCodecs,
    openNamed: () => Promise.reject(new Error("raw names no file")),
  });
  const context = { ...inlineCodecs, backing: null, createNamed: () => Promise.reject(new Error("raw names no file")) };
  const writer = await raw.create!(
    target,
    { size: disk.size, options: {}, backing: null, compress: false },
    context,
  );
  for (let position = 0; position < disk.size;) {
    const run = await disk.extentAt(position, disk.size);
    if (run.kind === "data") {
      const bytes = new Uint8Array(run.end - run.start);
      await disk.read(bytes, run.start);
      await writer.write(bytes, run.start);
    }
    position = run.end;
  }
  await writer.finish();
}

const [verb, ...paths] = Deno.args;
try {
  console.log(JSON.stringify(await verbs[verb!]!(...paths)));
} catch (error) {
  if (!(error instanceof ImageError)) throw error;
  console.log(JSON.stringify({ kind: error.kind, message: error.message }));
}
