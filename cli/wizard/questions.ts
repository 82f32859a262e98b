/**
 * The questions of the wizard in words. Pure.
 *
 * @module
 */
import type { ConversionPlan } from "../../mod.ts";
import { sizeLines } from "../destinations/check.ts";
import { lackOf, recipesOf } from "../destinations/recipes.ts";
import { recipeText, sizeRuleText } from "../commands/presets.ts";
import { presets } from "../destinations/table.ts";
import type { ChoiceQuestion } from "./prompter.ts";
import { bytesText } from "../../tui/human.ts";
import {
  adapters,
  type Answers,
  type BrokenSource,
  chainLines,
  formatOf,
  placeOf,
  type SourceFacts,
  type Step,
  usualAdapter,
  type World,
} from "./wizard.ts";

/** The steps that are answered by a choice. */
export type ChoiceStep = Exclude<Step, "source" | "output">;

/** What a source is, in lines. */
export function sourceLines(source: SourceFacts, unicode: boolean): string[] {
  const { format, size, allocated, layers, snapshots } = source;
  return [
    `${format}, ${bytesText(size)} as the guest sees it, ${bytesText(allocated)} on this host`,
    ...(layers.length > 1 ? ["Backing chain:", ...chainLines(layers, unicode).map((line) => `  ${line}`)] : []),
    ...(snapshots.length > 0 ? [`Snapshots: ${snapshots.map(({ name }) => name).join(", ")}`] : []),
  ];
}

/** What is known of a source of which something is missing. */
export function brokenLines({ layers, missing }: BrokenSource, unicode: boolean): string[] {
  const { format, size } = layers[0]!;
  const chain = chainLines([...layers, { path: missing, format: "cannot be opened" }], unicode);
  return [`${format}, ${bytesText(size)} as the guest sees it`, "Backing chain:", ...chain.map((line) => `  ${line}`)];
}

/** The question of a step. */
export function choiceFor(step: ChoiceStep, answers: Answers, world: World): ChoiceQuestion {
  switch (step) {
    case "place":
      return placeQuestion(answers, world);
    case "format":
      return formatQuestion(answers, world);
    case "snapshot":
      return {
        message: "Which state of the disk?",
        choices: [
          { value: "", label: "The current one" },
          ...(world.source?.snapshots ?? []).map(({ id, name }) => ({
            value: id,
            label: `Snapshot ${name}`,
            hint: id,
          })),
        ],
        initial: answers.snapshot ?? "",
      };
    case "backing":
      return {
        message: `"${world.source?.layers[1]?.path}" lies beneath the source. What is to become of it?`,
        choices: [
          { value: "flatten", label: "Take everything into the new file", hint: "it needs no other" },
          { value: "keep", label: "Keep it beneath the new file", hint: "only what differs is copied" },
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
        choices: adapters(formatOf(answers, world.formats)).map((value) => ({ value, label: value })),
        initial: answers.adapter ?? usualAdapter(answers, world.formats),
      };
    case "size":
      return sizeQuestion(answers, world.source?.size ?? 0);
    case "overwrite":
      return {
        message: `"${answers.output}" exists. Replace it?`,
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
          { value: "run", label: "Start" },
          answers.digest
            ? { value: "digest", label: "Without the SHA-256 of the disk" }
            : { value: "digest", label: "With the SHA-256 of the disk", hint: "to be compared with that of any image" },
          { value: "back", label: "Go back one question" },
          { value: "leave", label: "Leave, nothing is written" },
        ],
        initial: "run",
      };
  }
}

function placeQuestion(answers: Answers, { formats }: World): ChoiceQuestion {
  const offered = presets.filter((preset) => recipesOf(preset, formats).length > 0);
  return {
    message: "Where will this disk run?",
    choices: [
      ...offered.map((preset) => ({
        value: preset.name,
        label: preset.title,
        hint: [recipeText(recipesOf(preset, formats)[0]!), sizeRuleText(preset)].filter(Boolean).join("; "),
      })),
      { value: "", label: "Somewhere else", hint: "choose a format" },
    ],
    ...(answers.place !== undefined && { initial: answers.place }),
  };
}

function formatQuestion(answers: Answers, { formats }: World): ChoiceQuestion {
  const preset = placeOf(answers);
  const recipes = preset === undefined ? undefined : recipesOf(preset, formats);
  const choices = recipes === undefined
    ? formats.filter(({ create }) => create !== undefined).map(({ name, title }) => ({
      value: name,
      label: name,
      hint: title,
    }))
    : recipes.filter((one, at) => recipes.findIndex(({ format }) => format === one.format) === at)
      .map((recipe, at) => ({
        value: recipe.format,
        label: recipeText(recipe),
        ...(at === 0 && { hint: "recommended" }),
      }));
  return { message: "Which format?", choices, initial: answers.format ?? choices[0]?.value ?? "raw" };
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

/** Destinations that cannot be served yet, and why. */
export function lackLines({ formats }: World): string[] {
  return presets.filter((preset) => recipesOf(preset, formats).length === 0).map((preset) =>
    `${preset.title}: ${lackOf(preset.recipes[0]!, formats)}`
  );
}

/** What a destination wants people to know. */
export function placeLines(answers: Answers): string[] {
  const preset = placeOf(answers);
  if (preset === undefined) return [];
  return [...preset.notes, ...(preset.later === undefined ? [] : [`Not written yet: ${preset.later}`])];
}

/** What the review shows. */
export interface Review {
  readonly plan: ConversionPlan;
  readonly warnings: readonly string[];
  /** Free bytes at the target. */
  readonly free: number | undefined;
  readonly command: string;
  readonly denoCommand: string;
}

/** The review in lines. */
export function reviewLines({ plan, warnings, free, command, denoCommand }: Review): string[] {
  const { totals, target, predicted, sources } = plan;
  const skipped = totals.skip > 0 ? `, ${bytesText(totals.skip)} left alone (zero, or kept beneath)` : "";
  const room = free === undefined ? "free space is told with --allow-sys=statfs" : `${bytesText(free)} free there`;
  return [
    `${sources.map(({ path }) => path).join(" + ")} -> ${target.path}`,
    `${target.format}, a disk of ${bytesText(target.size)}`,
    ...sizeLines(target).map((line) => line.replace("were added", "will be added").replace(" is at", " will be at")),
    `${bytesText(totals.data)} of data, ${bytesText(totals.zero)} of zeroes to write${skipped}`,
    `At most about ${bytesText(predicted)} will be taken; ${room}`,
    ...(free !== undefined && free < predicted ? ["There may be too little space"] : []),
    ...warnings.map((warning) => `Warning: ${warning}`),
    "",
    "The same as a command:",
    `  ${command}`,
    "With no more permissions than it needs:",
    `  ${denoCommand}`,
  ];
}
