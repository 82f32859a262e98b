/** Whether a disk may boot at a destination, before and after the conversion. */
import assert from "node:assert/strict";
import { contentsText, firmwareHint, systemsOf } from "../../../cli/destinations/boot.ts";
import { presetNamed } from "../../../cli/destinations/recipes.ts";
import { destinationNotes, sourceLines } from "../../../cli/wizard/questions.ts";
import { wizardHost } from "../../../cli/wizard/host.ts";
import type { DiskContents, FileSystem, Partition } from "../../../mod.ts";
import { diskcast } from "../../support/diskcast.ts";
import { scratch } from "../../support/qemu.ts";

const yes = { boots: true, by: "code" } as const;
const no = (why: string) => ({ boots: false, why }) as const;
const sample = new URL("../../samples/sample.qcow2", import.meta.url).pathname;

function partition(number: number, fileSystem?: FileSystem): Partition {
  return { number, start: number << 20, size: 1 << 20, type: "a", typeId: "b", ...(fileSystem && { fileSystem }) };
}

const linux: DiskContents = {
  table: "gpt",
  sectorSize: 512,
  partitions: [
    partition(1, { name: "FAT32" }),
    partition(2, { name: "ext4", system: "linux" }),
    partition(3, { name: "ext4", system: "linux" }),
    partition(4, { name: "XFS", system: "linux" }),
    partition(5, { name: "NTFS", system: "windows" }),
    partition(6),
  ],
  boot: { uefi: yes, bios: no("its GPT has no BIOS boot partition") },
};
const empty: DiskContents = {
  table: "none",
  sectorSize: 512,
  partitions: [],
  boot: { uefi: no("it has no partition table"), bios: no("its first sector has no boot code") },
};

Deno.test("contents in one line, and the systems whose file systems are there", () => {
  assert.deepEqual(systemsOf(linux), ["Linux (ext4, XFS)", "Windows (NTFS)"]);
  assert.equal(contentsText(linux), "GPT, 6 partitions, Linux (ext4, XFS), Windows (NTFS), boot loader for UEFI");
  assert.equal(contentsText(empty), "no partition table, no boot loader");
  assert.equal(contentsText({ ...empty, fileSystem: { name: "ext4", system: "linux" } }), "ext4, no boot loader");
  assert.equal(
    contentsText({ ...linux, table: "mbr", partitions: [partition(1)] }),
    "MBR, 1 partition, boot loader for UEFI",
  );
});

Deno.test("where the user chooses the firmware, and only one kind finds a loader, the hint names it", () => {
  const azure = presetNamed("azure");
  assert.equal(
    firmwareHint(azure, linux),
    "Give the machine UEFI firmware: for BIOS, its GPT has no BIOS boot partition",
  );
  const bios = { ...linux, boot: { uefi: no("it has no EFI system partition"), bios: yes } };
  assert.equal(firmwareHint(azure, bios), "Give the machine BIOS firmware: for UEFI, it has no EFI system partition");
  assert.equal(firmwareHint(presetNamed("hyperv-gen1"), bios), undefined);
  assert.equal(firmwareHint(azure, { ...linux, boot: { uefi: yes, bios: yes } }), undefined);
  assert.equal(firmwareHint(azure, empty), undefined);
  assert.equal(firmwareHint(azure, { table: "gpt", boot: "Cannot read" }), undefined);
});

Deno.test("the wizard shows what is inside the source, and whether it may boot, before it converts", async () => {
  const host = wizardHost(() => {});
  const source = await host.inspect(sample);
  assert.ok(!("error" in source));
  assert.equal(sourceLines(source, true)[1], "Inside: MBR, 1 partition, no boot loader");
  const [first] = destinationNotes({ destination: "hyperv-gen2" }, source.contents);
  assert.equal(first, "This disk may not boot there, because it has an MBR, and machines there boot only from a GPT");
  assert.match(destinationNotes({ destination: "azure" }, linux)[0]!, /^Give the machine UEFI firmware/);
  assert.ok(!destinationNotes({ destination: "azure" }).some((line) => /boot there|firmware/.test(line)));
});

Deno.test("plan --for says whether the disk may boot", async () => {
  await using folder = await scratch();
  const args = ["plan", "--for", "hyperv-gen1", sample, folder.file("a.vhdx")];
  const { stdout } = await diskcast(...args);
  assert.match(stdout, /^boot: it may not boot there, because its first sector has no boot code$/m);
  const { boot } = JSON.parse((await diskcast(...args, "--output=json")).stdout);
  assert.deepEqual(boot, { loaders: [], why: "its first sector has no boot code" });
  const without = await diskcast("plan", "-O", "vhdx", sample, folder.file("a.vhdx"));
  assert.ok(!without.stdout.includes("boot:"));
});
