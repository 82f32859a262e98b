/** The wizard without a terminal: answers become a command line and a job, and every question can be left backwards. */
import assert from "node:assert/strict";
import { allFormats, createImage, ImageError } from "../../../mod.ts";
import {
  BACK,
  type ChoiceQuestion,
  LEAVE,
  type Prompter,
  type TextQuestion,
  type Way,
} from "../../../cli/wizard/prompter.ts";
import { type Lines, plainPrompter } from "../../../cli/wizard/plain_prompter.ts";
import {
  type Answers,
  chainLines,
  commandLine,
  neighbour,
  outputFault,
  type SourceFacts,
  type Step,
  stepsFor,
  suggestedOutput,
  wordsOf,
  type World,
} from "../../../cli/wizard/wizard.ts";
import { type Wanted, type WizardHost, wizardHost } from "../../../cli/wizard/host.ts";
import { askAll, jobOf } from "../../../cli/commands/wizard.ts";
import { main } from "../../../cli/main.ts";
import { fakeIo } from "../support.ts";
import { scratch } from "../../support/qemu.ts";

const plain: SourceFacts = {
  format: "vmdk",
  size: 1 << 30,
  allocated: 1 << 20,
  layers: [{ path: "/d/a.vmdk", format: "vmdk", size: 1 << 30 }],
  snapshots: [],
};
const raw: SourceFacts = { ...plain, format: "raw", layers: [{ path: "/d/a.raw", format: "raw", size: 1 << 30 }] };
const odd: SourceFacts = { ...raw, size: (1 << 30) + 512 };
const chained: SourceFacts = {
  ...plain,
  format: "qcow2",
  layers: [
    { path: "/d/top.qcow2", format: "qcow2", size: 1 << 30 },
    { path: "/d/base.qcow2", format: "qcow2", size: 1 << 30 },
  ],
  snapshots: [{ id: "1", name: "before" }],
};

/** Answers, the source they are about, the steps that are asked, and the command line. */
const table: readonly (readonly [SourceFacts, Answers, string, string])[] = [
  [
    plain,
    { source: "/d/a.vmdk", place: "azure", output: "/d/a.vhd" },
    "source place output review",
    "diskcast convert --for azure /d/a.vmdk /d/a.vhd",
  ],
  [
    raw,
    { source: "/d/a.raw", place: "azure", output: "/d/a.vhd" },
    "source place output review",
    "diskcast convert -f raw --for azure /d/a.raw /d/a.vhd",
  ],
  [
    plain,
    { source: "a b.vmdk", place: "proxmox", format: "qcow2", compress: "yes", output: "x.qcow2" },
    "source place format compress output review",
    "diskcast convert --for proxmox -c 'a b.vmdk' x.qcow2",
  ],
  [
    plain,
    { source: "a.vmdk", place: "proxmox", format: "raw", compress: "yes", output: "x.raw" },
    "source place format output review",
    "diskcast convert --for proxmox -O raw a.vmdk x.raw",
  ],
  [
    plain,
    { source: "a.vmdk", place: "esxi", adapter: "buslogic", output: "x.vmdk" },
    "source place adapter output review",
    "diskcast convert --for esxi -o adapter_type=buslogic a.vmdk x.vmdk",
  ],
  [
    plain,
    { source: "a.vmdk", place: "esxi", adapter: "lsilogic", output: "x.vmdk" },
    "source place adapter output review",
    "diskcast convert --for esxi a.vmdk x.vmdk",
  ],
  [
    plain,
    { source: "a.vmdk", place: "", format: "vhdx", output: "-x" },
    "source place format output review",
    "diskcast convert -O vhdx -- a.vmdk -x",
  ],
  [
    chained,
    {
      source: "top.qcow2",
      place: "libvirt",
      format: "qcow2",
      snapshot: "",
      backing: "keep",
      compress: "no",
      output: "x",
    },
    "source place format snapshot backing compress output review",
    "diskcast convert --for libvirt -B /d/base.qcow2 -F qcow2 top.qcow2 x",
  ],
  [
    chained,
    {
      source: "top.qcow2",
      place: "libvirt",
      format: "qcow2",
      snapshot: "1",
      backing: "keep",
      compress: "no",
      output: "x",
    },
    "source place format snapshot compress output review",
    "diskcast convert -l snapshot.id=1 --for libvirt top.qcow2 x",
  ],
  [
    chained,
    { source: "top.qcow2", place: "azure", snapshot: "", output: "x.vhd" },
    "source place snapshot output review",
    "diskcast convert --for azure top.qcow2 x.vhd",
  ],
  [
    odd,
    { source: "a.raw", place: "esxi", adapter: "lsilogic", size: "round", output: "x.vmdk" },
    "source place adapter size output review",
    "diskcast convert -f raw --for esxi --round=1M a.raw x.vmdk",
  ],
  [
    odd,
    { source: "a.raw", place: "", format: "vmdk", adapter: "ide", size: "keep", digest: true, output: "x.vmdk" },
    "source place format compress adapter size output review",
    "diskcast convert -f raw -O vmdk --digest a.raw x.vmdk",
  ],
  // These say how long the disk is to be.
  [
    odd,
    { source: "a.raw", place: "azure", size: "round", output: "x.vhd" },
    "source place output review",
    "diskcast convert -f raw --for azure a.raw x.vhd",
  ],
  [
    odd,
    { source: "a.raw", place: "xcp-ng", format: "vpc", output: "x.vhd" },
    "source place format output review",
    "diskcast convert -f raw --for xcp-ng a.raw x.vhd",
  ],
  [
    { ...chained, size: odd.size },
    {
      source: "top.qcow2",
      place: "libvirt",
      format: "qcow2",
      snapshot: "",
      backing: "keep",
      size: "round",
      output: "x",
    },
    "source place format snapshot backing compress output review",
    "diskcast convert --for libvirt -B /d/base.qcow2 -F qcow2 top.qcow2 x",
  ],
];

