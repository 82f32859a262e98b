/** The wizard without a terminal: answers become a command line and a job, and every question can go back. */
import assert from "node:assert/strict";
import {
  allFormats,
  type BlockDevice,
  createImage,
  type DiskContents,
  type ErrorKind,
  ImageError,
} from "../../../mod.ts";
import { deviceBytes, deviceQuestion } from "../../../cli/wizard/devices.ts";
import { BACK, LEAVE, type Navigation } from "../../../cli/wizard/prompter.ts";
import { type Lines, plainPrompter } from "../../../cli/wizard/plain_prompter.ts";
import {
  adjacentStep,
  type Answers,
  argsOf,
  chainLines,
  commandLine,
  outputInFolder,
  outputProblem,
  type SourceInfo,
  type Step,
  stepsFor,
  suggestedOutput,
  type WizardContext,
} from "../../../cli/wizard/answers.ts";
import { type NeededPermission, type WizardHost, wizardHost } from "../../../cli/wizard/host.ts";
import { askAll, jobOf } from "../../../cli/wizard/ask.ts";
import { completions } from "../../../cli/wizard/ask_paths.ts";
import { mendingStep } from "../../../cli/wizard/targets.ts";
import { main } from "../../../cli/main.ts";
import { fakeIo } from "../support.ts";
import { asked, fakeHost, plain, scripted } from "./support.ts";
import { scratch } from "../../support/qemu.ts";

const raw: SourceInfo = { ...plain, format: "raw", layers: [{ path: "/d/a.raw", format: "raw", size: 1 << 30 }] };
const odd: SourceInfo = { ...raw, size: (1 << 30) + 512 };
const chained: SourceInfo = {
  ...plain,
  format: "qcow2",
  layers: [
    { path: "/d/top.qcow2", format: "qcow2", size: 1 << 30 },
    { path: "/d/base.qcow2", format: "qcow2", size: 1 << 30 },
  ],
  snapshots: [{ id: "1", name: "before" }],
};

