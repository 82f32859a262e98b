/** Block devices and their uses, read from a made-up /sys and /proc. */
import assert from "node:assert/strict";
import { blockDevices, deviceUses } from "../../../formats/storage/block_devices.ts";
import { diskTree, type HostTree, partitionTree, writeHost } from "../../support/devices.ts";
import { run, scratch } from "../../support/qemu.ts";
import { narrowResult, narrowScript } from "./narrow_run.ts";

const ignore = Deno.build.os === "windows";

const TREE: HostTree = {
  // The running system: an EFI system partition, a boot partition, and LVM on encryption.
  ...diskTree("nvme0n1", "pci0000:00/0000:00:1d.0/nvme/nvme0", "259:0", 2_000_000, {
    "/device/model": "Samsung SSD 980",
    "/queue/logical_block_size": "512",
    ...partitionTree("nvme0n1p1", "259:1", 2048, 200_000),
    ...partitionTree("nvme0n1p2", "259:2", 202_048, 1_000_000),
    "/nvme0n1p2/holders/dm-0": null,
  }),
  ...diskTree("dm-0", "virtual", "253:0", 990_000, {
    "/dm/name": "luks",
    "/dm/uuid": "CRYPT-LUKS2-1",
    "/holders/dm-1": null,
  }),
  ...diskTree("dm-1", "virtual", "253:1", 900_000, { "/dm/name": "vg-root", "/dm/uuid": "LVM-1" }),
  // A free USB stick, and one that is mounted.
  ...diskTree("sda", "pci0000:00/0000:00:14.0/usb1/1-1/host0/target0:0:0/0:0:0:0", "8:0", 30_000, {
    "/removable": "1",
    "/device/vendor": "SanDisk ",
    "/device/model": "Ultra Fit ",
    "/queue/logical_block_size": "4096",
    ...partitionTree("sda1", "8:1", 2048, 20_000),
  }),
  ...diskTree("sdb", "pci0000:00/0000:00:14.0/usb1/1-2/host1/target1:0:0/1:0:0:0", "8:16", 30_000, {
    ...partitionTree("sdb1", "8:17", 2048, 20_000),
  }),
  // RAID, multipath, swap, the two devices of a btrfs, a card reader without a card, a read-only disk.
  ...diskTree("sdc", "pci0000:00/0000:00:17.0/ata3/host2/target2:0:0/2:0:0:0", "8:32", 1000, {
    "/device/vendor": "ATA",
    "/device/model": "WDC WD40",
    "/holders/md127": null,
  }),
  ...diskTree("md127", "virtual", "9:127", 900),
  ...diskTree("sdd", "pci0000:00/0000:00:17.0/ata4/host3/target3:0:0/3:0:0:0", "8:48", 1000, {
    ...partitionTree("sdd1", "8:49", 64, 900),
  }),
  ...diskTree("sde", "pci0000:00/0000:00:17.0/host4/target4:0:0/4:0:0:0", "8:64", 1000),
  ...diskTree("sdf", "pci0000:00/0000:00:17.0/host5/target5:0:0/5:0:0:0", "8:80", 1000),
  ...diskTree("sdg", "pci0000:00/0000:00:14.0/usb1/1-3/host6/target6:0:0/6:0:0:0", "8:96", 0, { "/removable": "1" }),
  ...diskTree("mmcblk0", "platform/mmc_host/mmc0/mmc0:0001", "179:0", 1000, { "/device/name": "SD16G", "/ro": "1" }),
  // A loop device on a file, one on the disk mmcblk0, and a disk with minor number 300.
  ...diskTree("loop0", "virtual", "7:0", 100, { "/loop/backing_file": "/images/a.img" }),
  ...diskTree("loop1", "virtual", "7:1", 100, { "/loop/backing_file": "/dev/mmcblk0" }),
  ...diskTree("vda", "pci0000:00/0000:00:05.0/virtio2", "252:300", 1000, { "/device/vendor": "0x1af4" }),
  "/sys/fs/btrfs/11-22/devices/sde": null,
  "/sys/fs/btrfs/11-22/devices/sdf": null,
  "/dev/dm-1": "",
  "/dev/mapper/vg-root": "->../dm-1",
  "/proc/self/mountinfo": [
    "22 1 0:5 / /proc rw - proc proc rw",
    "23 1 253:1 / / rw,relatime shared:1 - ext4 /dev/mapper/vg-root rw",
    "24 23 259:1 / /boot/efi rw - vfat /dev/nvme0n1p1 rw",
    "25 23 8:17 / /media/my\\040stick rw,nosuid shared:9 master:2 - vfat /dev/sdb1 rw",
    "26 23 0:41 / /data rw - btrfs /dev/sde rw",
  ].join("\n"),
  "/proc/swaps": "Filename\tType\tSize\tUsed\tPriority\n/dev/sdd1 partition\t100\t0\t-2\n/swapfile file\t100\t0\t-3",
};

