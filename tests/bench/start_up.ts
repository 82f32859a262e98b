/**
 * What it costs to start: programs that do little, with Deno's own cache warm and empty.
 *
 * @module
 */
import { denoArgs } from "../support/diskcast.ts";
import { run, type Scratch } from "../support/qemu.ts";
import { contend, type Contender } from "./contend.ts";
import type { Row } from "./results.ts";

/** Runs them; `tiny` is a small qcow2 image in the folder. */
export async function startUp(folder: Scratch, tiny: string, runs: number): Promise<Row[]> {
  const empty = folder.file("empty.ts");
  await Deno.writeTextFile(empty, "");
  const program = Deno.execPath();
  const info = ["info", "-f", "qcow2", tiny];
  const convert = ["convert", "-f", "qcow2", "-O", "raw", tiny, folder.file("tiny.raw")];
  const grants = { read: [folder.path], write: [folder.path] };
  const warm: Contender[] = [
    { name: "empty Deno program", program, args: ["run", "--no-prompt", empty] },
    { name: "diskcast info", program, args: [...denoArgs({ read: [folder.path] }), ...info] },
    { name: "diskcast convert", program, args: [...denoArgs(grants), ...convert] },
    { name: "diskcast --version", program, args: [...denoArgs({}), "--version"] },
    { name: "diskcast --help", program, args: [...denoArgs({}), "--help"] },
    { name: "convert --help", program, args: [...denoArgs({}), "convert", "--help"] },
    { name: "qemu-img info", program: "qemu-img", args: info },
    { name: "qemu-img convert", program: "qemu-img", args: convert },
  ];
  const cold = await withEmptyCache(folder, warm.slice(0, 4));
  return [
    ...await contend({ contenders: warm, runs }),
    ...await contend({ contenders: cold, runs: Math.min(5, runs) }),
  ];
}

/** The same with a cache that holds the packages from npm and nothing that Deno has worked out from them. */
async function withEmptyCache(folder: Scratch, contenders: readonly Contender[]): Promise<Contender[]> {
  const { denoDir } = JSON.parse((await run(Deno.execPath(), ["info", "--json"])).stdout) as { denoDir: string };
  const cache = folder.file("cache");
  const prepare = async () => {
    await Deno.remove(cache, { recursive: true }).catch(() => {});
    await Deno.mkdir(cache);
    await Deno.symlink(`${denoDir}/npm`, `${cache}/npm`);
  };
  return contenders.map(({ name, program, args }) => ({
    name: `${name.replace(" Deno program", " program")}, cold`,
    program: "env",
    args: [`DENO_DIR=${cache}`, program, ...args],
    prepare,
  }));
}
