/**
 * Writes the pictures of the documentation from conversions in a terminal: `deno task pictures`. Needs tmux.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { openPane } from "./pane.ts";
import { rng, scratch } from "./qemu.ts";
import { terminalSvg } from "./terminal_svg.ts";

const COLUMNS = 120;
const program = fileURLToPath(new URL("../../mod.ts", import.meta.url));
const docs = new URL("../../docs/", import.meta.url);

await using folder = await scratch();
await makeDisk(folder.file("disk.raw"));
await using pane = await openPane(COLUMNS, 34);
await pane.line(`cd ${folder.path} && export COLORTERM= TERM=xterm-256color && clear`);
const diskcast = `${Deno.execPath()} run --no-prompt --allow-read=. --allow-write=. ${program}`;

await pane.line(`clear; ${diskcast} convert -r 10M --progress=screen -c -O qcow2 -f raw disk.raw disk.qcow2`);
// In the middle of the copy, the map shows every state.
await pane.until(/Copy/i);
await new Promise((resolve) => setTimeout(resolve, 5000));
await save("screen.svg");
await pane.until(/Press a key/, 90_000);
await pane.press("Enter");
await pane.until(/again/);

await Deno.remove(folder.file("disk.raw"));
await pane.line(`clear; ${diskcast} wizard disk.qcow2`);
await pane.until(/Where will this disk run/);
await pane.press("-l", "azure");
await pane.until(/1 match/);
await pane.press("Enter");
await pane.until(/Where is the new file to go/);
await save("wizard.svg");
await pane.press("C-c");

/** Writes a disk of 512 MiB with ranges of random and of repeated bytes, and holes between them. */
async function makeDisk(path: string): Promise<void> {
  const random = rng(2026);
  using file = await Deno.open(path, { createNew: true, write: true });
  await file.truncate(512 << 20);
  for (let at = 0; at < 512 << 20; at += random.int(8, 40) << 20) {
    const noise = random.bytes(random.int(1, 6) << 20);
    if (random.chance(0.5)) noise.fill(random.int(256), noise.length >> 1);
    await file.seek(at, Deno.SeekMode.Start);
    file.writeSync(noise.subarray(0, Math.min(noise.length, (512 << 20) - at)));
  }
}

async function save(name: string): Promise<void> {
  // Without the path of the temporary folder, pictures differ in their figures only.
  const painted = (await pane.painted()).replaceAll(folder.path, "~");
  await Deno.writeTextFile(new URL(name, docs), terminalSvg(painted, COLUMNS));
  console.log(`docs/${name}`);
}
