/** The wizard in a real terminal: from the first question to the finished file, and out of it, with no permission but the paths. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { type Scratch, scratch } from "../support/qemu.ts";
import { hasTmux, type Terminal, terminal } from "../support/tmux.ts";

const main = fileURLToPath(new URL("../../mod.ts", import.meta.url));
// Without tmux these tests are left out with a printed reason, but not in CI.
const ignore = !hasTmux && Deno.env.get("CI") !== "true";

/** Starts the program in `folder`; the exit code is shown when it ends. */
function start(
  folder: Scratch,
  args: string,
  grants = "--no-prompt --allow-read=. --allow-write=.",
): Promise<Terminal> {
  const deno = `'${Deno.execPath()}' run --cached-only ${grants} '${main}' ${args}`;
  const env = { DENO_AUDIT_PERMISSIONS: `${folder.file("audit")}`, PS1: "ready> " };
  return terminal(`cd '${folder.file(".")}'; ${deno}; echo "code=$?."`, { env });
}

async function disk(folder: Scratch): Promise<void> {
  const bytes = new Uint8Array(3 << 20);
  crypto.getRandomValues(bytes.subarray(0, 65536));
  await Deno.writeFile(folder.file("disk.raw"), bytes);
}

/** The names in the folder, without what the test itself keeps there. */
function names(folder: Scratch): string[] {
  return [...Deno.readDirSync(folder.file("."))].map(({ name }) => name).filter((name) => name !== "audit").sort();
}

/** Fails unless the terminal is as a shell wants it: cursor shown, no alternate screen, what is typed is echoed. */
async function assertRestored(screen: Terminal): Promise<void> {
  assert.equal(await screen.ask("cursor_flag"), "1", "cursor");
  assert.equal(await screen.ask("alternate_on"), "0", "alternate screen");
  await screen.type("echo ech''oed; stty -a | tr ';' '\\n' | grep -o '[-]*icanon'");
  await screen.shows(/echo ech''oed/);
  await screen.press("Enter");
  await screen.shows(/^echoed$/m);
  await screen.shows(/^icanon$/m);
}

/** Every permission that was looked at, as `read path`. */
function audited(folder: Scratch): string[] {
  const lines = Deno.readTextFileSync(folder.file("audit")).trim().split("\n").map((line) => JSON.parse(line));
  return [...new Set(lines.map(({ permission, value }) => `${permission} ${value}`))].sort();
}

Deno.test({
  name: "in a terminal: from the first question to the finished file, by keys alone, with the paths chosen and no more",
  ignore,
  async fn() {
    await using folder = await scratch();
    await disk(folder);
    await using screen = await start(folder, "");
    await screen.shows(/Which disk image/);
    await screen.type("di");
    await screen.shows(/disk\.raw/);
    await screen.press("Tab", "Enter");
    await screen.shows(/raw, 3\.0 MiB as the guest sees it/);
    await screen.shows(/Where will this disk run/);
    await screen.press("Down", "Enter");
    await screen.shows(/Where is the new file/);
    // One question back, and on again.
    await screen.press("Escape");
    await screen.shows(/Where will this disk run[^]*Where will this disk run/);
    await screen.press("Enter");
    await screen.shows(/Where is the new file[^]*Where is the new file/);
    await screen.press("Enter");
    await screen.shows(/Go on\?/);
    assert.deepEqual(names(folder), ["disk.raw"], "nothing is written before the last answer");
    const review = await screen.shows(/diskcast convert -f raw --for azure disk\.raw disk\.vhd/);
    assert.match(review, /deno run/);
    await screen.press("Enter");
    const end = await screen.shows(/code=0\./, 60);
    assert.match(end, /Microsoft Azure will take it: fixed VHD, 20 MiB, footer valid/);
    assert.deepEqual(names(folder), ["disk.raw", "disk.vhd"]);
    assert.equal((await Deno.stat(folder.file("disk.vhd"))).size, (20 << 20) + 512);
    const here = Deno.realPathSync(folder.file("."));
    const foreign = audited(folder).filter((check) => {
      const [, permission, path] = /^(\w+) (.*)$/.exec(check)!;
      const inside = path === "." || !path.startsWith("/") || path === here || path.startsWith(`${here}/`);
      return !(["read", "write"].includes(permission) && inside);
    });
    assert.deepEqual(foreign, [], "permissions beyond the folder");
    await assertRestored(screen);
  },
});

