/** A disk keeps its logical sector size, or the conversion is refused; a GPT is written anew for other sectors. */
import assert from "node:assert/strict";
import { type ConvertJob, createImage, inspect, openDisk } from "../../../mod.ts";
import { convert } from "../../../core/convert.ts";
import { planConversion } from "../../../core/plan_conversion.ts";
import { convertedGpt } from "../../../core/target/gpt_conversion.ts";
import { partitionTable } from "../../../core/target/gpt.ts";
import { pad } from "../../../core/open/readers.ts";
import { patched } from "../../../core/open/patched.ts";
import { chainOf } from "../../../core/open/chain.ts";
import { diskcast } from "../../support/diskcast.ts";
import { assertGpt, crc, putGpt } from "../../support/gpt.ts";
import { libyal } from "../../support/libyal.ts";
import { type Scratch, scratch } from "../../support/qemu.ts";

const MIB = 1 << 20;
const PARTITION = 65536;

/** Returns a disk whose table counts in `sector` bytes, with one partition `[64 KiB, 128 KiB)`. */
function diskWith(sector: number, size = MIB, start = PARTITION, end = 2 * PARTITION): Uint8Array {
  const disk = new Uint8Array(size);
  putGpt(disk, sector);
  disk.fill(0x77, PARTITION, 2 * PARTITION);
  setPartition(disk, sector, start, end);
  return disk;
}

/** Moves the only partition, in both copies of the table. */
function setPartition(disk: Uint8Array, sector: number, start: number, end: number): void {
  const view = new DataView(disk.buffer);
  const last = disk.length / sector - 1;
  for (const header of [1, last]) {
    const entries = Number(view.getBigUint64(header * sector + 72, true)) * sector;
    view.setBigUint64(entries + 32, BigInt(start / sector), true);
    view.setBigUint64(entries + 40, BigInt(end / sector - 1), true);
    view.setUint32(header * sector + 88, crc(disk.subarray(entries, entries + 16384)), true);
    view.setUint32(header * sector + 16, 0, true);
    view.setUint32(header * sector + 16, crc(disk.subarray(header * sector, header * sector + 92)), true);
  }
}

/** Writes the disk as `name` of `format`; a VHDX gets sectors of `sector` bytes. */
async function imageOf(folder: Scratch, disk: Uint8Array, name: string, format: string, sector?: number) {
  await Deno.writeFile(folder.file("source.raw"), disk);
  await convert({
    sources: [{ path: folder.file("source.raw"), format: "raw" }],
    target: {
      path: folder.file(name),
      format,
      ...(sector !== undefined && { options: { logical_sector_size: sector } }),
    },
    allowSectorSizeChange: true,
  });
  return { path: folder.file(name), format };
}

async function run(source: ConvertJob["sources"][0], target: ConvertJob["target"], more: Partial<ConvertJob> = {}) {
  const warnings: string[] = [];
  const summary = await convert({ sources: [source], target, ...more }, {
    onEvent: (event) => void (event.type === "warning" && warnings.push(event.message)),
  });
  return { summary, warnings: warnings.join("\n") };
}

async function contentOf(path: string): Promise<{ bytes: Uint8Array; sectorSize: number | undefined }> {
  await using disk = await openDisk(path);
  const bytes = new Uint8Array(disk.size);
  await disk.read(bytes, 0);
  return { bytes, sectorSize: disk.layers[0].disk.logicalSectorSize };
}

Deno.test("a VHDX has the sectors of its source, or those of logical_sector_size", async () => {
  await using folder = await scratch();
  const disk = diskWith(4096);
  const source = await imageOf(folder, disk, "a.vhdx", "vhdx", 4096);
  const target = { path: folder.file("b.vhdx"), format: "vhdx" };
  assert.equal((await run(source, target)).warnings, "");
  assert.deepEqual(await contentOf(target.path), { bytes: disk, sectorSize: 4096 });
  assert.equal((await inspect(target.path)).specific["logical-sector-size"], 4096);
  // Raw and qcow2 state no sector size: that in which the GPT counts is taken.
  for (const [format, sector] of [["raw", 4096], ["qcow2", 4096], ["raw", 512]] as const) {
    const plain = await imageOf(folder, diskWith(sector), "plain", format);
    const copy = { path: folder.file("c.vhdx"), format: "vhdx" };
    assert.equal((await run(plain, copy)).warnings, "");
    assert.equal((await contentOf(copy.path)).sectorSize, sector, `${format} ${sector}`);
    await Deno.remove(copy.path);
  }
});