for (const [source, answers, steps, line] of table) {
  Deno.test(`answers become: ${line}`, async () => {
    const world: World = { formats: allFormats, source };
    assert.equal(stepsFor(answers, world).join(" "), steps);
    const words = wordsOf(answers, world);
    assert.equal(commandLine(words, false), line);
    const job = await jobOf(words, allFormats);
    assert.equal(job.sources[0].path, answers.source);
    assert.equal(job.target.path, answers.output);
    assert.equal(job.target.compress ?? false, line.includes(" -c "));
    assert.equal(job.target.backing?.path, line.includes("-B") ? "/d/base.qcow2" : undefined);
    assert.equal(typeof job.target.guestSize, answers.place === "" ? "undefined" : "object");
    assert.equal(job.digest ?? false, answers.digest ?? false);
  });
}

Deno.test("every question has its neighbours, and what does not apply is passed over", () => {
  for (const [source, answers] of table) {
    const world: World = { formats: allFormats, source, taken: true };
    const steps = stepsFor(answers, world);
    assert.ok(steps.includes("overwrite"));
    steps.forEach((step, at) => {
      assert.equal(neighbour(step, 1, answers, world), steps[at + 1]);
      assert.equal(neighbour(step, -1, answers, world), steps[at - 1]);
    });
  }
});

Deno.test("names for the target", () => {
  const none = () => false;
  const base = { source: "/d/a.b.vmdk", place: "azure" };
  assert.equal(suggestedOutput(base, allFormats, none), "/d/a.b.vhd");
  assert.equal(suggestedOutput({ ...base, source: "a.vhd" }, allFormats, none), "a-converted.vhd");
  assert.equal(suggestedOutput(base, allFormats, () => true), "/d/a.b-converted.vhd");
  assert.equal(suggestedOutput({ ...base, place: "gcp" }, allFormats, none), "/d/disk.raw");
  assert.equal(suggestedOutput({ source: "a", place: "", format: "qcow2" }, allFormats, none), "a.qcow2");
  assert.match(outputFault("", base, allFormats)!, /path/);
  assert.match(outputFault("/d/", base, allFormats)!, /folder/);
  assert.match(outputFault(base.source, base, allFormats)!, /source/);
  assert.match(outputFault("x.raw", { ...base, place: "gcp" }, allFormats)!, /disk\.raw/);
  assert.equal(outputFault("x/disk.raw", { ...base, place: "gcp" }, allFormats), undefined);
});

Deno.test("a chain is a tree", () => {
  assert.deepEqual(chainLines(chained.layers, true), ["/d/top.qcow2 (qcow2)", "└─ base.qcow2 (qcow2)"]);
  assert.deepEqual(chainLines(chained.layers, false)[1], "`- base.qcow2 (qcow2)");
});

/** Answers from a list, by the words of the question; keeps what was said. */
function scripted(script: (string | Way)[]): Prompter & { said: string[]; asked: string[] } {
  const said: string[] = [];
  const asked: string[] = [];
  const next = (message: string) => {
    asked.push(message);
    const answer = script.shift();
    if (answer === undefined) throw new Error(`no answer for "${message}"`);
    return Promise.resolve(answer);
  };
  return {
    said,
    asked,
    begin: (title) => said.push(title),
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
    note: (title, lines) => said.push(title, ...lines),
    complain: (message) => said.push(`Error: ${message}`),
    end: (text) => said.push(text),
  };
}

