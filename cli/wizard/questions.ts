/**
 * The texts of the wizard. Pure.
 *
 * @module
 */
import type { ConversionPlan, DeviceTarget, DiskContents } from "../../mod.ts";
import { deviceRoom } from "./devices.ts";
import { contentsText, firmwareHint, mayNotBoot } from "../destinations/boot.ts";
import { sizeLines } from "../destinations/check.ts";
import { recipeProblem, writableRecipes } from "../destinations/recipes.ts";
import { byLikelihood, plainRecipe } from "../destinations/suggestions.ts";
import { presets } from "../destinations/table.ts";
import type { ChoiceQuestion } from "./prompter.ts";
import { bytesText } from "../../tui/human.ts";
import {
  adapters,
  type Answers,
  type BrokenSource,
  chainLines,
  defaultAdapter,
  destinationOf,
  formatOf,
  type SourceInfo,
  type Step,
  type WizardContext,
} from "./answers.ts";

/** The steps that are answered by a choice. */
export type ChoiceStep = Exclude<Step, "source" | "output" | "device">;

/** Returns the lines about a source. */
export function sourceLines(source: SourceInfo, unicode: boolean): string[] {
  const { format, size, allocated, layers, snapshots, contents, warnings = [] } = source;
  return [
    `${format}, ${bytesText(size)} as the guest sees it, ${bytesText(allocated)} on this host`,
    ...(contents === undefined ? [] : [`Inside: ${contentsText(contents)}`]),
    ...(layers.length > 1 ? ["Backing chain:", ...chainLines(layers, unicode).map((line) => `  ${line}`)] : []),
    ...(snapshots.length > 0 ? [`Snapshots: ${snapshots.map(({ name }) => name).join(", ")}`] : []),
    ...warnings.map((warning) => `Warning: ${warning}`),
  ];
}

/** Returns the lines about a source whose backing chain is incomplete. */
export function brokenLines({ layers, missing }: BrokenSource, unicode: boolean): string[] {
  const { format, size } = layers[0]!;
  const chain = chainLines([...layers, { path: missing, format: "cannot be opened" }], unicode);
  return [`${format}, ${bytesText(size)} as the guest sees it`, "Backing chain:", ...chain.map((line) => `  ${line}`)];
}

/** Returns the question of a step. */
export function choiceFor(step: ChoiceStep, answers: Answers, context: WizardContext): ChoiceQuestion {
  switch (step) {
    case "destination":
      return destinationQuestion(answers, context);
    case "format":
      return formatQuestion(answers, context);
    case "snapshot":
      return {
        message: "Which state of the disk?",
        choices: [
          { value: "", label: "The current one" },
          ...(context.source?.snapshots ?? []).map(({ id, name }) => ({
            value: id,
            label: `Snapshot ${name}`,
            hint: id,
          })),
        ],
        initial: answers.snapshot ?? "",
      };
    case "backing":
      return {
        message: `The source has the backing file "${context.source?.layers[1]?.path}". Merge it?`,
        choices: [
          { value: "flatten", label: "Merge it into the new file", hint: "the new file needs no other" },
          { value: "keep", label: "Keep it as backing file of the new one", hint: "only the differences are copied" },
        ],
        initial: answers.backing ?? "flatten",
      };
    case "compress":
      return {
        message: "Compress the data?",
        choices: [{ value: "no", label: "No", hint: "faster to run from" }, {
          value: "yes",
          label: "Yes",
          hint: "smaller, for archives and uploads",
        }],
        initial: answers.compress ?? "no",
      };
    case "adapter":
      return {
        message: "Which disk interface will the machine have?",
        choices: adapters(formatOf(answers, context.formats)).map((value) => ({ value, label: value })),
        initial: answers.adapter ?? defaultAdapter(answers, context.formats),
      };
    case "sectors":
      return sectorsQuestion(answers, context.source?.contents?.sectorSize ?? 4096);
    case "size":
      return sizeQuestion(answers, context.source?.size ?? 0);
    case "overwrite":
      return {
        message: overwriteMessage(answers, context),
        choices: [
          { value: "no", label: "No, give another name" },
          { value: "yes", label: "Yes", hint: "it stays as it is until the new file is complete" },
        ],
        initial: answers.overwrite ?? "no",
      };
    case "review":
      return {
        message: "Go on?",
        choices: [
          { value: "run", label: "Start", ...(context.tooLittleSpace && { hint: "there may be too little space" }) },
          answers.digest
            ? { value: "digest", label: "Without the SHA-256 of the disk" }
            : { value: "digest", label: "With the SHA-256 of the disk", hint: "to be compared with that of any image" },
          ...(context.canCopy ? [{ value: "copy", label: "Copy the command", hint: "c", key: "c" }] : []),
          { value: "back", label: "Go back one question" },
          { value: "leave", label: "Leave, nothing is written" },
        ],
        initial: context.tooLittleSpace ? "back" : "run",
      };
  }
}

function overwriteMessage({ output }: Answers, { existing = [] }: WizardContext): string {
  return existing.length > 1
    ? `${existing.length} of the new files exist, "${existing[0]}" among them. Replace them?`
    : `"${existing[0] ?? output}" exists. Replace it?`;
}

function destinationQuestion(
  answers: Answers,
  { formats, source, lastDestination }: WizardContext,
): ChoiceQuestion {
  const writable = presets.filter((preset) => writableRecipes(preset, formats).length > 0);
  const offered = byLikelihood(writable, source?.format, lastDestination);
  return {
    message: "Where will this disk run?",
    filters: true,
    choices: [
      ...offered.map((preset) => ({
        value: preset.name,
        label: preset.title,
        hint: [
          ...(preset.name === lastDestination ? ["last used"] : []),
          plainRecipe(preset, writableRecipes(preset, formats)[0]!),
        ].join("; "),
      })),
      { value: "", label: "Somewhere else", hint: "choose a format" },
    ],
    ...(answers.destination !== undefined && { initial: answers.destination }),
  };
}

