/** The questions for sources and targets: patterns, folders, several sources, destinations, errors that come back. */
import assert from "node:assert/strict";
import { allFormats, ImageError } from "../../../mod.ts";
import { byLikelihood, plainRecipe } from "../../../cli/destinations/suggestions.ts";
import { presets } from "../../../cli/destinations/table.ts";
import { summaryLines } from "../../../cli/commands/wizard.ts";
import { askAll } from "../../../cli/wizard/ask.ts";
import { answersForSome } from "../../../cli/wizard/targets.ts";
import { clipboardSequence } from "../../../cli/wizard/clack_prompter.ts";
import { type WizardHost, wizardHost } from "../../../cli/wizard/host.ts";
import { plainPrompter } from "../../../cli/wizard/plain_prompter.ts";
import { LEAVE, type Prompter } from "../../../cli/wizard/prompter.ts";
import { choiceFor } from "../../../cli/wizard/questions.ts";
import { gzip } from "../../support/archives.ts";
import { scratch } from "../../support/qemu.ts";
import { asked, fakeHost, plain, scripted } from "./support.ts";

/** A host with these files and folders alone; folders end with a separator. */
function hostWith(...paths: string[]): Partial<WizardHost> {
  return {
    exists: (path) => paths.includes(path) || paths.includes(`${path}/`),
    kind: (path) => paths.includes(`${path}/`) || path === "." ? "folder" : paths.includes(path) ? "file" : "missing",
    names: (folder) =>
      paths.filter((path) => path.startsWith(folder) && /^[^/]+\/?$/.test(path.slice(folder.length)))
        .map((path) => path.slice(folder.length)),
  };
}

Deno.test("a source in quotes, as a URL, in the home folder, and by a pattern", async () => {
  const host = hostWith("/d/my a.vmdk", "/home/ada/a.vmdk", "/d/", "/home/ada/");
  const cases = [["'/d/my a.vmdk'", "/d/my a.vmdk"], ["file:///d/my%20a.vmdk", "/d/my a.vmdk"], [
    "~/a.vmdk",
    "/home/ada/a.vmdk",
  ]];
  for (const [typed = "", path = ""] of [...cases, ["/d/my*", "/d/my a.vmdk"]]) {
    const { args } = await asked([typed, "azure", "/d/x.vhd", "run"], plain, host);
    assert.deepEqual(args?.slice(-2), [path, "/d/x.vhd"], typed);
  }
});

Deno.test("a path that is no source has a problem, so that it stays in the line", async () => {
  const host = { ...fakeHost(plain), ...hostWith("/d/disk.vmdk", "/d/"), home: undefined };
  const problems: (string | undefined)[] = [];
  const prompter: Prompter = {
    ...scripted([]),
    text: ({ validate }) => {
      for (const text of ["/d/dsik.vmdk", "/d/x*", "~/a", "/d", "/d/", " "]) problems.push(validate?.(text));
      return Promise.resolve(LEAVE);
    },
  };
  await askAll({ prompter, host, formats: allFormats, unicode: true });
  const folder = "That is a folder: type on, or press Tab";
  assert.deepEqual(problems, [
    'There is no file "/d/dsik.vmdk"; did you mean "/d/disk.vmdk"?',
    "No file is called /d/x*",
    "Deno does not let the program read where your home folder is: type its path, or start with --allow-env=HOME",
    folder,
    folder,
    "Give the path of a disk image",
  ]);
});

Deno.test("a list that is empty for lack of a permission is explained", async () => {
  const { prompter } = await asked([LEAVE], plain, { kind: () => "unknown" });
  assert.match(prompter.output.join("\n"), /has not granted the program to read this folder[^]*--allow-read=\./);
  const given = await asked([LEAVE], plain, { kind: () => "unknown" }, { sources: ["/d/a.vmdk"] });
  assert.doesNotMatch(given.prompter.output.join("\n"), /--allow-read=\./);
});

Deno.test("a folder as the target is the default name in it; a missing folder is offered and made", async () => {
  const made: string[] = [];
  const host = {
    ...hostWith("/d/a.vmdk", "/out/"),
    makeFolder: (path: string) => Promise.resolve(void made.push(path)),
  };
  const inside = await asked(["/d/a.vmdk", "azure", "/out", "run"], plain, host);
  assert.equal(inside.args?.at(-1), "/out/a.vhd");
  const script = ["/d/a.vmdk", "azure", "/new/deep/", "no", "/new/deep/", "yes", "run"];
  const missing = await asked(script, plain, host);
  assert.deepEqual([missing.args?.at(-1), missing.left, made], ["/new/deep/a.vhd", 0, ["/new/deep"]]);
  const failing = {
    ...host,
    makeFolder: (path: string) => Promise.reject(new ImageError("permission", `Cannot make "${path}"`, { path })),
  };
  const again = await asked(["/d/a.vmdk", "azure", "/new/", "yes", "/out/", "run"], plain, failing);
  assert.equal(again.args?.at(-1), "/out/a.vhd");
  assert.match(again.prompter.output.join("\n"), /Error: Cannot make "\/new"/);
});

