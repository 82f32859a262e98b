/**
 * The options of `convert`, as data.
 *
 * @module
 */
import { permissionsOption, progressOptions } from "../args/read_options.ts";
import type { CommandDef, OptionDef } from "./command.ts";

const SOURCE = "Source";
const TARGET = "Target";
const COPYING = "Copying";
const PROGRESS_HELP =
  "--progress=auto, screen, bar, plain, json or none, on standard error; auto (default): a bar on a terminal, " +
  "lines elsewhere; screen: a map of the disk, run by run, with keys; json: one event per line";

/** In the order of the help. */
const convertOptions: readonly OptionDef[] = [
  {
    short: "f",
    long: "source-format",
    arg: "fmt",
    group: SOURCE,
    help: "format of every source (default: found by looking)",
  },
  { long: "image-opts", group: SOURCE, help: "sources are descriptions: driver=...,file.filename=..." },
  {
    short: "l",
    long: "snapshot",
    arg: "snapshot",
    group: SOURCE,
    help: "convert this internal snapshot: ID or name, or snapshot.id=ID,snapshot.name=NAME",
  },
  { short: "U", long: "force-share", group: SOURCE, help: "open sources although others are writing to them" },
  { long: "salvage", group: SOURCE, help: "go on after read errors; what cannot be read becomes zeroes" },
  {
    short: "T",
    long: "source-cache",
    arg: "mode",
    group: SOURCE,
    help: "none, off, directsync, writeback, writethrough or unsafe; checked, but all read alike here",
  },
  {
    long: "allow-ref",
    arg: "dir",
    repeats: true,
    group: SOURCE,
    help: "files named by images (backing, data, extents) may lie in this folder too; can be repeated",
  },
  { short: "O", long: "target-format", arg: "fmt", group: TARGET, help: "format of the target (default: raw)" },
  {
    short: "o",
    long: "target-format-options",
    arg: "options",
    repeats: true,
    group: TARGET,
    help: 'key=value[,key=value...] for the new image; "-o help" lists them; can be repeated',
  },
  {
    long: "for",
    arg: "place",
    group: TARGET,
    help: 'write what this destination takes, check the file and tell what to do next; "diskcast presets" lists them',
  },
  {
    short: "B",
    alias: "b",
    long: "backing",
    arg: "file",
    group: TARGET,
    help: "leave to this backing file what the source has in common with it (also -b)",
  },
  { short: "F", long: "backing-format", arg: "fmt", group: TARGET, help: "format of the backing file" },
  { short: "c", long: "compress", group: TARGET, help: "compress the data, where the format can" },
  {
    long: "round",
    arg: "size",
    group: TARGET,
    help:
      "make the disk longer, to a whole multiple of this: zeroes are added, the backup of a GPT moves to the new end",
  },
  { short: "n", long: "no-create", group: TARGET, help: "write into the target that exists, of format -O" },
  { long: "target-image-opts", group: TARGET, help: "the target is a description, see --image-opts; needs -n" },
  { long: "target-is-zero", group: TARGET, help: "the existing target is known to read as zeroes; needs -n" },
  {
    short: "t",
    long: "target-cache",
    arg: "mode",
    group: TARGET,
    help: "writeback (default): on stable storage at the end; writethrough or directsync: after every write; " +
      "unsafe: never waited for; none or off: as writeback, the cache of the system stays in use",
  },
  {
    short: "S",
    long: "sparse-size",
    arg: "size",
    group: COPYING,
    help: "zeroes of at least this length become holes (default: 4k; 0: every byte is written)",
  },
  {
    long: "digest",
    group: COPYING,
    help: 'print the SHA-256 of the disk as it is converted, which "diskcast digest" prints for any of its images',
  },
  { long: "bitmaps", group: COPYING, help: "copy the persistent dirty bitmaps of the source" },
  { long: "skip-broken-bitmaps", group: COPYING, help: "with --bitmaps: leave out those that cannot be trusted" },
  { short: "r", long: "rate-limit", arg: "rate", group: COPYING, help: "write at most this many bytes a second" },
  {
    long: "compression-level",
    arg: "level",
    group: COPYING,
    help: "with -c: 1 (fast) to 9, or to 22 with zstd (default: 6 or 9, as suits the data, or 3 with zstd)",
  },
  {
    short: "m",
    long: "parallel",
    arg: "number",
    group: COPYING,
    help: "number of workers that compress, decompress and copy, 1 to 16 (default: one per processor)",
  },
  {
    short: "W",
    long: "oob-writes",
    group: COPYING,
    help: "accepted; writes are placed independently of each other anyway",
  },
  {
    short: "C",
    long: "copy-range-offloading",
    group: COPYING,
    help:
      "let the system copy data that lies plainly in both files, zeroes included (targets: raw, qcow2; needs --allow-ffi, " +
      "without it data is read and written); not with -c, -S, --salvage or --digest",
  },
  {
    long: "object",
    arg: "definition",
    repeats: true,
    group: COPYING,
    help: "refused: there are no secrets or other objects yet",
  },
  ...progressOptions.map((option) => option.long === "progress" ? { ...option, help: PROGRESS_HELP } : option),
  permissionsOption,
];

const convertNotes =
  `Sizes take the suffixes k, M, G, T, P and E (powers of 1024). Several sources are taken end to end.
Long options may be cut short where the rest is clear: --snap.

Examples:
  diskcast convert -p -O qcow2 disk.vmdk disk.qcow2
  diskcast convert --for azure disk.vmdk disk.vhd
  diskcast convert -c -O qcow2 -o compression_type=zstd disk.raw disk.qcow2
  diskcast convert -O qcow2 -B base.qcow2 -F qcow2 disk.qcow2 overlay.qcow2
  diskcast convert -O raw --image-opts driver=raw,offset=1M,size=100M,file.filename=disk.raw part.raw`;

/** `convert` as its help shows it. */
export const convertCommand: CommandDef = {
  name: "convert",
  summary: "Convert a disk image into another format",
  usage: "SOURCE... TARGET",
  options: convertOptions,
  notes: convertNotes,
};
