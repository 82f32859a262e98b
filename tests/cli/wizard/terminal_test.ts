/**
 * The wizard in a real terminal: from the first question to the finished file, and out of it, with no permission but
 * the paths.
 */
import assert from "node:assert/strict";
import { loopDevice, mountedExt4, whyNoLoopDevice } from "../../support/devices.ts";
import { program } from "../../support/diskcast.ts";
import { rng, type Scratch, scratch } from "../../support/qemu.ts";
import { openPane, type Pane, tmuxIsMissing, unspaced } from "../../support/pane.ts";

const ignore = tmuxIsMissing();
const NONE_ASKED = "--no-prompt --allow-read=. --allow-write=.";

/** Starts the program in `folder`, in a terminal with room for all its output; prints the exit code at the end. */
async function start(
  folder: Scratch,
  args: string,
  grants = NONE_ASKED,
  environment = "XDG_STATE_HOME=$PWD/audit-state",
): Promise<Pane> {
  const pane = await openPane(100, 150);
  const deno = `'${Deno.execPath()}' run --cached-only ${grants} '${program}' ${args}`;
  await Deno.writeTextFile(
    folder.file("audit.sh"),
    `cd '${folder.path}'; echo $$ > audit.pid; ${environment} DENO_AUDIT_PERMISSIONS=audit exec ${deno}\n`,
  );
  await pane.line(`sh '${folder.file("audit.sh")}'; echo "code=$?."`);
  return pane;
}

async function disk(folder: Scratch): Promise<void> {
  const bytes = new Uint8Array(3 << 20);
  bytes.set(rng(1).bytes(65536));
  await Deno.writeFile(folder.file("disk.raw"), bytes);
}

/** Returns the names in the folder, without the files of the test itself. */
function names(folder: Scratch): string[] {
  return [...Deno.readDirSync(folder.path)].map(({ name }) => name).filter((name) => !name.startsWith("audit")).sort();
}

/** Fails unless the terminal is restored: cursor visible, no alternate screen, line input, echo. */
async function assertRestored(pane: Pane): Promise<void> {
  assert.deepEqual(await pane.modes(), { alternate: false, cursor: true });
  await pane.line("stty -a | tr ';' '\\n' | tr ' ' '\\n' | grep -x -e icanon -e echo -e isig | sort | tr '\\n' '+'");
  await pane.until(/^echo\+icanon\+isig\+/m);
}

/** Returns every permission that was checked, as `read path`. */
function audited(folder: Scratch): string[] {
  const lines = Deno.readTextFileSync(folder.file("audit")).trim().split("\n").map((line) => JSON.parse(line));
  return [...new Set(lines.map(({ permission, value }) => `${permission} ${value}`))].sort();
}

