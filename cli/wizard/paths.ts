/**
 * Paths as people type, paste and drop them, and names that are like them. Pure.
 *
 * @module
 */
import { nearest } from "../args/usage.ts";

/** The properties of the host that a path depends on. */
export interface PathHost {
  /** The home folder of the user; `undefined` where the environment cannot be read. */
  readonly home: string | undefined;
  readonly windows: boolean;
  /** Whether a file has this name; `false` where that is not known. */
  exists(path: string): boolean;
}

/**
 * Returns the path that a text stands for: without the quotes or backslashes of a dropped file, with `~` and `$HOME`
 * replaced, and the path of a `file:` URL. A text that is the name of a file stands for itself.
 *
 * @example
 * ```ts
 * import { pathOfText } from "./paths.ts";
 * import assert from "node:assert/strict";
 *
 * const host = { home: "/home/ada", windows: false, exists: () => false };
 * assert.equal(pathOfText("'/d/my disk.vmdk' ", host), "/d/my disk.vmdk");
 * assert.equal(pathOfText("/d/my\\ disk.vmdk", host), "/d/my disk.vmdk");
 * assert.equal(pathOfText("file:///d/my%20disk.vmdk", host), "/d/my disk.vmdk");
 * assert.equal(pathOfText("~/disk.vmdk", host), "/home/ada/disk.vmdk");
 * ```
 */
export function pathOfText(text: string, host: PathHost): string {
  if (host.exists(text)) return text;
  const trimmed = text.trim();
  if (host.exists(trimmed)) return trimmed;
  const quoted = /^(['"])(.*)\1$/s.exec(trimmed);
  const url = urlPath(quoted ? quoted[2]! : trimmed, host.windows);
  if (url !== null) return url;
  // In single quotes a shell replaces nothing.
  if (quoted?.[1] === "'") return quoted[2]!;
  const plain = quoted ? quoted[2]! : host.windows ? trimmed : trimmed.replace(/\\(.)/gs, "$1");
  return withHome(plain, host);
}

/** Returns the path of a `file:` URL of this machine; `null` for anything else. */
function urlPath(text: string, windows: boolean): string | null {
  if (!/^file:\/\//i.test(text)) return null;
  try {
    const { pathname, hostname } = new URL(text);
    if (hostname !== "" && hostname !== "localhost") return null;
    const path = decodeURIComponent(pathname);
    return windows ? path.replace(/^\/(?=[A-Za-z]:)/, "").replaceAll("/", "\\") : path;
  } catch {
    return null;
  }
}

const HOME = /^(?:~|\$HOME|\$\{HOME\}|%USERPROFILE%)(?=$|[/\\])/;

function withHome(path: string, { home }: PathHost): string {
  return home === undefined ? path : path.replace(HOME, () => home);
}

/** Returns whether a path begins with a name of the home folder. */
export function namesHome(path: string): boolean {
  return HOME.test(path);
}

/** Returns whether a word of a command line is a path and no command: it has a separator, an ending or a home folder. */
export function looksLikePath(word: string): boolean {
  return !word.startsWith("-") && (/[/\\]|^~|^['"]/.test(word) || /[^.]\.[A-Za-z0-9]+$/.test(word));
}

/** Splits a typed path into the folder, with its separator, and the beginning of a name. */
export function splitPath(typed: string, windows: boolean): readonly [folder: string, name: string] {
  const cut = Math.max(typed.lastIndexOf("/"), windows ? typed.lastIndexOf("\\") : -1) + 1;
  return [typed.slice(0, cut), typed.slice(cut)];
}

/** Most names that are offered in place of a mistyped one. */
const NEAREST_MAX = 5;

/** Returns the names of a folder that are like a mistyped one, the most like first. */
export function nearestNames(typed: string, names: readonly string[]): string[] {
  const found: string[] = [];
  if (typed === "") return found;
  const stem = (name: string) => name.replace(/\.[^.]*$/, "").toLowerCase();
  const rest = new Set(names);
  const take = (name: string | undefined) => {
    if (name !== undefined && rest.delete(name)) found.push(name);
  };
  for (let near = nearest(typed, [...rest]); near !== undefined; near = nearest(typed, [...rest])) take(near);
  // Another ending, another case, or a part of the name.
  names.filter((name) => stem(name) === stem(typed)).forEach(take);
  const part = typed.toLowerCase();
  names.filter((name) => name.toLowerCase().includes(part)).forEach(take);
  return found.slice(0, NEAREST_MAX);
}

/** Returns the text that Tab makes of a typed one: as far as all names agree that begin with it. */
export function completed(typed: string, names: readonly string[]): string {
  const candidates = names.filter((name) => name.startsWith(typed));
  const [first] = candidates;
  if (first === undefined) return typed;
  let end = first.length;
  for (const name of candidates) while (!name.startsWith(first.slice(0, end))) end--;
  return first.slice(0, Math.max(end, typed.length));
}

/**
 * Splits a text into words as a shell does, at spaces that are not in quotes or after a backslash. The words keep their
 * quotes, for {@linkcode pathOfText}.
 */
export function wordsOf(text: string, windows: boolean): string[] {
  const word = windows ? /(?:"[^"]*"|[^\s"])+/g : /(?:"[^"]*"|'[^']*'|\\.|[^\s"'\\])+/gs;
  return text.match(word) ?? [];
}

/** Returns whether a typed path has the marks of a pattern. */
export function isPattern(path: string): boolean {
  return /[*?]/.test(path);
}

/** Returns a test for the names that a pattern with `*` and `?` stands for; hidden names need a dot in the pattern. */
export function patternOf(pattern: string): (name: string) => boolean {
  const source = pattern.replace(/[.+^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*").replaceAll("?", ".");
  const expression = new RegExp(`^${source}$`);
  return (name) => (!name.startsWith(".") || pattern.startsWith(".")) && expression.test(name);
}
