/**
 * Destinations: the table is consistent, `--for` sets the job, and the finished file keeps the rules. The tests parse
 * the file by its specification, not with the readers of the program.
 */
import assert from "node:assert/strict";
import { allFormats, convert, openDisk } from "../../../mod.ts";
import type { ConvertJob } from "../../../mod.ts";
import { parseConvert } from "../../../cli/commands/convert.ts";
import {
  nextCommands,
  presetNamed,
  recipeProblem,
  sizeRuleOf,
  writableRecipes,
} from "../../../cli/destinations/recipes.ts";
import { type FinishedFile, verdictOf, verdictText } from "../../../cli/destinations/rules.ts";
import { finishedFile } from "../../../cli/destinations/check.ts";
import { presets } from "../../../cli/destinations/table.ts";
import { presetsJson, presetsText } from "../../../cli/commands/presets.ts";
import { diskcast } from "../../support/diskcast.ts";
import { assertGpt, putGpt } from "../../support/gpt.ts";
import { rng, type Scratch, scratch } from "../../support/qemu.ts";

const MIB = 2 ** 20;
const GIB = 2 ** 30;

Deno.test("every destination is complete, and no two share a name", () => {
  const names = presets.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  const wanted =
    "aws azure gcp esxi workstation virtualbox hyperv-gen1 hyperv-gen2 proxmox libvirt openstack kubevirt " +
    "xcp-ng nutanix oracle ibm alibaba digitalocean utm-raw utm-qcow2 usb";
  assert.deepEqual(wanted.split(" ").filter((name) => !names.includes(name)), []);
  for (const preset of presets) {
    assert.ok(preset.recipes.length > 0 && preset.sources.length > 0, preset.name);
    assert.match(preset.date, /^\d{4}-\d\d-\d\d$/, preset.name);
    assert.match(preset.name, /^[a-z0-9-]+$/);
    const { least = 0, most = Infinity, multipleOf = 1 } = preset.size;
    assert.ok(least <= most && most % multipleOf === 0 || most === Infinity, preset.name);
    const file = { path: "/a b/it's.vhd", format: "vpc", size: 1 };
    for (const line of nextCommands(preset, file, false)) assert.doesNotMatch(line, /\{[a-z]+\}/, line);
  }
});

Deno.test("recipes that cannot be written are named and not offered", async () => {
  const raw = allFormats.filter(({ name }) => name === "raw");
  const azure = presetNamed("azure");
  assert.match(recipeProblem(azure.recipes[0], raw)!, /vpc cannot be written yet/);
  assert.deepEqual(writableRecipes(azure, raw), []);
  assert.match(presetsText([azure], raw), /cannot be written yet/);
  await assert.rejects(parseConvert(["--for", "azure", "a", "b.vhd"], raw), { kind: "unsupported", message: /Azure/ });
  const rows = JSON.parse(presetsJson(presets, raw));
  assert.equal(rows.length, presets.length);
  assert.match(rows.find((row: { name: string }) => row.name === "azure").recipes[0].lacks, /cannot be written/);
  const noFixed = allFormats.map((one) => ({ ...one, createOptions: [] }));
  assert.match(recipeProblem(azure.recipes[0], noFixed)!, /subformat=fixed/);
});

/** Returns the job of the arguments. */
async function jobOf(...args: string[]): Promise<ConvertJob> {
  const request = await parseConvert(args, allFormats, false);
  assert.equal(request.kind, "job");
  return request.kind === "job" ? request.job : assert.fail();
}

