/**
 * The wizard without its terminal: which question comes next, and what the answers mean. Answers become the words of a
 * command line, and those become the job: the wizard can do nothing that `convert` cannot. Pure.
 *
 * @module
 */
import type { Format, OptionSpec } from "../../mod.ts";
import { recipesOf } from "../destinations/recipes.ts";
import { type Preset, presets, type Recipe } from "../destinations/table.ts";
import { shellWord } from "../permissions.ts";

/** The questions. */
export type Step =
  | "source"
  | "place"
  | "format"
  | "snapshot"
  | "backing"
  | "compress"
  | "adapter"
  | "size"
  | "output"
  | "overwrite"
  | "review";

/** What was answered so far. A question that was not asked has no answer. */
export interface Answers {
  /** Path of the source. */
  readonly source?: string;
  /** Name of the destination; empty: none, only a format. */
  readonly place?: string;
  readonly format?: string;
  /** ID of the snapshot; empty: the current state. */
  readonly snapshot?: string;
  readonly backing?: "keep" | "flatten";
  readonly compress?: "yes" | "no";
  readonly adapter?: string;
  /** Whether the disk is to become one of whole MiB. */
  readonly size?: "round" | "keep";
  /** Path of the target. */
  readonly output?: string;
  readonly overwrite?: "yes" | "no";
  /** Whether the SHA-256 of the disk is wanted. It is asked for in the review. */
  readonly digest?: boolean;
}

/** What is known of a source that has been opened. Sizes are bytes. */
export interface SourceFacts {
  readonly format: string;
  /** Guest bytes. */
  readonly size: number;
  /** What its files take of the host's space. */
  readonly allocated: number;
  /** From the top down. */
  readonly layers: readonly { readonly path: string; readonly format: string; readonly size: number }[];
  readonly snapshots: readonly { readonly id: string; readonly name: string }[];
}

/** A source that cannot be converted: something of its chain is missing. */
export interface BrokenSource {
  /** From the top down, as far as they could be opened. */
  readonly layers: SourceFacts["layers"];
  /** The one beneath them. */
  readonly missing: string;
  readonly fault: string;
}

/** What the questions depend on, besides the answers. */
export interface World {
  readonly formats: readonly Format[];
  readonly source?: SourceFacts | undefined;
  /** Whether a file has the name of the target. */
  readonly taken?: boolean;
}

/** The destination that was chosen. */
export function placeOf({ place }: Answers): Preset | undefined {
  return presets.find(({ name }) => name === place);
}

/** The way to write that was chosen, or the only one. */
export function chosenRecipe(answers: Answers, formats: readonly Format[]): Recipe | undefined {
  const preset = placeOf(answers);
  if (preset === undefined) return undefined;
  const recipes = recipesOf(preset, formats);
  return recipes.find(({ format }) => format === answers.format) ?? recipes[0];
}

/** The format that will be written, as far as that is settled. */
export function formatOf(answers: Answers, formats: readonly Format[]): Format | undefined {
  const name = chosenRecipe(answers, formats)?.format ?? (answers.place === "" ? answers.format : undefined);
  return formats.find((one) => one.name === name);
}

/** The questions that the answers and the source leave, in order. */
export function stepsFor(answers: Answers, { formats, source, taken }: World): Step[] {
  const preset = placeOf(answers);
  const format = formatOf(answers, formats);
  const open = (question: Preset["asks"][number]) => preset === undefined || preset.asks.includes(question);
  const recipes = preset === undefined ? [] : recipesOf(preset, formats);
  const names = new Set(recipes.map((recipe) => recipe.format));
  const hasChain = (source?.layers.length ?? 0) > 1;
  const backing = hasChain && format?.has.overlays === true && open("backing") && !answers.snapshot;
  const applies: { readonly [step in Step]: boolean } = {
    source: true,
    place: true,
    format: preset === undefined || names.size > 1,
    snapshot: (source?.snapshots.length ?? 0) > 0,
    backing,
    compress: format?.has.compression === true && open("compress"),
    adapter: open("adapter") && adapters(format).length > 0,
    // Over a backing file that is kept, the disk stays as long as it is.
    size: !(backing && answers.backing === "keep") && roundingIsOpen(preset, source),
    output: true,
    overwrite: taken === true,
    review: true,
  };
  return ORDER.filter((step) => applies[step]);
}

const ORDER: readonly Step[] = [
  "source",
  "place",
  "format",
  "snapshot",
  "backing",
  "compress",
  "adapter",
  "size",
  "output",
  "overwrite",
  "review",
];

/** What many places store disks by; a disk that is not a whole number of them is made longer by some and refused by others. */
const MIB = 2 ** 20;