/** A host whose source is `source`; counts what it is asked to plan. */
function fakeHost(source: SourceFacts, more: Partial<WizardHost> = {}): WizardHost {
  return {
    allow: () => Promise.resolve(true),
    inspect: (path) =>
      path.includes("none")
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
    freeSpace: () => Promise.resolve(1 << 20),
    complete: () => [],
    ...more,
  };
}

const asked = (script: (string | Way)[], source: SourceFacts, more?: Partial<WizardHost>) => {
  const prompter = scripted(script);
  const words = askAll({ prompter, host: fakeHost(source, more), formats: allFormats, unicode: true });
  return words.then((found) => ({ words: found, prompter, left: script.length }));
};

Deno.test("from the first question to the command", async () => {
  const { words, prompter, left } = await asked(["/d/none", "/d/a.vmdk", "azure", "", "run"], plain);
  assert.deepEqual(words, ["convert", "--for", "azure", "/d/a.vmdk", "/d/a.vhd"]);
  assert.equal(left, 0);
  const said = prompter.said.join("\n");
  assert.match(said, /Error: Cannot open "\/d\/none"/);
  assert.match(said, /vmdk, 1.0 GiB as the guest sees it/);
  assert.match(said, /5.0 MiB of data/);
  assert.match(said, /At most about 6.0 MiB will be taken; 1.0 MiB free there\nThere may be too little space/);
  assert.match(said, /Warning: a warning/);
  assert.match(said, /diskcast convert --for azure \/d\/a.vmdk \/d\/a.vhd/);
  assert.match(said, /deno run --allow-read=\/d\/a.vmdk --allow-write=\/d \S+ convert --for azure/);
});

Deno.test("one step back from every question", async () => {
  const forward: readonly (readonly [Step, string])[] = [
    ["source", "/d/top.qcow2"],
    ["place", "libvirt"],
    ["format", "qcow2"],
    ["snapshot", ""],
    ["backing", "keep"],
    ["compress", "no"],
    ["output", "/d/x.qcow2"],
    ["overwrite", "yes"],
    ["review", "run"],
  ];
  const exists = { exists: () => true };
  const straight = await asked(forward.map(([, answer]) => answer), chained, exists);
  assert.equal(straight.left, 0);
  for (let at = 1; at < forward.length; at++) {
    const answers = forward.map(([, answer]) => answer);
    const script: (string | Way)[] = [...answers.slice(0, at), BACK, ...answers.slice(at - 1)];
    const { words, prompter, left } = await asked(script, chained, exists);
    assert.deepEqual(words, straight.words, forward[at][0]);
    assert.equal(left, 0, forward[at][0]);
    assert.equal(prompter.asked[at + 1], prompter.asked[at - 1], `back from ${forward[at][0]}`);
  }
  // The review offers it as an answer, too, and the first question has nothing before it.
  const script: (string | Way)[] = [BACK, ...forward.slice(0, -1).map(([, answer]) => answer), "back", "yes", "run"];
  assert.deepEqual((await asked(script, chained, exists)).words, straight.words);
});

Deno.test("a disk that ends within a MiB may be made longer; the review takes the SHA-256 in, and out again", async () => {
  const script = ["/d/a.raw", "esxi", "=", "round", "", "digest", "digest", "digest", "run"];
  const { words, prompter, left } = await asked(script, odd);
  assert.deepEqual(words?.slice(0, 7), ["convert", "-f", "raw", "--for", "esxi", "--round=1M", "--digest"]);
  assert.equal(left, 0);
  assert.match(prompter.asked.join("\n"), /1073742336 bytes, which are not whole MiB/);
  const commands = prompter.said.filter((line) => line.startsWith("  diskcast convert"));
  assert.deepEqual(commands.map((line) => line.includes("--digest")), [false, true, false, true]);
});

Deno.test("leaving at every question gives no command", async () => {
  const answers: (string | Way)[] = ["/d/a.vmdk", "esxi", "=", "", "run"];
  for (let at = 0; at < answers.length; at++) {
    const { words, left } = await asked([...answers.slice(0, at), LEAVE], plain);
    assert.deepEqual([words, left], [null, 0]);
  }
  assert.equal((await asked([...answers.slice(0, -1), "leave"], plain)).words, null);
});

Deno.test("a name that is taken is asked for again, and an answer that depends on another is forgotten", async () => {
  const taken = { exists: (path: string) => path === "/d/taken.vhd" };
  const { words } = await asked(["/d/a.vmdk", "azure", "/d/taken.vhd", "no", "/d/free.vhd", "run"], plain, taken);
  assert.equal(words?.at(-1), "/d/free.vhd");
  // From proxmox and raw back to virtualbox: its own best format, its own name.
  const back = await asked(["/d/a.vmdk", "proxmox", "raw", BACK, BACK, "virtualbox", "=", "", "run"], plain);
  assert.deepEqual(back.words, ["convert", "--for", "virtualbox", "/d/a.vmdk", "/d/a.vdi"]);
});

