/**
 * The rules of destinations for a finished file. Pure.
 *
 * @module
 */
import type { BootSupport } from "../../mod.ts";
import { bytesText } from "../../tui/human.ts";
import { firmwareThatBoots, mayNotBoot } from "./boot.ts";
import { sizeRuleOf } from "./recipes.ts";
import type { Preset, Recipe, RuleName } from "./table.ts";

/** The properties of a finished file, read from the file. Sizes are bytes. */
export interface FinishedFile {
  readonly path: string;
  readonly fileSize: number;
  /** Whether the image was written to a block device. */
  readonly isDevice: boolean;
  /** Guest bytes. */
  readonly size: number;
  readonly format: string;
  /** Number of layers: 1, and one for each image of the backing chain. */
  readonly layers: number;
  /** As `Disk` has it. */
  readonly info: { readonly [name: string]: unknown };
  /** Bytes of a logical sector, as the destination gives them to the guest: 512 where the format states none. */
  readonly sectorSize: number;
  readonly table: "gpt" | "mbr" | "damaged" | "none";
  /** Bytes of the sectors in which a GPT counts. */
  readonly tableSectorSize: number;
  /** Of a GPT: whether its backup is valid and in the last sector. */
  readonly backupAtEnd: boolean;
  /** What firmware finds to start; a text: why it could not be read. */
  readonly boot: BootSupport | string;
  /** The operating systems whose file systems it has, see `systemsOf`. */
  readonly systems: readonly string[];
}

/** The result of a rule; `null` where it does not apply. */
type Finding = { readonly problem: string } | { readonly passed: string } | null;

type Rule = (file: FinishedFile) => Finding;

const MIB = 2 ** 20;

/** Returns a field of the information as text. */
function infoText(file: FinishedFile, name: string): string | undefined {
  const value = file.info[name];
  return value === undefined || value === null ? undefined : String(value);
}

const RULES: { readonly [name in RuleName]: Rule } = {
  "vhd-footer": (file) => {
    if (file.format !== "vpc") return null;
    if (file.info["footer-damaged"] !== false) return { problem: "its footer is damaged" };
    if (file.info["current-size"] !== file.size) {
      return { problem: `its footer states ${infoText(file, "current-size")} bytes, and the disk has ${file.size}` };
    }
    if (file.fileSize !== file.size + 512) {
      return { problem: `the file has ${file.fileSize} bytes; it must have those of the disk and a footer of 512` };
    }
    const creator = infoText(file, "creator") ?? "";
    // With these creators, readers take the size from the geometry, which is less exact.
    if (["vpc", "qemu"].includes(creator)) return { problem: `its footer names "${creator}" as its creator` };
    return { passed: "footer valid" };
  },
  "vhd-blocks": (file) => {
    if (file.format !== "vpc") return null;
    if (infoText(file, "subformat") !== "dynamic") return { problem: "it is not a dynamic VHD" };
    const block = file.info["block-size"];
    return block === 2 * MIB
      ? { passed: "blocks of 2 MiB" }
      : { problem: `its blocks have ${block} bytes, and must have 2 MiB` };
  },
  "vmdk-stream": (file) => {
    if (file.format !== "vmdk") return null;
    const type = infoText(file, "create-type");
    if (type !== "streamOptimized") return { problem: `it is of the type ${type}, and must be streamOptimized` };
    return { passed: `adapter ${infoText(file, "adapter-type")}` };
  },
  "vhdx-clean": (file) => {
    if (file.format !== "vhdx") return null;
    if (file.info["log-in-use"] !== false) return { problem: "its log holds changes that have not been replayed" };
    return { passed: `blocks of ${bytesText(Number(file.info["block-size"]))}, log clean` };
  },
  "vdi-blocks": (file) => {
    if (file.format !== "vdi") return null;
    const block = file.info["block-size"];
    return block === MIB
      ? { passed: "blocks of 1 MiB" }
      : { problem: `its blocks have ${block} bytes, and must have 1 MiB` };
  },
  "raw-exact": (file) => {
    if (file.format !== "raw") return null;
    return file.fileSize === file.size
      ? null
      : { problem: `the file has ${file.fileSize} bytes, the disk ${file.size}` };
  },
  "disk.raw": (file) => {
    const name = file.path.replace(/^.*[/\\]/, "");
    return name === "disk.raw"
      ? { passed: "named disk.raw" }
      : { problem: `it is called "${name}", and must be "disk.raw"` };
  },
  "partitions": (file) => {
    if (file.table === "damaged") return { problem: "its partition table is damaged" };
    if (file.tableSectorSize !== file.sectorSize) {
      return {
        problem: `its GPT counts sectors of ${file.tableSectorSize} bytes, and the guest gets sectors of ` +
          `${file.sectorSize}, by which it does not find the table; --convert-gpt writes it anew`,
      };
    }
    if (file.table === "gpt" && !file.backupAtEnd) {
      return { problem: "the backup of its GPT is not at the end of the disk" };
    }
    return file.table === "none" ? null : { passed: file.table === "gpt" ? "GPT valid" : "MBR" };
  },
};

