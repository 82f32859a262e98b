/**
 * The questions for paths: the sources, and the targets. A path with a problem stays in the line to be mended.
 *
 * @module
 */
import { typedNameProblem } from "../args/names.ts";
import {
  type Answers,
  destinationOf,
  outputInFolder,
  outputProblem,
  suggestedOutput,
  type TargetDevice,
} from "./answers.ts";
import { deviceListLines, deviceProblem } from "./devices.ts";
import { targetPermission, type WizardHost } from "./host.ts";
import { isPattern, namesHome, nearestNames, pathOfText, patternOf, splitPath, wordsOf } from "./paths.ts";
import { LEAVE, type Navigation } from "./prompter.ts";
import { brokenLines, folderQuestion, sourceLines } from "./questions.ts";
import { answersOfEach, folderOf, type OpenedSource, suggestedFolder } from "./targets.ts";
import { reportError, type Wizard } from "./wizard.ts";

const WINDOWS = Deno.build.os === "windows";

/** Returns the path that a typed text stands for. */
export function resolvedPath(text: string, host: WizardHost): string {
  return pathOfText(text, { home: host.home, windows: WINDOWS, exists: host.exists });
}

/** Returns the paths that continue a typed one. */
function continued(typed: string, host: WizardHost): readonly string[] {
  const { folder, begin, names } = namesFor(typed, host);
  return names.filter((name) => name.startsWith(begin)).map((name) => folder + name);
}

/** Returns the paths that continue a typed one; where there are none, those of its folder that are like it. */
export function completions(typed: string, host: WizardHost): readonly string[] {
  const found = continued(typed, host);
  if (found.length > 0) return found;
  const { folder, begin, names } = namesFor(typed, host);
  return nearestNames(begin, names).map((name) => folder + name);
}

function namesFor(typed: string, host: WizardHost) {
  // A text with a home folder, or a URL, is completed as the path that it stands for.
  const path = namesHome(typed) || typed.startsWith("file:") ? resolvedPath(typed, host) : typed;
  const [folder, begin] = splitPath(path, WINDOWS);
  const names = host.names(folder).filter((name) => begin.startsWith(".") || !name.startsWith("."));
  return { folder, begin, names };
}

/** Returns the paths that a text stands for: those of a pattern, those of several words, or itself. */
function pathsOf(text: string, host: WizardHost): readonly string[] {
  const path = resolvedPath(text, host);
  if (host.exists(path)) return [path];
  const words = wordsOf(text, WINDOWS);
  // A name with spaces stays one name, unless every word is a file or a pattern.
  const lists = words.map((word) => matching(resolvedPath(word, host), host));
  if (words.length > 1 && lists.every((paths) => paths.length > 0 && paths.every(host.exists))) return lists.flat();
  return matching(path, host);
}

/** Returns the files of a pattern; a path that is none stands for itself. */
function matching(path: string, host: WizardHost): readonly string[] {
  if (!isPattern(path) || host.exists(path)) return [path];
  const [folder, pattern] = splitPath(path, WINDOWS);
  const matches = patternOf(pattern);
  return host.names(folder).filter((name) => matches(name) && !name.endsWith("/")).map((name) => folder + name);
}

const HOME_PROBLEM =
  "Deno does not let the program read where your home folder is: type its path, or start with --allow-env=HOME";

function sourceProblem(text: string, host: WizardHost): string | undefined {
  if (text.trim() === "") return "Give the path of a disk image";
  const paths = pathsOf(text, host);
  const [path] = paths;
  if (path === undefined) return `No file is called ${text}`;
  if (namesHome(path)) return HOME_PROBLEM;
  if (/[/\\]$/.test(path) || host.kind(path) === "folder") return "That is a folder: type on, or press Tab";
  return host.kind(path) === "missing" ? missingText(path, host) : typedNameProblem(path);
}

function missingText(path: string, host: WizardHost): string {
  const [folder, name] = splitPath(path, WINDOWS);
  const [near] = nearestNames(name, host.names(folder));
  return `There is no file "${path}"${near === undefined ? "" : `; did you mean "${folder}${near}"?`}`;
}