/** Source, answers, the steps that apply, and the command line. */
const table: readonly (readonly [SourceInfo, Answers, string, string])[] = [
  [
    plain,
    { source: "/d/a.vmdk", destination: "azure", output: "/d/a.vhd" },
    "source destination output review",
    "diskcast convert --for azure /d/a.vmdk /d/a.vhd",
  ],
  [
    raw,
    { source: "/d/a.raw", destination: "azure", output: "/d/a.vhd" },
    "source destination output review",
    "diskcast convert -f raw --for azure /d/a.raw /d/a.vhd",
  ],
  [
    plain,
    { source: "a b.vmdk", destination: "proxmox", format: "qcow2", compress: "yes", output: "x.qcow2" },
    "source destination format compress output review",
    "diskcast convert --for proxmox -c 'a b.vmdk' x.qcow2",
  ],
  [
    plain,
    { source: "a.vmdk", destination: "proxmox", format: "raw", compress: "yes", output: "x.raw" },
    "source destination format output review",
    "diskcast convert --for proxmox -O raw a.vmdk x.raw",
  ],
  [
    plain,
    { source: "a.vmdk", destination: "esxi", adapter: "buslogic", output: "x.vmdk" },
    "source destination adapter output review",
    "diskcast convert --for esxi -o adapter_type=buslogic a.vmdk x.vmdk",
  ],
  [
    plain,
    { source: "a.vmdk", destination: "esxi", adapter: "lsilogic", output: "x.vmdk" },
    "source destination adapter output review",
    "diskcast convert --for esxi a.vmdk x.vmdk",
  ],
  [
    plain,
    { source: "a.vmdk", destination: "", format: "vhdx", output: "-x" },
    "source destination format output review",
    "diskcast convert -O vhdx -- a.vmdk -x",
  ],
  [
    chained,
    {
      source: "top.qcow2",
      destination: "libvirt",
      format: "qcow2",
      snapshot: "",
      backing: "keep",
      compress: "no",
      output: "x",
    },
    "source destination format snapshot backing compress output review",
    "diskcast convert --for libvirt -B /d/base.qcow2 -F qcow2 top.qcow2 x",
  ],
  [
    chained,
    {
      source: "top.qcow2",
      destination: "libvirt",
      format: "qcow2",
      snapshot: "1",
      backing: "keep",
      compress: "no",
      output: "x",
    },
    "source destination format snapshot compress output review",
    "diskcast convert -l snapshot.id=1 --for libvirt top.qcow2 x",
  ],
  [
    chained,
    { source: "top.qcow2", destination: "azure", snapshot: "", output: "x.vhd" },
    "source destination snapshot output review",
    "diskcast convert --for azure top.qcow2 x.vhd",
  ],
  [
    odd,
    { source: "a.raw", destination: "esxi", adapter: "lsilogic", size: "round", output: "x.vmdk" },
    "source destination adapter size output review",
    "diskcast convert -f raw --for esxi --round=1M a.raw x.vmdk",
  ],
  [
    odd,
    { source: "a.raw", destination: "", format: "vmdk", adapter: "ide", size: "keep", digest: true, output: "x.vmdk" },
    "source destination format compress adapter size output review",
    "diskcast convert -f raw -O vmdk --digest a.raw x.vmdk",
  ],
  // These destinations determine the size of the disk.
  [
    odd,
    { source: "a.raw", destination: "azure", size: "round", output: "x.vhd" },
    "source destination output review",
    "diskcast convert -f raw --for azure a.raw x.vhd",
  ],
  [
    odd,
    { source: "a.raw", destination: "xcp-ng", format: "vpc", output: "x.vhd" },
    "source destination format output review",
    "diskcast convert -f raw --for xcp-ng a.raw x.vhd",
  ],
  [
    { ...chained, size: odd.size },
    {
      source: "top.qcow2",
      destination: "libvirt",
      format: "qcow2",
      snapshot: "",
      backing: "keep",
      size: "round",
      output: "x",
    },
    "source destination format snapshot backing compress output review",
    "diskcast convert --for libvirt -B /d/base.qcow2 -F qcow2 top.qcow2 x",
  ],
];

for (const [source, answers, steps, line] of table) {
  Deno.test(`answers become: ${line}`, async () => {
    const context: WizardContext = { formats: allFormats, source };
    assert.equal(stepsFor(answers, context).join(" "), steps);
    const args = argsOf(answers, context);
    assert.equal(commandLine(args, false), line);
    const job = await jobOf(args, allFormats);
    assert.equal(job.sources[0].path, answers.source);
    assert.equal(job.target.path, answers.output);
    assert.equal(job.target.compress ?? false, line.includes(" -c "));
    assert.equal(job.target.backing?.path, line.includes("-B") ? "/d/base.qcow2" : undefined);
    assert.equal(typeof job.target.guestSize, answers.destination === "" ? "undefined" : "object");
    assert.equal(Boolean(job.digest), answers.digest ?? false);
  });
}

Deno.test("every question has the previous and the next one that apply", () => {
  for (const [source, answers] of table) {
    const context: WizardContext = { formats: allFormats, source, targetExists: true };
    const steps = stepsFor(answers, context);
    assert.ok(steps.includes("overwrite"));
    steps.forEach((step, at) => {
      assert.equal(adjacentStep(step, 1, answers, context), steps[at + 1]);
      assert.equal(adjacentStep(step, -1, answers, context), steps[at - 1]);
    });
  }
});