Deno.test("--for sets format, options and size; contradicting arguments are refused", async () => {
  const { target } = await jobOf("--for", "azure", "a", "b.vhd");
  assert.deepEqual([target.format, target.options], ["vpc", { subformat: "fixed" }]);
  assert.deepEqual(target.guestSize, { multipleOf: MIB, least: 20 * MIB, most: 2040 * GIB });
  assert.equal((await jobOf("--for=proxmox", "-O", "raw", "a", "b")).target.format, "raw");
  assert.deepEqual((await jobOf("--for=esxi", "-o", "adapter_type=ide", "a", "b")).target.options, {
    subformat: "streamOptimized",
    adapter_type: "ide",
  });
  assert.equal((await jobOf("--for=xcp-ng", "a", "b")).target.options?.["subformat"], "dynamic");
  assert.deepEqual(sizeRuleOf(presetNamed("xcp-ng"), presetNamed("xcp-ng").recipes[0]).most, 2040 * GIB);
  // --round alone, and with the size rule of the destination.
  assert.deepEqual((await jobOf("--round=1M", "a", "b")).target.guestSize, { multipleOf: MIB });
  assert.equal((await jobOf("a", "b")).target.guestSize, undefined);
  const multipleFor = async (destination: string, round: string, name = "b") => {
    const { guestSize } = (await jobOf("--for", destination, "--round", round, "a", name)).target;
    return typeof guestSize === "object" ? guestSize.multipleOf : undefined;
  };
  assert.equal(await multipleFor("esxi", "1M"), MIB);
  assert.equal(await multipleFor("azure", "512"), MIB);
  assert.equal(await multipleFor("azure", "3M"), 3 * MIB);
  const refused: readonly (readonly [string[], RegExp])[] = [
    [["--for", "azur", "a", "b"], /did you mean "azure"/],
    [["--for", "azure", "-O", "qcow2", "a", "b"], /it takes vpc/],
    [["--for", "azure", "-o", "subformat=dynamic", "a", "b"], /subformat=fixed/],
    [["--for", "azure", "--round", "1536k", "a", "b"], /--round=1572864 with --for azure: .* multiple of 1048576/],
    [["--for", "azure", "-n", "a", "b"], /-n with --for/],
    [["--for", "openstack", "-B", "c", "-F", "raw", "a", "b"], /stand alone/],
    [["--for", "gcp", "a", "b.raw"], /called "disk.raw"/],
  ];
  for (const [args, message] of refused) {
    await assert.rejects(parseConvert(args, allFormats, false), { kind: "usage", message }, args.join(" "));
  }
  assert.equal((await jobOf("--for", "gcp", "a", "x/disk.raw")).target.format, "raw");
});

/** Writes a source with a GPT, an odd size and some data. */
async function source(folder: Scratch): Promise<string> {
  const disk = new Uint8Array(5 * MIB + 512 * 7);
  putGpt(disk, 512);
  disk.set(rng(1).bytes(65536), 2 * MIB);
  await Deno.writeFile(folder.file("source.raw"), disk);
  return folder.file("source.raw");
}

/** Runs `convert --for`, and returns the finished file and the output on standard error. */
async function converted(folder: Scratch, destination: string, name: string, ...more: string[]) {
  const path = folder.file(name);
  const args = ["convert", "--for", destination, ...more, "-f", "raw", await source(folder), path];
  const { code, stderr, stdout } = await diskcast(...args);
  assert.equal(code, 0, stderr);
  assert.equal(stdout, "");
  const file = await Deno.readFile(path);
  return { path, file, view: new DataView(file.buffer), stderr };
}

async function guest(path: string): Promise<Uint8Array> {
  await using disk = await openDisk(path);
  const bytes = new Uint8Array(disk.size);
  await disk.read(bytes, 0);
  return bytes;
}

const text = (bytes: Uint8Array) => new TextDecoder("latin1").decode(bytes);

/** The one's complement of the sum of all bytes but the checksum's own, as the VHD specification has it. */
function vhdChecksum(bytes: Uint8Array, at: number): number {
  return ~bytes.reduce((sum, byte, index) => index >= at && index < at + 4 ? sum : sum + byte, 0) >>> 0;
}