Deno.test("libvhdi reads a VHDX of 4096-byte sectors", async () => {
  const libvhdi = await libyal("vhdx");
  await using folder = await scratch();
  const { path } = await imageOf(folder, diskWith(4096), "a.vhdx", "vhdx", 4096);
  await libvhdi?.(path, folder.file("source.raw"));
});

Deno.test("create -o logical_sector_size: whole sectors, and only 512 or 4096", async () => {
  await using folder = await scratch();
  const path = folder.file("a.vhdx");
  await createImage({ path, format: "vhdx", size: 10_000, options: { logical_sector_size: "4k" } });
  assert.deepEqual([(await contentOf(path)).sectorSize, (await inspect(path)).size], [4096, 12288]);
  for (const wrong of [1024, 256, 8192]) {
    const job = { path: folder.file("b.vhdx"), format: "vhdx", size: MIB, options: { logical_sector_size: wrong } };
    await assert.rejects(createImage(job), { kind: "usage", message: /logical_sector_size/ });
  }
});

Deno.test("a change of the sector size is refused before anything is written; --allow-sector-size-change allows it", async () => {
  await using folder = await scratch();
  const disk = diskWith(4096);
  const source = await imageOf(folder, disk, "a.vhdx", "vhdx", 4096);
  for (const format of ["vpc", "vmdk", "vdi", "vhdx"]) {
    const options = format === "vhdx" ? { logical_sector_size: 512 } : {};
    const target = { path: folder.file(`b.${format}`), format, options };
    const wanted = { kind: "refused", message: /sectors of 4096 bytes, and \w+ gives it sectors of 512; .*GPT/ };
    await assert.rejects(run(source, target), wanted, format);
    await assert.rejects(Deno.stat(target.path), Deno.errors.NotFound);
    await assert.rejects(planConversion({ sources: [source], target }), wanted, format);
    const { warnings } = await run(source, target, { allowSectorSizeChange: true });
    assert.match(warnings, /sectors of 4096 bytes, and \w+ gives it sectors of 512/);
    assert.deepEqual(await contentOf(target.path), { bytes: disk, sectorSize: 512 }, format);
    // The table counts by the sectors that the disk had, and gets them back without a question.
    const back = { path: folder.file(`c.${format}`), format: "vhdx", options: { logical_sector_size: 4096 } };
    assert.equal((await run({ path: target.path, format }, back)).warnings, "");
  }
  // The other way, from formats that state their sectors and those that do not.
  const small = diskWith(512);
  for (const format of ["raw", "qcow2", "vpc", "vdi"]) {
    const from = await imageOf(folder, small, "small", format);
    const target = { path: folder.file("d.vhdx"), format: "vhdx", options: { logical_sector_size: 4096 } };
    await assert.rejects(run(from, target), { kind: "refused", message: /leave out logical_sector_size/ }, format);
  }
});

Deno.test("an MBR and a file system without a table count by sectors, too; a blank disk does not", async () => {
  await using folder = await scratch();
  const mbr = new Uint8Array(MIB);
  mbr.set([0x55, 0xaa], 510);
  const btrfs = new Uint8Array(MIB);
  btrfs[65536 + 64] = 1;
  const target = { path: folder.file("b.vhd"), format: "vpc" };
  for (const disk of [mbr, btrfs]) {
    const source = await imageOf(folder, disk, "a.vhdx", "vhdx", 4096);
    await assert.rejects(run(source, target), { kind: "refused", message: /may count by them/ });
    await Deno.remove(source.path);
  }
  const blank = new Uint8Array(MIB).fill(1, 70_000);
  const source = await imageOf(folder, blank, "a.vhdx", "vhdx", 4096);
  const { warnings } = await run(source, target);
  assert.match(warnings, /sectors of 4096 bytes/);
  assert.deepEqual((await contentOf(target.path)).bytes, blank);
});

