/**
 * The targets of the wizard's sources, the folders that they need, and the question that mends a failure. Pure.
 *
 * @module
 */
import { type Format, ImageError } from "../../mod.ts";
import { type Answers, chosenRecipe, outputInFolder, type SourceInfo, type Step, suggestedOutput } from "./answers.ts";

/** A source that was opened, by its path as the user gives it. */
export interface OpenedSource {
  readonly path: string;
  readonly info: SourceInfo;
}

/** Returns the answers for each source, with a target of its own where there are several. */
export function answersOfEach(
  answers: Answers,
  sources: readonly OpenedSource[],
  formats: readonly Format[],
): readonly Answers[] {
  if (sources.length <= 1) return [answers];
  const taken = new Set<string>();
  return sources.map(({ path }) => {
    const { snapshot: _, backing: __, size: ___, ...common } = answers;
    const own = { ...common, source: path };
    const output = distinct(outputOf(own, formats), taken);
    taken.add(output);
    return { ...own, output };
  });
}

/**
 * Returns the answers for some of the sources, to ask about them again: where one is left, its target in place of the
 * folder of all targets.
 */
export function answersForSome(
  answers: Answers,
  sources: readonly OpenedSource[],
  some: readonly OpenedSource[],
  formats: readonly Format[],
): Answers {
  const [first] = some;
  if (first === undefined || sources.length === 1) return answers;
  if (some.length > 1) return { ...answers, source: first.path };
  return answersOfEach(answers, sources, formats)[sources.indexOf(first)] ?? answers;
}

/** Where the destination requires one name, the target has a folder of its own, called as its source. */
function outputOf(answers: Answers, formats: readonly Format[]): string {
  const folder = answers.output ?? ".";
  if (chosenRecipe(answers, formats)?.fileName === undefined) return outputInFolder(folder, answers, formats);
  const stem = answers.source!.replace(/^.*[/\\]/, "").replace(/\.[^.]*$/, "") || "disk";
  return outputInFolder(/[/\\]$/.test(folder) ? folder + stem : `${folder}/${stem}`, answers, formats);
}

/** Returns the path with a number before its ending where it is taken: sources of two folders can have one name. */
function distinct(path: string, taken: ReadonlySet<string>): string {
  for (let number = 1, next = path;; next = path.replace(/(\.[^./\\]*)?$/, `-${++number}$1`)) {
    if (!taken.has(next)) return next;
  }
}

/** Returns the folder of a path; `.` for a name alone. */
export function folderOf(path: string): string {
  const folder = path.replace(/[^/\\]*$/, "");
  return folder === "" ? "." : folder.length === 1 ? folder : folder.replace(/[/\\]$/, "");
}

/** Returns a folder for the targets of several sources: that of the first one. */
export function suggestedFolder(answers: Answers, formats: readonly Format[]): string {
  return folderOf(suggestedOutput(answers, formats, () => false));
}

/** Returns the question whose answer can mend a failure of the plan. */
export function mendingStep(error: unknown, sources: readonly OpenedSource[]): Step {
  if (!(error instanceof ImageError)) return "output";
  const { kind, path } = error;
  const ofSource = sources.some((one) => one.path === path || one.info.layers.some((layer) => layer.path === path));
  if (ofSource) return "source";
  return kind === "usage" || kind === "unsupported" ? "destination" : "output";
}
