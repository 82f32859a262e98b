import assert from "node:assert/strict";
import { devicesText } from "../../../cli/commands/devices.ts";
import { diskcast, diskcastProcess } from "../../support/diskcast.ts";

Deno.test("devices and partitions are lines of a table, each with its use", () => {
  const text = devicesText([
    {
      name: "nvme0n1",
      path: "/dev/nvme0n1",
      size: 512e9,
      bus: "nvme",
      model: "Samsung SSD 980",
      partitions: [
        { name: "nvme0n1p1", path: "/dev/nvme0n1p1", start: 1 << 20, size: 512 << 20 },
        { name: "nvme0n1p2", path: "/dev/nvme0n1p2", start: 513 << 20, size: 400e9 },
      ],
      uses: [
        { device: "nvme0n1p1", kind: "mount", name: "/boot/efi", system: true },
        { device: "nvme0n1p2", kind: "holder", name: "vg-root", holder: "LVM" },
        { device: "dm-0", kind: "mount", name: "/", system: true },
      ],
    },
    {
      name: "sda",
      path: "/dev/sda",
      size: 15_360_000,
      bus: "usb",
      removable: true,
      readOnly: true,
      model: "Sa\x1b[31mDisk",
      partitions: [],
      uses: [],
    },
    {
      name: "sdb",
      path: "/dev/sdb",
      partitions: [{ name: "sdb1", path: "/dev/sdb1", start: 0, size: 1 << 30 }],
      uses: [{
        device: "sdb1",
        kind: "swap",
      }],
    },
    { name: "disk2", path: "/dev/disk2", partitions: [] },
  ]);
  assert.deepEqual(text.split("\n"), [
    "device            size       bus                        model             use",
    '/dev/nvme0n1      476.8 GiB  nvme                       Samsung SSD 980   dm-0 is mounted at "/", the running system',
    '  /dev/nvme0n1p1  512.0 MiB                                               nvme0n1p1 is mounted at "/boot/efi", ' +
    "the running system",
    "  /dev/nvme0n1p2  372.5 GiB                                               nvme0n1p2 is in use by LVM (vg-root)",
    "/dev/sda          14.6 MiB   usb, removable, read-only  Sa\\u{1b}[31mDisk  free",
    "/dev/sdb                                                                  in use",
    "  /dev/sdb1       1.0 GiB                                                 sdb1 is swap space",
    "/dev/disk2                                                                unknown",
    "",
  ]);
  assert.equal(devicesText([]), "No block devices were found.\n");
});

Deno.test("devices of this machine as JSON", { ignore: Deno.build.os !== "linux" }, async () => {
  const { code, stdout, stderr } = await diskcast("devices", "--output=json");
  assert.deepEqual([code, stderr], [0, ""]);
  for (const device of JSON.parse(stdout)) {
    assert.deepEqual([device.path, device.size > 0, Array.isArray(device.uses)], [`/dev/${device.name}`, true, true]);
  }
});

Deno.test("without all permissions devices says so, and --print-permissions prints the flag", async () => {
  const denied = await diskcastProcess(["devices"]);
  assert.deepEqual([denied.code, denied.stdout], [1, ""]);
  assert.match(denied.stderr, /^diskcast: Cannot list devices: .* only with all permissions, add --allow-all\n/);
  const printed = await diskcastProcess(["devices", "--print-permissions"]);
  assert.match(printed.stdout, /^deno run --allow-all .* devices\n$/);
  const convert = await diskcastProcess(["create", "--print-permissions", "/dev/no-such-device", "1M"]);
  assert.match(convert.stdout, /^deno run --allow-all .* create \/dev\/no-such-device 1M\n$/);
});
