/**
 * The answers of the wizard: which question comes next, and the arguments of `convert` that follow from the answers.
 * The job is parsed from these arguments, so the wizard can do nothing that `convert` cannot. Pure.
 *
 * @module
 */
import { typedNameProblem } from "../args/names.ts";
import type { DeviceTarget, DiskContents, Format, OptionSpec } from "../../mod.ts";
import { writableRecipes } from "../destinations/recipes.ts";
import { type Preset, presets, type Recipe } from "../destinations/table.ts";
import { endingWarning } from "../args/target_format.ts";
import { shellWord } from "../permissions.ts";
import { programWords } from "../process.ts";

/** The questions. */
export type Step =
  | "source"
  | "destination"
  | "format"
  | "snapshot"
  | "backing"
  | "compress"
  | "adapter"
  | "sectors"
  | "size"
  | "output"
  | "overwrite"
  | "device"
  | "review";

/** The answers so far. A question that was not asked has none. */
export interface Answers {
  /** Path of the source. */
  readonly source?: string;
  /** Name of the destination; empty: none, only a format. */
  readonly destination?: string;
  readonly format?: string;
  /** ID of the snapshot; empty: the current state. */
  readonly snapshot?: string;
  readonly backing?: "keep" | "flatten";
  readonly compress?: "yes" | "no";
  readonly adapter?: string;
  /** Whether the partition table is written anew for the sectors of the target. */
  readonly sectors?: "convert" | "keep";
  /** Whether to round the disk up to whole MiB. */
  readonly size?: "round" | "keep";
  /** Path of the target; of its folder where several sources are converted. */
  readonly output?: string;
  readonly overwrite?: "yes" | "no";
  /** Name of the block device that is written, typed by the user. */
  readonly device?: string;
  /** Whether to print the SHA-256 of the disk; a choice of the review. */
  readonly digest?: boolean;
}

/** The properties of a source. Sizes are bytes. */
export interface SourceInfo {
  readonly format: string;
  /** Guest bytes. */
  readonly size: number;
  /** Allocated bytes of its files on the host. */
  readonly allocated: number;
  /** From the top down. */
  readonly layers: readonly { readonly path: string; readonly format: string; readonly size: number }[];
  readonly snapshots: readonly { readonly id: string; readonly name: string }[];
  /** What the disk contains; absent where it cannot be read. */
  readonly contents?: DiskContents | undefined;
  /** Warnings from opening it, such as that no format is recognised. */
  readonly warnings?: readonly string[];
}

/** A source that cannot be converted: its backing chain is incomplete. */
export interface BrokenSource {
  /** The layers that could be opened, from the top down. */
  readonly layers: SourceInfo["layers"];
  /** Path of the next layer. */
  readonly missing: string;
  /** Message of the error. */
  readonly error: string;
}

/** A block device that is the target. */
export interface TargetDevice extends DeviceTarget {
  /** What it contains now; absent where it cannot be read. */
  readonly contents?: DiskContents;
}

/** The values that the questions depend on, besides the answers. */
export interface WizardContext {
  readonly formats: readonly Format[];
  readonly source?: SourceInfo | undefined;
  /** Whether the target exists. */
  readonly targetExists?: boolean;
  /** The targets that exist. */
  readonly existing?: readonly string[];
  /** The block device that is the target. */
  readonly targetDevice?: TargetDevice | undefined;
  /** Name of the destination that was chosen in the last run of the wizard. */
  readonly lastDestination?: string | undefined;
  /** Whether the file system of the target has less space than the plan needs. */
  readonly tooLittleSpace?: boolean;
  /** Whether the command can be copied to the clipboard. */
  readonly canCopy?: boolean;
  /** Whether several sources are converted, each to a target of its own. */
  readonly several?: boolean;
}

/** Returns the chosen destination. */
export function destinationOf({ destination }: Answers): Preset | undefined {
  return presets.find(({ name }) => name === destination);
}

/** Returns the chosen recipe, or the best one. */
export function chosenRecipe(answers: Answers, formats: readonly Format[]): Recipe | undefined {
  const preset = destinationOf(answers);
  if (preset === undefined) return undefined;
  const recipes = writableRecipes(preset, formats);
  return recipes.find(({ format }) => format === answers.format) ?? recipes[0];
}

/** Returns the format of the target, where the answers determine it. */
export function formatOf(answers: Answers, formats: readonly Format[]): Format | undefined {
  const name = chosenRecipe(answers, formats)?.format ?? (answers.destination === "" ? answers.format : undefined);
  return formats.find((one) => one.name === name);
}