Deno.test({
  name:
    "in a terminal: from the first question to the finished file, by keys alone, with permissions for its folder alone",
  ignore,
  async fn() {
    await using folder = await scratch();
    await disk(folder);
    await using screen = await start(folder, "");
    await screen.until(/Which disk image/);
    await screen.press("-l", "di");
    await screen.until(/disk\.raw/);
    await screen.press("Tab", "Enter");
    await screen.until(/raw, 3\.0 MiB as the guest sees it/);
    await screen.until(/Where will this disk run/);
    await screen.press("-l", "azure");
    await screen.press("Enter");
    await screen.until(/Where is the new file/);
    // One question back, and on again.
    await screen.press("Escape");
    await screen.until(/Where will this disk run[^]*Where will this disk run/);
    await screen.press("Enter");
    await screen.until(/Where is the new file[^]*Where is the new file/);
    await screen.press("Enter");
    const review = unspaced(await screen.until(/Go on\?/));
    assert.deepEqual(names(folder), ["disk.raw"], "nothing is written before the last answer");
    assert.match(review, /convert-fraw--forazuredisk\.rawdisk\.vhd/);
    assert.match(review, /denorun/);
    await screen.press("Enter");
    await screen.until(/Press a key/, 60_000);
    await screen.press("Space");
    const end = await screen.until(/code=0\./, 60_000);
    assert.match(end, /Microsoft Azure will take it: fixed VHD, 20 MiB, footer valid/);
    assert.deepEqual(names(folder), ["disk.raw", "disk.vhd"]);
    assert.equal((await Deno.stat(folder.file("disk.vhd"))).size, (20 << 20) + 512);
    const here = Deno.realPathSync(folder.path);
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
    "in a terminal: Ctrl-C at a question exits with 130, SIGTERM with 143; nothing is written, the terminal is restored",
  ignore,
  async fn() {
    for (const end of ["C-c", "TERM"]) {
      await using folder = await scratch();
      await disk(folder);
      await using screen = await start(folder, "wizard disk.raw");
      await screen.until(/Where will this disk run/);
      if (end === "C-c") await screen.press("C-c");
      else {
        Deno.kill(Number(Deno.readTextFileSync(folder.file("audit.pid"))), "SIGTERM");
      }
      await screen.until(end === "C-c" ? /code=130\./ : /code=143\./);
      assert.deepEqual(names(folder), ["disk.raw"]);
      await assertRestored(screen);
    }
  },
});

Deno.test({
  name: "in a terminal: the program explains a permission before Deno prompts; it can be denied",
  ignore,
  async fn() {
    await using folder = await scratch();
    await disk(folder);
    await using screen = await start(folder, "wizard disk.raw", "");
    const asked = await screen.until(/Allow\? \[y/);
    // Deno drops input that was typed before its prompt.
    await new Promise((resolve) => setTimeout(resolve, 500));
    assert.ok(asked.indexOf("to read the source") >= 0, asked);
    assert.ok(asked.indexOf("to read the source") < asked.indexOf("requests read access"));
    assert.ok(!/env access|sys access/.test(asked));
    await screen.line("n");
    await screen.until(/Deno was not allowed to/);
    await screen.until(/Deno keeps a denial[^]*^deno run --allow-read=\S*disk\.raw \S+ wizard disk\.raw$/m);
    await screen.until(/Which disk image/);
    await screen.press("C-c");
    await screen.until(/code=130\./);
    await assertRestored(screen);
  },
});

Deno.test({
  name: "in a terminal: ASCII alone, questions and screen",
  ignore,
  async fn() {
    await using folder = await scratch();
    await disk(folder);
    await using screen = await start(folder, "wizard --ascii disk.raw");
    await screen.until(/Where will this disk run/);
    await screen.press("-l", "azure");
    await screen.press("Enter");
    await screen.until(/Where is the new file/);
    await screen.press("Escape");
    await screen.until(/Where will this disk run[^]*Where will this disk run/);
    await screen.press("Enter");
    await screen.until(/Where is the new file[^]*Where is the new file/);
    await screen.press("Enter");
    await screen.until(/Go on\?/);
    await screen.press("Enter");
    await screen.until(/Press a key/, 60_000);
    await screen.press("Space");
    const end = await screen.until(/code=0\./, 60_000);
    assert.match(end, /disk\.raw -> .*disk\.vhd/);
    // deno-lint-ignore no-control-regex
    assert.match(end, /^[\x0a\x20-\x7e]*$/, "plain ASCII");
  },
});

Deno.test({
  name: "in a terminal: numbered questions as plain lines",
  ignore,
  async fn() {
    await using folder = await scratch();
    await disk(folder);
    await using screen = await start(folder, "wizard --accessible disk.raw");
    const asked = await screen.until(/Where will this disk run\?[^]*Number/);
    const number = /(\d+)\. Proxmox VE/.exec(asked)![1];
    for (
      const [answer, question] of [[number, /Which format\?[^]*Number/], [
        "back",
        /Which format[^]*Where will[^]*Number/,
      ]] as const
    ) {
      await screen.line(answer);
      await screen.until(question);
    }
    for (const answer of [number, "2", ""]) {
      await screen.line(answer);
    }
    await screen.until(/Go on\?[^]*Number/);
    await screen.press("Enter");
    const end = await screen.until(/code=0\./, 60_000);
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
    await screen.until(/Which disk image[^]*Answer/);
    await screen.press("C-c");
    await screen.until(/code=130\./);
    await assertRestored(screen);
  },
});

Deno.test({
  name: "in a terminal: a device is written after its name was typed, and a mounted one is refused",
  ignore: ignore || await whyNoLoopDevice() !== null,
  async fn() {
    await using folder = await scratch();
    await disk(folder);
    for (const name of ["a", "b"]) await Deno.writeFile(folder.file(name), new Uint8Array(8 << 20));
    await using free = await loopDevice(folder.file("a"));
    await using used = await loopDevice(folder.file("b"));
    await using mounted = await mountedExt4(used.path, folder);
    const name = free.path.replace("/dev/", "");
    await using screen = await start(folder, "wizard disk.raw", "-A");
    await screen.until(/Where will this disk run/);
    await screen.press("-l", "usb");
    await screen.press("Enter");
    await screen.until(/Disks of this machine[^]*Where is the new file/);
    await screen.press("C-u");
    await screen.press("-l", used.path);
    await screen.press("Enter");
    await screen.until(new RegExp(`is mounted at "${mounted.path}"`));
    await screen.press("C-u");
    await screen.press("-l", free.path);
    await screen.press("Enter");
    await screen.until(new RegExp(`Type ${name} to write over this device`));
    await screen.press("y", "Enter");
    await screen.until(new RegExp(`Type ${name}, or go back`));
    await screen.press("C-u");
    await screen.press("-l", name);
    await screen.press("Enter");
    await screen.until(/Go on\?/);
    await screen.press("Enter");
    await screen.until(/Press a key/, 60_000);
    await screen.press("Space");
    const end = await screen.until(/code=0\./, 60_000);
    assert.match(end, /USB stick, SD card, bare metal will take it/);
    const written = await Deno.readFile(folder.file("a"));
    assert.deepEqual(written.subarray(0, 3 << 20), await Deno.readFile(folder.file("disk.raw")));
    await assertRestored(screen);
  },
});

/** Answers the questions for Azure up to the review, from the question for the destination on. */
async function answerAzure(screen: Pane): Promise<void> {
  await screen.until(/Where will this disk run/);
  await screen.press("-l", "azure");
  await screen.until(/1 match/);
  await screen.press("Enter");
  await screen.until(/Where is the new file/);
  await screen.press("Enter");
  await screen.until(/Go on\?/);
}

Deno.test({
  name: "in a terminal: a file name alone opens the wizard; a mistyped one stays to be mended, with the nearest names",
  ignore,
  async fn() {
    await using folder = await scratch();
    await disk(folder);
    await using screen = await start(folder, "dsik.raw");
    await screen.until(/There is no file "dsik\.raw"; did you mean "disk\.raw"\?/);
    await screen.until(/Search: dsik\.raw[^]*○ disk\.raw/);
    // Enter does not take another file than the one that is typed.
    await screen.press("Enter");
    await screen.until(/▲[^]*Search: dsik\.raw/);
    await screen.press("Tab");
    await screen.until(/Search: disk\.raw/);
    await screen.press("Enter");
    await screen.until(/Where will this disk run/);
    await screen.press("C-c");
    await screen.until(/code=130\./);
  },
});

Deno.test({
  name:
    "in a terminal: a folder that is missing is made, Tab completes targets, a copied command, and a failure can be mended",
  ignore,
  async fn() {
    await using folder = await scratch();
    await disk(folder);
    await Deno.mkdir(folder.file("images"));
    await using screen = await start(folder, "./disk.raw");
    await screen.until(/Where will this disk run/);
    await screen.press("-l", "azure");
    await screen.press("Enter");
    await screen.until(/Where is the new file/);
    await screen.press("C-u");
    await screen.press("-l", "im");
    await screen.until(/Search: im[^]*○ images\//);
    await screen.press("Tab");
    await screen.until(/Search: images\//);
    await screen.press("-l", "new/");
    await screen.until(/Search: images\/new\//);
    await screen.press("Enter");
    await screen.until(/The folder "images\/new" does not exist\. Make it\?/);
    await screen.press("Enter");
    const review = await screen.until(/Go on\?/);
    assert.match(unspaced(review), /convert-fraw--forazure\.\/disk\.rawimages\/new\/disk\.vhd/);
    await screen.press("c");
    await screen.until(/on the clipboard[^]*Go on\?/);
    await Deno.rename(folder.file("disk.raw"), folder.file("elsewhere"));
    await screen.press("Enter");
    await screen.until(/Press a key/, 60_000);
    await screen.press("Space");
    await screen.until(/The conversion failed\. What now\?/);
    await Deno.rename(folder.file("elsewhere"), folder.file("disk.raw"));
    await screen.press("Down", "Down", "Enter");
    await screen.until(/once more[^]*Go on\?/);
    await screen.press("Enter");
    await screen.until(/Press a key/, 60_000);
    await screen.press("Space");
    await screen.until(/code=0\./, 60_000);
    assert.equal((await Deno.stat(folder.file("images/new/disk.vhd"))).size, (20 << 20) + 512);
    await assertRestored(screen);
  },
});

Deno.test({
  name: "in a terminal: several sources, each to its own target; one that fails does not hide the others",
  ignore,
  async fn() {
    await using folder = await scratch();
    await disk(folder);
    for (const name of ["b.raw", "c.raw"]) await Deno.copyFile(folder.file("disk.raw"), folder.file(name));
    await using screen = await start(folder, "*.raw");
    await screen.until(/Where will this disk run/);
    await screen.press("-l", "azure");
    await screen.press("Enter");
    await screen.until(/Into which folder are the new files to go\?/);
    await screen.press("Enter");
    const review = await screen.until(/Go on\?/);
    assert.match(review, /What will be done, 3 of 3/);
    await Deno.remove(folder.file("c.raw"));
    await screen.press("Enter");
    const end = await screen.until(/1 of 3 conversions failed\. What now\?/, 60_000);
    assert.match(end, /^done: b\.raw -> \.\/b\.vhd\nfailed: c\.raw -> \.\/c\.vhd\ndone: disk\.raw -> \.\/disk\.vhd$/m);
    assert.deepEqual(names(folder), ["b.raw", "b.vhd", "disk.raw", "disk.vhd"]);
    await Deno.copyFile(folder.file("disk.raw"), folder.file("c.raw"));
    // Try again, those that failed.
    await screen.press("Down", "Down", "Enter");
    await screen.until(/once more[^]*c\.raw -> .\/c\.vhd[^]*Go on\?/);
    await screen.press("Enter");
    // One alone has the screen.
    await screen.until(/Press a key/, 60_000);
    await screen.press("Space");
    await screen.until(/code=0\./, 60_000);
    assert.deepEqual(names(folder), ["b.raw", "b.vhd", "c.raw", "c.vhd", "disk.raw", "disk.vhd"]);
    await assertRestored(screen);
  },
});

Deno.test({
  name: "in a terminal: the last destination is on top, where its file may be read and written",
  ignore,
  async fn() {
    await using folder = await scratch();
    await disk(folder);
    const grants = "--no-prompt --allow-read=. --allow-write=. --allow-env=HOME,XDG_STATE_HOME";
    for (const first of [/● libvirt, KVM, QEMU/, /● Microsoft Azure \(last used; /]) {
      await using screen = await start(folder, "disk.raw", grants, "XDG_STATE_HOME=$PWD/state");
      await screen.until(first);
      await answerAzure(screen);
      await screen.press("Enter");
      await screen.until(/Press a key/, 60_000);
      await screen.press("Space");
      await screen.until(/code=0\./, 60_000);
      await Deno.remove(folder.file("disk.vhd"));
    }
    assert.equal(Deno.readTextFileSync(folder.file("state/diskcast/wizard.json")), '{"destination":"azure"}\n');
  },
});