/** Checks format and subformat. */
function formatFinding(file: FinishedFile, recipe: Recipe): Finding {
  const subformat = recipe.options["subformat"] ?? "";
  const title = FORMAT_TITLES[recipe.format] ?? recipe.format;
  if (file.format !== recipe.format) return { problem: `it is ${file.format}, and must be ${recipe.format}` };
  const found = infoText(file, "subformat") ?? infoText(file, "create-type");
  if (subformat !== "" && found !== subformat) return { problem: `it is ${found}, and must be ${subformat}` };
  return { passed: subformat === "" ? title : `${subformat} ${title}` };
}

const FORMAT_TITLES: { readonly [name: string]: string } = { vpc: "VHD", vhdx: "VHDX", vmdk: "VMDK", vdi: "VDI" };

/** Checks the size of the disk. */
function sizeFinding(file: FinishedFile, preset: Preset, recipe: Recipe): Finding {
  const { multipleOf = 1, least = 0, most = Infinity } = sizeRuleOf(preset, recipe);
  if (file.size < least) return { problem: `the disk has ${file.size} bytes, at least ${least} are needed` };
  if (file.size > most) return { problem: `the disk has ${file.size} bytes, at most ${most} are taken` };
  if (file.size % multipleOf !== 0) {
    return { problem: `the disk has ${file.size} bytes, and must have whole ${bytesText(multipleOf)}` };
  }
  return { passed: file.size % MIB === 0 ? `${file.size / MIB} MiB` : `${file.size} bytes` };
}

/** Whether a destination takes a finished file. */
export interface Verdict {
  readonly ok: boolean;
  /** The problems; where there are none, the rules that passed. */
  readonly findings: readonly string[];
  /** Why the disk may not boot there; absent where its firmware finds a boot loader. */
  readonly mayNotBoot?: string;
}

/** Applies all rules of a destination to a finished file. */
export function verdictOf(preset: Preset, recipe: Recipe, file: FinishedFile): Verdict {
  const standalone: Finding = file.layers === 1 || preset.asks.includes("backing")
    ? null
    : { problem: "it needs a backing file" };
  const findings = [
    formatFinding(file, recipe),
    sizeFinding(file, preset, recipe),
    standalone,
    ...preset.rules.map((name) => RULES[name](file)),
  ].filter((finding) => finding !== null);
  const problems = findings.flatMap((finding) => "problem" in finding ? [finding.problem] : []);
  const passed = findings.flatMap((finding) => "passed" in finding ? [finding.passed] : []);
  if (problems.length > 0) return { ok: false, findings: problems };
  const why = mayNotBoot(preset, file);
  if (why !== undefined) return { ok: true, findings: [...passed, ...file.systems], mayNotBoot: why };
  const loader = `boot loader for ${firmwareThatBoots(preset, file).join(" and ")}`;
  return { ok: true, findings: [...passed, ...file.systems, loader] };
}

/** Formats a verdict as one line. */
export function verdictText(preset: Preset, { ok, findings, mayNotBoot }: Verdict): string {
  const boot = mayNotBoot === undefined ? "" : `; and it may not boot there, because ${mayNotBoot}`;
  return `${preset.title} ${ok ? "will take it" : "will not take it"}: ${findings.join(", ")}${boot}`;
}
