/**
 * Runs the tests that a change can affect: `deno task test:changed [BASE] [OPTION OF deno test]…`. The change is what
 * differs from the Git revision BASE (default: main), uncommitted and new files included.
 *
 * A test file is run where its imports reach a changed module, or a module that names a changed file of another type. The
 * examples in changed modules are run as well.
 *
 * @module
 */
import { importsOf, type Sources } from "./architecture.ts";

/** Changes of these files can affect every test. */
const GLOBAL: readonly string[] = ["deno.json", "deno.lock"];

const isTest = (path: string) => path.endsWith("_test.ts");

/** Returns what to pass to `deno test --doc` for the changed `paths`: test files, and changed modules for their examples. */
export function testsFor(paths: readonly string[], sources: Sources): string[] {
  if (paths.some((path) => GLOBAL.includes(path))) return [...sources.keys()].filter(isTest).sort();
  const affected = new Set<string>();
  const importers = importersIn(sources);
  const add = (path: string) => {
    if (affected.has(path)) return;
    affected.add(path);
    for (const importer of importers.get(path) ?? []) add(importer);
  };
  for (const path of paths) {
    if (sources.has(path) || path.endsWith(".ts")) add(path);
    else for (const module of modulesNaming(path, sources)) add(module);
  }
  const examples = paths.filter((path) => sources.has(path) && !path.startsWith("tests/"));
  return [...new Set([...[...affected].filter((path) => isTest(path) && sources.has(path)), ...examples])].sort();
}

/** Returns the modules that import each module, directly. */
function importersIn(sources: Sources): ReadonlyMap<string, readonly string[]> {
  const importers = new Map<string, string[]>();
  for (const [importer, source] of sources) {
    for (const { path } of importsOf(importer, source)) {
      if (path === null) continue;
      const list = importers.get(path);
      if (list) list.push(importer);
      else importers.set(path, [importer]);
    }
  }
  return importers;
}

/** Returns the modules whose text has the name of the file, or of its folder. */
function modulesNaming(path: string, sources: Sources): string[] {
  const [name, folder] = path.split("/").reverse();
  return [...sources].filter(([, source]) =>
    source.includes(name) || folder !== undefined && source.includes(`"${folder}"`)
  ).map(([module]) => module);
}

async function git(...args: string[]): Promise<string[]> {
  const { success, stdout, stderr } = await new Deno.Command("git", { args }).output();
  if (!success) throw new Error(`git ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout).split("\n").filter(Boolean);
}

if (import.meta.main) {
  const [base, ...options] = Deno.args[0]?.startsWith("-") === false ? Deno.args : ["main", ...Deno.args];
  const changed = [
    ...await git("diff", "--name-only", "--merge-base", base),
    ...await git("ls-files", "--others", "--exclude-standard"),
  ];
  const sources = new Map<string, string>();
  for (const path of await git("ls-files", "--cached", "--others", "--exclude-standard", "*.ts")) {
    const text = await Deno.readTextFile(path).catch(() => null);
    if (text !== null) sources.set(path, text);
  }
  const files = testsFor(changed, sources);
  console.log(`${changed.length} files differ from ${base}: ${files.length} files to test`);
  if (files.length > 0) {
    const args = ["test", "--frozen", "--no-check", "--parallel", "--doc", "-A", ...options, ...files];
    Deno.exit((await new Deno.Command(Deno.execPath(), { args }).spawn().status).code);
  }
}