Deno.test("suggested names and problems of the target", () => {
  const none = () => false;
  const base = { source: "/d/a.b.vmdk", destination: "azure" };
  assert.equal(suggestedOutput(base, allFormats, none), "/d/a.b.vhd");
  assert.equal(suggestedOutput({ ...base, source: "a.vhd" }, allFormats, none), "a-converted.vhd");
  assert.equal(suggestedOutput(base, allFormats, () => true), "/d/a.b-converted.vhd");
  assert.equal(suggestedOutput({ ...base, destination: "gcp" }, allFormats, none), "/d/disk.raw");
  const gcp = { source: "/d/disk.raw", destination: "gcp" };
  assert.equal(suggestedOutput(gcp, allFormats, none), "/d/gcp/disk.raw");
  assert.equal(suggestedOutput({ ...gcp, source: "disk.raw" }, allFormats, none), "gcp/disk.raw");
  assert.equal(outputInFolder("/x/", base, allFormats), "/x/a.b.vhd");
  assert.equal(outputInFolder("/", base, allFormats), "/a.b.vhd");
  assert.equal(outputInFolder(".", { ...base, source: "./a.vhd" }, allFormats), "./a-converted.vhd");
  assert.equal(suggestedOutput({ source: "a", destination: "", format: "qcow2" }, allFormats, none), "a.qcow2");
  assert.match(outputProblem("", base, allFormats)!, /path/);
  assert.match(outputProblem("/d/x.vmdk", base, allFormats)!, /gets the format vpc: call it \/d\/x\.vhd/);
  assert.equal(outputProblem("/d/x.img", base, allFormats), undefined);
  assert.match(outputProblem(base.source, base, allFormats)!, /source/);
  assert.match(outputProblem("x.raw", { ...base, destination: "gcp" }, allFormats)!, /disk\.raw/);
  assert.equal(outputProblem("x/disk.raw", { ...base, destination: "gcp" }, allFormats), undefined);
});

Deno.test("a chain is a tree", () => {
  assert.deepEqual(chainLines(chained.layers, true), ["/d/top.qcow2 (qcow2)", "└─ base.qcow2 (qcow2)"]);
  assert.deepEqual(chainLines(chained.layers, false)[1], "`- base.qcow2 (qcow2)");
});

Deno.test("from the first question to the command", async () => {
  const { args, prompter, left } = await asked(["/d/gone", "/d/a.vmdk", "azure", "", "run"], plain);
  assert.deepEqual(args, ["convert", "--for", "azure", "/d/a.vmdk", "/d/a.vhd"]);
  assert.equal(left, 0);
  const output = prompter.output.join("\n");
  assert.match(output, /Error: Cannot open "\/d\/gone"/);
  assert.match(output, /vmdk, 1.0 GiB as the guest sees it/);
  assert.match(output, /5.0 MiB of data/);
  assert.match(output, /At most about 6.0 MiB will be taken; 1.0 MiB free there\nThere may be too little space/);
  assert.match(output, /Warning: a warning/);
  assert.match(output, /diskcast convert --for azure \/d\/a.vmdk \/d\/a.vhd/);
  assert.match(output, /deno run --allow-read=\/d\/a.vmdk --allow-write=\/d \S+ convert --for azure/);
});

Deno.test("one step back from every question", async () => {
  const forward: readonly (readonly [Step, string])[] = [
    ["source", "/d/top.qcow2"],
    ["destination", "libvirt"],
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
    const script: (string | Navigation)[] = [...answers.slice(0, at), BACK, ...answers.slice(at - 1)];
    const { args, prompter, left } = await asked(script, chained, exists);
    assert.deepEqual(args, straight.args, forward[at][0]);
    assert.equal(left, 0, forward[at][0]);
    assert.equal(prompter.asked[at + 1], prompter.asked[at - 1], `back from ${forward[at][0]}`);
  }
  // The review offers it as an answer, too, and the first question has nothing before it.
  const script: (string | Navigation)[] = [
    BACK,
    ...forward.slice(0, -1).map(([, answer]) => answer),
    "back",
    "yes",
    "run",
  ];
  assert.deepEqual((await asked(script, chained, exists)).args, straight.args);
});

Deno.test("a disk that ends within a MiB may be made longer; the review takes the SHA-256 in, and out again", async () => {
  const script = ["/d/a.raw", "esxi", "=", "round", "", "digest", "digest", "digest", "run"];
  const { args, prompter, left } = await asked(script, odd);
  assert.deepEqual(args?.slice(0, 7), ["convert", "-f", "raw", "--for", "esxi", "--round=1M", "--digest"]);
  assert.equal(left, 0);
  assert.match(prompter.asked.join("\n"), /1073742336 bytes, which are not whole MiB/);
  const commands = prompter.output.filter((line) => line.startsWith("diskcast convert"));
  assert.deepEqual(commands.map((line) => line.includes("--digest")), [false, true, false, true]);
});

