/**
 * The command `info`.
 *
 * @module
 */
import { diskContents, ImageError, imageFiles, inspect, inspectChain, openDisk } from "../../mod.ts";
import type {
  DiskContents,
  FormatInfo,
  ImageFileInfo,
  ImageInfo,
  InfoValue,
  NamedFileInfo,
  SnapshotInfo,
} from "../../mod.ts";
import { isOn } from "../args/parse_args.ts";
import {
  formatOption,
  type ImagesToRead,
  onlyImageToRead,
  outputForm,
  outputOption,
  permissionsOption,
  READING,
  readingOptions,
} from "../args/read_options.ts";
import { bothSizes, threeDigits } from "../../tui/human.ts";
import { inQemuOrder, qemuJson } from "../report/qemu_json.ts";
import { snapshotTable } from "../report/results.ts";
import { visible, warningWriter } from "../report/report.ts";
import { runCommand } from "./run_command.ts";
import type { CommandContext, LoadedCommand, ParsedArgs } from "./command.ts";

/** `info`. */
export const infoCommand: LoadedCommand = {
  options: [
    formatOption,
    { long: "backing-chain", group: READING, help: "open the backing files as well, and show every image" },
    {
      long: "contents",
      group: READING,
      help: "show partitions, file systems and boot loaders; opens the backing files as well",
    },
    ...readingOptions,
    outputOption,
    permissionsOption,
  ],
  notes:
    `Without --backing-chain only the image itself is opened. For every file that it names, the output says whether it
exists and may be opened: inside the folder of the image, or in a folder of --allow-ref.

On a terminal the contents of the disk are shown without --contents, where the image needs no other file: the partition
table, partitions, file systems by their signatures, and what BIOS and UEFI find to start. A few sectors are read for them.

Examples:
  diskcast info disk.qcow2
  diskcast info --backing-chain --output=json overlay.qcow2
  diskcast info --contents --output=json disk.vhdx`,
  run: (args, context) =>
    runCommand(
      {
        read: infoRequest,
        files: ({ images, options, chain, contents }) => imageFiles(images, { ...options, chain: chain || contents }),
        work,
      },
      args,
      context,
    ),
};

interface InfoRequest extends ImagesToRead {
  readonly chain: boolean;
  readonly contents: boolean;
  readonly form: "human" | "json";
}

function infoRequest(parsed: ParsedArgs): InfoRequest {
  return {
    ...onlyImageToRead(parsed, "info"),
    chain: isOn(parsed, "backing-chain"),
    contents: isOn(parsed, "contents"),
    form: outputForm(parsed, ["human", "json"]),
  };
}

async function work(request: InfoRequest, { io }: CommandContext): Promise<number> {
  const { images: [image], options, chain, form } = request;
  const onWarning = warningWriter(io);
  const found = chain
    ? await inspectChain(image, { ...options, onWarning })
    : [await inspect(image, { ...options, onWarning })];
  // In the place of qemu-img the output has no parts that qemu-img lacks.
  const infos = io.asQemuImg ? found.map((info) => ({ ...info, names: [] })) : found;
  const contents = await contentsFor(
    request,
    infos[0]!,
    form === "human" && io.outIsTerminal === true && !io.asQemuImg,
  );
  const report = contents && await import("../report/contents.ts");
  if (form === "json") {
    const [top, ...rest] = infos.map(infoJson);
    const first = contents ? { ...top, contents: report!.contentsJson(contents) } : top;
    io.out(`${qemuJson(chain ? [first, ...rest] : first)}\n`);
    return 0;
  }
  const [top, ...rest] = infos.map(infoText);
  const lines = contents ? report!.contentsLines(contents) : [];
  io.out([top + lines.map((line) => `${line}\n`).join(""), ...rest].join("\n"));
  return 0;
}

/**
 * Returns the contents of the disk, if they are asked for, or offered and in the file of the image alone.
 *
 * @param offered whether they are shown without `--contents`; then an image that cannot be read has none
 */
async function contentsFor(
  { images: [image], options, contents }: InfoRequest,
  { backing, names }: ImageInfo,
  offered: boolean,
): Promise<DiskContents | undefined> {
  if (!contents && (!offered || backing || names.length > 0)) return undefined;
  try {
    await using disk = await openDisk(image!, options);
    return await diskContents(disk, disk.layers[0]!.disk.logicalSectorSize);
  } catch (error) {
    if (!contents && error instanceof ImageError) return undefined;
    throw error;
  }
}

/**
 * Returns an image under the names of `qemu-img info --output=json` of QEMU 10. `named-files`, and properties of formats of
 * which QEMU shows none, are not among them.
 */