Deno.test("devices are listed with model, size, bus, sectors and partitions", { ignore }, async () => {
  await using folder = await scratch();
  await writeHost(folder.path, TREE);
  const devices = blockDevices(folder.path)!;
  const shown = devices.map(({ name, bus, model, removable, readOnly, size, sector }) =>
    [name, bus, model, removable && "removable", readOnly && "read-only", size, sector].filter(Boolean).join(", ")
  );
  assert.deepEqual(shown, [
    "dm-0, device-mapper, luks, 506880000",
    "dm-1, device-mapper, vg-root, 460800000",
    "loop0, loop, /images/a.img, 51200",
    "loop1, loop, /dev/mmcblk0, 51200",
    "md127, raid, 460800",
    "mmcblk0, mmc, SD16G, read-only, 512000",
    "nvme0n1, nvme, Samsung SSD 980, 1024000000, 512",
    "sda, usb, SanDisk Ultra Fit, removable, 15360000, 4096",
    "sdb, usb, 15360000",
    "sdc, sata, WDC WD40, 512000",
    "sdd, sata, 512000",
    "sde, scsi, 512000",
    "sdf, scsi, 512000",
    "vda, virtio, 512000",
  ]);
  assert.deepEqual(devices.find(({ name }) => name === "sda")!.partitions, [
    { name: "sda1", path: "/dev/sda1", start: 2048 * 512, size: 20_000 * 512 },
  ]);
  assert.deepEqual(devices.filter(({ uses }) => uses!.length === 0).map(({ name }) => name), [
    "loop0",
    "loop1",
    "md127",
    "sda",
    "vda",
  ]);
});

const uses: readonly (readonly [what: string, device: number, uses: readonly string[]])[] = [
  ["a mounted partition counts for its disk", 8 * 256 + 16, ["sdb1 mount /media/my stick"]],
  ["a mounted partition", 8 * 256 + 17, ["sdb1 mount /media/my stick"]],
  ["a free disk", 8 * 256, []],
  ["a free partition", 8 * 256 + 1, []],
  ["the disk of the running system, through LVM and encryption", 259 * 256, [
    "nvme0n1p1 mount /boot/efi system",
    "nvme0n1p2 holder luks encryption",
    "dm-0 holder vg-root LVM",
    "dm-1 mount / system",
  ]],
  ["a partition beside the running system", 259 * 256 + 1, ["nvme0n1p1 mount /boot/efi system"]],
  ["a volume, without the disk that it is on", 253 * 256 + 1, ["dm-1 mount / system"]],
  ["a member of a RAID", 8 * 256 + 32, ["sdc holder md127 RAID"]],
  ["swap space", 8 * 256 + 48, ["sdd1 swap"]],
  ["the device that a btrfs was mounted from", 8 * 256 + 64, ["sde mount /data"]],
  ["a further device of a btrfs", 8 * 256 + 80, ["sdf btrfs"]],
  ["a device that is attached to a loop device", 179 * 256, ["mmcblk0 loop loop1"]],
  // makedev(3) splits the minor number.
  ["a minor number above 255", 252 * 256 + 44 + 2 ** 20, []],
];

Deno.test("uses of a device: its own, of its partitions and of what is made of them", { ignore }, async (t) => {
  await using folder = await scratch();
  await writeHost(folder.path, TREE);
  for (const [what, device, expected] of uses) {
    await t.step(what, () => {
      const found = deviceUses(device, folder.path)!.map(({ device, kind, name, holder, system }) =>
        [device, kind, name, holder, system && "system"].filter(Boolean).join(" ")
      );
      assert.deepEqual(found, expected);
    });
  }
  assert.equal(deviceUses(77 * 256, folder.path), null, "a device that the host does not list");
});

Deno.test("without all permissions nothing is read and nothing is asked", { ignore }, async () => {
  await using folder = await scratch();
  await writeHost(folder.path, TREE);
  assert.equal(await narrowResult(["--allow-read"], "devices", folder.path), null);
  assert.ok(Array.isArray(await narrowResult(["--allow-all"], "devices", folder.path)));
});

Deno.test("all permissions but that for imports do not suffice", { ignore: Deno.build.os !== "linux" }, async () => {
  const most = ["read", "write", "net", "env", "sys", "run", "ffi"].map((name) => `--allow-${name}`);
  // With --cached-only, which other tests use, Deno counts imports as allowed.
  const { stdout } = await run(Deno.execPath(), [
    "run",
    "--no-prompt",
    "--no-check",
    ...most,
    narrowScript,
    "devices",
    "",
  ]);
  assert.equal(stdout.trim(), "null");
});