Deno.test("leaving at every question gives no command", async () => {
  const answers: (string | Navigation)[] = ["/d/a.vmdk", "esxi", "=", "", "run"];
  for (let at = 0; at < answers.length; at++) {
    const { args, left } = await asked([...answers.slice(0, at), LEAVE], plain);
    assert.deepEqual([args, left], [null, 0]);
  }
  assert.equal((await asked([...answers.slice(0, -1), "leave"], plain)).args, null);
});

Deno.test("the path of an existing target is asked for again, and answers that depend on another are dropped", async () => {
  const taken = { exists: (path: string) => path === "/d/taken.vhd" };
  const { args } = await asked(["/d/a.vmdk", "azure", "/d/taken.vhd", "no", "/d/free.vhd", "run"], plain, taken);
  assert.equal(args?.at(-1), "/d/free.vhd");
  // From proxmox and raw back to virtualbox: its own best format, its own name.
  const back = await asked(["/d/a.vmdk", "proxmox", "raw", BACK, BACK, "virtualbox", "=", "", "run"], plain);
  assert.deepEqual(back.args, ["convert", "--for", "virtualbox", "/d/a.vmdk", "/d/a.vdi"]);
});

const stick: BlockDevice = {
  name: "sdb",
  path: "/dev/sdb",
  size: 1 << 22,
  bus: "usb",
  model: "Ultra Fit",
  partitions: [{ name: "sdb1", path: "/dev/sdb1", start: 1 << 20, size: 1 << 20 }],
  uses: [],
};

const blank: DiskContents = {
  table: "none",
  sectorSize: 512,
  partitions: [],
  fileSystem: { name: "ext4", system: "linux" },
  boot: { uefi: { boots: false, why: "a" }, bios: { boots: false, why: "b" } },
};

/** A host with a free stick, and a disk with the running system. */
const withDevices: Partial<WizardHost> = {
  exists: (path) => path.startsWith("/dev/"),
  devices: () => Promise.resolve([stick]),
  device: (path) =>
    Promise.resolve(
      path === "/dev/sdb"
        ? { name: "sdb", path, size: stick.size!, disk: stick, uses: [], contents: blank }
        : path === "/dev/sda"
        ? { name: "sda", path, uses: [{ device: "sda1", kind: "mount", name: "/", system: true }] }
        : path === "/dev/sdz"
        ? { name: "sdz", path, uses: null }
        : null,
    ),
};

Deno.test("a device as the target: the list, what is on it, its name to be typed, and no question about replacing", async () => {
  const { args, prompter } = await asked(["/d/a.raw", "usb", "/dev/sdb", "sdb", "run"], raw, withDevices);
  assert.deepEqual(args, ["convert", "-f", "raw", "--for", "usb", "/d/a.raw", "/dev/sdb"]);
  assert.deepEqual(prompter.asked.slice(2), [
    "Where is the new file to go?",
    "Type sdb to write over this device",
    "Go on?",
  ]);
  const output = prompter.output.join("\n");
  assert.match(
    output,
    /Disks of this machine\ndevice +size +bus +model +use\n\/dev\/sdb +4.0 MiB +usb +Ultra Fit +free\n/,
  );
  assert.match(
    output,
    /\/dev\/sdb, 4.0 MiB, usb, Ultra Fit\n {2}\/dev\/sdb1, 1.0 MiB\nNow on it: ext4, no boot loader\nAll that is on it will be lost./,
  );
  assert.match(output, /All that is on sdb \(4.0 MiB\) will be lost\nThe device may be too small/);
});

