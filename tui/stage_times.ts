/**
 * How busy each stage of the copy is, and which one limits it. Pure.
 *
 * @module
 */

/** Seconds that each stage has been busy since the copy began. */
export interface BusySeconds {
  readonly [stage: string]: number;
}

/** Samples of the last seconds, oldest first; `at` is in milliseconds. */
export type StageTimes = readonly { readonly at: number; readonly busy: BusySeconds }[];

/** Milliseconds of the samples that are kept. */
const WINDOW = 3000;

/** Stages whose time is the sum over all cores. */
const ON_ALL_CORES: readonly string[] = ["compress", "decompress"];

/** Adds a sample. */
export function addStageTimes(times: StageTimes, at: number, busy: BusySeconds): StageTimes {
  const kept = times.filter((one, index) => at - one.at <= WINDOW || index === times.length - 1);
  return [...kept, { at, busy }];
}

/** The share of the last seconds for which a stage was busy, from 0 to 1, and whether that stage limits the copy. */
export interface StageLoad {
  readonly stage: string;
  readonly share: number;
  readonly limits: boolean;
}

/** A stage that is idle for half of the time does not limit the copy. */
const LIMITS_FROM = 0.5;

/** Returns the load of all stages that have been busy, in the order of their events. */
export function stageLoads(times: StageTimes, workers: number): StageLoad[] {
  const first = times[0];
  const last = times.at(-1);
  if (first === undefined || last === undefined || last.at <= first.at) return [];
  const seconds = (last.at - first.at) / 1000;
  const shares = Object.entries(last.busy).flatMap(([stage, busy]) => {
    if (busy <= 0) return [];
    const cores = ON_ALL_CORES.includes(stage) ? Math.max(1, workers) : 1;
    return [{ stage, share: Math.max(0, Math.min(1, (busy - (first.busy[stage] ?? 0)) / seconds / cores)) }];
  });
  const most = Math.max(0, ...shares.map((one) => one.share));
  return shares.map((one) => ({ ...one, limits: one.share === most && most >= LIMITS_FROM }));
}
