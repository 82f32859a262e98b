/**
 * Whether a destination will take a finished file: rules on info. Pure.
 *
 * @module
 */
import type { Facts } from "../../mod.ts";
import type { Preset, Recipe, RuleName } from "./table.ts";
import { sizeRuleOf } from "./recipes.ts";
import { bytesText } from "../../tui/human.ts";

/** What is known of a finished file, from reading it again. Sizes are bytes. */
export interface FinishedFile {
  readonly path: string;
  readonly fileSize: number;
  /** Guest bytes. */
  readonly size: number;
  readonly format: string;
  /** How many files it is made of, those beneath it included. */
  readonly layers: number;
  readonly facts: Facts;
  readonly table: "gpt" | "mbr" | "damaged" | "none";
  /** Of a GPT: whether its backup is sound and in the last sector. */
  readonly backupAtEnd: boolean;
}

/** What a rule says: a fault, or what is well; `null` where it does not apply. */
export type Finding = { readonly fault: string } | { readonly well: string } | null;

type Rule = (file: FinishedFile) => Finding;

const MIB = 2 ** 20;

/** One fact as text. */
function fact(file: FinishedFile, name: string): string | undefined {
  const value = file.facts[name];
  return value === undefined || value === null ? undefined : String(value);
}

const RULES: { readonly [name in RuleName]: Rule } = {
  "vhd-footer": (file) => {
    if (file.format !== "vpc") return null;
    if (file.facts["footer-damaged"] !== false) return { fault: "its footer is damaged" };
    if (file.facts["current-size"] !== file.size) {
      return { fault: `its footer states ${fact(file, "current-size")} bytes, and the disk has ${file.size}` };
    }
    if (file.fileSize !== file.size + 512) {
      return { fault: `the file has ${file.fileSize} bytes; it must have those of the disk and a footer of 512` };
    }
    const creator = fact(file, "creator") ?? "";
    // Such a footer makes readers go by the geometry, which is coarser than the size.
    if (["vpc", "qemu"].includes(creator)) return { fault: `its footer names "${creator}" as its creator` };
    return { well: "footer valid" };
  },
  "vhd-blocks": (file) => {
    if (file.format !== "vpc") return null;
    if (fact(file, "subformat") !== "dynamic") return { fault: "it is not a dynamic VHD" };
    const block = file.facts["block-size"];
    return block === 2 * MIB
      ? { well: "blocks of 2 MiB" }
      : { fault: `its blocks have ${block} bytes, and must have 2 MiB` };
  },
  "vmdk-stream": (file) => {
    if (file.format !== "vmdk") return null;
    const type = fact(file, "create-type");
    if (type !== "streamOptimized") return { fault: `it is of the type ${type}, and must be streamOptimized` };
    return { well: `adapter ${fact(file, "adapter-type")}` };
  },
  "vhdx-clean": (file) => {
    if (file.format !== "vhdx") return null;
    if (file.facts["log-in-use"] !== false) return { fault: "its log holds changes that are not carried out" };
    return { well: `blocks of ${bytesText(Number(file.facts["block-size"]))}, log clean` };
  },
  "vdi-blocks": (file) => {
    if (file.format !== "vdi") return null;
    const block = file.facts["block-size"];
    return block === MIB
      ? { well: "blocks of 1 MiB" }
      : { fault: `its blocks have ${block} bytes, and must have 1 MiB` };
  },
  "raw-exact": (file) => {
    if (file.format !== "raw") return null;
    return file.fileSize === file.size ? null : { fault: `the file has ${file.fileSize} bytes, the disk ${file.size}` };
  },
  "disk.raw": (file) => {
    const name = file.path.replace(/^.*[/\\]/, "");
    return name === "disk.raw"
      ? { well: "named disk.raw" }
      : { fault: `it is called "${name}", and must be "disk.raw"` };
  },
  "partitions": (file) => {
    if (file.table === "damaged") return { fault: "its partition table is damaged" };
    if (file.table === "gpt" && !file.backupAtEnd) {
      return { fault: "the backup of its GPT is not at the end of the disk" };
    }
    return file.table === "none" ? null : { well: file.table === "gpt" ? "GPT sound" : "MBR" };
  },
};

/** Whether it is of the kind that was to be written. */
function kindFinding(file: FinishedFile, recipe: Recipe): Finding {
  const kind = recipe.options["subformat"] ?? "";
  const title = FORMAT_TITLES[recipe.format] ?? recipe.format;
  if (file.format !== recipe.format) return { fault: `it is ${file.format}, and must be ${recipe.format}` };
  const found = fact(file, "subformat") ?? fact(file, "create-type");
  if (kind !== "" && found !== kind) return { fault: `it is ${found}, and must be ${kind}` };
  return { well: kind === "" ? title : `${kind} ${title}` };
}

const FORMAT_TITLES: { readonly [name: string]: string } = { vpc: "VHD", vhdx: "VHDX", vmdk: "VMDK", vdi: "VDI" };

/** Whether the disk is as large as it must be. */
function sizeFinding(file: FinishedFile, preset: Preset, recipe: Recipe): Finding {
  const { multipleOf = 1, least = 0, most = Infinity } = sizeRuleOf(preset, recipe);
  if (file.size < least) return { fault: `the disk has ${file.size} bytes, at least ${least} are needed` };
  if (file.size > most) return { fault: `the disk has ${file.size} bytes, at most ${most} are taken` };
  if (file.size % multipleOf !== 0) {
    return { fault: `the disk has ${file.size} bytes, and must have whole ${bytesText(multipleOf)}` };
  }
  return { well: file.size % MIB === 0 ? `${file.size / MIB} MiB` : `${file.size} bytes` };
}

/** What a destination says of a finished file. */
export interface Verdict {
  readonly ok: boolean;
  /** What is wrong; where nothing is: what is well. */
  readonly findings: readonly string[];
}

/** Applies every rule of a destination to a finished file. */
export function verdictOf(preset: Preset, recipe: Recipe, file: FinishedFile): Verdict {
  const alone: Finding = file.layers === 1 || preset.asks.includes("backing")
    ? null
    : { fault: "it needs another file beneath it" };
  const findings = [
    kindFinding(file, recipe),
    sizeFinding(file, preset, recipe),
    alone,
    ...preset.rules.map((name) => RULES[name](file)),
  ].filter((finding) => finding !== null);
  const faults = findings.flatMap((finding) => "fault" in finding ? [finding.fault] : []);
  const well = findings.flatMap((finding) => "well" in finding ? [finding.well] : []);
  return { ok: faults.length === 0, findings: faults.length > 0 ? faults : well };
}

/** A verdict as one line. */
export function verdictText(preset: Preset, { ok, findings }: Verdict): string {
  return `${preset.title} ${ok ? "will take it" : "will not take it"}: ${findings.join(", ")}`;
}
