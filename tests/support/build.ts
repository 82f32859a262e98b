/**
 * `deno task build`: the built form of the program in dist/, which runs without the source, packages and `deno.json`.
 *
 * - `diskcast.js`: the entry
 * - `chunks/`: everything else; what only some commands need is loaded when it is reached, as from the source
 * - `LICENSES.txt`: the licences of the program and of the packages that the chunks hold
 *
 * Not minified: that would gain 2 ms of start-up, and cost readable stack traces.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { builtFiles, type BundledPackage, packagesIn } from "./chunks.ts";

/** The folder of this program's source. */
const SOURCE: URL = new URL("../../", import.meta.url);
const ENTRY = "diskcast.js";

/** What a build has made. */
export interface Built {
  readonly version: string;
  /** Path of the module to run. */
  readonly entry: string;
  /** How many files, licences included. */
  readonly files: number;
  readonly bytes: number;
}

/** Builds `source` into `folder`, and removes what an earlier build left there. */
export async function build(folder: string, source = SOURCE): Promise<Built> {
  await Deno.mkdir(folder, { recursive: true });
  const { version } = JSON.parse(await Deno.readTextFile(new URL("deno.json", source))) as { readonly version: string };
  const chunks = await bundle(folder, source);
  const files = builtFiles(chunks, ENTRY);
  files.set(ENTRY, `// diskcast ${version}\n${files.get(ENTRY)}`);
  files.set("LICENSES.txt", await licenses(`diskcast ${version}`, packagesIn(chunks), source));
  await Deno.remove(`${folder}/chunks`, { recursive: true }).catch(ignoreMissing);
  await Deno.mkdir(`${folder}/chunks`);
  let bytes = 0;
  for (const [path, text] of files) {
    const encoded = new TextEncoder().encode(text);
    bytes += encoded.length;
    await Deno.writeFile(`${folder}/${path}`, encoded);
  }
  return { version, entry: `${folder}/${ENTRY}`, files: files.size, bytes };
}

/** Runs `deno bundle`; a folder inside `folder` holds the chunks for as long as that takes. */
async function bundle(folder: string, source: URL): Promise<Map<string, string>> {
  const raw = await Deno.makeTempDir({ dir: folder, prefix: ".bundle" });
  try {
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        ...["bundle", "--quiet", "--frozen", "--platform=deno", "--packages=bundle", "--code-splitting"],
        ...[`--outdir=${await Deno.realPath(raw)}`, "cli/diskcast.ts"],
      ],
      cwd: source,
      stdout: "inherit",
      stderr: "piped",
    }).output();
    if (!success) throw new Error(`Cannot build: ${new TextDecoder().decode(stderr).trimEnd()}`);
    const chunks = new Map<string, string>();
    for await (const { name } of Deno.readDir(raw)) chunks.set(name, await Deno.readTextFile(`${raw}/${name}`));
    return chunks;
  } finally {
    await Deno.remove(raw, { recursive: true });
  }
}

/** The text of LICENSES.txt. */
async function licenses(title: string, packages: readonly BundledPackage[], source: URL): Promise<string> {
  const parts = [`${title}\n\n${await Deno.readTextFile(new URL("LICENSE", source))}`];
  for (const { name, folder } of packages) {
    const where = new URL(`${folder}/`, source);
    const file = Deno.readDirSync(where).find((entry) => /^licen[cs]e(\.\w+)?$/i.test(entry.name));
    if (file === undefined) throw new Error(`Cannot build: ${name} has no file with its licence`);
    parts.push(`${name}\n\n${await Deno.readTextFile(new URL(file.name, where))}`);
  }
  return parts.map((part) => `${part.replaceAll("\r\n", "\n").trim()}\n`).join(`\n${"-".repeat(80)}\n\n`);
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}

if (import.meta.main) {
  try {
    const { version, entry, files, bytes } = await build(Deno.args[0] ?? fileURLToPath(new URL("dist", SOURCE)));
    console.log(`${entry}: diskcast ${version}, ${files} files, ${(bytes / 1e6).toFixed(2)} MB`);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    Deno.exit(1);
  }
}
