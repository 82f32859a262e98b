/**
 * The options of `create`, as data.
 *
 * @module
 */
import { permissionsOption, progressOptions, readingOptions } from "../args/read_options.ts";
import type { CommandDef } from "./command.ts";

const IMAGE = "New image";

/** `create` as its help shows it. */
export const createCommand: CommandDef = {
  name: "create",
  summary: "Create an empty image, or one over a backing file",
  usage: "IMAGE [SIZE]",
  options: [
    { short: "f", long: "format", arg: "fmt", group: IMAGE, help: "format of the image (default: raw)" },
    {
      short: "o",
      long: "options",
      arg: "options",
      repeats: true,
      group: IMAGE,
      help: 'key=value[,key=value...] for the image; "-o help" lists them; can be repeated',
    },
    {
      short: "b",
      long: "backing",
      arg: "file",
      group: IMAGE,
      help: "show this file where the image has nothing; its name counts from the folder of the image",
    },
    { short: "F", alias: "B", long: "backing-format", arg: "fmt", group: IMAGE, help: "format of the backing file" },
    {
      short: "u",
      long: "backing-unsafe",
      group: IMAGE,
      help: "do not open the backing file, it need not be there; needs SIZE",
    },
    ...readingOptions.filter(({ long }) => long !== "image-opts" && long !== "force-share"),
    ...progressOptions,
    permissionsOption,
  ],
  notes: `SIZE takes the suffixes k, M, G, T, P and E (powers of 1024); with a backing file, the default is its size.
A file that has the name of the image is replaced when the new one is complete.

Examples:
  diskcast create -f qcow2 disk.qcow2 20G
  diskcast create -f qcow2 -o cluster_size=2M,preallocation=metadata disk.qcow2 1T
  diskcast create -f qcow2 -b base.qcow2 -F qcow2 overlay.qcow2`,
};