export function infoJson(info: ImageInfo): { [name: string]: unknown } {
  const { path, format, size, allocated, clusterSize, dirty, backing, snapshots, specific, names, files } = info;
  return {
    "virtual-size": size,
    "filename": path,
    ...(clusterSize !== undefined && { "cluster-size": clusterSize }),
    "format": format,
    ...(allocated !== undefined && { "actual-size": allocated }),
    ...(Object.keys(specific).length > 0 && { "format-specific": { "type": format, "data": specific } }),
    ...(backing && {
      "backing-filename": backing.name,
      "full-backing-filename": backing.path,
      ...(backing.format !== undefined && { "backing-filename-format": backing.format }),
    }),
    ...(snapshots.length > 0 && { "snapshots": snapshots.map(snapshotJson) }),
    "dirty-flag": dirty,
    "children": files.map((file) => ({ "name": file.node, "info": fileJson(file) })),
    ...(names.length > 0 && { "named-files": names }),
  };
}

function fileJson({ path, allocated, fileSize, isDevice }: ImageFileInfo): { [name: string]: unknown } {
  const driver = isDevice ? "host_device" : "file";
  return {
    "children": [],
    ...(fileSize !== undefined && { "virtual-size": wholeSectors(fileSize) }),
    "filename": path,
    "format": driver,
    ...(allocated !== undefined && { "actual-size": allocated }),
    "format-specific": { "type": driver, "data": {} },
    "dirty-flag": false,
  };
}

/** Returns the length of a file as QEMU states it: rounded up to whole sectors. */
function wholeSectors(bytes: number): number {
  return Math.ceil(bytes / 512) * 512;
}

function snapshotJson(snapshot: SnapshotInfo): { [name: string]: unknown } {
  return {
    "id": snapshot.id,
    "name": snapshot.name,
    "vm-state-size": snapshot.vmStateSize,
    "date-sec": snapshot.dateSeconds,
    "date-nsec": snapshot.dateNanoseconds,
    "vm-clock-sec": snapshot.clockSeconds,
    "vm-clock-nsec": snapshot.clockNanoseconds,
    ...(snapshot.instructions !== undefined && { "icount": snapshot.instructions }),
  };
}

/** Returns an image as lines for people. */
export function infoText(info: ImageInfo): string {
  const { backing, snapshots, specific, names } = info;
  const lines = [
    `image: ${info.path}`,
    `file format: ${info.format}`,
    `virtual size: ${bothSizes(info.size)}`,
    `disk size: ${info.allocated === undefined ? "unavailable" : threeDigits(info.allocated)}`,
    ...(info.clusterSize === undefined ? [] : [`cluster_size: ${info.clusterSize}`]),
    ...(info.dirty ? ["cleanly shut down: no"] : []),
    ...(backing ? backingLines(backing) : []),
  ].map(visible);
  if (snapshots.length > 0) lines.push("Snapshot list:", snapshotTable(snapshots).trimEnd());
  if (Object.keys(specific).length > 0) lines.push("Format specific information:", ...infoLines(specific, 1));
  lines.push(...info.files.flatMap(fileLines));
  if (names.length > 0) lines.push("Named files:", ...names.map((name) => visible(`    ${nameText(name)}`)));
  return `${lines.join("\n")}\n`;
}

function backingLines({ name, path, format }: NonNullable<ImageInfo["backing"]>): string[] {
  const shown = name === "" ? "found by its ID" : path === name ? name : `${name} (actual path: ${path})`;
  return [`backing file: ${shown}`, ...(format === undefined ? [] : [`backing file format: ${format}`])];
}

function fileLines({ node, path, allocated, fileSize, isDevice }: ImageFileInfo): string[] {
  return [
    `Child node '/${node}':`,
    `    filename: ${visible(path)}`,
    `    protocol type: ${isDevice ? "host_device" : "file"}`,
    ...(fileSize === undefined ? [] : [`    file length: ${bothSizes(wholeSectors(fileSize))}`]),
    `    disk size: ${allocated === undefined ? "unavailable" : threeDigits(allocated)}`,
  ];
}

function nameText({ role, name, state, path, reason }: NamedFileInfo): string {
  switch (state) {
    case "found":
      return `${role} "${name}": there, and may be opened (${path})`;
    case "missing":
      return `${role} "${name}": missing`;
    case "refused":
      return `${role} "${name}": would not be opened; ${reason}`;
    case "unknown":
      return `${role} "${name}": not looked for; ${reason}`;
  }
}

function infoLines(info: FormatInfo, depth: number): string[] {
  const indent = "    ".repeat(depth);
  return inQemuOrder(info).flatMap(([name, value]) => {
    const label = visible(name.replaceAll("-", " "));
    if (value === null || typeof value !== "object") return [`${indent}${label}: ${visible(String(value))}`];
    return [`${indent}${label}:`, ...infoLines(isList(value) ? numbered(value) : value, depth + 1)];
  });
}

function isList(value: InfoValue): value is readonly InfoValue[] {
  return Array.isArray(value);
}

function numbered(list: readonly InfoValue[]): FormatInfo {
  return Object.fromEntries(list.map((value, index) => [`[${index}]`, value]));
}
