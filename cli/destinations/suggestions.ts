/**
 * Destinations in the words and the order of the wizard. Pure.
 *
 * @module
 */
import { bytesText } from "../../tui/human.ts";
import { sizeRuleOf } from "./recipes.ts";
import type { Preset, Recipe } from "./table.ts";

/** Names of destinations by the format of the source, the most likely first. */
const LIKELY: { readonly [format: string]: readonly string[] } = {
  vhdx: ["azure", "hyperv-gen2", "hyperv-gen1"],
  vpc: ["azure", "hyperv-gen2", "hyperv-gen1"],
  vmdk: ["proxmox", "esxi", "workstation"],
  qcow2: ["libvirt", "proxmox", "openstack"],
  vdi: ["virtualbox", "libvirt", "proxmox"],
  raw: ["libvirt", "proxmox", "usb"],
};

/** Returns the destinations in the order of the question: the last one used, those likely for the source, all others. */
export function byLikelihood(
  offered: readonly Preset[],
  sourceFormat: string | undefined,
  last: string | undefined,
): readonly Preset[] {
  const first = [...(last === undefined ? [] : [last]), ...(LIKELY[sourceFormat ?? ""] ?? [])];
  const rank = ({ name }: Preset) => first.includes(name) ? first.indexOf(name) : first.length;
  return [...offered].sort((one, other) => rank(one) - rank(other));
}

const SUBFORMATS: { readonly [key: string]: string } = {
  "vmdk streamOptimized": "one compressed VMDK",
  "vmdk monolithicSparse": "one VMDK that grows",
  "vmdk twoGbMaxExtentSparse": "a VMDK in files of 2 GB",
  "vpc fixed": "a VHD of full length",
  "vpc dynamic": "a VHD that grows",
  "vhdx dynamic": "a VHDX that grows",
  "qcow2": "a qcow2 that grows",
  "vdi": "a VDI that grows",
  "raw": "a raw disk",
};

/** Returns a recipe in plain words: `one compressed VMDK, up to 16 TiB`. */
export function plainRecipe(preset: Preset, recipe: Recipe): string {
  const { format, options, fileName } = recipe;
  const file = SUBFORMATS[[format, ...(options["subformat"] ? [options["subformat"]] : [])].join(" ")] ?? format;
  const { multipleOf = 1, most } = sizeRuleOf(preset, recipe);
  return [
    fileName === undefined ? file : `${file} named ${fileName}`,
    ...(most === undefined ? [] : [`up to ${shortBytes(most)}`]),
    ...(multipleOf > 512 ? [`in whole ${shortBytes(multipleOf).replace(/^1 /, "")}`] : []),
  ].join(", ");
}

function shortBytes(bytes: number): string {
  return bytesText(bytes).replace(".0 ", " ");
}