Deno.test("a device must be as long as a raw image; other formats take what they predict", () => {
  const plan = { target: { path: "/dev/sdb", format: "raw", size: 1 << 30 }, predicted: 1 << 20 };
  assert.equal(deviceBytes(plan), 1 << 30);
  assert.equal(deviceBytes({ ...plan, target: { ...plan.target, format: "qcow2" } }), 1 << 20);
});

Deno.test("a device in use, or of which that is not known, is an error, and another target is asked for", async () => {
  const script = ["/d/a.raw", "usb", "/dev/sda", "/dev/sdz", "/d/file.raw", "run"];
  const { args, prompter } = await asked(script, raw, withDevices);
  assert.equal(args?.at(-1), "/d/file.raw");
  const output = prompter.output.join("\n");
  assert.match(
    output,
    /Error: "\/dev\/sda" is in use: sda1 is mounted at "\/", the running system; choose another target/,
  );
  assert.match(output, /Error: It is not known whether "\/dev\/sdz" is in use/);
});

Deno.test("only the name of the device goes on; Esc goes back to the target, and a file needs no name", async () => {
  const { validate } = deviceQuestion({ name: "sdb", path: "/dev/sdb", uses: [] });
  assert.equal(validate!("sdb"), undefined);
  for (const wrong of ["", "y", "sda", "/dev/sdb"]) assert.match(validate!(wrong)!, /^Type sdb, or go back/);
  const { args, prompter } = await asked(["/d/a.raw", "usb", "/dev/sdb", BACK, "/d/file.raw", "run"], raw, withDevices);
  assert.equal(args?.at(-1), "/d/file.raw");
  assert.ok(!prompter.output.join("\n").includes("too small"));
});

Deno.test("without all permissions a device is an error that names the flag", async () => {
  const device: WizardHost["device"] = (path) =>
    path.startsWith("/dev/")
      ? Promise.reject(new ImageError("permission", "Cannot list devices: add --allow-all"))
      : Promise.resolve(null);
  const script = ["/d/a.raw", "usb", "/dev/sdb", "/d/file.raw", "run"];
  const { args, prompter } = await asked(script, raw, { device });
  assert.equal(args?.at(-1), "/d/file.raw");
  assert.match(
    prompter.output.join("\n"),
    /only with all permissions: start the program with -A[^]*Error: .*--allow-all/,
  );
});

Deno.test("a plan that fails is an error, and goes back to the question that can mend it", async () => {
  let failed = false;
  const plan: WizardHost["plan"] = (job) => {
    if (failed) return fakeHost(plain).plan(job);
    failed = true;
    return Promise.reject(new ImageError("usage", "Cannot make the disk: it is too large"));
  };
  const { args, prompter } = await asked(["/d/a.vmdk", "aws", "=", "", "azure", "", "run"], plain, { plan });
  assert.match(prompter.output.join("\n"), /Error: Cannot make the disk/);
  assert.equal(args?.[2], "azure");
  const sources = [{ path: "a.vmdk", info: plain }];
  const steps: readonly (readonly [ErrorKind, string | undefined, Step])[] = [
    ["io", "/d/a.vmdk", "source"],
    ["missing", "a.vmdk", "source"],
    ["permission", "/x/b.vhd", "output"],
    ["refused", "/x/b.vhd", "output"],
    ["io", undefined, "output"],
    ["unsupported", "/x/b.vhd", "destination"],
  ];
  for (const [kind, path, step] of steps) assert.equal(mendingStep(new ImageError(kind, "x", { path }), sources), step);
  assert.equal(mendingStep(new Error("x"), sources), "output");
});

