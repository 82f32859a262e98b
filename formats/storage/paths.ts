/**
 * Path functions as in `node:path`, which takes longer to load than half of this program. Only Windows, with its complex
 * rules, uses it; this module implements the rules of all other systems.
 *
 * @module
 */

/** The path functions of this program; see `node:path`. */
export interface Paths {
  basename(path: string): string;
  dirname(path: string): string;
  extname(path: string): string;
  isAbsolute(path: string): boolean;
  join(...paths: string[]): string;
  relative(from: string, to: string): string;
  resolve(...paths: string[]): string;
}

/** Paths with slashes. Unlike in `node:path`, two slashes at the start equal one. */
export const posix: Paths = {
  basename: (path) => path.split("/").findLast((name) => name !== "") ?? "",
  dirname(path) {
    const above = /^(.*)\/[^/]+\/*$/s.exec(path)?.[1];
    return above || (isRooted(path) ? "/" : ".");
  },
  extname(path) {
    const name = posix.basename(path);
    const dot = name.lastIndexOf(".");
    return dot > 0 && name !== ".." ? name.slice(dot) : "";
  },
  isAbsolute: isRooted,
  join(...paths) {
    const path = paths.filter((one) => one !== "").join("/");
    const root = isRooted(path) ? "/" : "";
    const names = namesIn(path).join("/") || (root === "" ? "." : "");
    return `${root}${names}${path.endsWith("/") && names !== "" ? "/" : ""}`;
  },
  relative(from, to) {
    const [start, end] = [from, to].map((path) => namesIn(posix.resolve(path)));
    let shared = 0;
    while (shared < start.length && start[shared] === end[shared]) shared++;
    return [...start.slice(shared).map(() => ".."), ...end.slice(shared)].join("/");
  },
  resolve(...paths) {
    const path = paths.reduce((before, one) => before === "" || isRooted(one) ? one : `${before}/${one}`, "");
    return `/${namesIn(isRooted(path) ? path : `${Deno.cwd()}/${path}`).join("/")}`;
  },
};

function isRooted(path: string): boolean {
  return path.startsWith("/");
}

/** Returns the names of a path, with `.` and `..` resolved; `..` of the root is the root. */
function namesIn(path: string): string[] {
  const names: string[] = [];
  for (const name of path.split("/")) {
    if (name === "" || name === ".") continue;
    if (name !== "..") names.push(name);
    else if (names.length > 0 && names.at(-1) !== "..") names.pop();
    else if (!isRooted(path)) names.push("..");
  }
  return names;
}

/** The path functions of this host. */
export const { basename, dirname, extname, isAbsolute, join, relative, resolve }: Paths = Deno.build.os === "windows"
  ? await import("node:path")
  : posix;