function formatQuestion(answers: Answers, { formats }: WizardContext): ChoiceQuestion {
  const preset = destinationOf(answers);
  const recipes = preset === undefined ? undefined : writableRecipes(preset, formats);
  const choices = recipes === undefined
    ? formats.filter(({ create }) => create !== undefined).map(({ name, title }) => ({
      value: name,
      label: name,
      hint: title,
    }))
    : recipes.filter((one, at) => recipes.findIndex(({ format }) => format === one.format) === at)
      .map((recipe, at) => ({
        value: recipe.format,
        label: plainRecipe(preset!, recipe),
        ...(at === 0 && { hint: "recommended" }),
      }));
  return { message: "Which format?", choices, initial: answers.format ?? choices[0]?.value ?? "raw" };
}

function sectorsQuestion(answers: Answers, sectorSize: number): ChoiceQuestion {
  return {
    message:
      `The partition table counts sectors of ${sectorSize} bytes, and the new disk has sectors of 512. Write it anew?`,
    choices: [
      {
        value: "convert",
        label: "Yes, for sectors of 512",
        hint: "without that, the guest does not find its partitions",
      },
      { value: "keep", label: "No, leave it", hint: `for a machine that gives the disk sectors of ${sectorSize}` },
    ],
    initial: answers.sectors ?? "convert",
  };
}

function sizeQuestion(answers: Answers, size: number): ChoiceQuestion {
  const mebibytes = Math.ceil(size / 2 ** 20);
  return {
    message: `The disk has ${size} bytes, which are not whole MiB. Make it longer?`,
    choices: [
      { value: "keep", label: "No, it stays as long as it is" },
      { value: "round", label: `Yes, to ${mebibytes} MiB`, hint: "zeroes at its end; some storage takes nothing else" },
    ],
    initial: answers.size ?? "keep",
  };
}

/** Returns the question whether to make folders that are missing. */
export function folderQuestion(folders: readonly string[]): ChoiceQuestion {
  const names = folders.map((folder) => `"${folder}"`).join(", ");
  return {
    message: folders.length === 1 ? `The folder ${names} does not exist. Make it?` : `Make the folders ${names}?`,
    choices: [
      { value: "yes", label: "Yes", hint: "it is made at once" },
      { value: "no", label: "No, give another path" },
    ],
    initial: "yes",
  };
}

/** Returns the question after a conversion that failed. */
export function failedQuestion(failed: number, all: number): ChoiceQuestion {
  return {
    message: all === 1 ? "The conversion failed. What now?" : `${failed} of ${all} conversions failed. What now?`,
    choices: [
      { value: "output", label: "Give another target" },
      { value: "destination", label: "Choose another destination or format" },
      { value: "review", label: "Try again", hint: all === 1 ? "with the same answers" : "those that failed" },
      { value: "leave", label: "Leave" },
    ],
    initial: "output",
  };
}

/** Returns the destinations that this program cannot write for, each with the reason. */
export function unsupportedLines({ formats }: WizardContext): string[] {
  return presets.filter((preset) => writableRecipes(preset, formats).length === 0).map((preset) =>
    `${preset.title}: ${recipeProblem(preset.recipes[0]!, formats)}`
  );
}

/** Returns the notes of the chosen destination. */
export function destinationNotes(answers: Answers, contents?: DiskContents): string[] {
  const preset = destinationOf(answers);
  if (preset === undefined) return [];
  const why = contents && mayNotBoot(preset, contents);
  const hint = contents && firmwareHint(preset, contents);
  return [
    ...(why === undefined ? [] : [`This disk may not boot there, because ${why}`]),
    ...(hint === undefined ? [] : [hint]),
    ...preset.notes,
    ...(preset.later === undefined ? [] : [`Not written yet: ${preset.later}`]),
  ];
}

/** The content of the review. */
export interface Review {
  readonly plan: ConversionPlan;
  readonly warnings: readonly string[];
  /** Free bytes in the file system of the target. */
  readonly free: number | undefined;
  /** The block device that is the target. */
  readonly device?: DeviceTarget | undefined;
}

/** Returns the lines with the commands, each alone on a line of its own. */
export function commandLines(commands: readonly string[], denoCommands: readonly string[]): string[] {
  return [
    "The same as a command:",
    "",
    ...commands,
    "",
    "With no more permissions than it needs:",
    "",
    ...denoCommands,
    "",
  ];
}

/** Returns the review as lines. */
export function reviewLines({ plan, warnings, free, device }: Review): string[] {
  const { totals, target, predicted, sources } = plan;
  const skipped = totals.skip > 0 ? `, ${bytesText(totals.skip)} left out (zero, or in the backing file)` : "";
  const room = free === undefined ? "free space is shown with --allow-sys=statfs" : `${bytesText(free)} free there`;
  return [
    `${sources.map(({ path }) => path).join(" + ")} -> ${target.path}`,
    `${target.format}, a disk of ${bytesText(target.size)}`,
    ...sizeLines(target).map((line) => line.replace("were added", "will be added").replace(" is at", " will be at")),
    `${bytesText(totals.data)} of data, ${bytesText(totals.zero)} of zeroes to write${skipped}`,
    ...(device === undefined
      ? [`At most about ${bytesText(predicted)} will be taken; ${room}`]
      : deviceRoom(device, plan)),
    ...(device === undefined && free !== undefined && free < predicted ? ["There may be too little space"] : []),
    ...warnings.map((warning) => `Warning: ${warning}`),
  ];
}