/** Returns the questions that apply to the answers and the source, in order. */
export function stepsFor(answers: Answers, context: WizardContext): Step[] {
  const { formats, source, targetExists, targetDevice, several = false } = context;
  const preset = destinationOf(answers);
  const format = formatOf(answers, formats);
  const asks = (question: Preset["asks"][number]) => preset === undefined || preset.asks.includes(question);
  const recipes = preset === undefined ? [] : writableRecipes(preset, formats);
  const names = new Set(recipes.map((recipe) => recipe.format));
  const hasChain = (source?.layers.length ?? 0) > 1;
  const backing = !several && hasChain && format?.has.overlays === true && asks("backing") && !answers.snapshot;
  const applies: { readonly [step in Step]: boolean } = {
    source: true,
    destination: true,
    format: preset === undefined || names.size > 1,
    // The answers to these belong to one source.
    snapshot: !several && (source?.snapshots.length ?? 0) > 0,
    backing,
    compress: format?.has.compression === true && asks("compress"),
    adapter: asks("adapter") && adapters(format).length > 0,
    sectors: changesSectors(format, source),
    // With a kept backing file, the size of the disk cannot change.
    size: !several && !(backing && answers.backing === "keep") && mayRound(preset, source),
    output: true,
    overwrite: targetExists === true && targetDevice === undefined,
    device: targetDevice !== undefined,
    review: true,
  };
  return ORDER.filter((step) => applies[step]);
}

const ORDER: readonly Step[] = [
  "source",
  "destination",
  "format",
  "snapshot",
  "backing",
  "compress",
  "adapter",
  "sectors",
  "size",
  "output",
  "overwrite",
  "device",
  "review",
];

/**
 * Returns whether the partition table of the source counts in sectors of another size than the target has: 512 bytes, where
 * its format has no choice.
 */
function changesSectors(format: Format | undefined, source: SourceInfo | undefined): boolean {
  const { table, sectorSize = 512 } = source?.contents ?? {};
  if (format === undefined || table !== "gpt" || sectorSize === 512) return false;
  return !format.createOptions.some(({ name }) => name === "logical_sector_size");
}

/** Many destinations take whole MiB only: some lengthen another disk, others refuse it. */
const MIB = 2 ** 20;

/** Returns whether the user can choose the size: it is no multiple of 1 MiB, and the destination takes both sizes. */
function mayRound(preset: Preset | undefined, source: SourceInfo | undefined): boolean {
  if (source === undefined || source.size % MIB === 0) return false;
  const { multipleOf = 1, least = 0 } = preset?.size ?? {};
  return multipleOf < MIB && source.size > least;
}

/** Returns the question after `step` (`by` 1) or before it (-1); `undefined` where there is none. */
export function adjacentStep(step: Step, by: 1 | -1, answers: Answers, context: WizardContext): Step | undefined {
  const steps = stepsFor(answers, context);
  const rank = ORDER.indexOf(step);
  return by === 1 ? steps.find((one) => ORDER.indexOf(one) > rank) : steps.findLast((one) => ORDER.indexOf(one) < rank);
}

/** Returns the controllers that a format can name. */
export function adapters(format: Format | undefined): readonly string[] {
  return adapterOption(format)?.values ?? [];
}

function adapterOption(format: Format | undefined): OptionSpec | undefined {
  return format?.createOptions.find(({ name }) => name === "adapter_type");
}

/** Returns the controller that the target names by default. */
export function defaultAdapter(answers: Answers, formats: readonly Format[]): string {
  const ofRecipe = chosenRecipe(answers, formats)?.options["adapter_type"];
  return ofRecipe ?? String(adapterOption(formatOf(answers, formats))?.default ?? "");
}

/** Returns a path for the target, in the folder of the source. */
export function suggestedOutput(
  answers: Answers,
  formats: readonly Format[],
  exists: (path: string) => boolean,
): string {
  const recipe = chosenRecipe(answers, formats);
  const source = answers.source ?? "";
  const folder = source.replace(/[^/\\]*$/, "");
  if (recipe?.fileName !== undefined) {
    // Where the source has that name, the target has it in a folder of its own.
    const named = folder + recipe.fileName;
    return named === source ? `${folder}${answers.destination}/${recipe.fileName}` : named;
  }
  const stem = source.slice(folder.length).replace(/\.[^.]*$/, "") || "disk";
  const ending = recipe?.extension ?? formatOf(answers, formats)?.extensions[0] ?? "img";
  const plain = `${folder}${stem}.${ending}`;
  return plain === source || exists(plain) ? `${folder}${stem}-converted.${ending}` : plain;
}

