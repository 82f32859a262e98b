import assert from "node:assert/strict";
import { ImageError } from "../../mod.ts";
import { convertExit, SIGNAL_EXIT } from "../../cli/exit_codes.ts";
import { diagnosticOf, diagnosticText, writer } from "../../cli/report/report.ts";
import { nearest } from "../../cli/args/usage.ts";
import { denoArgs, diskcast, diskcastProcess, startDiskcast } from "../support/diskcast.ts";
import { run, scratch } from "../support/qemu.ts";

Deno.test("the version is that of deno.json", async () => {
  const { version } = JSON.parse(await Deno.readTextFile(new URL("../../deno.json", import.meta.url)));
  for (const flag of ["--version", "-V"]) {
    assert.deepEqual(await diskcast(flag), { code: 0, stdout: `diskcast ${version}\n`, stderr: "" });
  }
});

Deno.test("help goes to standard output, with exit code 0", async () => {
  const program = await diskcast("--help");
  assert.equal(program.code, 0);
  assert.equal(program.stderr, "");
  assert.match(program.stdout, /Usage: diskcast <command> \[options\]/);
  assert.match(program.stdout, /^ {2}convert .*\n {2}formats /m);
  for (const args of [["-h"], ["help"]]) assert.deepEqual(await diskcast(...args), program);
  const convert = await diskcast("convert", "--help");
  assert.equal(convert.code, 0);
  for (const args of [["help", "convert"], ["convert", "-h"]]) assert.deepEqual(await diskcast(...args), convert);
});

Deno.test("wrong arguments: exit code 1, the reason and a hint", async () => {
  const rows = [
    [[], /no command is given\nHint: see "diskcast --help"\n$/],
    [["convrt"], /Unknown command "convrt"; did you mean "convert"\?\n/],
    [["--verson"], /Unknown option "--verson"/],
    [["help", "x"], /Unknown command "x"\n/],
    [["convert", "a"], /is missing.*\nHint: see "diskcast convert --help"\n$/],
    [["formats", "x"], /formats takes no files/],
    [["formats", "--output=xml"], /--output must be human or json/],
  ] as const;
  for (const [args, message] of rows) {
    const { code, stdout, stderr } = await diskcast(...args);
    assert.equal(code, 1, args.join(" "));
    assert.equal(stdout, "");
    assert.match(stderr, /^diskcast: /);
    assert.match(stderr, message);
    assert.doesNotMatch(stderr, /\n +at /);
  }
});

Deno.test("formats lists the registry, for people and programs", async () => {
  const { code, stdout } = await diskcast("formats");
  assert.equal(code, 0);
  assert.match(stdout, /^raw +\S.*: read, create/m);
  const rows = JSON.parse((await diskcast("formats", "--output=json")).stdout);
  const raw = rows.find((row: { name: string }) => row.name === "raw");
  assert.deepEqual([raw.create, raw.backing], [true, false]);
});

Deno.test("-o help prints options, with exit code 0", async () => {
  const { code, stdout, stderr } = await diskcast("convert", "-O", "raw", "-o", "help");
  assert.deepEqual([code, stderr], [0, ""]);
  assert.match(stdout, /"raw"/);
});

Deno.test("JSON progress ends with a summary line for wrong arguments too", async () => {
  for (const flag of ["--progress=json", "--prog=json"]) await endsWithSummary(flag);
});

async function endsWithSummary(flag: string): Promise<void> {
  const { code, stdout, stderr } = await diskcast("convert", flag, "a");
  assert.deepEqual([code, stdout], [1, ""]);
  const lines = stderr.trimEnd().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(lines.map((line) => line.type), ["error", "summary"]);
  assert.equal(lines[0].kind, "usage");
  assert.equal(lines[1].exitCode, 1);
}

Deno.test("exit codes follow the kind of failure and the signal", () => {
  const { signal } = new AbortController();
  assert.equal(convertExit(new Error("bug"), signal), 1);
  assert.equal(convertExit(new ImageError("cancelled", "x"), signal), 130);
  const kinds = ["usage", "missing", "permission", "refused", "corrupt", "unsupported", "io"] as const;
  for (const kind of kinds) assert.equal(convertExit(new ImageError(kind, "x"), signal), 1);
  for (const [name, code] of Object.entries(SIGNAL_EXIT)) {
    const controller = new AbortController();
    controller.abort(name);
    assert.equal(convertExit(new ImageError("cancelled", "x"), controller.signal), code);
    assert.equal(convertExit(new ImageError("io", "x"), controller.signal), 1);
  }
});

Deno.test("errors name the file and say what to do", () => {
  const text = (error: unknown) => diagnosticText(diagnosticOf(error, { command: "convert", stage: "work" }));
  assert.equal(text(new ImageError("io", "Cannot read", { path: "/a" })), 'diskcast: Cannot read (in "/a")\n');
  assert.equal(text(new ImageError("io", 'Cannot read "/a"', { path: "/a" })), 'diskcast: Cannot read "/a"\n');
  assert.equal(text(new ImageError("io", "a\x1b[2J\nb\u202e")), "diskcast: a\\u{1b}[2J\\u{a}b\\u{202e}\n");
  assert.match(text(new ImageError("permission", "x")), /Hint: .*--print-permissions/);
  assert.match(text(new Deno.errors.NotCapable("x")), /Hint: .*--print-permissions/);
  const stages = [["arguments", /--help/], ["work", /^[^\n]*\n$/]] as const;
  for (const [stage, hint] of stages) {
    assert.match(diagnosticText(diagnosticOf(new ImageError("usage", "x"), { command: "convert", stage })), hint);
  }
  assert.match(text(new TypeError("x is undefined")), /Internal error: x is undefined\nHint: .*report/);
});