Deno.test("the host reads real files, and writes nothing", async () => {
  await using folder = await scratch();
  await Deno.writeFile(folder.file("a.raw"), new Uint8Array(5000).fill(1));
  await Deno.mkdir(folder.file("ab"));
  const host = wizardHost((wanted: readonly NeededPermission[]) => assert.fail(JSON.stringify(wanted)));
  const prompter = scripted([folder.file("a.raw"), "azure", "", "run"]);
  const args = await askAll({ prompter, host, formats: allFormats, unicode: true });
  assert.deepEqual(args?.jobs[0]?.slice(0, 5), ["convert", "-f", "raw", "--for", "azure"]);
  assert.match(
    prompter.output.join("\n"),
    /20.0 MiB of zeroes will be added at the end of the disk, to 20971520 bytes/,
  );
  assert.deepEqual([...Deno.readDirSync(folder.file("."))].map(({ name }) => name).sort(), ["a.raw", "ab"]);
  assert.deepEqual(host.names(folder.file("")), ["a.raw", "ab/"]);
  assert.deepEqual(host.names(folder.file("no/such")), []);
  assert.deepEqual(completions(folder.file("a"), host), [folder.file("a.raw"), folder.file("ab") + "/"]);
  assert.deepEqual(completions(folder.file("a.rwa"), host), [folder.file("a.raw")]);
  const kinds = ["a.raw", "ab", "c"].map((name) => host.kind(folder.file(name)));
  assert.deepEqual(kinds, ["file", "folder", "missing"]);
});

Deno.test("an incomplete backing chain is shown, and another source is asked for", async () => {
  await using folder = await scratch();
  const [top, middle, gone] = ["top.qcow2", "middle.qcow2", "gone.raw"].map((name) => folder.file(name));
  await Deno.writeFile(gone, new Uint8Array(1 << 20));
  await createImage({ path: middle, format: "qcow2", backing: { path: gone, format: "raw" } });
  await createImage({ path: top, format: "qcow2", backing: { path: middle, format: "qcow2" } });
  await Deno.remove(gone);
  const host = wizardHost((wanted: readonly NeededPermission[]) => assert.fail(JSON.stringify(wanted)));
  const prompter = scripted([top, LEAVE]);
  assert.equal(await askAll({ prompter, host, formats: allFormats, unicode: false }), null);
  const output = prompter.output.join("\n");
  assert.match(output, /^qcow2, 1\.0 MiB as the guest sees it$/m);
  assert.match(output, /`- middle\.qcow2 \(qcow2\)\n +`- gone\.raw \(cannot be opened\)\nError: .*gone\.raw/);
});

/** Returns lines that a user types; keeps the output. */
function typed(...input: string[]): Lines & { text: string } {
  const lines = {
    text: "",
    write: (text: string) => void (lines.text += text),
    read: () => Promise.resolve(input.shift() ?? null),
  };
  return lines;
}

Deno.test("plain questions: numbers, initial answers, back, end of input, ASCII alone", async () => {
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

Deno.test("no question in a pipe: the error names what is missing", async () => {
  for (const args of [["wizard"], ["wizard", "a.raw"], []]) {
    const io = fakeIo(false);
    assert.equal(await main(args, io), 1);
    assert.match(io.stderr, args.length === 0 ? /no command is given/ : /the target is missing/);
  }
  const io = { ...fakeIo(true), inIsTerminal: false };
  assert.equal(await main(["wizard"], io), 1);
});

Deno.test("a file in place of a command: in a pipe the error says what to type", async () => {
  await using folder = await scratch();
  const [image, other, gone] = [folder.file("my disk.raw"), folder.file("b"), folder.file("gone.raw")];
  for (const path of [image, other]) await Deno.writeFile(path, new Uint8Array(512));
  const errorOf = async (args: readonly string[]) => {
    const io = fakeIo(false);
    assert.equal(await main(args, io), 1);
    return io.stderr;
  };
  assert.match(
    await errorOf([image]),
    /Cannot ask: .*the target is missing; write diskcast convert '\S+my disk\.raw' TARGET/,
  );
  assert.match(await errorOf([other, gone]), /write diskcast convert \S+b \S+gone\.raw\n/);
  // No file, or a command that is mistyped.
  assert.match(await errorOf([gone]), /Unknown command "\S+gone\.raw"/);
  assert.match(await errorOf(["convrt", image]), /Unknown command "convrt"; did you mean "convert"\?/);
  assert.match(await errorOf(["--as-qemu-img", image]), /Unknown command/);
});
