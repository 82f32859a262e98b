/**
 * The rate of a copy over time, and the remaining time that follows from it. Pauses do not count. Pure.
 *
 * Times are milliseconds; `done` counts bytes, or a share of 1 for work that is not measured in bytes.
 *
 * @module
 */

/** The history of a rate. */
export interface Rate {
  /** Time spent copying, pauses excluded. */
  readonly active: number;
  /** Clock time of the last {@linkcode advanceRate}. */
  readonly seenAt: number;
  readonly done: number;
  /** Samples of the last seconds, oldest first; `at` is on the scale of `active`. */
  readonly recent: readonly Sample[];
  /** Mean rates per second, one for each `step` from the beginning. */
  readonly history: readonly number[];
  readonly step: number;
  /** Where the last value of the history ended. */
  readonly historyEnd: Sample;
}

interface Sample {
  readonly at: number;
  readonly done: number;
}

/** The window of the current rate: long enough to smooth one slow write, short enough to follow changes. */
const WINDOW = 5000;
/** Distance of two samples, and the least time from which a rate is computed. */
const SAMPLE_STEP = 250;
/** Values of the history; above that, two become one, so that the history always covers the whole copy. */
const MOST_VALUES = 240;

/** Returns the rate of a copy that begins at `now`. */
export function startRate(now: number): Rate {
  const begin = { at: 0, done: 0 };
  return { active: 0, seenAt: now, done: 0, recent: [begin], history: [], step: SAMPLE_STEP, historyEnd: begin };
}

/** Returns the rate at `now`. `running`: the time since the last call was spent copying. */
export function advanceRate(rate: Rate, now: number, done: number, running: boolean): Rate {
  if (!running) return { ...rate, seenAt: now, done };
  const active = rate.active + Math.max(0, now - rate.seenAt);
  const next = { ...rate, active, seenAt: now, done };
  if (active - rate.recent.at(-1)!.at < SAMPLE_STEP) return withHistory(next);
  const kept = rate.recent.filter((sample, at) => active - sample.at <= WINDOW || at === rate.recent.length - 1);
  return withHistory({ ...next, recent: [...kept, { at: active, done }] });
}

function withHistory(rate: Rate): Rate {
  const { active, done, step, historyEnd } = rate;
  if (active - historyEnd.at < step) return rate;
  const value = 1000 * (done - historyEnd.done) / (active - historyEnd.at);
  const history = [...rate.history, value];
  const next = { ...rate, history, historyEnd: { at: active, done } };
  if (history.length < MOST_VALUES) return next;
  const halved = history.flatMap((one, at) => at % 2 === 0 ? [(one + (history[at + 1] ?? one)) / 2] : []);
  return { ...next, history: halved, step: step * 2 };
}

/** Returns the rate per second over the last seconds; 0 where it is not known yet. */
export function currentRate({ recent, active, done }: Rate): number {
  const first = recent.find((sample) => active - sample.at <= WINDOW) ?? recent.at(-1)!;
  return active - first.at < SAMPLE_STEP ? 0 : 1000 * (done - first.done) / (active - first.at);
}

/** Returns the rate per second over the whole copy; 0 where it is not known yet. */
export function meanRate({ active, done }: Rate): number {
  return active < SAMPLE_STEP ? 0 : 1000 * done / active;
}

/** Bounds of the remaining seconds; equal once the rate is stable. */
export interface TimeLeft {
  readonly low: number;
  readonly high: number;
}

/** Copying time after which the rate counts as stable, and how far mean and current rate may differ then. */
const STABLE_AFTER = 8000;
const STABLE_WITHIN = 0.15;

/** Returns the time that the remaining work takes; `null` where no rate is known yet. */
export function timeLeft(rate: Rate, workLeft: number): TimeLeft | null {
  const now = currentRate(rate);
  const mean = meanRate(rate);
  if (now <= 0 || mean <= 0 || rate.active < 1000) return null;
  const [fast, slow] = now > mean ? [now, mean] : [mean, now];
  if (rate.active >= STABLE_AFTER && fast - slow <= STABLE_WITHIN * fast) {
    return { low: workLeft / now, high: workLeft / now };
  }
  // The younger the copy, the less its rate predicts the rest.
  const doubt = rate.active < STABLE_AFTER ? 1.25 : 1;
  return { low: workLeft / (fast * doubt), high: workLeft * doubt / slow };
}

/** Formats a remaining time: as a clock where it is exact, else as a range of seconds, minutes or hours. */
export function timeLeftText({ low, high }: TimeLeft, dash: string, clock: (seconds: number) => string): string {
  if (low === high) return `${clock(low)} left`;
  const [length, name] = high < 90 ? [1, "s"] : high < 5400 ? [60, "min"] : [3600, "h"];
  const from = Math.max(length === 1 ? 1 : 0, Math.floor(low / length));
  const to = Math.max(1, Math.ceil(high / length));
  return from === to ? `about ${to} ${name} left` : `about ${from}${dash}${to} ${name} left`;
}
