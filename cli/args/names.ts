/**
 * Names that are not UTF-8: Deno passes arguments as text, with U+FFFD for every byte that is not UTF-8, so that a command
 * would read or write another file than the one that was named.
 *
 * @module
 */
import { usageError } from "./usage.ts";

/** The character that stands for bytes that are not UTF-8. */
const REPLACEMENT = "\ufffd";

/**
 * Refuses arguments that were given as bytes that are not UTF-8.
 *
 * @param commandLine returns the arguments of this process as bytes, each with a zero byte at its end; `null` where they
 *   cannot be read: then U+FFFD is refused as such
 * @throws ImageError `usage`
 *
 * @example
 * ```ts
 * import { refuseInvalidNames } from "./names.ts";
 * import assert from "node:assert/strict";
 *
 * const bytes = Uint8Array.from([100, 0, 122, 0xfc, 0]); // "d", "z\xfc"
 * assert.throws(() => refuseInvalidNames(["z\ufffd"], () => bytes), { kind: "usage" });
 * refuseInvalidNames(["z\ufffd"], () => Uint8Array.from([100, 0, 122, 0xef, 0xbf, 0xbd, 0]));
 * ```
 */
export function refuseInvalidNames(args: readonly string[], commandLine: () => Uint8Array | null): void {
  const suspect = args.filter((arg) => arg.includes(REPLACEMENT));
  if (suspect.length === 0) return;
  const bytes = commandLine();
  const invalid = bytes === null ? suspect[0] : invalidOf(bytes, args);
  if (invalid === undefined) return;
  const message = bytes === null
    ? `Cannot use "${invalid}": U+FFFD in it may stand for bytes that are not UTF-8, which the program cannot name; ` +
      `rename the file, or run with --allow-all, with which the program sees the bytes`
    : `Cannot use "${invalid}": it is not UTF-8, and the program cannot name such files; rename it, ` +
      `or name it by a link`;
  throw usageError(message);
}

/** Returns why a path that was typed cannot be used; `undefined` where its characters are text. */
export function typedNameProblem(path: string): string | undefined {
  return path.includes(REPLACEMENT) ? "This name is not UTF-8, and cannot be used: rename the file" : undefined;
}

/** Returns the first argument that is not UTF-8. The last strings of the command line are the arguments. */
function invalidOf(commandLine: Uint8Array, args: readonly string[]): string | undefined {
  const strings: Uint8Array[] = [];
  for (let at = 0; at < commandLine.length;) {
    const end = commandLine.indexOf(0, at);
    strings.push(commandLine.subarray(at, end < 0 ? commandLine.length : end));
    at = end < 0 ? commandLine.length : end + 1;
  }
  const own = strings.slice(Math.max(0, strings.length - args.length));
  // Without the arguments at its end, the command line does not show which bytes they had.
  const fits = own.length === args.length && own.every((bytes, index) => lossy(bytes) === args[index]);
  if (!fits) return args.find((arg) => arg.includes(REPLACEMENT));
  return args.find((_arg, index) => !isUtf8(own[index]!));
}

function lossy(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}
