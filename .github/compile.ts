/**
 * `deno task compile [TARGET…]`: standalone programs in dist/, one for each target; without a target for this machine.
 * Each holds the built form: 1.2 MB, where the source and its packages take 5.1 MB.
 *
 * They may read and write files and call the C library (see docs/permissions.md), and never prompt for more.
 */
import { build } from "../tests/support/build.ts";

const targets = [
  "x86_64-unknown-linux-gnu",
  "aarch64-unknown-linux-gnu",
  "x86_64-apple-darwin",
  "aarch64-apple-darwin",
  "x86_64-pc-windows-msvc",
];

const wanted = Deno.args.includes("all") ? targets : Deno.args.length > 0 ? Deno.args : [Deno.build.target];
const unknown = wanted.filter((target) => !targets.includes(target));
if (unknown.length > 0) {
  console.error(`Cannot compile for ${unknown.join(", ")}: the targets are ${targets.join(", ")}, or all`);
  Deno.exit(2);
}

const { entry } = await build("dist");
for (const target of wanted) {
  const output = `dist/diskcast-${target}${target.includes("windows") ? ".exe" : ""}`;
  const built = await new Deno.Command(Deno.execPath(), {
    args: [
      "compile",
      "--no-config",
      "--no-prompt",
      "--allow-read",
      "--allow-write",
      "--allow-ffi",
      "--target",
      target,
      "--output",
      output,
      entry,
    ],
    stdout: "inherit",
    stderr: "piped",
  }).output();
  const log = new TextDecoder().decode(built.stderr);
  console.error(log.trimEnd());
  if (built.success) continue;
  if (/denort|download|sending request|dns|connect/i.test(log)) {
    console.error(
      `Cannot compile for ${target}: Deno fetches the runtime of the target when it compiles, and could not reach it. ` +
        `Run this on a machine with access to the internet, or let DENORT_BIN name a denort of version ${Deno.version.deno}`,
    );
  }
  Deno.exit(1);
}
