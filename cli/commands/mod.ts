/**
 * The commands of the program. What a command says of itself is loaded when help or a completion needs it, and what it
 * does when it runs.
 *
 * @module
 */
import type { Command, CommandDef } from "./command.ts";

/** In the order of the help. */
export const commands: readonly Command[] = [
  {
    name: "convert",
    def: async () => (await import("./convert_options.ts")).convertCommand,
    run: async (args, context) => (await import("./convert.ts")).runConvert(args, context),
  },
  {
    name: "formats",
    def: async () => (await import("./formats_options.ts")).formatsCommand,
    run: async (args, context) => (await import("./formats.ts")).runFormats(args, context),
  },
  {
    name: "presets",
    def: async () => (await import("./presets_options.ts")).presetsCommand,
    run: async (args, context) => (await import("./presets.ts")).runPresets(args, context),
  },
  {
    name: "wizard",
    def: async () => (await import("./wizard_options.ts")).wizardCommand,
    run: async (args, context) => (await import("./wizard.ts")).runWizard(args, context),
  },
  {
    name: "completions",
    def: async () => (await import("./completions_options.ts")).completionsCommand,
    run: async (args, context) => (await import("./completions.ts")).runCompletions(args, context),
  },
  {
    name: "info",
    def: async () => (await import("./info_options.ts")).infoCommand,
    run: async (args, context) => (await import("./info.ts")).runInfo(args, context),
  },
  {
    name: "map",
    def: async () => (await import("./map_options.ts")).mapCommand,
    run: async (args, context) => (await import("./map.ts")).runMap(args, context),
  },
  {
    name: "compare",
    def: async () => (await import("./compare_options.ts")).compareCommand,
    run: async (args, context) => (await import("./compare.ts")).runCompare(args, context),
  },
  {
    name: "digest",
    def: async () => (await import("./digest_options.ts")).digestCommand,
    run: async (args, context) => (await import("./digest.ts")).runDigest(args, context),
  },
  {
    name: "check",
    def: async () => (await import("./check_options.ts")).checkCommand,
    run: async (args, context) => (await import("./check.ts")).runCheck(args, context),
  },
  {
    name: "measure",
    def: async () => (await import("./measure_options.ts")).measureCommand,
    run: async (args, context) => (await import("./measure.ts")).runMeasure(args, context),
  },
  {
    name: "create",
    def: async () => (await import("./create_options.ts")).createCommand,
    run: async (args, context) => (await import("./create.ts")).runCreate(args, context),
  },
  {
    name: "resize",
    def: async () => (await import("./resize_options.ts")).resizeCommand,
    run: async (args, context) => (await import("./resize.ts")).runResize(args, context),
  },
  {
    name: "snapshot",
    def: async () => (await import("./snapshot_options.ts")).snapshotCommand,
    run: async (args, context) => (await import("./snapshot.ts")).runSnapshot(args, context),
  },
  {
    name: "plan",
    def: async () => (await import("./plan_options.ts")).planCommand,
    run: async (args, context) => (await import("./plan.ts")).runPlan(args, context),
  },
  {
    name: "dd",
    def: async () => (await import("./dd_options.ts")).ddCommand,
    run: async (args, context) => (await import("./dd.ts")).runDd(args, context),
  },
  {
    name: "rebase",
    def: async () => (await import("./rebase_options.ts")).rebaseCommand,
    run: async (args, context) => (await import("./rebase.ts")).runRebase(args, context),
  },
  {
    name: "commit",
    def: async () => (await import("./commit_options.ts")).commitCommand,
    run: async (args, context) => (await import("./commit.ts")).runCommit(args, context),
  },
  {
    name: "bitmap",
    def: async () => (await import("./bitmap_options.ts")).bitmapCommand,
    run: async (args, context) => (await import("./bitmap.ts")).runBitmap(args, context),
  },
  {
    name: "bench",
    def: async () => (await import("./bench_options.ts")).benchCommand,
    run: async (args, context) => (await import("./bench.ts")).runBench(args, context),
  },
  {
    name: "amend",
    def: async () => (await import("./amend_options.ts")).amendCommand,
    run: async (args, context) => (await import("./amend.ts")).runAmend(args, context),
  },
];

/** What all of them say of themselves. */
export async function commandDefs(): Promise<CommandDef[]> {
  return await Promise.all(commands.map(({ def }) => def()));
}
