/**
 * File names as users write them: `file:NAME`, `json:{...}`, and prefixes that would be a protocol of QEMU. Pure.
 *
 * @module
 */
import { usageError } from "./usage.ts";

/** Protocols for a file of this machine. */
const FILE_PROTOCOLS = ["file", "host_device"];

/** Protocols of QEMU that cannot be opened here, and the way round. */
const WAYS: readonly (readonly [protocols: readonly string[], way: string])[] = [
  [["rbd"], 'map the image with "rbd map" and name the block device, or export it with "rbd export"'],
  [["iscsi", "iser"], 'log in with "iscsiadm", and name the block device'],
  [
    ["nbd", "nbd+tcp", "nbd+unix", "nbds"],
    'connect with "nbd-client" and name the block device, or copy with "nbdcopy"',
  ],
  [["ssh", "sftp"], "copy the file with scp, or mount the folder with sshfs"],
  [["http", "https", "ftp", "ftps"], "download the file first"],
  [["nfs", "gluster", "gluster+tcp", "gluster+unix"], "mount the file system, and name the file in it"],
  [["nvme"], "name the block device of the kernel, such as /dev/nvme0n1"],
  [["vvfat", "fat"], "make a disk image of the folder first, with mkfs.fat and mcopy"],
  [["null-co", "null-aio"], 'make a file of zeroes with "truncate -s SIZE FILE", which takes no space'],
  [["blkdebug", "blkverify", "blklogwrites", "quorum", "replication"], "it changes no data: name the file itself"],
];

/** A path, or the text of a JSON description. */
export type NameParts = { readonly path: string } | { readonly json: string };

/** Returns the protocol of a name: the text before a colon that precedes the first slash. */
function protocolOf(name: string, windows: boolean): string | undefined {
  if (windows && /^[A-Za-z]:/.test(name)) return undefined;
  const match = (windows ? /^([^:/\\]*):/ : /^([^:/]*):/).exec(name);
  return match?.[1];
}

/**
 * Parses a file name of the command line.
 *
 * @param windows Whether drive letters and backslashes are parts of paths.
 * @throws ImageError `usage` for any other protocol, and for an empty name
 *
 * @example
 * ```ts
 * import { nameParts } from "./image_names.ts";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual(nameParts("file:x:y.raw", false), { path: "x:y.raw" });
 * assert.throws(() => nameParts("x:y.raw", false));
 * ```
 */
export function nameParts(name: string, windows: boolean): NameParts {
  if (name === "") throw usageError("Cannot use an empty file name");
  const protocol = protocolOf(name, windows);
  if (protocol === undefined) return { path: name };
  const rest = name.slice(protocol.length + 1);
  if (protocol === "json") return { json: rest };
  if (FILE_PROTOCOLS.includes(protocol) && rest !== "") return { path: rest };
  // blkdebug:CONFIG:FILE without a configuration is the file.
  if (protocol === "blkdebug" && rest.startsWith(":") && rest !== ":") return nameParts(rest.slice(1), windows);
  const way = WAYS.find(([protocols]) => protocols.includes(protocol))?.[1];
  if (way !== undefined) {
    throw usageError(
      `Unknown protocol "${protocol}" in the file name "${name}": QEMU opens it, but here only local files and block ` +
        `devices can be opened; ${way}`,
      name,
    );
  }
  throw usageError(
    `Unknown protocol "${protocol}" in the file name "${name}": only local files can be opened;` +
      ` if this is the name of a file, write "./${name}"`,
    name,
  );
}

/**
 * Returns the path in a file name that must not be a JSON description.
 *
 * @param role The noun for the message.
 * @throws ImageError `usage`
 */
export function pathOf(name: string, windows: boolean, role: string): string {
  const parts = nameParts(name, windows);
  if ("path" in parts) return parts.path;
  throw usageError(`Cannot use a json: name as the ${role}: it must be a path`);
}

/** Returns a path that an image can name without it being taken for a protocol: `x:y` becomes `./x:y`. */
export function storablePath(path: string, windows: boolean): string {
  return protocolOf(path, windows) === undefined ? path : `./${path}`;
}
