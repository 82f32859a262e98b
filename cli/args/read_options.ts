/**
 * Options that commands share which only read images, as data.
 *
 * @module
 */
import type { OptionDef } from "../commands/command.ts";

/** Heading of {@linkcode readingOptions} in the help. */
export const READING = "Reading";

/** Heading of {@linkcode tellingOptions} in the help. */
export const TELLING = "Telling and permissions";

/** How images are opened. */
export const readingOptions: readonly OptionDef[] = [
  { long: "image-opts", group: READING, help: "images are descriptions: driver=...,file.filename=..." },
  { short: "U", long: "force-share", group: READING, help: "open images although others are writing to them" },
  {
    long: "allow-ref",
    arg: "dir",
    repeats: true,
    group: READING,
    help: "files named by images (backing, data, extents) may lie in this folder too; can be repeated",
  },
  {
    long: "object",
    arg: "definition",
    repeats: true,
    group: READING,
    help: "refused: there are no secrets or other objects yet",
  },
];

/** `-f`: the format of what is read. */
export const formatOption: OptionDef = {
  short: "f",
  long: "format",
  arg: "fmt",
  group: READING,
  help: "format of the image (default: found by looking)",
};

/** `-T`: as every other cache mode, checked only. */
export const cacheOption: OptionDef = {
  short: "T",
  long: "cache",
  arg: "mode",
  group: READING,
  help: "none, off, directsync, writeback, writethrough or unsafe; checked, but all read alike here",
};

/** `--output`. */
export const outputOption: OptionDef = {
  long: "output",
  arg: "form",
  group: TELLING,
  help: "human or json (default: human)",
};

/** `--print-permissions`. */
export const permissionsOption: OptionDef = {
  long: "print-permissions",
  group: TELLING,
  help: 'print the "deno run" command with just the permissions that the job needs, and do nothing else',
};

/** How long work shows its progress. */
export const progressOptions: readonly OptionDef[] = [
  {
    short: "p",
    group: TELLING,
    help: "progress as qemu-img shows it, on standard output; also --progress alone",
  },
  {
    long: "progress",
    arg: "form",
    aloneIs: "-p",
    group: TELLING,
    help: "--progress=auto, bar, plain, json or none, on standard error (default: auto); json is one event per line",
  },
  { long: "ascii", group: TELLING, help: "progress with plain characters: no block letters, no arrows" },
  {
    long: "accessible",
    group: TELLING,
    help: "progress in sentences, one every half minute, nothing written over: for screen readers",
  },
  { short: "q", long: "quiet", group: TELLING, help: "only errors" },
];
