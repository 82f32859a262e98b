/**
 * The modules that a run of the program evaluates: they are the cost of its start. Deno loads more, all that imports name.
 * The list comes from the coverage of V8.
 *
 * @module
 */
import { denoArgs, type Grants } from "./diskcast.ts";
import { run, scratch } from "./qemu.ts";

const top = new URL("../..", import.meta.url).href;

/**
 * Returns the modules that `diskcast ...args` evaluates, sorted: paths from the top of the tree, and names of packages.
 *
 * @throws if the program fails
 */
export async function evaluated(args: readonly string[], grants: Grants = {}): Promise<string[]> {
  await using folder = await scratch();
  const [verb, ...flags] = denoArgs(grants);
  const { code, stderr } = await run(Deno.execPath(), [verb, `--coverage=${folder.path}`, ...flags, ...args]);
  if (code !== 0) throw new Error(`diskcast ${args.join(" ")}: ${stderr}`);
  const found = new Set<string>();
  for await (const { name } of Deno.readDir(folder.path)) {
    const { url } = JSON.parse(await Deno.readTextFile(folder.file(name))) as { readonly url: string };
    found.add(url.startsWith(top) ? url.slice(top.length) : packageOf(url));
  }
  return [...found].sort();
}

/** `.../npm/HOST/@clack/prompts/1.9.0/dist/index.mjs`: the name stands before the version. */
function packageOf(url: string): string {
  return /\/npm\/[^/]+\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1] ?? url;
}
