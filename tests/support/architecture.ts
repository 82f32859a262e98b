/**
 * Checks the rules of docs/architecture.md about imports. Pure: takes sources and returns violations, so that tests can show
 * with made-up sources that a violation is found.
 *
 * @module
 */

/** Sources by path from the top of the tree: `core/copy/plan.ts`. */
export type Sources = ReadonlyMap<string, string>;

/** One import statement. */
export interface Import {
  /** As written. */
  readonly specifier: string;
  /** Path from the top of the tree, for relative specifiers. */
  readonly path: string | null;
  /** `type`: erased; `dynamic`: `import()` or a worker, loaded when reached. */
  readonly kind: "static" | "type" | "dynamic";
}

/** Files longer than {@linkcode MAX_LINES}, each with its reason. */
export const longFiles: { readonly [path: string]: string } = {};

/** The most lines of a file. */
export const MAX_LINES = 600;

/** Packages, and the parts that may use them; built-in modules of Node are open to all. */
const packages: { readonly [name: string]: readonly Part[] } = {
  "@clack/prompts": ["cli"],
  "string-width": ["tui"],
  "fast-check": ["tests"],
  "yaml": ["tests"],
};

type Part = "mod" | "cli" | "tui" | "core" | "registry" | "helper" | "format" | "storage" | "npm" | "tests";

/** Returns all violations in a tree. */
export function violations(sources: Sources): string[] {
  const formats = formatNames(sources);
  const found: string[] = [];
  for (const [path, source] of sources) {
    const part = partOf(path, formats);
    if (part === null) {
      found.push(`${path} stands outside mod.ts, cli/, core/, formats/, tui/, npm/ and tests/`);
      continue;
    }
    for (const one of importsOf(path, source)) {
      const violation = importViolation(path, part, one, formats);
      if (violation) found.push(`${path} imports ${one.specifier}: ${violation}`);
    }
    if (part !== "cli" && part !== "tests") found.push(...calls(path, source));
    const lines = source.split("\n").length - 1;
    if (lines > MAX_LINES && part !== "tests" && !longFiles[path]) {
      found.push(`${path} has ${lines} lines: at most ${MAX_LINES}, or a reason in longFiles`);
    }
  }
  return [...found, ...cycles(sources)];
}

