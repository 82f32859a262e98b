/**
 * A prompter that answers from a list, and a host without files, for tests of the wizard.
 *
 * @module
 */
import assert from "node:assert/strict";
import { allFormats, ImageError } from "../../../mod.ts";
import type { SourceInfo } from "../../../cli/wizard/answers.ts";
import { askAll } from "../../../cli/wizard/ask.ts";
import type { WizardHost } from "../../../cli/wizard/host.ts";
import type { ChoiceQuestion, Navigation, Prompter, TextQuestion } from "../../../cli/wizard/prompter.ts";
import type { Wizard } from "../../../cli/wizard/wizard.ts";

/** A VMDK of 1 GiB. */
export const plain: SourceInfo = {
  format: "vmdk",
  size: 1 << 30,
  allocated: 1 << 20,
  layers: [{ path: "/d/a.vmdk", format: "vmdk", size: 1 << 30 }],
  snapshots: [],
};
/** Returns a prompter that takes its answers from a list and keeps all output. */
export function scripted(script: (string | Navigation)[]): Prompter & { output: string[]; asked: string[] } {
  const output: string[] = [];
  const asked: string[] = [];
  const next = (message: string) => {
    asked.push(message);
    const answer = script.shift();
    if (answer === undefined) throw new Error(`no answer for "${message}"`);
    return Promise.resolve(answer);
  };
  return {
    output,
    asked,
    begin: (title) => output.push(title),
    async text({ message, initial, validate }: TextQuestion) {
      const answer = await next(message);
      if (typeof answer === "symbol") return answer;
      const text = answer === "" ? initial ?? "" : answer;
      assert.equal(validate?.(text), undefined, text);
      return text;
    },
    async choose({ message, choices, initial }: ChoiceQuestion) {
      const answer = await next(message);
      if (typeof answer === "symbol") return answer;
      const value = answer === "=" ? initial : answer;
      assert.ok(choices.some((choice) => choice.value === value), `${message}: ${value}`);
      return value!;
    },
    note: (title, lines) => output.push(title, ...lines),
    lines: (lines) => output.push(...lines),
    copy: (text) => output.push(`Copied: ${text}`),
    error: (message) => output.push(`Error: ${message}`),
    end: (text) => output.push(text),
  };
}

/** Returns a host with the given source. */
export function fakeHost(source: SourceInfo, more: Partial<WizardHost> = {}): WizardHost {
  return {
    request: () => Promise.resolve(true),
    inspect: (path) =>
      path.includes("gone")
        ? Promise.reject(new ImageError("missing", `Cannot open "${path}": there is no such file`))
        : Promise.resolve(source),
    plan: (job) =>
      Promise.resolve({
        plan: {
          sources: [{ path: job.sources[0].path, size: source.size, layers: source.layers }],
          target: { path: job.target.path, format: job.target.format!, size: source.size },
          totals: { data: 5 << 20, zero: 0, skip: 1 << 30 },
          predicted: 6 << 20,
        },
        warnings: ["a warning"],
      }),
    files: (job) => Promise.resolve({ read: [job.sources[0].path], write: ["/d"] }),
    exists: () => false,
    device: () => Promise.resolve(null),
    devices: () => Promise.resolve(null),
    freeSpace: () => Promise.resolve(1 << 20),
    denied: () => [],
    kind: (path) => path.includes("none") ? "missing" : "unknown",
    names: () => [],
    makeFolder: () => Promise.resolve(),
    home: "/home/ada",
    lastDestination: () => undefined,
    rememberDestination: () => {},
    ...more,
  };
}

/** Runs the wizard with answers from a list; `left`: the number of answers that were not needed. */
export const asked = (
  script: (string | Navigation)[],
  source: SourceInfo,
  more?: Partial<WizardHost>,
  settings: Partial<Wizard> = {},
) => {
  const prompter = scripted(script);
  const asked = askAll({ prompter, host: fakeHost(source, more), formats: allFormats, unicode: true, ...settings });
  return asked.then((found) => ({ args: found?.jobs[0] ?? null, jobs: found?.jobs, prompter, left: script.length }));
};
