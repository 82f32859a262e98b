import assert from "node:assert/strict";
import { denoArgs } from "../support/diskcast.ts";
import { type Scratch, scratch } from "../support/qemu.ts";
import { openPane, type Pane, tmuxIsMissing, unspaced } from "../support/pane.ts";

const ignore = tmuxIsMissing();
const MIB = 1024 ** 2;

/** A shell in a terminal, with a disk of 48 MiB to convert. */
interface Session extends AsyncDisposable {
  readonly folder: Scratch;
  readonly pane: Pane;
  /** Types a conversion; its process writes its ID to a file. */
  start(options: string, more?: string): Promise<void>;
  /** Returns the ID of the process. */
  pid(): number;
  /** Waits for the end, and checks that the terminal is restored. */
  ended(): Promise<{ readonly code: number; readonly text: string }>;
}

function quoted(args: readonly string[]): string {
  return args.map((arg) => `'${arg}'`).join(" ");
}

async function session(columns = 100, rows = 30): Promise<Session> {
  const folder = await scratch();
  const disk = new Uint8Array(48 * MIB);
  for (let at = 0; at < 2048; at++) disk[at] = at >> 3 ^ at;
  for (let length = 2048; length < disk.length; length *= 2) disk.copyWithin(length, 0, length);
  disk.fill(0, 8 * MIB, 16 * MIB);
  await Deno.writeFile(folder.file("disk.raw"), disk);
  const pane = await openPane(columns, rows);
  await pane.line(`cd '${folder.path}'; stty -a > before; clear`);
  await pane.until(/^READY>\s*$/);
  const program = [Deno.execPath(), ...denoArgs({ read: [folder.path], write: [folder.path] })];
  await Deno.writeTextFile(
    folder.file("go.sh"),
    // Ctrl-C is a signal for this shell, too.
    `trap : INT; sh -c 'echo $$ > pid; exec "$@"' sh ${quoted(program)} "$@"\n` +
      `code=$?; stty -a < /dev/tty > after; echo "END=$code"\n`,
  );
  return {
    folder,
    pane,
    start: (options, more = "") =>
      pane.line(`sh ./go.sh convert -f raw -O qcow2 ${options} disk.raw out.qcow2 ${more}`),
    pid: () => Number(Deno.readTextFileSync(folder.file("pid"))),
    async ended() {
      const text = await pane.until(/^END=\d+/m);
      const settings = (name: string) => Deno.readTextFileSync(folder.file(name)).replace(/rows \d+; columns \d+;/, "");
      assert.equal(settings("after"), settings("before"), "the terminal's settings");
      assert.deepEqual(await pane.modes(), { alternate: false, cursor: true });
      await pane.line("echo it is shown");
      await pane.until(/^it is shown/m);
      return { code: Number(/^END=(\d+)/m.exec(text)![1]), text };
    },
    async [Symbol.asyncDispose]() {
      await pane[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** Clears the output of an earlier conversion from the screen. */
async function cleared({ pane }: Session): Promise<void> {
  await pane.line("clear");
  await pane.gone(/END=/);
}

/** Options for a conversion that is slow enough to watch. */
const SLOW = "--progress=screen -r 1M";

function noTarget({ folder }: Session): void {
  const names = [...Deno.readDirSync(folder.path)].map((entry) => entry.name);
  assert.deepEqual(names.filter((name) => name.includes("out.qcow2")), [], "nothing is left of the target");
}

Deno.test({ name: "tmux: a conversion is watched, resized, paused, looked into and stopped", ignore }, async () => {
  await using terminal = await session();
  const { pane } = terminal;
  await terminal.start(SLOW);
  await pane.until(/Copying .*%[^]*█[^]*\? help/);
  assert.deepEqual(await pane.modes(), { alternate: true, cursor: false });
  assert.match(await pane.text(), /^disk\.raw \(raw\) → out\.qcow2 \(qcow2, 48\.0 MiB\)/);

  for (const [columns, rows] of [[60, 20], [40, 8], [140, 40], [30, 6], [100, 30]]) {
    await pane.resize(columns, rows);
    // The bar fills the line, so that its length tells which size was drawn.
    const filled = new RegExp(`^Copying [^\\n]{${columns - 8}}$[^]*\\? help`, "m");
    const text = await pane.until(columns < 40 ? /^Copying .*%\s+The screen needs 40x8/ : filled);
    for (const line of text.split("\n")) assert(line.length <= columns, `${columns}: ${line}`);
  }

  await pane.press("p");
  await pane.until(/^Paused /m);
  const paused = /^Paused .*$/m.exec(await pane.text())![0];
  await new Promise((resolve) => setTimeout(resolve, 700));
  assert.equal(/^Paused .*$/m.exec(await pane.text())![0], paused, "nothing moves");
  await pane.press("p");
  await pane.until(/^Copying /m);
  await pane.gone(new RegExp(paused.slice(7).trim().split("  ").at(-1)!));

  for (
    const [key, shown] of [["?", /this help[^]*Ctrl-L/], ["l", /Last runs of \d+:/], ["e", /No warnings/]] as const
  ) {
    await pane.press(key);
    await pane.until(shown);
    await pane.until(/^Esc back/m);
    await pane.press("Escape");
    await pane.gone(/^Esc back/m);
  }
  await pane.press("m");
  await pane.until(/Disk 48\.0 MiB/);
  await pane.press("m");
  await pane.until(/Disk .* to .* of 48\.0 MiB/);
  await pane.press("g");
  await pane.until(/Disk 0 B to 12\.0 MiB of/);
  await pane.press("Escape");
  await pane.until(/Last runs/);

  await pane.press("q");
  await pane.until(/Stop the conversion\?/);
  await pane.press("n");
  await pane.gone(/Stop the conversion\?/);
  await pane.press("q", "y");
  const { code, text } = await terminal.ended();
  assert.equal(code, 130);
  assert.match(text, /diskcast: Cancelled/);
  noTarget(terminal);
});

Deno.test({ name: "tmux: Ctrl-Z gives the terminal back, fg draws the screen again", ignore }, async () => {
  await using terminal = await session();
  const { pane } = terminal;
  const program = [Deno.execPath(), ...denoArgs({ read: [terminal.folder.path], write: [terminal.folder.path] })];
  await pane.line(`${quoted(program)} convert -f raw -O qcow2 ${SLOW} disk.raw out.qcow2`);
  await pane.until(/Copying .*%/);
  await pane.press("C-z");
  await pane.until(/Stopped|suspended/i);
  assert.deepEqual(await pane.modes(), { alternate: false, cursor: true });
  await pane.line("fg");
  await pane.until(/^Copying [^]*\? help/m);
  assert.deepEqual(await pane.modes(), { alternate: true, cursor: false });
  await pane.press("C-c");
  await pane.until(/Cancelled/);
  noTarget(terminal);
});

Deno.test({ name: "tmux: below deno task, which does not stop, Ctrl-Z has no effect", ignore }, async () => {
  await using terminal = await session();
  const { pane } = terminal;
  const [run, ...flags] = denoArgs({ read: [terminal.folder.path], write: [terminal.folder.path] });
  const program = [Deno.execPath(), run!, ...flags, "--program=deno task diskcast"];
  await pane.line(`${quoted(program)} convert -f raw -O qcow2 ${SLOW} disk.raw out.qcow2`);
  await pane.until(/Copying .*%/);
  await pane.press("C-z");
  await pane.press("?");
  await pane.until(/this help/);
  assert.deepEqual(await pane.modes(), { alternate: true, cursor: false });
  await pane.press("C-c");
  await pane.until(/Cancelled/);
  noTarget(terminal);
});

Deno.test({ name: "tmux: SIGTERM in the middle of a copy, and during a pause", ignore }, async () => {
  await using terminal = await session();
  for (const paused of [false, true]) {
    await cleared(terminal);
    await terminal.start(SLOW);
    await terminal.pane.until(/Copying .*%/);
    if (paused) {
      await terminal.pane.press("p");
      await terminal.pane.until(/^Paused/m);
    }
    Deno.kill(terminal.pid(), "SIGTERM");
    const { code } = await terminal.ended();
    assert.equal(code, 143);
    noTarget(terminal);
  }
});

Deno.test({ name: "tmux: Ctrl-C stops; after SIGHUP and SIGQUIT the terminal is restored", ignore }, async () => {
  await using terminal = await session();
  await terminal.start(SLOW);
  await terminal.pane.until(/Copying .*%/);
  await terminal.pane.press("C-c");
  assert.equal((await terminal.ended()).code, 130);
  noTarget(terminal);
  for (const [signal, code] of [["SIGHUP", 129], ["SIGQUIT", 131]] as const) {
    await cleared(terminal);
    await terminal.start(SLOW);
    await terminal.pane.until(/Copying .*%/);
    Deno.kill(terminal.pid(), signal);
    assert.equal((await terminal.ended()).code, code);
  }
});

Deno.test(
  { name: "tmux: the keys stay on the last line while workers start, although Deno clears it", ignore },
  async () => {
    await using terminal = await session();
    await terminal.start("-c -m 2 -r 4M --progress=screen");
    // There are compressed clusters: the workers have started.
    await terminal.pane.until(/compressed [^0]/);
    const lines = (await terminal.pane.until(/\? help/)).trimEnd().split("\n");
    assert.match(lines.at(-1)!, /^\? help {2}p pause/);
    assert.equal(lines.length, 30);
    await terminal.pane.press("C-c");
    assert.equal((await terminal.ended()).code, 130);
  },
);

Deno.test({ name: "tmux: a finished conversion leaves its summary and the command", ignore }, async () => {
  await using terminal = await session();
  await terminal.start("--progress=screen --digest");
  assert.match(await terminal.pane.until(/Press a key/), /Done[^]*sha256[^]*compare disk\.raw out\.qcow2/);
  await terminal.pane.press("Enter");
  const { code, text } = await terminal.ended();
  assert.equal(code, 0);
  assert.match(text, /disk\.raw → .*out\.qcow2\n {2}disk {4}48\.0 MiB, of which 40\.0 MiB are data\n/);
  assert.match(text, / {2}file .*qcow2\n {2}time {4}0:0\d.*\/s read\n/);
  const command = "convert -f raw -O qcow2 --progress=screen --digest disk.raw out.qcow2";
  const printed = /again(?:denorun\S+mod\.ts|diskcast)(convert\S*out\.qcow2)/.exec(unspaced(text))?.[1];
  assert.equal(printed, unspaced(command));
  const bytes = await crypto.subtle.digest("SHA-256", await Deno.readFile(terminal.folder.file("disk.raw")));
  assert.equal(text.split(new Uint8Array(bytes).toHex()).length, 2, "once, although both outputs are the terminal");
});

Deno.test({ name: "tmux: an error is written after the screen is closed", ignore }, async () => {
  await using terminal = await session();
  await terminal.start("--progress=screen -o cluster_size=3");
  assert.match(await terminal.pane.until(/Press a key/), /Failed[^]*cluster_size/);
  await terminal.pane.press("q");
  const { code, text } = await terminal.ended();
  assert.equal(code, 1);
  assert.match(text, /^diskcast: .*cluster_size/m);
});

Deno.test({ name: "tmux: where there is no room, there is the bar; without a terminal, lines", ignore }, async () => {
  await using terminal = await session(39, 20);
  await terminal.start("--progress=screen");
  const { code, text } = await terminal.ended();
  assert.equal(code, 0);
  assert(
    unspaced(text).includes(unspaced("diskcast: the screen needs 40 columns and 8 rows; the bar is shown instead")),
  );
  await terminal.pane.resize(100, 30);
  for (const away of ["< /dev/null", "2> written"]) {
    await cleared(terminal);
    await terminal.start("--progress=screen", `${away}; cat written 2>/dev/null`);
    const { text } = await terminal.ended();
    assert(unspaced(text).includes(unspaced("the screen needs a terminal as standard input and standard error")), away);
  }
});

const crash = (what: string) => `
  import { openScreen, hostTerminal } from "${new URL("../../tui/screen.ts", import.meta.url)}";
const job = { sources: ["a"], target: "b", format: "raw", compress: false, keepsBacking: false, workers: 1, phases: ["copy"] };
openScreen({ terminal: hostTerminal(), job, look: { ascii: true, depth: 0 }, onEffect() {} });
setTimeout(() => { ${what} }, 500);
`;

Deno.test({ name: "tmux: an exception, an unhandled rejection and an exit restore the terminal", ignore }, async () => {
  await using terminal = await session();
  const config = new URL("../../deno.json", import.meta.url).pathname;
  const ways = [["throw new Error('unhandled')", 1], ["Promise.reject(new Error('unhandled'))", 1], [
    "Deno.exit(7)",
    7,
  ]] as const;
  for (const [what, expected] of ways) {
    await Deno.writeTextFile(terminal.folder.file("crash.ts"), crash(what));
    await cleared(terminal);
    await terminal.pane.line(
      `'${Deno.execPath()}' run --no-prompt --cached-only --config '${config}' crash.ts; code=$?; stty -a > after; ` +
        `echo "END=$code"`,
    );
    assert.equal((await terminal.ended()).code, expected, what);
  }
});
