/**
 * The block devices of the host and their uses, as Linux states them in /sys/block, /proc/self/mountinfo and /proc/swaps.
 *
 * Deno 2.9 reads these files, as it opens devices, only with all permissions. Without them nothing here prompts.
 *
 * @module
 */
import { basename } from "./paths.ts";

/** How the host uses a device. A device that is part of another, such as a logical volume, has the uses of that one as well. */
export interface DeviceUse {
  /** Name of the device that is used: the disk, one of its partitions, or a device that is made of them. */
  readonly device: string;
  /** `holder`: another device is made of it. */
  readonly kind: "mount" | "swap" | "holder" | "loop" | "btrfs";
  /** The mount point; the name of the other device. */
  readonly name?: string;
  /** Of a holder: LVM, RAID, encryption, multipath, or device-mapper in general. */
  readonly holder?: string;
  /** Whether the running system is on it. */
  readonly system?: boolean;
}

/** A partition of a {@linkcode BlockDevice}, as the kernel has it. */
export interface DevicePartition {
  /** Such as `sda1`. */
  readonly name: string;
  /** Device node. */
  readonly path: string;
  /** Byte of the device at which it starts. */
  readonly start: number;
  /** Bytes. */
  readonly size: number;
}

/** A whole block device of the host. */
export interface BlockDevice {
  /** Such as `sda` or `nvme0n1`. */
  readonly name: string;
  /** Device node. */
  readonly path: string;
  /** Bytes; absent where the host does not report them. */
  readonly size?: number;
  /** Bytes of a logical sector. */
  readonly sector?: number;
  /** Vendor and model; of a loop device, the file. */
  readonly model?: string;
  /** Such as `usb`, `nvme`, `sata`, `virtio`. */
  readonly bus?: string;
  /** Whether the medium can be taken out. */
  readonly removable?: boolean;
  /** Whether it is write-protected. */
  readonly readOnly?: boolean;
  /** In the order of their numbers. */
  readonly partitions: readonly DevicePartition[];
  /** How it and its partitions are used; empty: they are free. Absent where the host does not report it. */
  readonly uses?: readonly DeviceUse[];
}

/** Returns whether this program may read /sys: Deno demands all permissions, of which it does not state that for imports. */
function mayRead(root: string): boolean {
  if (!hasAllPermissions()) return false;
  try {
    Deno.readDirSync(`${root}/sys/block`);
    return true;
  } catch (error) {
    return !(error instanceof Deno.errors.NotCapable);
  }
}

function hasAllPermissions(): boolean {
  const names = ["read", "write", "net", "env", "sys", "run", "ffi"] as const;
  return names.every((name) => Deno.permissions.querySync({ name }).state === "granted");
}

/**
 * Returns the block devices with content, in the order of their names; `null` where this program may not look.
 *
 * @param root folder that holds /sys, /proc and /dev; for tests
 */
export function blockDevices(root = ""): BlockDevice[] | null {
  if (!mayRead(root)) return null;
  if (root === "" && Deno.build.os === "darwin") return disksByName();
  if (root === "" && Deno.build.os !== "linux") return [];
  const host = readHost(root);
  return host.nodes.filter((node) => node.disk === undefined && node.size > 0).map((node) => deviceOf(node, host));
}

/**
 * Returns how the block device of a number is used: itself, its partitions, and devices made of them. `null` where the
 * host does not report it.
 *
 * @param device number of the device as `stat` has it
 */
export function deviceUses(device: number, root = ""): DeviceUse[] | null {
  if (!mayRead(root) || (root === "" && Deno.build.os !== "linux")) return null;
  const host = readHost(root);
  const node = host.nodes.find((one) => one.number === numberText(device));
  return node === undefined ? null : usesOf(node, host);
}

/** Returns a device number as files of Linux have it: `8:1`. */
function numberText(device: number): string {
  const high = Math.floor(device / 2 ** 32);
  const low = device % 2 ** 32;
  const major = (high >>> 12) * 2 ** 12 + ((low >>> 8) & 0xfff);
  const minor = (low >>> 20) * 2 ** 8 + (low & 0xff);
  return `${major}:${minor}`;
}

/** A device or partition in /sys/block. */
interface Node {
  readonly name: string;
  readonly number: string;
  /** Its folder. */
  readonly folder: string;
  /** Bytes. */
  readonly size: number;
  /** Of a partition: the name of its disk. */
  readonly disk?: string;
  /** Names of the devices made of it. */
  readonly holders: readonly string[];
  /** Of a device-mapper device: its name there. */
  readonly mapped?: string;
}

