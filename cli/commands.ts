/**
 * The commands of the program. What a command needs is loaded only when it runs.
 *
 * @module
 */
import { convertCommand } from "./convert_options.ts";
import { formatsCommand } from "./formats_options.ts";
import { presetsCommand } from "./presets_options.ts";
import { infoCommand } from "./info_options.ts";
import { completionsCommand } from "./completions_options.ts";
import { wizardCommand } from "./wizard_options.ts";
import { mapCommand } from "./map_options.ts";
import { compareCommand } from "./compare_options.ts";
import { digestCommand } from "./digest_options.ts";
import { checkCommand } from "./check_options.ts";
import { measureCommand } from "./measure_options.ts";
import { createCommand } from "./create_options.ts";
import { resizeCommand } from "./resize_options.ts";
import { snapshotCommand } from "./snapshot_options.ts";
import { planCommand } from "./plan_options.ts";
import { ddCommand } from "./dd_options.ts";
import { rebaseCommand } from "./rebase_options.ts";
import { commitCommand } from "./commit_options.ts";
import { bitmapCommand } from "./bitmap_options.ts";
import { benchCommand } from "./bench_options.ts";
import { amendCommand } from "./amend_options.ts";
import type { Command } from "./command_def.ts";

/** In the order of the help. */
export const commands: readonly Command[] = [
  { def: convertCommand, run: async (args, context) => (await import("./convert.ts")).runConvert(args, context) },
  { def: formatsCommand, run: async (args, context) => (await import("./formats.ts")).runFormats(args, context) },
  { def: presetsCommand, run: async (args, context) => (await import("./presets_list.ts")).runPresets(args, context) },
  { def: wizardCommand, run: async (args, context) => (await import("./wizard_run.ts")).runWizard(args, context) },
  {
    def: completionsCommand,
    run: async (args, context) => (await import("./completions.ts")).runCompletions(args, context),
  },
  { def: infoCommand, run: async (args, context) => (await import("./info.ts")).runInfo(args, context) },
  { def: mapCommand, run: async (args, context) => (await import("./map.ts")).runMap(args, context) },
  { def: compareCommand, run: async (args, context) => (await import("./compare.ts")).runCompare(args, context) },
  { def: digestCommand, run: async (args, context) => (await import("./digest.ts")).runDigest(args, context) },
  { def: checkCommand, run: async (args, context) => (await import("./check.ts")).runCheck(args, context) },
  { def: measureCommand, run: async (args, context) => (await import("./measure.ts")).runMeasure(args, context) },
  { def: createCommand, run: async (args, context) => (await import("./create.ts")).runCreate(args, context) },
  { def: resizeCommand, run: async (args, context) => (await import("./resize.ts")).runResize(args, context) },
  { def: snapshotCommand, run: async (args, context) => (await import("./snapshot.ts")).runSnapshot(args, context) },
  { def: planCommand, run: async (args, context) => (await import("./plan.ts")).runPlan(args, context) },
  { def: ddCommand, run: async (args, context) => (await import("./dd.ts")).runDd(args, context) },
  { def: rebaseCommand, run: async (args, context) => (await import("./rebase.ts")).runRebase(args, context) },
  { def: commitCommand, run: async (args, context) => (await import("./commit.ts")).runCommit(args, context) },
  { def: bitmapCommand, run: async (args, context) => (await import("./bitmap.ts")).runBitmap(args, context) },
  { def: benchCommand, run: async (args, context) => (await import("./bench.ts")).runBench(args, context) },
  { def: amendCommand, run: async (args, context) => (await import("./amend.ts")).runAmend(args, context) },
];