/** Asks for the sources. `given`: paths that are taken without the question, as long as they can be opened. */
export async function askSources(
  wizard: Wizard,
  answers: Answers,
  given: readonly string[],
  found: (sources: readonly OpenedSource[]) => void,
): Promise<Answers | Navigation> {
  const { prompter, host } = wizard;
  let initial = given.length === 1 ? given[0]! : answers.source ?? "";
  if (given.length === 0 && host.kind(".") === "unknown") {
    prompter.note("Permissions", [
      "The list of names is empty, because Deno has not granted the program to read this folder.",
      "Type the path; or start with --allow-read=. to choose from a list.",
    ]);
  }
  for (let texts = given.filter((text) => given.length > 1 || sourceProblem(text, host) === undefined);; texts = []) {
    if (texts.length === 0) {
      const problem = given.length === 1 && initial === given[0] ? sourceProblem(initial, host) : undefined;
      if (problem !== undefined) prompter.error(problem);
      const answer = await prompter.text({
        message: "Which disk image is to be converted?",
        initial,
        validate: (text) => sourceProblem(text, host),
        complete: (typed) => completions(typed, host),
      });
      if (typeof answer === "symbol") return answer;
      texts = [answer];
      initial = answer;
    }
    const sources = await opened(wizard, texts.flatMap((text) => pathsOf(text, host)));
    if (sources.length === 0) continue;
    found(sources);
    const source = sources[0]!.path;
    // The answers that depend on another source are asked for again.
    const { snapshot: _, backing: __, size: ___, output: ____, ...rest } = answers;
    return source === answers.source ? answers : { ...rest, source };
  }
}

/** Opens sources and shows them. One that cannot be opened is reported and left out. */
async function opened(wizard: Wizard, paths: readonly string[]): Promise<OpenedSource[]> {
  const { prompter, host, unicode } = wizard;
  const sources: OpenedSource[] = [];
  for (const path of paths) {
    try {
      const info = await host.inspect(path);
      if ("error" in info) {
        prompter.note(path, brokenLines(info, unicode));
        prompter.error(info.error);
        continue;
      }
      sources.push({ path, info });
      prompter.note(path, sourceLines(info, unicode));
    } catch (error) {
      await reportError(wizard, error, path);
    }
  }
  return sources;
}

/**
 * Asks for the target, or for the folder of several targets, and offers to make folders that are missing.
 *
 * @param found receives the block device that the answer is; `undefined` for a file
 */
export async function askOutput(
  wizard: Wizard,
  answers: Answers,
  sources: readonly OpenedSource[],
  found: (device: TargetDevice | undefined) => void,
): Promise<Answers | Navigation> {
  const { prompter, host, formats } = wizard;
  if (destinationOf(answers)?.name === "usb") {
    prompter.note("Disks of this machine", deviceListLines(await host.devices()));
  }
  const several = sources.length > 1;
  const pathOf = (text: string): string => {
    const path = resolvedPath(text, host);
    const isFolder = /[/\\]$/.test(path) || host.kind(path) === "folder";
    return isFolder && !several ? outputInFolder(path, answers, formats) : path;
  };
  const problemOf = (text: string): string | undefined => {
    if (namesHome(resolvedPath(text, host))) return HOME_PROBLEM;
    if (!several) {
      return text.trim() === "" ? "Give the path of a new file" : outputProblem(pathOf(text), answers, formats);
    }
    if (text.trim() === "") return "Give the path of a folder";
    return host.kind(pathOf(text)) === "file" ? "That is a file; give the path of a folder" : undefined;
  };
  const stated = wizard.target !== undefined && problemOf(wizard.target) === undefined ? wizard.target : undefined;
  const suggested = several ? suggestedFolder(answers, formats) : suggestedOutput(answers, formats, host.exists);
  for (let initial = answers.output ?? stated ?? suggested;;) {
    const answer = await prompter.text({
      message: several ? "Into which folder are the new files to go?" : "Where is the new file to go?",
      initial,
      validate: problemOf,
      complete: (typed) => continued(typed, host).filter((path) => !several || path.endsWith("/")),
      isNew: true,
    });
    if (typeof answer === "symbol") return answer;
    initial = answer;
    const output = pathOf(answer);
    const targets = answersOfEach({ ...answers, output }, sources, formats).map((one) => one.output!);
    const missing = await readableTargets(wizard, targets);
    try {
      const device = several ? null : await host.device(output);
      const problem = device === null ? undefined : deviceProblem(device);
      if (problem !== undefined) prompter.error(problem);
      else {
        const made = await makeFolders(wizard, missing);
        if (made === LEAVE) return made;
        if (made !== true) continue;
        found(device ?? undefined);
        return { ...answers, output };
      }
    } catch (error) {
      await reportError(wizard, error, output);
    }
  }
}

/** Requests to look at the targets; returns their folders that are missing. */
async function readableTargets({ prompter, host }: Wizard, targets: readonly string[]): Promise<readonly string[]> {
  if (!await host.request(targets.flatMap(targetPermission))) {
    prompter.error("Deno was not allowed to look whether the names are taken");
  }
  return [...new Set(targets.map(folderOf))].filter((folder) => host.kind(folder) === "missing");
}

/** Offers to make folders; returns `true` where all of them exist then. */
async function makeFolders({ prompter, host }: Wizard, folders: readonly string[]): Promise<boolean | Navigation> {
  if (folders.length === 0) return true;
  const answer = await prompter.choose(folderQuestion(folders));
  if (answer !== "yes") return typeof answer === "symbol" ? answer : false;
  for (const folder of folders) await host.makeFolder(folder);
  return true;
}
