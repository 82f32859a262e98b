/**
 * The command `devices`: a list of block devices.
 *
 * @module
 */
import { deviceUseText, listDevices } from "../../mod.ts";
import type { BlockDevice, DeviceUse } from "../../mod.ts";
import { outputForm, outputOption, permissionsOption, refuseFiles } from "../args/read_options.ts";
import { visible } from "../report/report.ts";
import { bytesText } from "../../tui/human.ts";
import { runCommand } from "./run_command.ts";
import type { LoadedCommand } from "./command.ts";
import { jsonText } from "../report/json.ts";

/** `devices`. */
export const devicesCommand: LoadedCommand = {
  options: [outputOption, permissionsOption],
  notes:
    `Any of these devices can be a source. A device that is in use, itself or a partition of it, is refused as a target:
mounted, swap space, a part of LVM, RAID, encryption or multipath. Commands that write take --force-device.

Deno opens devices, and reads /sys and /proc, only with all permissions (-A). On macOS the list has only names; on Windows
there is none.

Examples:
  diskcast devices
  diskcast devices --output=json`,
  run: (args, context) =>
    runCommand(
      {
        read(parsed) {
          refuseFiles(parsed, "devices");
          return { form: outputForm(parsed, ["human", "json"], "list") };
        },
        files: () => Promise.resolve({ read: ["/sys/block", "/proc/self/mountinfo", "/proc/swaps"], write: [] }),
        async work({ form }, { io }) {
          const devices = await listDevices();
          io.out(form === "json" ? `${jsonText(devices, 2)}\n` : devicesText(devices));
          return 0;
        },
      },
      args,
      context,
    ),
};

/** Returns devices and their partitions as a table for people. */
export function devicesText(devices: readonly BlockDevice[]): string {
  if (devices.length === 0) return "No block devices were found.\n";
  const rows = [["device", "size", "bus", "model", "use"], ...devices.flatMap(deviceRows)];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) => `${row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd()}\n`).join(
    "",
  );
}

function deviceRows(device: BlockDevice): string[][] {
  const { path, size, bus = "", removable, readOnly, model = "", partitions, uses } = device;
  const kind = [bus, ...(removable ? ["removable"] : []), ...(readOnly ? ["read-only"] : [])].filter(Boolean).join(
    ", ",
  );
  const parts = partitions.map(({ name }) => name);
  // A use of what a partition holds, such as a logical volume, is shown with the device.
  const own = uses?.filter((use) => !parts.includes(use.device)).map(deviceUseText).join(", ");
  const use = uses === undefined ? "unknown" : uses.length === 0 ? "free" : own || "in use";
  return [
    [path, size === undefined ? "" : bytesText(size), kind, model, use],
    ...partitions.map((part) => [`  ${part.path}`, bytesText(part.size), "", "", partUse(part.name, uses)]),
  ].map((row) => row.map(visible));
}

function partUse(name: string, uses: readonly DeviceUse[] = []): string {
  return uses.filter(({ device }) => device === name).map(deviceUseText).join(", ");
}
