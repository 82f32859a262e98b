/** Contents of files without an image format: recognised by their bytes, and refused where they are no disk. */
import assert from "node:assert/strict";
import { bzip2, gzip, tar, xz, zip, zstd } from "../../support/archives.ts";
import { type Contents, recognise } from "../../../core/contents/recognise.ts";
import { extractCommand } from "../../../core/contents/refuse.ts";
import { fileSystemOf, VOLUME_HEAD } from "../../../core/contents/signatures.ts";
import { scratch } from "../../support/qemu.ts";

/** Bytes of zeroes with texts at offsets; each character of a text is a byte. */
function bytesWith(length: number, texts: { readonly [at: number]: string }): Uint8Array {
  const bytes = new Uint8Array(length);
  for (const [at, text] of Object.entries(texts)) bytes.set([...text].map((one) => one.charCodeAt(0)), Number(at));
  return bytes;
}

function contentsOf(bytes: Uint8Array): Contents | null {
  const tail = bytes.subarray(Math.max(0, bytes.length - 4096));
  return recognise({ head: bytes.subarray(0, VOLUME_HEAD), tail, size: bytes.length });
}

function textBytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

const LINES = textBytes("a line of text\n".repeat(40));
const PARTITION = "\x80\0\0\0\x83\0\0\0\x01\0\0\0\xff\0\0\0";
const BOOT = "\x55\xaa";

/** A super block of ext at byte 1024. */
function ext(compatible: number, incompatible: number): { readonly [at: number]: string } {
  return {
    1028: "\0\x01",
    1080: "\x53\xef",
    [1024 + 0x5c]: String.fromCharCode(compatible & 0xff),
    [1024 + 0x60]: String.fromCharCode(incompatible & 0xff, incompatible >> 8),
  };
}

const cases: readonly (readonly [what: string, bytes: Uint8Array, kind: Contents["kind"] | null, name: RegExp])[] = [
  ["gzip", gzip(LINES), "compressed", /^gzip/],
  ["xz", xz(), "compressed", /^xz/],
  ["zstd", zstd(LINES), "compressed", /^zstd/],
  ["bzip2", bzip2(), "compressed", /^bzip2/],
  ["tar", tar({ "disk.raw": LINES }), "archive", /^a tar archive$/],
  ["OVA", tar({ "vm.ovf": LINES, "disk1.vmdk": LINES }), "archive", /OVA/],
  ["tar with a late .ovf", tar({ "a.vmdk": LINES, "b.OVF": LINES }), "archive", /OVA/],
  ["zip", zip("disk.vmdk", LINES), "archive", /zip/],
  ["7z", bytesWith(64, { 0: "7z\xbc\xaf\x27\x1c" }), "archive", /7z/],
  ["RAR", bytesWith(64, { 0: "Rar!\x1a\x07\x01\0" }), "archive", /RAR/],
  ["VMA", bytesWith(64, { 0: "VMA\0\0\0\0\x01" }), "archive", /Proxmox/],
  ["qcow of version 1", bytesWith(64, { 0: "QFI\xfb\0\0\0\x01" }), "image", /qcow image of version 1/],
  ["DMG", bytesWith(8192, { [8192 - 512]: "koly\0\0\0\x04" }), "image", /Apple/],
  ["EWF", bytesWith(64, { 0: "EVF\x09\x0d\x0a\xff\0" }), "image", /EnCase/],
  ["ELF core, little-endian", bytesWith(64, { 0: "\x7fELF\x02\x01\x01", 16: "\x04\0" }), "memory", /memory dump/],
  ["ELF core, big-endian", bytesWith(64, { 0: "\x7fELF\x02\x02\x01", 16: "\0\x04" }), "memory", /memory dump/],
  ["ELF program", bytesWith(64, { 0: "\x7fELF\x02\x01\x01", 16: "\x03\0" }), "other", /program/],
  ["Windows memory dump", bytesWith(64, { 0: "PAGEDU64" }), "memory", /Windows memory dump/],
  ["text", LINES, "text", /^a text file$/],
  ["OVF", textBytes('<?xml version="1.0"?>\n<Envelope xmlns="x"/>\n'), "text", /OVF descriptor/],
  ["text beyond ASCII", textBytes("naïve\n".repeat(20_000)), "text", /text/],
  ["ISO 9660", bytesWith(40960, { 0x8001: "CD001" }), "optical", /ISO 9660/],
  ["hybrid ISO", bytesWith(40960, { 0x8001: "CD001", 446: PARTITION, 510: BOOT }), "optical", /ISO 9660/],
  ["MBR", bytesWith(8192, { 446: PARTITION, 510: BOOT }), "disk", /MBR/],
  ["GPT", bytesWith(8192, { 446: PARTITION, 510: BOOT, 512: "EFI PART" }), "disk", /GPT/],
  ["GPT of 4096-byte sectors", bytesWith(16384, { 510: BOOT, 4096: "EFI PART" }), "disk", /GPT/],
  ["MBR over the rest of ext", bytesWith(8192, { ...ext(4, 0), 446: PARTITION, 510: BOOT }), "disk", /MBR/],
  ["boot sector", bytesWith(8192, { 0: "\xeb\x3c\x90", 510: BOOT }), "disk", /boot sector/],
  ["ext2", bytesWith(8192, ext(0, 2)), "volume", /ext2/],
  ["ext3", bytesWith(8192, ext(4, 2)), "volume", /ext3/],
  ["ext4", bytesWith(8192, ext(4, 0x42)), "volume", /ext4/],
  ["XFS", bytesWith(8192, { 0: "XFSB" }), "volume", /XFS/],
  ["NTFS", bytesWith(8192, { 0: "\xeb\x52\x90NTFS    ", 446: PARTITION, 510: BOOT }), "volume", /NTFS/],
  ["FAT32", bytesWith(8192, { 82: "FAT32   ", 510: BOOT }), "volume", /FAT32/],
  ["btrfs", bytesWith(VOLUME_HEAD, { 0x10040: "_BHRfS_M" }), "volume", /btrfs/],
  ["LUKS", bytesWith(8192, { 0: "LUKS\xba\xbe\0\x02" }), "volume", /LUKS/],
  ["LVM", bytesWith(8192, { 512: "LABELONE" }), "volume", /LVM2/],
  ["swap", bytesWith(8192, { 4086: "SWAPSPACE2" }), "volume", /swap/],
  ["swap of pages of 64 KiB", bytesWith(VOLUME_HEAD, { 65526: "SWAPSPACE2" }), "volume", /swap/],
  ["zeroes", new Uint8Array(8192), null, /./],
  ["nothing", new Uint8Array(0), null, /./],
  ["letters without lines", textBytes("a".repeat(512)), null, /./],
  ["text with a control character", textBytes("a\nb\x01"), null, /./],
  ["lines that are no UTF-8", new Uint8Array([0x61, 0x0a, 0xff, 0x0a]), null, /./],
  ["text that ends as a disk", new Uint8Array([...LINES, ...new Uint8Array(512)]), null, /./],
  ["a boot mark alone", bytesWith(512, { 510: BOOT }), null, /./],
  ["a wrong checksum of tar", tar({ "disk.raw": LINES }).map((byte, at) => at === 0 ? byte + 1 : byte), null, /./],
];