Deno.test("azure: a VHD of a fixed size, whole MiB, 512 bytes of footer, valid", async () => {
  await using folder = await scratch();
  const { path, file, view, stderr } = await converted(folder, "azure", "disk.vhd");
  assert.equal((file.length - 512) % MIB, 0, "whole MiB and a footer");
  assert.ok(file.length >= 20_972_032, "the least upload");
  const at = file.length - 512;
  assert.equal(text(file.subarray(at, at + 8)), "conectix");
  assert.equal(view.getUint32(at + 60), 2, "fixed");
  assert.equal(view.getBigUint64(at + 16), 0xffff_ffff_ffff_ffffn, "no data offset");
  assert.equal(Number(view.getBigUint64(at + 48)), at, "current size");
  assert.equal(view.getUint32(at + 64), vhdChecksum(file.subarray(at), 64));
  assert.ok(!["vpc ", "qemu"].includes(text(file.subarray(at + 28, at + 32))), "creator");
  assertGpt(file.slice(0, at), 512);
  assert.match(stderr, /Microsoft Azure will take it: fixed VHD, 20 MiB, footer valid, GPT valid/);
  assert.match(stderr, /zeroes were added at the end .* partition table is at the new end/);
  assert.match(stderr, /az disk create/);
  assert.equal((await guest(path)).length, at);
});

Deno.test("--round makes a disk longer, and the backup of its partition table moves", async () => {
  await using folder = await scratch();
  const path = folder.file("disk.raw");
  const args = ["convert", "--round=1M", "-f", "raw", await source(folder), path];
  const { code, stderr } = await diskcast(...args);
  assert.equal(code, 0, stderr);
  const file = await Deno.readFile(path);
  assert.equal(file.length, 6 * MIB);
  assertGpt(file, 512);
  const kept = await diskcast("convert", "-n", ...args.slice(1));
  assert.match(kept.stderr, /Cannot change the size of an existing target/);
});

Deno.test("gcp: raw, whole GiB, named disk.raw", async () => {
  await using folder = await scratch();
  const path = folder.file("disk.raw");
  const args = ["convert", "--for", "gcp", "-f", "raw", await source(folder), path];
  const { code, stderr } = await diskcast(...args);
  assert.equal(code, 0, stderr);
  assert.equal((await Deno.stat(path)).size, GIB);
  using file = await Deno.open(path);
  const tail = new Uint8Array(33 * 512);
  await file.seek(GIB - tail.length, Deno.SeekMode.Start);
  await file.read(tail);
  assert.equal(text(tail.subarray(32 * 512, 32 * 512 + 8)), "EFI PART");
  assert.match(stderr, /Google Cloud will take it: raw, 1024 MiB, named disk.raw, GPT valid/);
  assert.match(stderr, /tar --format=oldgnu -Sczf/);
});

Deno.test("esxi: a streamOptimized VMDK of version 3, compressed, with a footer, for lsilogic", async () => {
  await using folder = await scratch();
  const { file, view, stderr } = await converted(folder, "esxi", "disk.vmdk");
  assert.equal(text(file.subarray(0, 4)), "KDMV");
  assert.equal(view.getUint32(4, true), 3, "version 1 is refused as too old");
  assert.equal(view.getUint32(8, true) & 0x30000, 0x30000, "compressed grains with markers");
  assert.equal(view.getBigUint64(56, true), 0xffff_ffff_ffff_ffffn, "the directory is where the footer says");
  const descriptor = text(file.subarray(512, 512 + Number(view.getBigUint64(36, true)) * 512)).replace(/\0+$/, "");
  assert.match(descriptor, /createType="streamOptimized"/);
  assert.match(descriptor, /ddb\.adapterType = "lsilogic"/);
  const footer = file.length - 1024;
  assert.equal(text(file.subarray(footer, footer + 4)), "KDMV");
  assert.ok(file.subarray(file.length - 512).every((byte) => byte === 0), "the end-of-stream marker");
  assert.match(stderr, /VMware ESXi, vSphere will take it: streamOptimized VMDK/);
});

