/**
 * Speed over time, and what it says about the time that is left. Times that a copy stands still do not count. Pure.
 *
 * @module
 */

/** What is remembered of a copy's speed. Times are milliseconds of copying, counts are bytes. */
export interface Rate {
  /** Copying so far, pauses left out. */
  readonly active: number;
  /** When the clock was last looked at. */
  readonly seenAt: number;
  readonly bytes: number;
  /** Points of the last seconds. */
  readonly recent: readonly { readonly at: number; readonly bytes: number }[];
  /** Bytes a second, one value for each `step`, from the beginning. */
  readonly history: readonly number[];
  readonly step: number;
  /** Where the last value of the history ended. */
  readonly point: { readonly at: number; readonly bytes: number };
}

/** Long enough that one slow write does not shake the rate, short enough that it follows. */
const WINDOW = 5000;
/** Before this much copying nothing is said about speed. */
const LEAST = 250;
/** Values of the history; then two become one, so that it always shows the whole copy. */
const MOST_VALUES = 240;

/** Before the copy. */
export function startRate(now: number): Rate {
  const zero = { at: 0, bytes: 0 };
  return { active: 0, seenAt: now, bytes: 0, recent: [zero], history: [], step: 250, point: zero };
}

/** The rate after a look at the clock. `running`: the copy has been going on since the last look. */
export function advanceRate(rate: Rate, now: number, bytes: number, running: boolean): Rate {
  if (!running) return { ...rate, seenAt: now, bytes };
  const active = rate.active + Math.max(0, now - rate.seenAt);
  const kept = rate.recent.filter((point, at) => active - point.at <= WINDOW || at === rate.recent.length - 1);
  return grown({ ...rate, active, seenAt: now, bytes, recent: [...kept, { at: active, bytes }] });
}

function grown(rate: Rate): Rate {
  const { active, bytes, step, point } = rate;
  if (active - point.at < step) return rate;
  const value = 1000 * (bytes - point.bytes) / (active - point.at);
  const history = [...rate.history, value];
  const next = { ...rate, history, point: { at: active, bytes } };
  if (history.length < MOST_VALUES) return next;
  const halved = history.flatMap((one, at) => at % 2 === 0 ? [(one + (history[at + 1] ?? one)) / 2] : []);
  return { ...next, history: halved, step: step * 2 };
}

/** Bytes a second over the last seconds; 0 where that is not known. */
export function currentRate({ recent, active, bytes }: Rate): number {
  const first = recent[0];
  return active - first.at < LEAST ? 0 : 1000 * (bytes - first.bytes) / (active - first.at);
}

/** Bytes a second over the whole copy; 0 where that is not known. */
export function meanRate({ active, bytes }: Rate): number {
  return active < LEAST ? 0 : 1000 * bytes / active;
}

/** Seconds that are left, at least and at most; the same where the speed has settled. */
export interface TimeLeft {
  readonly low: number;
  readonly high: number;
}

/** Copying after which the speed can be trusted, and how far the two rates may lie apart then. */
const SETTLED_AFTER = 8000;
const SETTLED_WITHIN = 0.15;

/** How long `left` bytes take; `null` where nothing is known yet. */
export function timeLeft(rate: Rate, left: number): TimeLeft | null {
  const now = currentRate(rate);
  const mean = meanRate(rate);
  if (now <= 0 || mean <= 0 || rate.active < 1000) return null;
  const [fast, slow] = now > mean ? [now, mean] : [mean, now];
  if (rate.active >= SETTLED_AFTER && fast - slow <= SETTLED_WITHIN * fast) {
    return { low: left / now, high: left / now };
  }
  // The younger the copy, the less its speed says about the rest.
  const doubt = rate.active < SETTLED_AFTER ? 1.25 : 1;
  return { low: left / (fast * doubt), high: left * doubt / slow };
}

/** The time that is left in words. */
export function timeLeftText(left: TimeLeft, dash: string, clock: (seconds: number) => string): string {
  const { low, high } = left;
  if (low === high) return `${clock(low)} left`;
  const [unit, name] = high < 90 ? [1, "s"] : high < 5400 ? [60, "min"] : [3600, "h"];
  const from = Math.max(unit === 1 ? 1 : 0, Math.floor(low / unit));
  const to = Math.max(1, Math.ceil(high / unit));
  return from === to ? `about ${to} ${name} left` : `about ${from}${dash}${to} ${name} left`;
}
