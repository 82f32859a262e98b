/**
 * The qemu-img mode: the program takes the place of qemu-img for programs that start it and read its output. Commands and
 * reports read the decision as `Io.asQemuImg`; docs/qemu-img.md says what differs.
 *
 * @module
 */

import type { TargetSpec } from "../mod.ts";

/** The option that turns the mode on. It stands before the command. */
const OPTION = "--as-qemu-img";

/** The arguments without the option of the mode, and whether the mode is on. */
export interface Mode {
  readonly args: readonly string[];
  readonly asQemuImg: boolean;
}

/** Reads the option of the mode. `called`: whether the program is called by the name qemu-img. */
export function readMode(args: readonly string[], called = false): Mode {
  return args[0] === OPTION ? { args: args.slice(1), asQemuImg: true } : { args, asQemuImg: called };
}

/** Returns whether a path or address names a program `qemu-img`, with or without the ending of a program. */
export function isQemuImgName(path: string): boolean {
  return /(^|[/\\])qemu-img(\.(exe|m?[jt]s))?$/i.test(path);
}

/**
 * Returns whether this process is called by the name qemu-img. `deno run` hides the name of a link or shim that starts
 * it, and shows only that of the module, as it is written on the command line. A standalone program has its own name in
 * `argv[0]`. Asks for no permission.
 */
export function isCalledQemuImg(): boolean {
  // `process` of Node takes 5 ms to load, so it is not touched where it cannot say more.
  return isQemuImgName(Deno.build.standalone ? globalThis.process.argv0 : Deno.mainModule);
}

/** The version of QEMU whose output the program has: programs compare it with the version that a feature needs. */
const QEMU_VERSION = "10.0.0";

/** Returns the text of `--version` in the mode. */
export function qemuVersion(own: string): string {
  return `qemu-img version ${QEMU_VERSION} (diskcast ${own})\n`;
}

/**
 * Returns a new target as qemu-img makes it: a VHD without `force_size` has a size that a geometry states, and `-c`
 * has no effect on a VMDK that is no stream.
 */
export function targetAsQemuImg<Target extends Pick<TargetSpec, "format" | "options" | "compress" | "create">>(
  target: Target,
): Target {
  const { format, options = {}, compress, create } = target;
  if (create === false) return target;
  if (format === "vpc") return { ...target, options: { chs_size: "on", ...options } };
  if (format === "vmdk" && compress && options.subformat !== "streamOptimized") return { ...target, compress: false };
  return target;
}
