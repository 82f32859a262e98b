/**
 * Block devices in the wizard: the list, why one is refused, and the question for its name. Pure.
 *
 * @module
 */
import { deviceUseText } from "../../mod.ts";
import type { BlockDevice, ConversionPlan, DeviceTarget } from "../../mod.ts";
import { bytesText } from "../../tui/human.ts";
import { devicesText } from "../commands/devices.ts";
import type { TargetDevice } from "./answers.ts";
import { contentsText } from "../destinations/boot.ts";
import type { TextQuestion } from "./prompter.ts";

/** Returns the lines that list the disks of the machine before the question for the target. */
export function deviceListLines(devices: readonly BlockDevice[] | null): string[] {
  if (devices === null) {
    return ["Deno lists and opens disks only with all permissions: start the program with -A for that"];
  }
  return [...devicesText(devices).trimEnd().split("\n"), "A disk that is in use is refused."];
}

/** Returns why a block device cannot be the target; `undefined` where it can. */
export function deviceProblem({ path, uses }: DeviceTarget): string | undefined {
  if (uses === null) {
    return `It is not known whether "${path}" is in use; "diskcast convert --force-device" writes to it`;
  }
  if (uses.length === 0) return undefined;
  return `"${path}" is in use: ${uses.map(deviceUseText).join(", ")}; choose another target`;
}

/** Returns the lines about a device that is to be written. */
export function deviceLines({ path, size, disk, contents }: TargetDevice): string[] {
  const parts = disk?.path === path ? disk.partitions : [];
  return [
    [
      path,
      ...(size === undefined ? [] : [bytesText(size)]),
      ...(disk?.bus ? [disk.bus] : []),
      ...(disk?.model ? [disk.model] : []),
    ]
      .join(", "),
    ...parts.map((part) => `  ${part.path}, ${bytesText(part.size)}`),
    ...(contents === undefined ? [] : [`Now on it: ${contentsText(contents)}`]),
    "All that is on it will be lost.",
  ];
}

/** Returns the question that only the name of the device answers. */
export function deviceQuestion({ name }: DeviceTarget): TextQuestion {
  return {
    message: `Type ${name} to write over this device`,
    validate: (text) => text.trim() === name ? undefined : `Type ${name}, or go back`,
  };
}

/** Returns the bytes that a device must have for a plan. A file may have holes; a device must be as long as a raw image. */
export function deviceBytes({ target, predicted }: Pick<ConversionPlan, "target" | "predicted">): number {
  return target.format === "raw" ? target.size : predicted;
}

/** Returns the lines of the review about the space of a device. */
export function deviceRoom({ name, size }: DeviceTarget, plan: ConversionPlan): string[] {
  if (size === undefined) return [`All that is on ${name} will be lost`];
  const isShort = size < deviceBytes(plan);
  return [
    `All that is on ${name} (${bytesText(size)}) will be lost`,
    ...(isShort ? ["The device may be too small"] : []),
  ];
}
