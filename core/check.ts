/**
 * Checks an image, and repairs it.
 *
 * @module
 */
import {
  type CheckContext,
  type CheckReport,
  type Format,
  ImageError,
  inlineDecompressor,
  missingBytesOf,
  type RepairScope,
  resolve,
  stageContext,
  type Storage,
} from "../formats/mod.ts";
import {
  type ChangeOptions,
  type ChangeSpec,
  openForChange,
  openNamed,
  reportingCheckpoint,
  withPhases,
} from "./open_for_change.ts";
import { refuseInUse } from "./open/open.ts";
import { openOptions } from "./open/open_disk.ts";
import { throttleOf } from "./throttle.ts";
import { formatNamed, probe } from "./open/probe.ts";

/** Options of {@linkcode check}. */
export interface CheckOptions extends ChangeOptions {
  /** The problems to repair. Absent: nothing is written. */
  readonly repair?: RepairScope | undefined;
}

/** Result of {@linkcode check}: the problems found, after a repair those that are left. */
export interface CheckResult extends CheckReport {
  /** As given. */
  readonly path: string;
  /** Name of the image's format. */
  readonly format: string;
  /** Corruptions that were repaired. */
  readonly corruptionsFixed: number;
  /** Leaks that were repaired. */
  readonly leaksFixed: number;
  /** Guest bytes of its data that the file lacks, because it is cut off; absent: none. */
  readonly missing?: number;
  /** Whether images of this format cannot be checked. */
  readonly unsupported: boolean;
}

/** Implements `check` of `mod.ts`. */
export async function check(image: string | ChangeSpec, options: CheckOptions = {}): Promise<CheckResult> {
  const spec = typeof image === "string" ? { path: image } : image;
  await using stack = new AsyncDisposableStack();
  return options.repair === undefined
    ? await checkOnly(spec, options, stack)
    : await repairAndCheck(spec, options, stack);
}

async function checkOnly(spec: ChangeSpec, options: CheckOptions, stack: AsyncDisposableStack): Promise<CheckResult> {
  const open = openOptions(options);
  options.onEvent?.({ type: "phase", phase: "inspect" });
  const path = resolve(spec.path);
  const storage = stack.use(await open.files.open(path));
  if (!open.forceShare) await refuseInUse(storage, path);
  const format = spec.format === undefined
    ? (await probe(storage, open.formats)).format
    : formatNamed(spec.format, open.formats, path);
  const throttle = throttleOf(options.signal, 0, options.paused);
  const context: CheckContext = {
    checkpoint: reportingCheckpoint(throttle, options.onEvent),
    openNamed: async (file) => stack.use(await openNamed(spec, file, open)),
  };
  const report = await withPhases(options, () => reportOf(format, storage, context));
  const missing = await missingOf(format, storage, report, context);
  return { ...resultOf(spec, format, report, NOTHING_FIXED), ...missing };
}

/** Returns the number of guest bytes that the file of a corrupt image lacks, where it lacks some and opens. */
async function missingOf(
  format: Format,
  storage: Storage,
  report: CheckReport | null,
  { openNamed }: CheckContext,
): Promise<{ readonly missing?: number }> {
  if (report === null || report.corruptions === 0) return {};
  try {
    const disk = await format.open(storage, { decompressor: inlineDecompressor, openNamed });
    const { bytes } = await missingBytesOf(disk);
    return bytes > 0 ? { missing: bytes } : {};
  } catch (error) {
    if (error instanceof ImageError) return {};
    throw error;
  }
}

async function repairAndCheck(
  spec: ChangeSpec,
  options: CheckOptions,
  stack: AsyncDisposableStack,
): Promise<CheckResult> {
  const { format, storage, context } = await openForChange(spec, options, stack);
  options.onEvent?.({ type: "phase", phase: "copy" });
  const before = await reportOf(format, storage, stageContext(context, 0, 0.3));
  const repair = format.maintenance?.repair;
  if (before === null || repair === undefined) return resultOf(spec, format, before, NOTHING_FIXED);
  await repair(storage, options.repair ?? "leaks", stageContext(context, 0.3, 0.7));
  await storage.sync();
  const after = await reportOf(format, storage, stageContext(context, 0.7, 1)) ?? before;
  options.onEvent?.({ type: "phase", phase: "finish" });
  const fixed = {
    corruptionsFixed: Math.max(0, before.corruptions - after.corruptions),
    leaksFixed: Math.max(0, before.leaks - after.leaks),
  };
  return { ...resultOf(spec, format, after, fixed), ...await missingOf(format, storage, after, context) };
}

const NOTHING_FIXED = { corruptionsFixed: 0, leaksFixed: 0 };
const NOTHING_FOUND: CheckReport = { problems: [], corruptions: 0, leaks: 0, checkErrors: 0 };

async function reportOf(format: Format, storage: Storage, context: CheckContext): Promise<CheckReport | null> {
  return await format.maintenance?.check?.(storage, context) ?? null;
}

function resultOf(
  { path }: ChangeSpec,
  format: Format,
  report: CheckReport | null,
  fixed: typeof NOTHING_FIXED,
): CheckResult {
  return { path, format: format.name, ...(report ?? NOTHING_FOUND), ...fixed, unsupported: report === null };
}
