import assert from "node:assert/strict";
import { dataExtent, type Disk, type DiskWriter, type Format, ImageError, type Storage } from "../../formats/mod.ts";
import { conformanceCases } from "./conformance.ts";
import { rng } from "./qemu.ts";

const HEADER = 16;

/** Returns a format with a magic number, a length and the guest bytes; `change` breaks it. */
function toy(change: Partial<Format> = {}, disk: Partial<Disk> = {}, writer: Partial<DiskWriter> = {}): Format {
  return {
    name: "toy",
    title: "Toy image",
    extensions: ["toy"],
    subformats: { written: [], read: [] },
    maxSize: 2 ** 40,
    has: { backing: false, overlays: false, compression: false, snapshots: false, bitmaps: false },
    probe: ({ head }) => head[0] === 0x54 && head[1] === 0x4f && head[2] === 0x59 && head[3] === 9 ? "yes" : "no",
    createOptions: [],
    open: (storage) => openToy(storage, disk),
    async create(storage, plan) {
      const header = new Uint8Array(HEADER);
      header.set([0x54, 0x4f, 0x59, 9]);
      new DataView(header.buffer).setUint32(8, plan.size);
      await storage.writeAt(header, 0);
      await storage.truncate(HEADER + plan.size);
      return {
        traits: {
          size: plan.size,
          clusterSize: 512,
          sector: 1,
          compress: false,
          order: "any",
          startsZeroed: true,
          zeroes: "cheap",
        },
        write: (from, start) => storage.writeAt(from, HEADER + start),
        zero: (start, end) => storage.zeroAt(HEADER + start, HEADER + end),
        finish: () => Promise.resolve(),
        ...writer,
      };
    },
    ...change,
  };
}

async function openToy(storage: Storage, change: Partial<Disk>): Promise<Disk> {
  const header = new Uint8Array(HEADER);
  await storage.readAt(header, 0);
  const size = new DataView(header.buffer).getUint32(8);
  if (header[3] !== 9 || size !== storage.size - HEADER) throw new ImageError("corrupt", "Cannot open it: no toy");
  return {
    format: "toy",
    size,
    clusterSize: 512,
    backing: null,
    info: {},
    extentAt: (start, limit) => dataExtent(start, limit),
    read: (into, start) => storage.readAt(into, HEADER + start),
    ...change,
  };
}

/** Returns the names of the cases that a format fails. */
async function failures(format: Format): Promise<string[]> {
  const failed: string[] = [];
  for (const one of conformanceCases(format)) {
    if (!one.skip) await one.run(rng(1)).catch(() => failed.push(one.name));
  }
  return failed;
}

Deno.test("a valid format passes", async () => {
  for (const one of conformanceCases(toy())) if (!one.skip) await one.run(rng(1));
});

/** Broken formats, each with a case that must fail. */
const broken: readonly (readonly [what: string, format: Format, noticed: string])[] = [
  [
    "an extent past its limit",
    toy({}, { extentAt: (s, limit) => dataExtent(s, limit + 1) }),
    "keeps every byte",
  ],
  ["an empty extent", toy({}, { extentAt: (s) => dataExtent(s, s) }), "keeps every byte"],
  [
    "an extent that begins early",
    toy({}, { extentAt: (s, e) => dataExtent(s && s - 1, e) }),
    "keeps every byte",
  ],
  [
    "a table that is read each time",
    toy({}, { extentAt: (start, end) => Promise.resolve(dataExtent(start, end)) }),
    "keeps its tables",
  ],
  ["a lost write", toy({}, {}, { write: () => Promise.resolve() }), "keeps every byte"],
  ["a lost zero", toy({}, {}, { zero: () => Promise.resolve() }), "keeps every byte"],
  [
    "data called zero",
    toy({}, { extentAt: (start, end) => ({ start, end, kind: "zero" }) }),
    "keeps every",
  ],
  ["a wrong size", toy({}, { size: 512 }), "keeps sizes"],
  ["a foreign error", toy({ open: () => Promise.reject(new RangeError("x")) }), "survives every cut"],
  ["a probe that claims all", toy({ probe: () => "yes" }), "probes any bytes"],
  ["a probe that throws", toy({ probe: ({ head }) => head[0]!.toFixed() ? "no" : "yes" }), "probes any bytes"],
  ["a shy probe", toy({ probe: () => "maybe" }), "keeps every byte with default"],
  [
    "a final stop in help",
    toy({ createOptions: [{ name: "a", type: "flag", help: "Ends so." }] }),
    "has valid properties",
  ],
  [
    "a default that is no value",
    toy({ createOptions: [{ name: "a", type: "choice", help: "A", values: ["b"], default: "c" }] }),
    "has valid properties",
  ],
  [
    "an unknown snapshot that opens",
    toy({
      subformats: { written: [], read: [] },
      maxSize: 2 ** 40,
      has: { backing: false, overlays: false, compression: false, snapshots: true, bitmaps: false },
      open: (storage) => openToy(storage, {}),
    }),
    "refuses a missing snapshot",
  ],
];

for (const [what, format, noticed] of broken) {
  Deno.test(`the conformance suite notices ${what}`, async () => {
    const failed = await failures(format);
    assert(failed.some((name) => name.startsWith(noticed)), `failed: ${failed.join("; ")}`);
  });
}