Deno.test("the nearest candidate differs by few letters", () => {
  assert.equal(nearest("covnert", ["convert", "formats"]), "convert");
  assert.equal(nearest("CONVERT", ["convert"]), "convert");
  assert.equal(nearest("x", ["y", "raw"]), undefined);
  assert.equal(nearest("", ["raw"]), undefined);
});

/** Arguments that need no permission at all. */
const harmless: readonly (readonly [code: number, ...args: string[]])[] = [
  [0, "--version"],
  [0, "--help"],
  [0, "convert", "--help"],
  [0, "formats"],
  [0, "convert", "-O", "raw", "-o", "help"],
  [1],
  [1, "convert", "--nonsense"],
  [1, "convert", "-S", "1", "a", "b"],
  [1, "convert", "x:y", "b"],
];

for (const [code, ...args] of harmless) {
  Deno.test(`no permission is needed for: diskcast ${args.join(" ")}`, async () => {
    await using folder = await scratch();
    const log = folder.file("audit");
    const outcome = await diskcastProcess(args, { env: { DENO_AUDIT_PERMISSIONS: log } });
    assert.equal(outcome.code, code, outcome.stderr);
    assert.equal(await readOrEmpty(log), "");
    assert.equal(code === 0 ? outcome.stderr : outcome.stdout, "");
  });
}

Deno.test("the audit log has the permissions that are needed", async () => {
  await using folder = await scratch();
  const log = folder.file("audit");
  await diskcastProcess(["convert", "a", "b"], { env: { DENO_AUDIT_PERMISSIONS: log } });
  assert.match(await readOrEmpty(log), /"read"/);
});

async function readOrEmpty(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}

Deno.test("a failure shows its stack only where DISKCAST_DEBUG may be read", async () => {
  const args = ["convert", "/no/such/file", "b"];
  const grants = { read: ["/no/such/file"], env: { DISKCAST_DEBUG: "1" } };
  const plain = await diskcastProcess(args, grants);
  assert.equal(plain.code, 1);
  assert.match(plain.stderr, /^diskcast: /);
  assert.doesNotMatch(plain.stderr, /\n +at /);
  const [first, ...rest] = denoArgs(grants);
  const debug = await run(Deno.execPath(), [first!, "--allow-env=DISKCAST_DEBUG", ...rest, ...args], {
    env: grants.env,
  });
  assert.match(debug.stderr, /ImageError: .*\n +at /);
});

Deno.test("a closed pipe at standard output is no failure", async () => {
  const child = startDiskcast(["convert", "--help"]);
  await child.stdin.close();
  await child.stdout.cancel();
  const [{ code }, stderr] = await Promise.all([child.status, new Response(child.stderr).text()]);
  assert.deepEqual([code, stderr], [0, ""]);
});

Deno.test({
  name: "a full standard output is a failure with a message, a full standard error none",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using folder = await scratch();
    await Deno.writeFile(folder.file("a.raw"), new Uint8Array(4096).fill(1));
    const program = [Deno.execPath(), ...denoArgs({ read: [folder.path], write: [folder.path] })];
    const shell = (command: string) => run("sh", ["-c", `"$@" ${command}`, "sh", ...program], { cwd: folder.path });
    const out = await shell("--help >/dev/full");
    assert.deepEqual(out, {
      code: 1,
      stdout: "",
      stderr: "diskcast: Cannot write to standard output: no space left on device\n",
    });
    assert.equal((await shell("convert --progress=json -fraw a.raw b.raw 2>/dev/full")).code, 0);
    assert.equal((await shell("convert -fraw none b.raw 2>/dev/full")).code, 1);
    // Progress on standard output is no result; a digest is one.
    assert.equal((await shell("convert -p -fraw a.raw b.raw >/dev/full")).code, 0);
    assert.equal((await shell("convert -p --digest -fraw a.raw b.raw >/dev/full")).code, 1);
  },
});

Deno.test("a non-blocking sink gets every byte", () => {
  const got: number[] = [];
  let calls = 0;
  const writeSync = (bytes: Uint8Array) => {
    if (++calls % 2 === 1) throw new Deno.errors.WouldBlock("try again");
    got.push(bytes[0]);
    return 1;
  };
  writer({ writeSync }, (error) => assert.fail(String(error)))("abc");
  assert.equal(String.fromCharCode(...got), "abc");
});

Deno.test("a failed write is reported at each text; a closed pipe never is", () => {
  const reported: string[] = [];
  const full = {
    writeSync: () => {
      throw new Error("no space left");
    },
  };
  const out = writer(full, (error) => reported.push(String(error)));
  out("a");
  out("b");
  assert.deepEqual(reported, ["Error: no space left", "Error: no space left"]);
  const left = {
    writeSync: () => {
      throw new Deno.errors.BrokenPipe("left");
    },
  };
  writer(left, (error) => assert.fail(String(error)))("a");
});
