/** Completion in real shells: Tab in a terminal; no typed text is ever evaluated. */
import assert from "node:assert/strict";
import { denoArgs, diskcast } from "../../support/diskcast.ts";
import { inCi, scratch } from "../../support/qemu.ts";
import { openPane, tmuxIsMissing } from "../../support/pane.ts";

const noTmux = tmuxIsMissing();

/** Answers of the program by the checksum of its arguments: all shells run it with nearly the same ones. */
const answers = await Deno.makeTempDir({ prefix: "diskcast-test-" });
addEventListener("unload", () => Deno.removeSync(answers, { recursive: true }));

/** How each shell is started without its settings, and loads the script in `completion`. */
const SHELLS = {
  bash: { start: "bash --norc --noprofile", load: "PS1='GO''>'; bind 'set bell-style none'; source completion" },
  zsh: {
    start: "zsh -f",
    // By itself zsh expands the word at the cursor before it completes.
    load:
      "PS1='GO''>'; autoload -U compinit; compinit -u -d dump; bindkey '^I' complete-word; unsetopt beep; source ./completion",
  },
  fish: {
    start: "fish --no-config --private",
    load: "function fish_prompt; echo -n GO; echo '>'; end; source completion",
  },
} as const;

function isMissing(shell: string): boolean {
  try {
    if (new Deno.Command(shell, { args: ["--version"], stdout: "null", stderr: "null" }).outputSync().success) {
      return false;
    }
  } catch {
    // Not installed.
  }
  if (inCi && Deno.build.os === "linux") throw new Error(`${shell} is not installed, and CI must test in it`);
  console.log(`Completion in ${shell} is not tested: it is not installed`);
  return true;
}

/** The text typed before Tab, and the line after an X is typed behind it. */
const LINES: readonly (readonly [string, string])[] = [
  ["diskcast conv", "diskcast convert X"],
  ["diskcast convert -O qc", "diskcast convert -O qcow2 X"],
  ["diskcast convert --for=azu", "diskcast convert --for=azure X"],
  ["diskcast convert -cOqc", "diskcast convert -cOqcow2 X"],
  ["diskcast convert -O qcow2 -o lazy", "diskcast convert -O qcow2 -o lazy_refcounts=X"],
  ["diskcast convert -Oqcow2 -o lazy_refcounts=on,compat=1", "-o lazy_refcounts=on,compat=1.1 X"],
  ["diskcast info dis", "diskcast info disk.raw X"],
  ["diskcast convert -B dis", "diskcast convert -B disk.raw X"],
  ["diskcast convert --allow-ref=fol", "diskcast convert --allow-ref=folder/X"],
  ["diskcast help form", "diskcast help formats X"],
];

/** Each of these makes a file if it is evaluated, in any part of an argument. */
const EVIL: readonly string[] = [
  "diskcast convert -o $(touch hole) -O qc",
  "diskcast convert -O qcow2 -o $(touch hole),lazy",
  "diskcast convert --for=$(touch hole)=",
  "diskcast convert '$(touch hole)' -O qc",
  'diskcast convert "$(touch hole)" -O qc',
  "diskcast convert -O `touch hole`",
  "diskcast convert ;touch${IFS}hole; -O qc",
  "diskcast convert 'a'$(touch hole)'b' --for az",
];

for (const [name, { start, load }] of Object.entries(SHELLS)) {
  Deno.test({
    name: `Tab in ${name}`,
    ignore: noTmux || isMissing(name),
    async fn() {
      await using folder = await scratch();
      await Deno.mkdir(folder.file("folder"));
      await Deno.writeTextFile(folder.file("disk.raw"), "");
      await Deno.writeTextFile(folder.file("completion"), (await diskcast("completions", name)).stdout);
      const words = [Deno.execPath(), ...denoArgs({})].map((word) => `'${word}'`).join(" ");
      // It logs its calls, so that the test sees when the shell has run it. Answers that another shell got are read
      // again.
      const program = `#!/bin/sh
echo "$*" >> '${folder.file("asked")}'
answer='${answers}'/$(printf '%s\\n' "$@" | cksum | tr ' ' -)
[ -e "$answer" ] || { ${words} "$@" > "$answer.new" && mv "$answer.new" "$answer"; }
cat "$answer"
`;
      await Deno.mkdir(folder.file("bin"));
      await Deno.writeTextFile(folder.file("bin/diskcast"), program, { mode: 0o755 });
      await using pane = await openPane(120, 40);
      // Files that a shell keeps for itself go into the folder that is removed.
      const own = 'XDG_RUNTIME_DIR="$PWD" XDG_CONFIG_HOME="$PWD" XDG_DATA_HOME="$PWD"';
      await pane.line(`cd '${folder.path}' && ${own} PATH="$PWD/bin:$PATH" ${start}`);
      await pane.line(load);
      await pane.until(/^GO>$/m);
      for (const [typed, wanted] of LINES) {
        await pane.press("-l", typed);
        await pane.press("Tab", "X");
        await pane.until(new RegExp(RegExp.escape(wanted)));
        await pane.press("C-u");
        await pane.line("clear");
        await pane.until(/^GO>$/m);
      }
      for (const typed of EVIL) {
        const asked = (await Deno.readTextFile(folder.file("asked"))).length;
        await pane.press("-l", typed);
        await pane.press("Tab");
        // No file may appear, so the test waits for the call of the program, and its end.
        await until(async () => (await Deno.readTextFile(folder.file("asked"))).length > asked, 3000);
        await pane.press("C-u");
        await pane.line("clear");
        await pane.until(/^GO>$/m);
        await assert.rejects(Deno.stat(folder.file("hole")), Deno.errors.NotFound, typed);
      }
    },
  });
}

/** Waits until `holds` or the time is over: some lines are not completed by some shells. */
async function until(holds: () => Promise<boolean>, milliseconds: number): Promise<void> {
  for (const end = performance.now() + milliseconds; performance.now() < end && !await holds();) {
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

Deno.test("no script evaluates text", async () => {
  for (const shell of ["bash", "zsh", "fish", "powershell"]) {
    const { stdout } = await diskcast("completions", shell);
    assert.doesNotMatch(stdout, /\beval\b|Invoke-Expression|\bcompgen -W\b|\biex\b/, shell);
  }
});
