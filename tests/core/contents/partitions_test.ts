import assert from "node:assert/strict";
import { gptPartitions, hasMbr, mbrPartitions, type Partition } from "../../../core/contents/partitions.ts";
import { guidBytes, putGpt } from "../../support/gpt.ts";
import { diskOf, type MbrRecord, putMbr, putText } from "./disk.ts";

const MIB = 1 << 20;

function shown(partitions: readonly Partition[]): string[] {
  return partitions.map(({ number, start, size, type, name = "", active }) =>
    `${number}: ${start / 512}+${size / 512} ${type}${active ? " active" : ""} ${name}`.trimEnd()
  );
}

Deno.test("entries of a GPT: numbers with gaps, types, names, attributes, in sectors of both sizes", () => {
  for (const sector of [512, 4096]) {
    const disk = new Uint8Array(4 * MIB);
    putGpt(disk, sector, [
      { type: "21686148-6449-6e6f-744e-656564454649", first: 40, last: 47, name: "bios" },
      { type: "00000000-0000-0000-0000-000000000000", first: 0, last: 0 },
      { type: "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", first: 48, last: 63, name: "Größe €", attributes: 4 },
      { type: "12345678-9abc-def0-1234-56789abcdef0", first: 64, last: 64, name: "x".repeat(36) },
      { type: "0fc63daf-8483-4772-8e79-3d69d8477de4", first: 90, last: 80 },
    ]);
    const found = gptPartitions(disk.subarray(2 * sector, 2 * sector + 16384), 128, sector);
    const sectors = sector / 512;
    assert.deepEqual(shown(found), [
      `1: ${40 * sectors}+${8 * sectors} BIOS boot bios`,
      `3: ${48 * sectors}+${16 * sectors} EFI system active Größe €`,
      `4: ${64 * sectors}+${sectors} 12345678-9abc-def0-1234-56789abcdef0 ${"x".repeat(36)}`,
    ]);
    assert.equal(found[0]!.typeId, "21686148-6449-6e6f-744e-656564454649");
  }
});

Deno.test("entries of a GPT may state sectors beyond every disk", () => {
  const entry = new Uint8Array(128);
  entry.set(guidBytes("0fc63daf-8483-4772-8e79-3d69d8477de4"));
  entry.fill(0xff, 32, 48);
  const [partition] = gptPartitions(entry, 128, 512);
  assert.ok(partition!.start > 2 ** 64 && partition!.size > 0);
});

/** Four records of an MBR, with an extended partition at sector 1000. */
const RECORDS: readonly MbrRecord[] = [
  { type: 0x83, first: 63, sectors: 100, active: true },
  { type: 0, first: 0, sectors: 0 },
  { type: 0x0f, first: 1000, sectors: 1000 },
  { type: 0xab, first: 200, sectors: 300 },
];

Deno.test("records of an MBR and the logical partitions of its extended one", async () => {
  const disk = new Uint8Array(2 * MIB);
  putMbr(disk, RECORDS);
  putMbr(disk, [{ type: 0x07, first: 63, sectors: 100 }, { type: 0x05, first: 300, sectors: 200 }], 1000 * 512);
  putMbr(disk, [{ type: 0x82, first: 2, sectors: 10 }], 1300 * 512);
  assert.ok(hasMbr(disk.subarray(0, 512)));
  assert.deepEqual(shown(await mbrPartitions(diskOf(disk), disk.subarray(0, 512), 512)), [
    "1: 63+100 Linux active",
    "3: 1000+1000 extended (LBA)",
    "4: 200+300 0xab",
    "5: 1063+100 NTFS, exFAT",
    "6: 1302+10 Linux swap",
  ]);
});

Deno.test("a chain of tables that is a loop, or leaves the disk, ends", async () => {
  for (const next of [0, 1, 5, 900_000, 0xffff_ffff]) {
    const disk = new Uint8Array(2 * MIB);
    putMbr(disk, RECORDS);
    putMbr(disk, [{ type: 0x83, first: 63, sectors: 100 }, { type: 0x05, first: next, sectors: 200 }], 1000 * 512);
    putMbr(disk, [{ type: 0x83, first: 3, sectors: 100 }, { type: 0x05, first: 1, sectors: 200 }], 1001 * 512);
    const found = await mbrPartitions(diskOf(disk), disk.subarray(0, 512), 512);
    assert.deepEqual(
      shown(found).slice(3),
      next === 1 ? ["5: 1063+100 Linux", "6: 1004+100 Linux"] : ["5: 1063+100 Linux"],
    );
  }
  const long = new Uint8Array(2 * MIB);
  putMbr(long, RECORDS);
  for (let at = 1000; at < 1200; at++) {
    putMbr(long, [{ type: 0x83, first: 1, sectors: 1 }, { type: 5, first: at - 999, sectors: 1 }], at * 512);
  }
  assert.equal((await mbrPartitions(diskOf(long), long.subarray(0, 512), 512)).length, 63);
});

Deno.test("the first sector is no MBR without a signature, with a wrong status, without partitions, of a file system", () => {
  const sector = (change: (bytes: Uint8Array) => void) => {
    const bytes = new Uint8Array(512);
    putMbr(bytes, RECORDS);
    change(bytes);
    return bytes;
  };
  assert.ok(hasMbr(sector(() => {})));
  assert.ok(!hasMbr(sector((bytes) => bytes[510] = 0)));
  assert.ok(!hasMbr(sector((bytes) => bytes[446] = 0x12)));
  assert.ok(!hasMbr(sector((bytes) => bytes.fill(0, 446, 510))));
  assert.ok(!hasMbr(sector((bytes) => putText(bytes, 3, "NTFS    "))));
  assert.ok(!hasMbr(sector((bytes) => putText(bytes, 54, "FAT16   "))));
  assert.ok(!hasMbr(new Uint8Array(100)));
});