Deno.test("raw and qcow2 state no sectors: a warning says which ones the disk needs", async () => {
  await using folder = await scratch();
  const source = await imageOf(folder, diskWith(4096), "a.vhdx", "vhdx", 4096);
  for (const format of ["raw", "qcow2"]) {
    const { warnings } = await run(source, { path: folder.file("b"), format });
    assert.match(warnings, /logical_block_size=4096/);
    await Deno.remove(folder.file("b"));
  }
  const usual = await imageOf(folder, diskWith(512), "c.vhdx", "vhdx");
  assert.equal((await run(usual, { path: folder.file("b"), format: "raw" })).warnings, "");
});

Deno.test("an existing target, and dd, follow the same rule", async () => {
  await using folder = await scratch();
  const source = await imageOf(folder, diskWith(512), "a.vpc", "vpc");
  const target = { path: folder.file("b.vhdx"), format: "vhdx", create: false };
  await createImage({ ...target, size: MIB, options: { logical_sector_size: 4096 } });
  await assert.rejects(run(source, target), { kind: "refused" });
  await run(source, target, { convertGpt: true });
  assertGpt((await contentOf(target.path)).bytes, 4096);
  const dd = async (...more: string[]) =>
    await diskcast("dd", "-q", ...more, "-O", "vdi", `if=${target.path}`, `of=${folder.file("c.vdi")}`);
  assert.match((await dd()).stderr, /sectors of 4096 bytes, and vdi/);
  assert.equal((await dd("--convert-gpt")).code, 0);
  assertGpt((await contentOf(folder.file("c.vdi"))).bytes, 512);
});

for (const [from, to] of [[512, 4096], [4096, 512]]) {
  Deno.test(`--convert-gpt: sectors of ${from} to ${to} bytes`, async () => {
    await using folder = await scratch();
    const disk = diskWith(from);
    const source = await imageOf(folder, disk, "a.vhdx", "vhdx", from);
    const target = { path: folder.file("b.vhdx"), format: "vhdx", options: { logical_sector_size: to } };
    const { summary, warnings } = await run(source, target, { convertGpt: true });
    assert.equal(summary.gpt, "converted");
    assert.match(warnings, /written anew for sectors of/);
    const { bytes, sectorSize } = await contentOf(target.path);
    assert.equal(sectorSize, to);
    assertGpt(bytes, to);
    const view = new DataView(bytes.buffer);
    const entry = 2 * to;
    assert.deepEqual(bytes.slice(entry, entry + 32), disk.slice(2 * from, 2 * from + 32), "type and GUID");
    assert.equal(Number(view.getBigUint64(entry + 32, true)) * to, PARTITION);
    assert.equal((Number(view.getBigUint64(entry + 40, true)) + 1) * to, 2 * PARTITION);
    assert.deepEqual(bytes.subarray(PARTITION, 2 * PARTITION), disk.subarray(PARTITION, 2 * PARTITION));
    // Of the old table nothing is left.
    assert.equal(new TextDecoder("latin1").decode(bytes).split("EFI PART").length - 1, 2);
    // The way back gives the disk again, but for where the first usable sector is.
    const back = { path: folder.file("c.vhdx"), format: "vhdx", options: { logical_sector_size: from } };
    await run({ path: target.path, format: "vhdx" }, back, { convertGpt: true });
    const again = (await contentOf(back.path)).bytes;
    assertGpt(again, from);
    assert.deepEqual(again.subarray(2 * from, 2 * from + 16384), disk.subarray(2 * from, 2 * from + 16384));
  });
}

