/** The fault matrix: whatever request fails, nothing appears under the target's name and nothing is left behind. */
import assert from "node:assert/strict";
import { convert } from "../../core/convert.ts";
import type { ConvertJob } from "../../core/job.ts";
import { faultyFiles, type FileOperation } from "../support/files.ts";
import { rng, type Scratch, scratch } from "../support/qemu.ts";

const isTarget = ({ file }: FileOperation) => file.includes("out");

const faults: [name: string, chosen: (operation: FileOperation) => boolean][] = [
  ["read of the source", (operation) => operation.op === "read" && operation.file.startsWith("source")],
  ["open of the source", (operation) => operation.op === "open" && operation.file.startsWith("source")],
  ["create", ({ op }) => op === "create"],
  ["write", (operation) => operation.op === "write" && isTarget(operation)],
  ["zero", (operation) => operation.op === "zero" && isTarget(operation)],
  ["truncate", (operation) => operation.op === "truncate" && isTarget(operation)],
  ["reserve", ({ op }) => op === "reserve"],
  ["sync", ({ op }) => op === "sync"],
  ["rename", ({ op }) => op === "rename"],
];

/** Jobs over which the matrix runs, by name; each writes `out` from files whose names begin with `source`. */
function jobs(folder: Scratch): [string, ConvertJob][] {
  const source = { path: folder.file("source.raw"), format: "raw" };
  const to = (format: string, options: Record<string, string> = {}) => ({ path: folder.file("out"), format, options });
  return [
    ["raw to raw", { sources: [source], target: to("raw") }],
    ["raw to raw, preallocated", { sources: [source], target: to("raw", { preallocation: "full" }) }],
    ["raw to qcow2", { sources: [source], target: to("qcow2") }],
    ["raw to compressed qcow2", {
      sources: [source],
      target: { ...to("qcow2", { cluster_size: "16k" }), compress: true },
    }],
    ["raw to qcow2 with a data file", { sources: [source], target: to("qcow2", { data_file: "out.data" }) }],
    ["qcow2 to raw", { sources: [{ path: folder.file("source.qcow2") }], target: to("raw") }],
  ];
}

async function prepare(folder: Scratch): Promise<void> {
  const random = rng(7);
  const bytes = new Uint8Array(1_000_000);
  bytes.set(random.bytes(100_000), 0);
  bytes.set(random.bytes(300_000), 500_000);
  await Deno.writeFile(folder.file("source.raw"), bytes);
  const target = { path: folder.file("source.qcow2"), format: "qcow2" };
  await convert({ sources: [{ path: folder.file("source.raw"), format: "raw" }], target });
}

const names = (folder: Scratch) => [...Deno.readDirSync(folder.path)].map(({ name }) => name).sort();

for (const [fault, chosen] of faults) {
  Deno.test(`fault matrix: ${fault}`, async () => {
    await using folder = await scratch();
    await prepare(folder);
    const start = names(folder);
    let failures = 0;
    for (const [name, job] of jobs(folder)) {
      const counting = faultyFiles(chosen, 0);
      await convert(job, { files: counting.files });
      for (const file of names(folder)) if (!start.includes(file)) await Deno.remove(folder.file(file));
      // Every request in turn where they are few, else those at both ends and some between.
      const count = counting.count();
      const turns = count <= 12
        ? Array.from({ length: count }, (_, index) => index + 1)
        : [1, 2, 3, count >> 1, count - 1, count];
      for (const nth of turns) {
        const { files } = faultyFiles(chosen, nth);
        await assert.rejects(convert(job, { files }), { name: "ImageError", kind: "io" }, `${name}, ${fault} ${nth}`);
        assert.deepEqual(names(folder), start, `${name}, ${fault} ${nth}: nothing is left`);
        failures++;
      }
      await Deno.writeTextFile(folder.file("out"), "the old file");
      const { files } = faultyFiles(chosen, 1);
      if (count > 0) await assert.rejects(convert(job, { files }), { kind: "io" });
      assert.equal(await Deno.readTextFile(folder.file("out")), "the old file");
      await Deno.remove(folder.file("out"));
    }
    assert.ok(failures > 0 || fault === "zero", "the fault was met");
  });
}