Deno.test("virtualbox: a VDI 1.1 of whole blocks of 1 MiB with a UUID of its own", async () => {
  await using folder = await scratch();
  const first = await converted(folder, "virtualbox", "a.vdi");
  const second = await converted(folder, "virtualbox", "b.vdi");
  const { view, file, stderr } = first;
  assert.equal(view.getUint32(0x40, true), 0xbeda107f);
  assert.equal(view.getUint32(0x44, true), 0x00010001);
  assert.equal(view.getUint32(0x4c, true), 1, "dynamic");
  assert.equal(view.getUint32(0x178, true), MIB, "block size");
  assert.equal(Number(view.getBigUint64(0x170, true)) % MIB, 0);
  assert.notDeepEqual(file.subarray(0x188, 0x198), second.file.subarray(0x188, 0x198));
  assert.ok(file.subarray(0x188, 0x198).some((byte) => byte !== 0));
  assert.match(stderr, /Oracle VirtualBox will take it: VDI, 6 MiB, blocks of 1 MiB, GPT valid/);
});

Deno.test("hyperv-gen2: a VHDX with a clean log, blocks of 1 MiB, sectors of 512, no holes", async () => {
  await using folder = await scratch();
  const { path, file, view, stderr } = await converted(folder, "hyperv-gen2", "disk.vhdx");
  assert.equal(text(file.subarray(0, 8)), "vhdxfile");
  const headers = [65536, 131072].filter((at) => text(file.subarray(at, at + 4)) === "head");
  const current = headers.sort((a, b) => Number(view.getBigUint64(b + 8, true) - view.getBigUint64(a + 8, true)))[0];
  assert.ok(file.subarray(current + 48, current + 64).every((byte) => byte === 0), "no log to replay");
  const metadata = regionAt(file, "8b7ca206");
  assert.equal(view.getUint32(metadataItem(view, metadata, 0xcaa16737), true), MIB, "block size");
  assert.equal(view.getUint32(metadataItem(view, metadata, 0x8141bf1d), true), 512, "logical sector");
  assert.equal(Number(view.getBigUint64(metadataItem(view, metadata, 0x2fa54224), true)) % MIB, 0);
  const { blocks, size } = await Deno.stat(path);
  if (blocks !== null) assert.ok(blocks * 512 >= size, "a file with holes is refused by Windows");
  assert.match(
    stderr,
    /generation 2 \(UEFI\) will take it: dynamic VHDX, 6 MiB, blocks of 1.0 MiB, log clean, GPT valid/,
  );
  assert.equal((await guest(path)).length, 6 * MIB);
});

/** File offset of a region of a VHDX file; `id` is the first field of its GUID. */
function regionAt(file: Uint8Array, id: string): number {
  const view = new DataView(file.buffer);
  const table = 192 << 10;
  assert.equal(text(file.subarray(table, table + 4)), "regi");
  for (let entry = 0; entry < view.getUint32(table + 8, true); entry++) {
    const at = table + 16 + 32 * entry;
    if (view.getUint32(at, true).toString(16) === id) return Number(view.getBigUint64(at + 16, true));
  }
  return assert.fail(`no region ${id}`);
}

/** File offset of an item of the metadata region; `id` is the first field of its GUID. */
function metadataItem(view: DataView, region: number, id: number): number {
  for (let entry = 0; entry < view.getUint16(region + 10, true); entry++) {
    const at = region + 32 + 32 * entry;
    if (view.getUint32(at, true) === id) return region + view.getUint32(at + 16, true);
  }
  return assert.fail(`no item ${id.toString(16)}`);
}

Deno.test("xcp-ng: a dynamic VHD, blocks of 2 MiB, footer and its copy valid and equal", async () => {
  await using folder = await scratch();
  const { file, view, stderr } = await converted(folder, "xcp-ng", "0d3adb33.vhd");
  const at = file.length - 512;
  assert.deepEqual(file.subarray(0, 512), file.subarray(at));
  assert.equal(view.getUint32(60), 3, "dynamic");
  assert.equal(view.getUint32(64), vhdChecksum(file.subarray(0, 512), 64));
  assert.equal(Number(view.getBigUint64(48)) % (2 * MIB), 0);
  const header = Number(view.getBigUint64(16));
  assert.equal(text(file.subarray(header, header + 8)), "cxsparse");
  assert.equal(view.getUint32(header + 32), 2 * MIB);
  assert.equal(view.getUint32(header + 36), vhdChecksum(file.subarray(header, header + 1024), 36));
  assert.deepEqual([text(file.subarray(28, 32)), view.getUint32(32)], ["tap\0", 0x10003]);
  assert.equal(text(file.subarray(2048, 2056)), "tdbatmap", "a host of this creator's disks needs a batmap");
  assert.match(stderr, /XCP-ng, XenServer will take it: dynamic VHD, 6 MiB, blocks of 2 MiB, GPT valid/);
});