/** Returns the problem of a path for the target; `undefined`: none. */
export function outputProblem(path: string, answers: Answers, formats: readonly Format[]): string | undefined {
  if (path.trim() === "") return "Give the path of a new file";
  const problem = typedNameProblem(path);
  if (problem !== undefined) return problem;
  if (path === answers.source) return "That is the source; give another name";
  const name = chosenRecipe(answers, formats)?.fileName;
  if (name !== undefined && path.replace(/^.*[/\\]/, "") !== name) return `There the file must be called ${name}`;
  return endingProblem(path, answers, formats);
}

/** Returns the problem of an ending that is that of another format than the target gets; `undefined`: none. */
function endingProblem(path: string, answers: Answers, formats: readonly Format[]): string | undefined {
  const format = formatOf(answers, formats);
  if (format === undefined || endingWarning(path, format.name, formats) === undefined) return undefined;
  const ending = chosenRecipe(answers, formats)?.extension ?? format.extensions[0];
  return `The file gets the format ${format.name}: call it ${path.replace(/\.[^.]*$/, "")}.${ending}`;
}

/** Returns the path of a target inside a folder, under the suggested name. */
export function outputInFolder(folder: string, answers: Answers, formats: readonly Format[]): string {
  const suggested = suggestedOutput(answers, formats, () => false);
  const inside = `${folder.replace(/[/\\]+$/, "") || folder.slice(0, 1)}`;
  const path = (name: string) => inside === "/" ? `/${name}` : `${inside}/${name}`;
  const name = suggested.replace(/^.*[/\\]/, "");
  return path(name) === answers.source ? path(name.replace(/(\.[^.]*)?$/, "-converted$1")) : path(name);
}

/** Returns the arguments of `diskcast` that follow from the answers. */
export function argsOf(answers: Answers, { formats, source }: WizardContext): string[] {
  const recipe = chosenRecipe(answers, formats);
  const steps = stepsFor(answers, source === undefined ? { formats } : { formats, source });
  const asked = (step: Step) => steps.includes(step);
  const first = destinationOf(answers) && writableRecipes(destinationOf(answers)!, formats)[0];
  const keep = asked("backing") && answers.backing === "keep" ? source?.layers[1] : undefined;
  const adapter = asked("adapter") ? answers.adapter : undefined;
  return [
    "convert",
    // A raw image has no magic number: without -f, probing would only assume the format.
    ...(source?.format === "raw" ? ["-f", "raw"] : []),
    ...(asked("snapshot") && answers.snapshot ? ["-l", `snapshot.id=${answers.snapshot.replaceAll(",", ",,")}`] : []),
    ...(recipe === undefined ? ["-O", answers.format ?? "raw"] : ["--for", answers.destination!]),
    ...(recipe !== undefined && recipe.format !== first?.format ? ["-O", recipe.format] : []),
    ...(adapter === undefined || adapter === defaultAdapter(answers, formats) ? [] : ["-o", `adapter_type=${adapter}`]),
    ...(asked("sectors") ? [answers.sectors === "keep" ? "--allow-sector-size-change" : "--convert-gpt"] : []),
    ...(asked("size") && answers.size === "round" ? ["--round=1M"] : []),
    ...(keep === undefined ? [] : ["-B", keep.path, "-F", keep.format]),
    ...(asked("compress") && answers.compress === "yes" ? ["-c"] : []),
    ...(answers.digest ? ["--digest"] : []),
    ...fileArgs([answers.source ?? "", answers.output ?? ""]),
  ];
}

/** Returns file arguments; `--` comes before them where one begins with a hyphen, as options do. */
function fileArgs(files: readonly string[]): string[] {
  return files.some((file) => file.startsWith("-")) ? ["--", ...files] : [...files];
}

/** Returns the arguments as a line for a shell. */
export function commandLine(args: readonly string[], windows: boolean): string {
  return [...programWords(), ...args].map((arg) => shellWord(arg, windows)).join(" ");
}

/** Returns a backing chain as a tree: each file is the parent of its backing file. */
export function chainLines(
  layers: readonly { readonly path: string; readonly format: string }[],
  unicode: boolean,
): string[] {
  const branch = unicode ? "└─ " : "`- ";
  return layers.map(({ path, format }, depth) => {
    const name = path.replace(/^.*[/\\]/, "");
    return `${depth === 0 ? "" : "   ".repeat(depth - 1) + branch}${depth === 0 ? path : name} (${format})`;
  });
}
