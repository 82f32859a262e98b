/** `deno task sample`: writes the sample disk. The guest disk is the same each time. */
import { convert } from "../../core/convert.ts";
import { scratch } from "./qemu.ts";
import { sampleDisk, samplePath } from "./sample.ts";

await using folder = await scratch();
const raw = folder.file("sample.raw");
await Deno.writeFile(raw, sampleDisk());
await convert({
  sources: [{ path: raw, format: "raw" }],
  // Small clusters, so that the tables of an image of few files stay small.
  target: { path: samplePath, format: "qcow2", options: { cluster_size: 4096 }, compress: true },
});
console.log(`${samplePath}: ${(await Deno.stat(samplePath)).size} bytes`);