Deno.test("a disk that is too large is refused before anything is written", async () => {
  await using folder = await scratch();
  const big = folder.file("big.raw");
  await Deno.writeFile(big, new Uint8Array(0));
  await Deno.truncate(big, 251 * GIB);
  const job = await jobOf("--for", "ibm", "-f", "raw", big, folder.file("out.qcow2"));
  await assert.rejects(convert(job), { kind: "usage", message: /at most/ });
  await assert.rejects(Deno.stat(folder.file("out.qcow2")));
});

Deno.test("rules find every problem", async () => {
  await using folder = await scratch();
  const path = await source(folder);
  const azure = presetNamed("azure");
  const vhd = folder.file("a.vhd");
  await convert({ sources: [{ path, format: "raw" }], target: { path: vhd, format: "vpc" } });
  const dynamic = verdictOf(azure, azure.recipes[0], await finishedFile(vhd, "vpc"));
  assert.equal(dynamic.ok, false);
  assert.match(dynamic.findings.join(), /it is dynamic, and must be fixed/);
  await convert(await jobOf("--for", "azure", "-f", "raw", path, vhd));
  const valid = await finishedFile(vhd, "vpc");
  assert.equal(verdictOf(azure, azure.recipes[0], valid).ok, true);
  const wrong: readonly (readonly [Partial<FinishedFile>, RegExp])[] = [
    [{ size: 21 * MIB - 512 }, /whole 1.0 MiB/],
    [{ size: 10 * MIB, fileSize: 10 * MIB + 512 }, /at least 20971520/],
    [{ fileSize: valid.size }, /footer of 512/],
    [{ layers: 2 }, /backing file/],
    [{ table: "damaged" }, /partition table is damaged/],
    [{ backupAtEnd: false }, /backup of its GPT/],
    [{ format: "raw" }, /must be vpc/],
    [{ info: { ...valid.info, "footer-damaged": true } }, /footer is damaged/],
    [{ info: { ...valid.info, creator: "qemu" } }, /names "qemu" as its creator/],
  ];
  for (const [change, message] of wrong) {
    const verdict = verdictOf(azure, azure.recipes[0], { ...valid, ...change });
    assert.equal(verdict.ok, false, String(message));
    assert.match(verdict.findings.join("; "), message);
  }
});

const yes = { boots: true, by: "code" } as const;
const no = (why: string) => ({ boots: false, why }) as const;

/** A destination, the table and the boot loaders of a disk, and the end of its verdict. */
const boots:
  readonly (readonly [preset: string, table: FinishedFile["table"], boot: FinishedFile["boot"], text: RegExp])[] = [
    ["hyperv-gen1", "gpt", { bios: yes, uefi: no("a") }, /, boot loader for BIOS$/],
    [
      "hyperv-gen1",
      "gpt",
      { bios: no("its GPT has no BIOS boot partition"), uefi: yes },
      /; and it may not boot there, because its GPT has no BIOS boot partition$/,
    ],
    ["hyperv-gen2", "gpt", { bios: no("a"), uefi: yes }, /, boot loader for UEFI$/],
    [
      "hyperv-gen2",
      "gpt",
      { bios: yes, uefi: no("it has no EFI system partition") },
      /; and it may not boot there, because it has no EFI system partition$/,
    ],
    ["hyperv-gen2", "mbr", { bios: yes, uefi: yes }, /because it has an MBR, and machines there boot only from a GPT$/],
    [
      "hyperv-gen2",
      "none",
      { bios: yes, uefi: yes },
      /because it has no partition table, and machines there boot only/,
    ],
    ["utm-raw", "mbr", { bios: yes, uefi: no("a") }, /; and it may not boot there, because a$/],
    ["azure", "mbr", { bios: yes, uefi: no("a") }, /, boot loader for BIOS$/],
    ["azure", "gpt", { bios: yes, uefi: yes }, /, boot loader for UEFI and BIOS$/],
    [
      "azure",
      "gpt",
      { bios: no("a"), uefi: no("b") },
      /; and it may not boot there, because b \(UEFI\) and a \(BIOS\)$/,
    ],
    ["azure", "none", { bios: no("a"), uefi: no("a") }, /; and it may not boot there, because a$/],
    [
      "azure",
      "gpt",
      "Cannot read",
      /; and it may not boot there, because its contents cannot be read \(Cannot read\)$/,
    ],
  ];

