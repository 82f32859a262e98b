/**
 * All creation options of a format.
 *
 * @module
 */
import type { Format } from "./contract.ts";
import type { OptionSpec } from "./options.ts";

/** Options of the files of the host, which every format takes, by the names of QEMU's file driver. */
const FILE_OPTIONS: readonly OptionSpec[] = [
  { name: "nocow", type: "flag", help: "switch copy-on-write off for the files (Btrfs, with --allow-ffi)" },
  {
    name: "extent_size_hint",
    type: "size",
    help: "bytes that the host allocates at once (XFS, with --allow-ffi)",
    max: 2 ** 32 - 1,
  },
  { name: "preallocation", type: "choice", help: "off: space is allocated as data comes", values: ["off"] },
];

/** Returns all creation options of a format: its own, and those of the host's files. */
export function creationOptionsOf({ createOptions }: Pick<Format, "createOptions">): readonly OptionSpec[] {
  return [
    ...createOptions,
    ...FILE_OPTIONS.filter(({ name }) => !createOptions.some((own) => own.name === name)),
  ];
}
