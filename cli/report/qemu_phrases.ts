/**
 * The phrases of qemu-img that programs look for in error texts. In the qemu-img mode one follows the message of this
 * program. Pure.
 *
 * @module
 */

/** An error as the command line reports it. */
interface Failure {
  readonly kind: string;
  readonly message: string;
  readonly path?: string;
}

/** A pattern of a message of this program, and what qemu-img says there. `$1` is a group of the pattern, `PATH` the file. */
type Phrase = readonly [pattern: RegExp, text: string];

const PHRASES: readonly Phrase[] = [
  [/^Cannot create .*there is no such file/, "Could not create 'PATH': No such file or directory"],
  [/there is no (such file|")/, "Could not open 'PATH': No such file or directory"],
  [
    /has it open for writing/,
    `Could not open 'PATH': Failed to get shared "write" lock\nIs another process using the image [PATH]?`,
  ],
  [
    /program of QEMU, has it open|it is in use|another (program|run) is writing/,
    `Could not open 'PATH': Failed to get "write" lock\nIs another process using the image [PATH]?`,
  ],
  [/it is marked corrupt/, "Could not open 'PATH': qcow2: Image is corrupt; cannot be opened read/write"],
  [/does not begin as a (qcow2) image/, "Could not open 'PATH': Image is not in $1 format"],
  [/as (vmdk): it begins with no magic/, "Could not open 'PATH': Image is not in $1 format"],
  [/VDI image .*: its signature is missing/, "Could not open 'PATH': Image is not in vdi format"],
  [/VHD image .*: it has no footer at its end/, "Could not open 'PATH': Image is not in vpc format"],
  [/as a VHDX file: it does not begin/, "Could not open 'PATH': Image is not in vhdx format"],
  [/^Cannot use "(.*)" for option "preallocation"/, "Unsupported preallocation mode: $1"],
  [/^Cannot preallocate "(.*)"/, "Unsupported preallocation mode '$1'"],
  [/^Unknown format "(.*)" in -f/, "Unknown driver '$1'"],
  [/^Unknown format "(.*)" in /, "Unknown file format '$1'"],
  [/no space left on device/, "No space left on device"],
  [/would be lost; add --shrink/, "Use the --shrink option to perform a shrink operation."],
];

/**
 * Returns what qemu-img says where this program fails so; `undefined` where no program is known to look for it.
 *
 * @example
 * ```ts
 * import { qemuPhrase } from "./qemu_phrases.ts";
 * import assert from "node:assert/strict";
 *
 * const message = 'Cannot open "/a": there is no such file or folder';
 * assert.equal(qemuPhrase({ kind: "missing", message, path: "/a" }), "Could not open '/a': No such file or directory");
 * ```
 */
export function qemuPhrase({ kind, message, path }: Failure): string | undefined {
  const file = path ?? /"([^"]*)"/.exec(message)?.[1] ?? "";
  for (const [pattern, text] of PHRASES) {
    const found = pattern.exec(message);
    if (found) return text.replace("$1", () => found[1]!).replaceAll("PATH", () => file);
  }
  return kind === "permission" ? `Could not open '${file}': Permission denied` : undefined;
}