/** What the host states about devices. */
interface Host {
  readonly root: string;
  readonly nodes: readonly Node[];
  readonly mounts: readonly Mount[];
  /** Names of devices that are swap space. */
  readonly swaps: readonly string[];
  /** Names of devices of mounted btrfs file systems, which may have several. */
  readonly btrfs: readonly string[];
}

interface Mount {
  readonly number: string;
  readonly point: string;
  /** Name of the device that it was mounted from. */
  readonly source: string;
}

function readHost(root: string): Host {
  const block = `${root}/sys/block`;
  const nodes = names(block).flatMap((name) => {
    const disk = nodeOf(`${block}/${name}`, name);
    const partitions = names(disk.folder).filter((one) => exists(`${disk.folder}/${one}/partition`));
    return [disk, ...partitions.map((one) => nodeOf(`${disk.folder}/${one}`, one, name))];
  });
  const sourceName = (path: string) => deviceName(root, path, nodes);
  return {
    root,
    nodes,
    mounts: lines(`${root}/proc/self/mountinfo`).flatMap((line) => mountOf(line, sourceName)),
    swaps: lines(`${root}/proc/swaps`).slice(1).map((line) => sourceName(unescaped(line.split(/\s+/)[0]!))),
    btrfs: names(`${root}/sys/fs/btrfs`).flatMap((id) => names(`${root}/sys/fs/btrfs/${id}/devices`)),
  };
}

function nodeOf(folder: string, name: string, disk?: string): Node {
  const mapped = text(`${folder}/dm/name`);
  return {
    name,
    number: text(`${folder}/dev`) ?? "",
    folder,
    // The kernel counts sectors of 512 bytes here, whatever the device has.
    size: Number(text(`${folder}/size`) ?? 0) * 512,
    ...(disk !== undefined && { disk }),
    holders: names(`${folder}/holders`),
    ...(mapped !== undefined && { mapped }),
  };
}

/** Parses a line of /proc/self/mountinfo, proc_pid_mountinfo(5). */
function mountOf(line: string, sourceName: (path: string) => string): Mount[] {
  const [before, after] = line.split(" - ");
  const fields = before!.split(" ");
  const source = after?.split(" ")[1];
  if (fields.length < 5 || source === undefined) return [];
  return [{ number: fields[2]!, point: unescaped(fields[4]!), source: sourceName(unescaped(source)) }];
}

