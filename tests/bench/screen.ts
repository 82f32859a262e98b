/**
 * `deno task bench:screen`: what the screen costs a copy, and how soon it answers keys. Each pair is the same conversion
 * on the same terminal, made by `script` (util-linux), once with `--progress=none` and once with `--progress=screen`, in
 * turn.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { parseSize } from "../../mod.ts";
import { denoArgs } from "../support/diskcast.ts";
import { rng, scratch } from "../support/qemu.ts";
import { makeRaw } from "./images.ts";
import { type Answers, answersText, keyAnswers } from "./keys.ts";
import { median } from "./measure.ts";

const USAGE = `usage: deno task bench:screen [options] [-- CONVERT-OPTIONS]
  --size=SIZE   guest bytes of the disk, half of it data (default 2G)
  --runs=N      pairs that count (default 9)
  --keys=N      keys that are typed at least, in as many further copies as that takes (default 50)
  --dir=FOLDER  where the images are made`;

/** The terminal that everything is measured on. */
const SIZE = "stty cols 120 rows 40";

interface Cost {
  readonly wall: number;
  readonly cpu: number;
}

const { values, positionals } = parseArgs({
  args: Deno.args,
  allowPositionals: true,
  options: {
    size: { type: "string", default: "2G" },
    runs: { type: "string", default: "9" },
    keys: { type: "string", default: "50" },
    dir: { type: "string" },
    help: { type: "boolean", short: "h", default: false },
  },
});
if (values.help) console.log(USAGE);
else await main();

async function main(): Promise<void> {
  await using folder = await scratch(values.dir);
  const source = folder.file("source.raw");
  await makeRaw(source, parseSize(values.size, "size"), rng(1));
  const options = positionals.length > 0 ? positionals : ["-O", "qcow2", "-t", "unsafe"];
  const command = async (progress: string): Promise<string> => {
    const target = folder.file("target");
    await Deno.remove(target).catch(() => {});
    const words = ["convert", `--progress=${progress}`, "--no-wait", "-f", "raw", ...options, source, target];
    return quoted([Deno.execPath(), ...denoArgs({ read: [folder.path], write: [folder.path] }), ...words]);
  };
  const convert = async (progress: string) => await onTerminal(await command(progress), folder.file("times"));
  const pairs: { readonly none: Cost; readonly screen: Cost }[] = [];
  for (let run = -1; run < Number(values.runs); run++) {
    // The other one first in every second pair, so that neither always finds the cache as the other left it.
    const first = run % 2 === 0 ? "none" : "screen";
    const one = await convert(first);
    const other = await convert(first === "none" ? "screen" : "none");
    if (run >= 0) pairs.push(first === "none" ? { none: one, screen: other } : { none: other, screen: one });
  }
  report(pairs);
  const answers: Answers[] = [];
  while (answers.flat().length < Number(values.keys)) {
    answers.push(await keyAnswers(`${SIZE}; exec ${await command("screen")}`, rng(answers.length + 1)));
    if (answers.at(-1)!.length === 0) break;
  }
  console.log(answersText(answers.flat()));
}

/** Words as a POSIX shell takes them. */
function quoted(words: readonly string[]): string {
  return words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
}

function report(pairs: readonly { readonly none: Cost; readonly screen: Cost }[]): void {
  for (const what of ["wall", "cpu"] as const) {
    const none = median(pairs.map((pair) => pair.none[what]));
    const screen = median(pairs.map((pair) => pair.screen[what]));
    const ratio = median(pairs.map((pair) => pair.screen[what] / pair.none[what]));
    const text = [none, screen].map((value) => `${value.toFixed(3)} s`).join(", with the screen ");
    const more = `${((ratio - 1) * 100).toFixed(1)} % in the middle of ${pairs.length} pairs`;
    console.log(`${what}: without ${text}; ${more}`);
  }
}

/** Runs a command on a terminal, and tells what its process cost. */
async function onTerminal(command: string, times: string): Promise<Cost> {
  const timed = `${SIZE}; exec 4>'${times}'; TIMEFORMAT='%3R %3U %3S'; exec 3>&2; { time ${command} 2>&3 3>&-; } 2>&4`;
  const shell = quoted(["bash", "-c", timed]);
  const child = new Deno.Command("script", {
    args: ["-qec", shell, "/dev/null"],
    // Open, and nothing typed: the end of it would be a key.
    stdin: "piped",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const { code } = await child.status;
  await child.stdin.close().catch(() => {});
  if (code !== 0) throw new Error(`the conversion failed with ${code}`);
  const [wall, user, system] = (await Deno.readTextFile(times)).trim().split("\n").at(-1)!.split(" ").map(Number);
  return { wall, cpu: user + system };
}