Deno.test("the verdict says for which firmware there is a boot loader, or why the disk may not boot", async () => {
  await using folder = await scratch();
  const path = await source(folder);
  for (const [name, table, boot, text] of boots) {
    const preset = presetNamed(name);
    // The other rules have tests of their own.
    const judged = { ...preset, rules: [], recipes: [{ format: "raw", options: {}, extension: "raw" }] };
    const file = { ...await finishedFile(path, "raw"), size: GIB, table, boot };
    const verdict = verdictOf(judged, judged.recipes[0]!, file);
    assert.equal(verdict.ok, true);
    assert.match(verdictText(preset, verdict), text);
  }
});

Deno.test("a disk that may not boot at its destination is converted, and the line says why", async () => {
  await using folder = await scratch();
  const sample = new URL("../../samples/sample.qcow2", import.meta.url).pathname;
  const { code, stderr } = await diskcast("convert", "--for", "hyperv-gen2", sample, folder.file("a.vhdx"));
  assert.equal(code, 0);
  assert.match(stderr, /will take it: .*, MBR; and it may not boot there, because it has an MBR, and machines there/);
});

Deno.test("presets prints the table as text and as JSON", async () => {
  const json = await diskcast("presets", "--output=json");
  assert.equal(json.code, 0);
  const rows = JSON.parse(json.stdout);
  assert.deepEqual(rows.map((row: { name: string }) => row.name), presets.map(({ name }) => name));
  assert.equal(rows[1].recipes[0].size.multipleOf, MIB);
  const human = await diskcast("presets");
  assert.equal(human.code, 0);
  for (const { name } of presets) assert.ok(human.stdout.includes(`\n${name} `) || human.stdout.startsWith(name), name);
  assert.equal((await diskcast("presets", "--output=xml")).code, 1);
  assert.equal((await diskcast("presets", "a")).code, 1);
});

Deno.test("a finished file that the destination will not take is kept and reported, and the exit code is 1", async () => {
  await using folder = await scratch();
  const path = await source(folder);
  const disk = await Deno.readFile(path);
  disk[512 + 60] ^= 1; // the header no longer agrees with its checksum
  await Deno.writeFile(path, disk);
  const { code, stderr } = await diskcast("convert", "--for", "azure", "-f", "raw", path, folder.file("a.vhd"));
  assert.equal(code, 1);
  assert.match(stderr, /warning: the partition table of the disk is corrupt/);
  assert.match(stderr, /a\.vhd" is complete, but Microsoft Azure will not take it: its partition table is damaged/);
  assert.ok((await Deno.stat(folder.file("a.vhd"))).size > 20 * MIB);
});

Deno.test("JSON stays JSON, and quiet stays quiet", async () => {
  await using folder = await scratch();
  const args = ["convert", "--for", "virtualbox", "-f", "raw", await source(folder), folder.file("a.vdi")];
  const json = await diskcast(...args, "--progress=json");
  assert.equal(json.code, 0);
  const lines = json.stderr.trim().split("\n").map((line) => JSON.parse(line));
  assert.ok(lines.length > 1);
  assert.equal(lines.at(-1).type ?? lines.at(-1).event, "summary");
  const quiet = await diskcast(...args, "-q");
  assert.deepEqual([quiet.code, quiet.stderr, quiet.stdout], [0, "", ""]);
});