/** Returns the imports of one file. Statements start in the first column, as `deno fmt` writes them. */
export function importsOf(path: string, source: string): Import[] {
  const found: Import[] = [];
  const add = (specifier: string, kind: Import["kind"]) =>
    found.push({ specifier, path: resolve(path, specifier), kind });
  for (const [, type, specifier] of source.matchAll(/^(?:import|export)( type)?\b[^;"]*?\bfrom "([^"]+)"/gm)) {
    add(specifier, type ? "type" : "static");
  }
  for (const [, specifier] of source.matchAll(/^import "([^"]+)"/gm)) add(specifier, "static");
  const code = withoutComments(source);
  for (const [, specifier] of code.matchAll(/\bimport\(\s*"([^"]+)"/g)) add(specifier, "dynamic");
  for (const [, specifier] of code.matchAll(/new URL\(\s*"([^"]+\.ts)", import\.meta\.url/g)) {
    add(specifier, "dynamic");
  }
  return found;
}

/** Returns the cycles of imports, type imports included, each once. */
export function cycles(sources: Sources): string[] {
  const found: string[] = [];
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    const at = trail.indexOf(path);
    if (at >= 0) {
      found.push(`import cycle: ${[...trail.slice(at), path].join(" → ")}`);
      return;
    }
    if (done.has(path)) return;
    for (const one of importsOf(path, sources.get(path) ?? "")) {
      if (one.kind !== "dynamic" && one.path !== null && sources.has(one.path)) visit(one.path, [...trail, path]);
    }
    done.add(path);
  };
  for (const path of sources.keys()) visit(path, []);
  return found;
}

/** The folders of formats/ that hold no format. */
const FORMAT_HELPERS: readonly string[] = ["storage", "shared", "codec"];

/** Returns the names of formats: what the registry imports, and every folder of formats/ except those of helpers. */
function formatNames(sources: Sources): ReadonlySet<string> {
  const names = new Set<string>();
  const add = (path: string) => {
    const name = /^formats\/([^/]+?)(?:\.ts|\/.*)$/.exec(path)?.[1];
    if (name && !FORMAT_HELPERS.includes(name)) names.add(name);
  };
  const registry = "formats/registry.ts";
  for (const one of importsOf(registry, sources.get(registry) ?? "")) {
    if (one.kind === "static" && one.path) add(one.path);
  }
  for (const path of sources.keys()) if (/^formats\/.*\//.test(path)) add(path);
  return names;
}

function partOf(path: string, formats: ReadonlySet<string>): Part | null {
  if (path === "mod.ts") return "mod";
  const [top, second = ""] = path.split("/");
  if (top === "cli" || top === "tui" || top === "core" || top === "npm" || top === "tests") return top;
  if (top !== "formats") return null;
  if (path === "formats/mod.ts" || path === "formats/registry.ts") return "registry";
  if (second === "storage") return "storage";
  return formats.has(second.replace(/\.ts$/, "")) ? "format" : "helper";
}

/** Returns why this import is not allowed, null if it is. */
function importViolation(path: string, from: Part, one: Import, formats: ReadonlySet<string>): string | null {
  if (one.path === null) return packageViolation(from, one.specifier);
  if (one.path === "deno.json") return from === "cli" ? null : "only cli may read the version";
  const to = partOf(one.path, formats);
  if (to === null) return "it stands outside the program";
  switch (from) {
    case "tests":
      return null;
    case "npm":
      return to === "npm" ? null : "npm runs in Node.js, and imports its modules alone";
    case "cli":
      return to === "cli" || to === "mod" || to === "tui" ? null : "cli imports mod.ts and tui";
    case "tui":
      if (to === "tui") return null;
      return to === "mod" && one.kind === "type" ? null : "tui imports types of mod.ts and nothing else";
    case "mod":
      if (one.path === "cli/main.ts") return one.kind === "dynamic" ? null : "the program must be loaded only when run";
      return to === "core" || one.path === "formats/mod.ts" ? null : "mod.ts imports core and formats/mod.ts";
    case "core":
      if (to === "core") return coreViolation(path, one.path);
      if (WORKER_PROGRAM.includes(path) && to === "helper") return null;
      return one.path === "formats/mod.ts" ? null : "core imports formats/mod.ts and nothing else";
    case "registry":
      return ["registry", "helper", "format", "storage"].includes(to) ? null : "formats imports nothing above it";
    case "storage": {
      const helpers = ["formats/errors.ts", "formats/bytes.ts", "formats/maybe_promise.ts"];
      const fine = to === "storage" || helpers.includes(one.path);
      return fine ? null : "storage imports errors.ts, bytes.ts and maybe_promise.ts and nothing else";
    }
    case "helper":
      if (to === "helper") return null;
      return to === "storage" && one.kind === "type" ? null : "a helper imports helpers and types of storage";
    case "format":
      return formatViolation(path, to, one);
  }
}

/** The folders of core; each imports from itself and those before it. The jobs, files of core/ itself, import from all. */
const CORE_FOLDERS: readonly string[] = ["contents", "workers", "open", "copy", "target"];

/** The program of workers, which imports single modules of formats/, because it is linked from their texts. */
const WORKER_PROGRAM: readonly string[] = [
  "core/workers/program.ts",
  "core/workers/worker.ts",
  "core/workers/worker_files.ts",
  "core/workers/hash_blocks.ts",
  "core/zeroes.ts",
];

/** The files of core/ itself that its folders may import. */
const CORE_SHARED: readonly string[] = [
  "core/devices.ts",
  "core/events.ts",
  "core/job.ts",
  "core/throttle.ts",
  "core/values.ts",
  "core/zeroes.ts",
];

function coreViolation(path: string, to: string): string | null {
  const [from, other] = [path, to].map((of) => CORE_FOLDERS.indexOf(of.split("/")[1]));
  if (from < 0 || CORE_SHARED.includes(to)) return null;
  if (other < 0) return "a folder of core never imports a job";
  return other > from ? `${CORE_FOLDERS[from]} never imports ${CORE_FOLDERS[other]}` : null;
}

function formatViolation(path: string, to: Part, one: Import): string | null {
  const groupOf = (of: string) => of.split("/")[1].replace(/\.ts$/, "");
  if (to === "helper") return null;
  if (to === "storage") return one.kind === "type" ? null : "a format imports only types of storage";
  if (to === "format" && groupOf(path) !== groupOf(one.path!)) return "a format never imports another";
  return to === "format" ? null : "a format imports the contract and helpers";
}

function packageViolation(from: Part, specifier: string): string | null {
  if (specifier.startsWith("node:")) return null;
  const parts = packages[specifier];
  if (!parts) return "it is not among the packages that this program uses";
  return parts.includes(from) || from === "tests" ? null : `only ${parts.join(" and ")} may use it`;
}

/** Returns calls that only the command line may make: a library neither prints nor exits. */
function calls(path: string, source: string): string[] {
  const found = withoutComments(source).matchAll(/\bconsole\.\w+|\bDeno\.exit\b|\bprocess\.exit\b/g);
  return [...found].map(([call]) => `${path} uses ${call}: only cli/ may`);
}

/** Returns the source with comment lines, and comments at the end of a line, blanked. */
function withoutComments(source: string): string {
  return source.split("\n").map((line) => /^\s*(\/\/|\/?\*)/.test(line) ? "" : line.replace(/ \/\/ .*$/, "")).join(
    "\n",
  );
}

function resolve(from: string, specifier: string): string | null {
  if (!specifier.startsWith(".")) return null;
  return new URL(specifier, `file:///${from}`).pathname.slice(1);
}
