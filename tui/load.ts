/**
 * Which stage of the copy is busy. Pure.
 *
 * @module
 */

/** Seconds that each stage has been busy since the copy began. */
export interface Busy {
  readonly [stage: string]: number;
}

/** A few tellings of the last seconds. */
export interface Load {
  readonly told: readonly { readonly at: number; readonly busy: Busy }[];
}

const WINDOW = 3000;

/** Stages that all cores share. */
const SHARED: readonly string[] = ["compress", "decompress"];

/** Takes in one telling. `at` is in milliseconds. */
export function addLoad({ told }: Load, at: number, busy: Busy): Load {
  const kept = told.filter((one, index) => at - one.at <= WINDOW || index === told.length - 1);
  return { told: [...kept, { at, busy }] };
}

/** How busy a stage has been lately, from 0 to 1, and whether it is the one that limits. */
export interface StageLoad {
  readonly stage: string;
  readonly share: number;
  readonly limits: boolean;
}

/** A stage that is idle for half of the time holds nobody up. */
const LIMITS_FROM = 0.5;

/** All stages that have done anything, in the order in which they were told. */
export function stageLoads({ told }: Load, workers: number): StageLoad[] {
  const first = told[0];
  const last = told.at(-1);
  if (first === undefined || last === undefined || last.at <= first.at) return [];
  const seconds = (last.at - first.at) / 1000;
  const shares = Object.entries(last.busy).flatMap(([stage, busy]) => {
    if (busy <= 0) return [];
    const cores = SHARED.includes(stage) ? Math.max(1, workers) : 1;
    return [{ stage, share: Math.max(0, Math.min(1, (busy - (first.busy[stage] ?? 0)) / seconds / cores)) }];
  });
  const most = Math.max(0, ...shares.map((one) => one.share));
  return shares.map((one) => ({ ...one, limits: one.share === most && most >= LIMITS_FROM }));
}