for (const [what, bytes, kind, name] of cases) {
  Deno.test(`recognised by its bytes: ${what}`, () => {
    const contents = contentsOf(bytes);
    assert.equal(contents?.kind ?? null, kind);
    if (contents !== null) assert.match(contents.name, name);
  });
}

Deno.test("no signature reads past the end of a short file", () => {
  for (const [, bytes] of cases) for (const length of [0, 1, 3, 511, 600]) contentsOf(bytes.subarray(0, length));
});

Deno.test("what mkfs writes is recognised", async () => {
  await using folder = await scratch();
  const makers: readonly (readonly [program: string, args: string[], mib: number, name: string])[] = [
    ["mkfs.ext4", ["-q", "-F"], 8, "ext4"],
    ["mkfs.ext2", ["-q", "-F"], 8, "ext2"],
    ["mkswap", ["-q"], 8, "Linux swap"],
    ["mkfs.vfat", [], 8, "FAT16"],
    ["mkfs.btrfs", ["-q"], 128, "btrfs"],
    ["mkfs.xfs", ["-q"], 512, "XFS"],
  ];
  for (const [program, args, mib, name] of makers) {
    const path = folder.file("volume");
    await using file = await Deno.open(path, { write: true, read: true, create: true, truncate: true });
    await file.truncate(mib << 20);
    const made = await new Deno.Command("sh", {
      args: ["-c", `PATH=$PATH:/usr/sbin:/sbin; command -v ${program} && exec ${program} "$@"`, "sh", ...args, path],
      stdout: "null",
      stderr: "null",
    }).output();
    if (!made.success) continue; // Not installed: the bytes of the table above are the test.
    const head = new Uint8Array(VOLUME_HEAD);
    await file.read(head);
    assert.equal(fileSystemOf(head)?.name, name);
  }
});

Deno.test("the command that extracts is one for a shell", () => {
  const command = (path: string, bytes: Uint8Array) => extractCommand(path, contentsOf(bytes)!);
  assert.equal(command("/d/a.raw.gz", gzip(LINES)), "gunzip -k /d/a.raw.gz");
  assert.equal(command("a b's.gz", gzip(LINES)), "gunzip -k 'a b'\\''s.gz'");
  for (const name of ["a.tar.gz", "a.tgz", "A.TAR.XZ"]) assert.equal(command(name, gzip(LINES)), `tar -xf ${name}`);
  assert.equal(command("vm.ova", tar({ "vm.ovf": LINES })), "tar -xf vm.ova");
  assert.equal(command("a.txt", LINES), undefined);
});