Deno.test("the target that is given is suggested, if its ending is right for the destination", async () => {
  const host = hostWith("/d/a.vmdk", "/d/");
  const settings = { sources: ["/d/a.vmdk"], target: "/d/given.vhd" };
  assert.equal((await asked(["azure", "", "run"], plain, host, settings)).args?.at(-1), "/d/given.vhd");
  assert.equal((await asked(["virtualbox", "=", "", "run"], plain, host, settings)).args?.at(-1), "/d/a.vdi");
});

Deno.test("several sources: one destination, targets of their own, those that cannot be opened are left out", async () => {
  const host = hostWith("/d/", "/d/a.vmdk", "/d/b.vmdk", "/e/a.vmdk", "/e/", "/out/", "/out/b.vhd");
  const sources = ["/d/a.vmdk", "/d/gone.vmdk", "/d/b.vmdk", "/e/a.vmdk"];
  const { jobs, prompter, left } = await asked(["azure", "/out", "yes", "run"], plain, host, { sources });
  assert.deepEqual(jobs?.map((args) => args.slice(-2)), [
    ["/d/a.vmdk", "/out/a.vhd"],
    ["/d/b.vmdk", "/out/b.vhd"],
    ["/e/a.vmdk", "/out/a-2.vhd"],
  ]);
  assert.equal(left, 0);
  assert.deepEqual(prompter.asked, [
    "Where will this disk run?",
    "Into which folder are the new files to go?",
    '"/out/b.vhd" exists. Replace it?',
    "Go on?",
  ]);
  const output = prompter.output.join("\n");
  assert.match(output, /Error: Cannot open "\/d\/gone\.vmdk"/);
  assert.match(output, /What will be done, 3 of 3/);
  // A destination with one name for all files: a folder for each.
  const gcp = await asked(["gcp", "/out", "yes", "run"], plain, host, { sources: ["/d/a.vmdk", "/d/b.vmdk"] });
  assert.deepEqual(gcp.jobs?.map((args) => args.at(-1)), ["/out/a/disk.raw", "/out/b/disk.raw"]);
  assert.match(gcp.prompter.asked.join("\n"), /Make the folders "\/out\/a", "\/out\/b"\?/);
  // A pattern that is typed.
  const typed = await asked(["/d/*.vmdk", "azure", "/out", "yes", "run"], plain, host);
  assert.equal(typed.jobs?.length, 2);
  const dropped = await asked(["'/d/a.vmdk' /d/b.vmdk ", "azure", "/out", "yes", "run"], plain, host);
  assert.deepEqual(dropped.jobs?.map((args) => args.at(-2)), ["/d/a.vmdk", "/d/b.vmdk"]);
});

Deno.test("what is left of several sources keeps the answers: one gets its own target, more keep the folder", () => {
  const sources = ["/d/a.vmdk", "/d/b.vmdk", "/d/c.vmdk"].map((path) => ({ path, info: plain }));
  const answers = { source: "/d/a.vmdk", destination: "azure", output: "/out" };
  const one = answersForSome(answers, sources, sources.slice(1, 2), allFormats);
  assert.deepEqual([one.source, one.output], ["/d/b.vmdk", "/out/b.vhd"]);
  const two = answersForSome(answers, sources, sources.slice(1), allFormats);
  assert.deepEqual([two.source, two.output], ["/d/b.vmdk", "/out"]);
  assert.equal(answersForSome(answers, sources.slice(0, 1), sources.slice(0, 1), allFormats), answers);
});

Deno.test("without a clipboard the review does not offer to copy", () => {
  const values = (canCopy: boolean) =>
    choiceFor("review", {}, { formats: allFormats, canCopy }).choices.map((one) => one.value);
  assert(values(true).includes("copy") && !values(false).includes("copy"));
  const lines = { write: () => {}, read: () => Promise.resolve(null) };
  assert.equal(plainPrompter(lines).copy, undefined);
});

