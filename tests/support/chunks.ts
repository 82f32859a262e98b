/**
 * From the chunks that `deno bundle` writes to the files of the built form. Pure: from texts to texts.
 *
 * Deno loads the whole graph of modules before it runs the first, and each edge of the graph takes time: `deno bundle`
 * leaves two thirds of the edges without use, and about fifty files that only pass names on.
 *
 * @module
 */

/** Texts by file name. Chunks import each other as `./NAME`. */
export type Chunks = ReadonlyMap<string, string>;

/** An import for its effect alone, which keeps the order of evaluation. */
const BARE_IMPORT = /^import "\.\/[^"]+";\n/gm;

/** A static or dynamic import of a chunk: the text before its name, the name with the bundler's hash, a quotation mark. */
const IMPORT = /((?:^\} from |\bimport\()")\.\/([^"]+-[A-Z0-9]{8}\.js)(")/gm;

/** A static import of anything that is neither a chunk nor a module of Node. */
const FOREIGN = /^(?:import\b[^"'()]*|\} from )"((?!\.\/[^"]+-[A-Z0-9]{8}\.js"|node:)[^"]+)";$/gm;

/** A comment that names the module that follows, as `deno bundle` writes it. */
const MODULE = /^\/\/ (\S+\.\w+)$/gm;

/** The path of a module in Deno's cache of packages: name, version and the path inside. */
const PACKAGE = /^\/\/ (\S+\/npm\/[^/\s]+\/((?:@[^/\s]+\/)?[^/\s]+)\/([^/\s]+))\/(\S+)$/gm;

/** The whole of a chunk that only passes names on: what it imports, from where, what it exports. */
const FORWARDER = /^import \{([^}]*)\} from "\.\/([^"]+)";\nexport \{([^}]*)\};\n?$/;

/** A bundled package and its folder, relative to the working directory of the bundler. */
export interface BundledPackage {
  /** `NAME@VERSION` */
  readonly name: string;
  readonly folder: string;
}

/** Returns the packages that are inside the chunks, by name. */
export function packagesIn(chunks: Chunks): BundledPackage[] {
  const found = new Map<string, string>();
  for (const text of chunks.values()) {
    for (const [, folder, name, version] of text.matchAll(PACKAGE)) found.set(`${name}@${version}`, folder!);
  }
  return [...found].map(([name, folder]) => ({ name, folder })).sort((a, b) => a.name < b.name ? -1 : 1);
}

/**
 * Returns the files of the built form: `entry` itself, and the chunks under `chunks/`, named after their last module.
 * The names and texts depend on the modules alone, not on the paths of the machine, as those of the bundler do.
 *
 * @throws where a chunk would be lost, or imports what is neither a chunk nor a module of Node
 */
export function builtFiles(chunks: Chunks, entry: string): Map<string, string> {
  const texts = withoutForwarders(new Map([...chunks].map(([name, text]) => [name, tidied(text)])));
  assertWhole(texts, entry);
  const names = newNames(texts, entry);
  const files = new Map<string, string>();
  for (const [name, text] of texts) {
    const folder = name === entry ? "./chunks/" : "./";
    files.set(
      names.get(name)!,
      text.replace(IMPORT, (_, before, to, after) => before + folder + basename(names.get(to)!) + after),
    );
  }
  return new Map([...files].sort(([a], [b]) => a < b ? -1 : 1));
}

/** No module of this program or of its packages is imported for its effect alone. */
function tidied(text: string): string {
  return text.replace(BARE_IMPORT, "").replace(PACKAGE, "// npm:$2@$3/$4");
}

/** Lets importers of a chunk that only passes names on import the chunk that has them. */
function withoutForwarders(texts: Chunks): Chunks {
  const targets = new Map<string, string>();
  for (const [name, text] of texts) {
    const [, imported, target, exported] = FORWARDER.exec(text) ?? [];
    if (target !== undefined && imported === exported) targets.set(name, target);
  }
  const kept = [...texts].filter(([name]) => !targets.has(name));
  return new Map(kept.map(([name, text]) => [
    name,
    text.replace(IMPORT, (_, before, to, after) => `${before}./${targets.get(to) ?? to}${after}`),
  ]));
}

function assertWhole(texts: Chunks, entry: string): void {
  const reached = new Set([entry]);
  // A set hands out what is added to it while it is walked.
  for (const name of reached) {
    const text = texts.get(name);
    if (text === undefined) throw new Error(`Cannot build: "${name}" is imported and was not made`);
    for (const [, , to] of text.matchAll(IMPORT)) reached.add(to!);
    const foreign = [...text.matchAll(FOREIGN)].map(([, to]) => to);
    if (foreign.length > 0) throw new Error(`Cannot build: "${name}" imports ${foreign.join(", ")}`);
  }
  const lost = [...texts.keys()].filter((name) => !reached.has(name));
  if (lost.length > 0) throw new Error(`Cannot build: imported for their effect alone: ${lost.join(", ")}`);
}

/** Paths of the built form by names of the bundler. */
function newNames(texts: Chunks, entry: string): Map<string, string> {
  const modulesOf = (text: string) => [...text.matchAll(MODULE)].map(([, path]) => path!);
  const chunks = [...texts].filter(([name]) => name !== entry).map(([name, text]) => ({
    name,
    modules: modulesOf(text).join("\n"),
    last: (modulesOf(text).at(-1) ?? "unnamed").replace(/^npm:/, "").replace(/(?<=\w)@[^/]+/, ""),
  })).sort((a, b) => a.modules < b.modules ? -1 : 1);
  const names = new Map([[entry, entry]]);
  const taken = new Map<string, number>();
  for (const { name, last } of chunks) {
    const base = last.replace(/\.(ts|tsx|m?js)$/, "").replace(/\W+/g, "-").replace(/^-/, "");
    const times = (taken.get(base) ?? 0) + 1;
    taken.set(base, times);
    names.set(name, `chunks/${base}${times > 1 ? `-${times}` : ""}.js`);
  }
  return names;
}

function basename(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