Deno.test("a plan that fails is said, and the way is back", async () => {
  let failed = false;
  const plan: WizardHost["plan"] = (job) => {
    if (failed) return fakeHost(plain).plan(job);
    failed = true;
    return Promise.reject(new ImageError("usage", "Cannot make the disk: it is too large"));
  };
  const { words, prompter } = await asked(["/d/a.vmdk", "azure", "", "", "run"], plain, { plan });
  assert.match(prompter.said.join("\n"), /Error: Cannot make the disk/);
  assert.equal(words?.[2], "azure");
});

Deno.test("the host looks at real files, and writes nothing", async () => {
  await using folder = await scratch();
  await Deno.writeFile(folder.file("a.raw"), new Uint8Array(5000).fill(1));
  await Deno.mkdir(folder.file("ab"));
  const host = wizardHost((wanted: readonly Wanted[]) => assert.fail(JSON.stringify(wanted)));
  const prompter = scripted([folder.file("a.raw"), "azure", "", "run"]);
  const words = await askAll({ prompter, host, formats: allFormats, unicode: true });
  assert.deepEqual(words?.slice(0, 5), ["convert", "-f", "raw", "--for", "azure"]);
  assert.match(prompter.said.join("\n"), /20.0 MiB of zeroes will be added at the end of the disk, to 20971520 bytes/);
  assert.deepEqual([...Deno.readDirSync(folder.file("."))].map(({ name }) => name).sort(), ["a.raw", "ab"]);
  assert.deepEqual(host.complete(folder.file("a")), [folder.file("a.raw"), folder.file("ab") + "/"]);
  assert.deepEqual(host.complete(folder.file("no/such")), []);
});

Deno.test("of a chain that is broken it is shown how far it goes, and another source is asked for", async () => {
  await using folder = await scratch();
  const [top, middle, gone] = ["top.qcow2", "middle.qcow2", "gone.raw"].map((name) => folder.file(name));
  await Deno.writeFile(gone, new Uint8Array(1 << 20));
  await createImage({ path: middle, format: "qcow2", backing: { path: gone, format: "raw" } });
  await createImage({ path: top, format: "qcow2", backing: { path: middle, format: "qcow2" } });
  await Deno.remove(gone);
  const host = wizardHost((wanted: readonly Wanted[]) => assert.fail(JSON.stringify(wanted)));
  const prompter = scripted([top, LEAVE]);
  assert.equal(await askAll({ prompter, host, formats: allFormats, unicode: false }), null);
  const said = prompter.said.join("\n");
  assert.match(said, /^qcow2, 1\.0 MiB as the guest sees it$/m);
  assert.match(said, /`- middle\.qcow2 \(qcow2\)\n +`- gone\.raw \(cannot be opened\)\nError: .*gone\.raw/);
});

/** Lines typed by a user, and what was written. */
function typed(...input: string[]): Lines & { text: string } {
  const lines = {
    text: "",
    write: (text: string) => void (lines.text += text),
    read: () => Promise.resolve(input.shift() ?? null),
  };
  return lines;
}

Deno.test("plain questions: numbers, usual answers, back, end of input, no glyphs", async () => {
  const choices = [{ value: "a", label: "First" }, { value: "b", label: "Second", hint: "usual" }];
  const lines = typed("9", "x", "1", "", "back", "typed", "", "b");
  const prompter = plainPrompter(lines);
  prompter.begin("Title");
  prompter.note("Note", ["one\x1b[31m"]);
  const choose = () => prompter.choose({ message: "Which?", choices, initial: "b" });
  assert.equal(await choose(), "a");
  assert.equal(await choose(), "b");
  assert.equal(await choose(), BACK);
  const validate = (text: string) => text === "typed" ? "Not that" : undefined;
  assert.equal(await prompter.text({ message: "What?", initial: "usual", validate }), "usual");
  assert.equal(await prompter.text({ message: "What?" }), BACK);
  assert.equal(await prompter.text({ message: "What?" }), LEAVE);
  assert.match(lines.text, /1\. First\n2\. Second \(usual\)\nNumber \(Enter: 2\): /);
  assert.match(lines.text, /Type a number from 1 to 2/);
  // deno-lint-ignore no-control-regex
  assert.match(lines.text, /^[\x0a\x20-\x7e]*$/, "plain ASCII");
});

Deno.test("no question in a pipe: what is missing is named", async () => {
  for (const args of [["wizard"], ["wizard", "a.raw"], []]) {
    const io = fakeIo(false);
    assert.equal(await main(args, io), 1);
    assert.match(io.stderr, args.length === 0 ? /no command is given/ : /the target is missing/);
  }
  const io = { ...fakeIo(true), inIsTerminal: false };
  assert.equal(await main(["wizard"], io), 1);
});