Deno.test("the summary of several conversions", () => {
  const jobs = ["a", "b", "c"].map((name) => ["convert", name, `${name}.vhd`]);
  assert.deepEqual(summaryLines(jobs, [0, 1]), ["done: a -> a.vhd", "failed: b -> b.vhd", "not started: c -> c.vhd"]);
});

Deno.test("an archive is no source: the wizard says what it is and which command opens it", async () => {
  await using folder = await scratch();
  const path = folder.file("disk.raw.gz");
  await Deno.writeFile(path, gzip(new Uint8Array(100)));
  const prompter = scripted(["leave"]);
  const host = wizardHost(() => {});
  const run = askAll({ prompter, host, formats: allFormats, unicode: true, sources: [path] });
  await assert.rejects(run);
  assert.match(prompter.output.join("\n"), /Error: Cannot take .* it is gzip-compressed data; .*gunzip -k/);
  assert.equal(prompter.asked[0], "Which disk image is to be converted?");
});

Deno.test("a denied permission: the command that starts anew with it, alone on its line", async () => {
  const denied = [{ name: "read", path: "/d/a.vmdk", why: "to read the source" }] as const;
  const error = new ImageError("permission", 'Cannot read "/d/a.vmdk": Deno was not allowed to', { path: "/d/a.vmdk" });
  const host = { inspect: () => Promise.reject(error), denied: () => denied };
  const { prompter } = await asked(["/d/a.vmdk", LEAVE], plain, host);
  const at = prompter.output.findIndex((line) => line.startsWith("Deno keeps a denial until the program ends"));
  assert.match(prompter.output[at + 2]!, /^deno run --allow-read=\/d\/a\.vmdk \S+ wizard \/d\/a\.vmdk$/);
  // An error of another kind has no such command.
  const other = { ...host, inspect: () => Promise.reject(new ImageError("io", "Cannot read")) };
  assert.doesNotMatch((await asked(["/d/a.vmdk", LEAVE], plain, other)).prompter.output.join("\n"), /keeps a denial/);
});

Deno.test("destinations: the last one first, then those likely for the source, then all others", () => {
  const order = (format: string, last?: string) => byLikelihood(presets, format, last).map(({ name }) => name);
  assert.deepEqual(order("vhdx").slice(0, 3), ["azure", "hyperv-gen2", "hyperv-gen1"]);
  assert.deepEqual(order("vhdx", "esxi").slice(0, 2), ["esxi", "azure"]);
  assert.deepEqual(order("vhdx", "azure").slice(0, 2), ["azure", "hyperv-gen2"]);
  assert.deepEqual(order("unknown"), presets.map(({ name }) => name));
  assert.equal(order("raw", "esxi").length, presets.length);
});

Deno.test("recipes in plain words", () => {
  const text = (name: string, at = 0) => {
    const preset = presets.find((one) => one.name === name)!;
    return plainRecipe(preset, preset.recipes[at]!);
  };
  assert.equal(text("aws"), "one compressed VMDK, up to 16 TiB");
  assert.equal(text("azure"), "a VHD of full length, up to 2 TiB, in whole MiB");
  assert.equal(text("gcp"), "a raw disk named disk.raw, in whole GiB");
  for (const preset of presets) {
    for (const recipe of preset.recipes) assert.doesNotMatch(plainRecipe(preset, recipe), /=|undefined/);
  }
});

Deno.test("with too little space, Start is not the first choice", async () => {
  const question = choiceFor("review", {}, { formats: allFormats, tooLittleSpace: true });
  assert.equal(question.initial, "back");
  assert.equal(choiceFor("review", {}, { formats: allFormats }).initial, "run");
  const script = (answer: string) => asked(["/d/a.vmdk", "azure", "/d/x.vhd", answer, "leave"], plain);
  const { prompter } = await script("copy");
  assert.match(prompter.output.join("\n"), /Copied: diskcast convert --for azure \/d\/a\.vmdk \/d\/x\.vhd/);
  const lines = prompter.output.filter((line) => line.startsWith("diskcast convert") || line.startsWith("deno run"));
  assert.equal(lines.length, 2);
});

Deno.test("a text for the clipboard, and a key in plain questions", async () => {
  assert.equal(clipboardSequence("a ü"), "\x1b]52;c;YSDDvA==\x07");
  const lines = { write: () => {}, read: () => Promise.resolve("c") };
  const choices = [{ value: "run", label: "Start" }, { value: "copy", label: "Copy", key: "c" }];
  assert.equal(await plainPrompter(lines).choose({ message: "?", choices }), "copy");
});