Deno.test({
  name:
    "in a terminal: Ctrl-C at a question leaves with 130, and SIGTERM with 143; nothing is written, all is restored",
  ignore,
  async fn() {
    for (const how of ["C-c", "TERM"]) {
      await using folder = await scratch();
      await disk(folder);
      await using screen = await start(folder, "wizard disk.raw");
      await screen.shows(/Where will this disk run/);
      if (how === "C-c") await screen.press("C-c");
      else {
        const children = await new Deno.Command("pgrep", { args: ["-P", await screen.ask("pane_pid")] }).output();
        Deno.kill(Number(new TextDecoder().decode(children.stdout).trim()), "SIGTERM");
      }
      await screen.shows(how === "C-c" ? /code=130\./ : /code=143\./);
      assert.deepEqual(names(folder), ["disk.raw"]);
      await assertRestored(screen);
    }
  },
});

Deno.test({
  name: "in a terminal: before Deno asks, the program says what for; a no is no harm",
  ignore,
  async fn() {
    await using folder = await scratch();
    await disk(folder);
    await using screen = await start(folder, "wizard disk.raw", "");
    const asked = await screen.shows(/Allow\? \[y/);
    // Deno throws away what was typed before its question.
    await new Promise((resolve) => setTimeout(resolve, 500));
    assert.ok(asked.indexOf("to read the source") >= 0, asked);
    assert.ok(asked.indexOf("to read the source") < asked.indexOf("requests read access"));
    assert.ok(!/env access|sys access/.test(asked));
    await screen.press("n", "Enter");
    await screen.shows(/Deno was not allowed to/);
    await screen.shows(/Which disk image/);
    await screen.press("C-c");
    await screen.shows(/code=130\./);
    await assertRestored(screen);
  },
});

Deno.test({
  name: "in a terminal: numbered questions as plain lines",
  ignore,
  async fn() {
    await using folder = await scratch();
    await disk(folder);
    await using screen = await start(folder, "wizard --accessible disk.raw");
    const asked = await screen.shows(/Where will this disk run\?[^]*Number/);
    const number = /(\d+)\. Proxmox VE/.exec(asked)![1];
    for (
      const [answer, question] of [[number, /Which format\?[^]*Number/], [
        "back",
        /Which format[^]*Where will[^]*Number/,
      ]] as const
    ) {
      await screen.type(answer);
      await screen.press("Enter");
      await screen.shows(question);
    }
    for (const answer of [number, "2", ""]) {
      await screen.type(answer);
      await screen.press("Enter");
    }
    await screen.shows(/Go on\?[^]*Number/);
    await screen.press("Enter");
    const end = await screen.shows(/code=0\./, 60);
    assert.match(end, /Proxmox VE will take it: raw, 3 MiB/);
    // deno-lint-ignore no-control-regex
    assert.match(end, /^[\x0a\x20-\x7e]*$/, "plain ASCII");
    assert.deepEqual(names(folder), ["disk-converted.raw", "disk.raw"]);
  },
});

Deno.test({
  name: "in a terminal: leaving plain questions by Ctrl-C",
  ignore,
  async fn() {
    await using folder = await scratch();
    await disk(folder);
    await using screen = await start(folder, "wizard --accessible");
    await screen.shows(/Which disk image[^]*Answer/);
    await screen.press("C-c");
    await screen.shows(/code=130\./);
    await assertRestored(screen);
  },
});