/** Whether the length is the user's to choose: the disk ends within a MiB, and the destination does not mind. */
function roundingIsOpen(preset: Preset | undefined, source: SourceFacts | undefined): boolean {
  if (source === undefined || source.size % MIB === 0) return false;
  const { multipleOf = 1, least = 0 } = preset?.size ?? {};
  return multipleOf < MIB && source.size > least;
}

/** The question after `step`, or before it; `undefined` where there is none. */
export function neighbour(step: Step, by: 1 | -1, answers: Answers, world: World): Step | undefined {
  const steps = stepsFor(answers, world);
  const rank = ORDER.indexOf(step);
  return by === 1 ? steps.find((one) => ORDER.indexOf(one) > rank) : steps.findLast((one) => ORDER.indexOf(one) < rank);
}

/** Controllers that a format can be made for. */
export function adapters(format: Format | undefined): readonly string[] {
  return adapterOption(format)?.values ?? [];
}

function adapterOption(format: Format | undefined): OptionSpec | undefined {
  return format?.createOptions.find(({ name }) => name === "adapter_type");
}

/** The controller that is taken where nobody says another. */
export function usualAdapter(answers: Answers, formats: readonly Format[]): string {
  const ofPlace = chosenRecipe(answers, formats)?.options["adapter_type"];
  return ofPlace ?? String(adapterOption(formatOf(answers, formats))?.default ?? "");
}

/** A name for the target beside the source. */
export function suggestedOutput(
  answers: Answers,
  formats: readonly Format[],
  taken: (path: string) => boolean,
): string {
  const recipe = chosenRecipe(answers, formats);
  const source = answers.source ?? "";
  const folder = source.replace(/[^/\\]*$/, "");
  if (recipe?.fileName !== undefined) return folder + recipe.fileName;
  const stem = source.slice(folder.length).replace(/\.[^.]*$/, "") || "disk";
  const ending = recipe?.extension ?? formatOf(answers, formats)?.extensions[0] ?? "img";
  const plain = `${folder}${stem}.${ending}`;
  return plain === source || taken(plain) ? `${folder}${stem}-converted.${ending}` : plain;
}

/** What is wrong with a path for the target; `undefined`: nothing. */
export function outputFault(path: string, answers: Answers, formats: readonly Format[]): string | undefined {
  if (path.trim() === "") return "Give the path of a new file";
  if (/[/\\]$/.test(path)) return "That is a folder; give the path of a file";
  if (path === answers.source) return "That is the source; give another name";
  const wanted = chosenRecipe(answers, formats)?.fileName;
  if (wanted !== undefined && path.replace(/^.*[/\\]/, "") !== wanted) return `There the file must be called ${wanted}`;
  return undefined;
}

/** The words after `diskcast` that do what was answered. */
export function wordsOf(answers: Answers, { formats, source }: World): string[] {
  const recipe = chosenRecipe(answers, formats);
  const steps = stepsFor(answers, source === undefined ? { formats } : { formats, source });
  const asked = (step: Step) => steps.includes(step);
  const first = placeOf(answers) && recipesOf(placeOf(answers)!, formats)[0];
  const keep = asked("backing") && answers.backing === "keep" ? source?.layers[1] : undefined;
  const adapter = asked("adapter") ? answers.adapter : undefined;
  return [
    "convert",
    // A raw image has no mark of its own: that it is one is said and not guessed.
    ...(source?.format === "raw" ? ["-f", "raw"] : []),
    ...(asked("snapshot") && answers.snapshot ? ["-l", `snapshot.id=${answers.snapshot.replaceAll(",", ",,")}`] : []),
    ...(recipe === undefined ? ["-O", answers.format ?? "raw"] : ["--for", answers.place!]),
    ...(recipe !== undefined && recipe.format !== first?.format ? ["-O", recipe.format] : []),
    ...(adapter === undefined || adapter === usualAdapter(answers, formats) ? [] : ["-o", `adapter_type=${adapter}`]),
    ...(asked("size") && answers.size === "round" ? ["--round=1M"] : []),
    ...(keep === undefined ? [] : ["-B", keep.path, "-F", keep.format]),
    ...(asked("compress") && answers.compress === "yes" ? ["-c"] : []),
    ...(answers.digest ? ["--digest"] : []),
    ...fileWords([answers.source ?? "", answers.output ?? ""]),
  ];
}

/** File names that no option can be mistaken for. */
function fileWords(files: readonly string[]): string[] {
  return files.some((file) => file.startsWith("-")) ? ["--", ...files] : [...files];
}

/** The words as a line for a shell. */
export function commandLine(words: readonly string[], windows: boolean): string {
  return ["diskcast", ...words].map((word) => shellWord(word, windows)).join(" ");
}

/** A backing chain as a tree: each file stands on the one beneath it. */
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