Deno.test("--convert-gpt on a longer disk: the backup is at the new end", async () => {
  await using folder = await scratch();
  const source = await imageOf(folder, diskWith(4096), "a.vhdx", "vhdx", 4096);
  const target = { path: folder.file("b.vhd"), format: "vpc", guestSize: { multipleOf: 3 * MIB } };
  const { summary } = await run(source, target, { convertGpt: true });
  assert.deepEqual([summary.gpt, summary.added, summary.size], ["converted", 2 * MIB, 3 * MIB]);
  assertGpt((await contentOf(target.path)).bytes, 512);
});

Deno.test("--convert-gpt says why a table cannot be converted", async () => {
  const problemOf = async (disk: Uint8Array, size = disk.length) => {
    const reader = patched(pad(chainOf([]), size), [{ start: 0, bytes: disk }]);
    const table = await partitionTable(reader);
    assert.equal(table.kind, "gpt");
    return table.kind === "gpt" ? convertedGpt(table.gpt, disk.subarray(0, 512), size, 4096) : "";
  };
  assert.match(String(await problemOf(diskWith(512, MIB, 65024, 131072))), /partition 1, .* not aligned/);
  assert.match(String(await problemOf(diskWith(512, MIB, 65536, 131584))), /not aligned/);
  assert.match(String(await problemOf(diskWith(512, MIB, 20480, 131072))), /begins before byte 24576/);
  const late = diskWith(512, MIB + 3584, 65536, MIB - 4 * 4096);
  assert.match(String(await problemOf(late)), /ends after byte 1028096, .*--round/);
  assert.ok(Array.isArray(await problemOf(late, MIB + 4096)));
  const hybrid = diskWith(512);
  hybrid[446 + 16 + 4] = 0x83;
  assert.match(String(await problemOf(hybrid)), /other records/);

  await using folder = await scratch();
  const damaged = diskWith(4096);
  damaged[8192 + 5] ^= 1;
  const source = await imageOf(folder, damaged, "a.vhdx", "vhdx", 4096);
  const target = { path: folder.file("b.vhd"), format: "vpc" };
  await assert.rejects(run(source, target, { convertGpt: true }), {
    kind: "refused",
    message: /anew for sectors of 512 bytes: the checksum of the entries is wrong/,
  });
  await assert.rejects(Deno.stat(target.path), Deno.errors.NotFound);
});

Deno.test("in the qemu-img mode the change of the sector size is only a warning", async () => {
  await using folder = await scratch();
  const disk = diskWith(4096);
  await Deno.writeFile(folder.file("a.raw"), disk);
  for (
    const args of [
      ["convert", "-f", "raw", "-O", "vdi", folder.file("a.raw"), folder.file("b.vdi")],
      ["dd", "-f", "raw", "-O", "vdi", `if=${folder.file("a.raw")}`, `of=${folder.file("c.vdi")}`],
    ]
  ) {
    const refused = await diskcast(...args);
    assert.match(refused.stderr, /Cannot convert to/);
    const { code, stderr } = await diskcast("--as-qemu-img", ...args);
    assert.deepEqual([code, /warning: the disk has logical sectors of 4096 bytes/.test(stderr)], [0, true], stderr);
  }
});

Deno.test("a destination judges the table by the sectors that its disk has", async () => {
  await using folder = await scratch();
  const source = await imageOf(folder, diskWith(4096, 24 * MIB), "a.vhdx", "vhdx", 4096);
  const azure = (...more: string[]) =>
    diskcast("convert", "--for", "azure", ...more, source.path, folder.file("b.vhd"));
  assert.match((await azure()).stderr, /Cannot convert .*sectors of 4096/);
  const nevertheless = await azure("--allow-sector-size-change");
  assert.equal(nevertheless.code, 1);
  assert.match(nevertheless.stderr, /Azure will not take it: its GPT counts sectors of 4096 bytes/);
  const converted = await azure("--convert-gpt");
  assert.equal(converted.code, 0, converted.stderr);
  assert.match(converted.stderr, /Azure will take it: .*GPT valid/);
  const hyperV = await diskcast("convert", "--for", "hyperv-gen2", source.path, folder.file("c.vhdx"));
  assert.match(hyperV.stderr, /will take it: .*GPT valid/);
});