/** Returns the name in /sys/block of a device node. */
function deviceName(root: string, path: string, nodes: readonly Node[]): string {
  if (!path.startsWith("/dev/")) return "";
  let real = path;
  try {
    real = Deno.realPathSync(root + path);
  } catch {
    // The node may be gone, or lie outside this mount namespace.
  }
  const name = basename(real);
  const mapped = nodes.find((node) => node.mapped === name && /\/mapper\//.test(real));
  return mapped?.name ?? name;
}

/** Mount points of file systems without which the system does not run or start. */
const SYSTEM = ["/", "/usr", "/boot", "/boot/efi", "/efi", "/nix/store"];

/** Returns the uses of a device: its own, those of its partitions, of the disk that it is part of, and of its holders. */
function usesOf(node: Node, host: Host): DeviceUse[] {
  const parts = host.nodes.filter((one) => one.disk === node.name);
  const disk = host.nodes.find((one) => one.name === node.disk);
  const uses = new Map<string, DeviceUse>();
  for (const one of [...(disk ? [disk] : []), node, ...parts]) addUses(one, host, uses, new Set());
  return [...uses.values()];
}

function addUses(node: Node, host: Host, uses: Map<string, DeviceUse>, seen: Set<string>): void {
  if (seen.has(node.name)) return;
  seen.add(node.name);
  const add = (use: Omit<DeviceUse, "device">) => {
    uses.set(`${node.name} ${use.kind} ${use.name}`, { device: node.name, ...use });
  };
  for (const { number, source, point } of host.mounts) {
    if (number !== node.number && source !== node.name) continue;
    add({ kind: "mount", name: point, ...(SYSTEM.includes(point) && { system: true }) });
  }
  if (host.swaps.includes(node.name)) add({ kind: "swap" });
  const isMounted = [...uses.values()].some(({ device, kind }) => device === node.name && kind === "mount");
  if (host.btrfs.includes(node.name) && !isMounted) add({ kind: "btrfs" });
  for (const other of host.nodes) {
    const backing = other.name.startsWith("loop") ? text(`${other.folder}/loop/backing_file`) : undefined;
    if (backing?.startsWith("/dev/") && deviceName(host.root, backing, host.nodes) === node.name) {
      add({ kind: "loop", name: other.name });
      addUses(other, host, uses, seen);
    }
  }
  for (const name of node.holders) {
    const holder = host.nodes.find((one) => one.name === name);
    add({ kind: "holder", name: holder?.mapped ?? name, holder: holderKind(name, holder) });
    if (holder === undefined) continue;
    addUses(holder, host, uses, seen);
    for (const part of host.nodes.filter((one) => one.disk === name)) addUses(part, host, uses, seen);
  }
}

function holderKind(name: string, holder: Node | undefined): string {
  if (/^md\d/.test(name)) return "RAID";
  if (/^bcache/.test(name)) return "bcache";
  const id = holder === undefined ? "" : text(`${holder.folder}/dm/uuid`) ?? "";
  if (id.startsWith("LVM-")) return "LVM";
  if (id.startsWith("CRYPT-")) return "encryption";
  if (id.startsWith("mpath-")) return "multipath";
  return "device-mapper";
}

function deviceOf(node: Node, host: Host): BlockDevice {
  const { name, folder, size } = node;
  const sector = Number(text(`${folder}/queue/logical_block_size`) ?? 0);
  const bus = busOf(folder, name);
  const model = modelOf(node);
  return {
    name,
    path: nodePath(name),
    size,
    ...(sector > 0 && { sector }),
    ...(model !== "" && { model }),
    ...(bus !== undefined && { bus }),
    removable: text(`${folder}/removable`) === "1",
    readOnly: text(`${folder}/ro`) === "1",
    partitions: host.nodes.filter((one) => one.disk === name).map((one) => ({
      name: one.name,
      path: nodePath(one.name),
      start: Number(text(`${one.folder}/start`) ?? 0) * 512,
      size: one.size,
    })),
    uses: usesOf(node, host),
  };
}

/** Returns the node of a device. Where the name has a slash in /dev, /sys/block has an exclamation mark. */
function nodePath(name: string): string {
  return `/dev/${name.replaceAll("!", "/")}`;
}

function modelOf({ name, folder, mapped }: Node): string {
  if (mapped !== undefined) return mapped;
  if (name.startsWith("loop")) return text(`${folder}/loop/backing_file`) ?? "";
  const vendor = text(`${folder}/device/vendor`) ?? "";
  const model = text(`${folder}/device/model`) ?? text(`${folder}/device/name`) ?? "";
  // SATA disks name the command set as their vendor; virtio and NVMe devices have the number of the vendor there.
  return vendor === "ATA" || vendor.startsWith("0x") ? model : `${vendor} ${model}`.trim();
}

/** Parts of the path of a device in /sys/devices, and the bus that they state. The first that is found holds. */
const BUSES: readonly (readonly [part: RegExp, bus: string])[] = [
  [/\/usb\d/, "usb"],
  [/\/nvme\d/, "nvme"],
  [/\/mmc\d/, "mmc"],
  [/\/virtio\d/, "virtio"],
  [/\/ata\d/, "sata"],
  [/\/vbd-/, "xen"],
  [/\/host\d/, "scsi"],
];

function busOf(folder: string, name: string): string | undefined {
  let real = folder;
  try {
    real = Deno.realPathSync(folder);
  } catch {
    return undefined;
  }
  if (real.includes("/devices/virtual/")) {
    const kind = /^[a-z]+/.exec(name)?.[0];
    return kind === "dm" ? "device-mapper" : kind === "md" ? "raid" : kind;
  }
  return BUSES.find(([part]) => part.test(real))?.[1];
}

/** Returns the disks of macOS, of which only the names can be read without another program. */
function disksByName(): BlockDevice[] {
  return names("/dev").filter((name) => /^disk\d+$/.test(name))
    .map((name) => ({ name, path: `/dev/${name}`, partitions: [] }));
}

/** Returns the names in a folder in order; empty where there is none. */
function names(folder: string): string[] {
  try {
    return [...Deno.readDirSync(folder)].map(({ name }) => name)
      .sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  } catch {
    return [];
  }
}

function exists(path: string): boolean {
  return text(path) !== undefined;
}

/** Returns the text of a small file without white space around it; `undefined` where there is none. */
function text(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path).trim();
  } catch {
    return undefined;
  }
}

function lines(path: string): string[] {
  return (text(path) ?? "").split("\n").filter((line) => line !== "");
}

/** Replaces the octal escapes of spaces and other characters. */
function unescaped(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8)));
}
