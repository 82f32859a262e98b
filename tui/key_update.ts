/**
 * Computes the state of the screen after a key. Pure.
 *
 * @module
 */
import type { Key } from "./keys.ts";
import { KEPT, type Model, type Page, shownRange, stopped, type Transition } from "./model.ts";

/** Lines that a page key scrolls by. */
const PAGE_LINES = 10;

/** Returns the state after a key. */
export function afterKey(model: Model, key: Key): Transition {
  if (model.result) return { model, effect: key === "ctrl-l" ? "redraw" : "leave" };
  // Ctrl-C works on every page, and while the screen asks.
  if (key === "ctrl-c") return stop(model);
  if (model.asking) return answered(model, key);
  switch (key) {
    case "ctrl-z":
      return { model, effect: "suspend" };
    case "c":
      return same({ ...model, letters: !model.letters });
    case "ctrl-l":
      return { model, effect: "redraw" };
    case "q":
      return same(model.stopping ? model : { ...model, asking: true });
    case "p":
    case " ":
      return togglePause(model);
    case "?":
    case "h":
      return same(opened(model, "help"));
    case "l":
      return same(opened(model, "runs"));
    case "e":
      return same(opened(model, "errors"));
    case "m":
      return same(model.page === "map" ? nearer(model) : { ...model, page: "map", scroll: 0 });
    case "escape":
    case "enter":
      return same({ ...model, page: "main", scroll: 0, zoom: { level: 0, start: 0 } });
    default:
      return same(moved(model, key));
  }
}

function same(model: Model): Transition {
  return { model, effect: null };
}

function stop(model: Model): Transition {
  if (model.stopping) return { model, effect: "exit" };
  return { model: stopped(model), effect: "stop" };
}

function answered(model: Model, key: Key): Transition {
  if (key === "y" || key === "Y") return stop(model);
  return same(["n", "N", "q", "escape", "enter"].includes(key) ? { ...model, asking: false } : model);
}

function togglePause(model: Model): Transition {
  if (model.stopping) return same(model);
  const paused = !model.paused;
  return { model: { ...model, paused }, effect: paused ? "pause" : "resume" };
}

/** Opens a page; the same key again closes it. */
function opened(model: Model, page: Page): Model {
  return { ...model, page: model.page === page ? "main" : page, scroll: 0 };
}

function moved(model: Model, key: Key): Model {
  if (model.page === "map") return movedMap(model, key);
  if (model.page !== "runs" && model.page !== "errors") return model;
  const steps: { readonly [key: string]: number } = {
    up: 1,
    k: 1,
    down: -1,
    j: -1,
    pageup: PAGE_LINES,
    pagedown: -PAGE_LINES,
  };
  const length = model.page === "runs" ? model.extents.length : model.notes.length;
  const most = Math.max(0, Math.min(length, KEPT) - 1);
  if (key === "home" || key === "g") return { ...model, scroll: most };
  if (key === "end" || key === "G") return { ...model, scroll: 0 };
  return { ...model, scroll: Math.max(0, Math.min(most, model.scroll + (steps[key] ?? 0))) };
}

/** Fractions of the shown range that the map moves by. */
const MAP_STEPS: { readonly [key: string]: number } = {
  left: -1 / 16,
  right: 1 / 16,
  up: -1 / 4,
  down: 1 / 4,
  pageup: -1,
  pagedown: 1,
};

function movedMap(model: Model, key: Key): Model {
  if (key === "M" || key === "backspace") return zoomed(model, -1);
  const { start, end } = shownRange(model);
  const size = model.map?.size ?? 0;
  const last = size - (end - start);
  if (key === "home" || key === "g") return { ...model, zoom: { ...model.zoom, start: 0 } };
  if (key === "end" || key === "G") return { ...model, zoom: { ...model.zoom, start: last } };
  const step = MAP_STEPS[key] ?? 0;
  return { ...model, zoom: { ...model.zoom, start: Math.max(0, Math.min(last, start + step * (end - start))) } };
}

/** Returns the map nearer: from the whole disk to where bytes are written, else to the middle of the shown range. */
function nearer(model: Model): Model {
  const { inFlight, zoom } = model;
  if (zoom.level > 0 || inFlight.length === 0) return zoomed(model, 1);
  const next = zoomed(model, 1);
  const { start, end } = shownRange(next);
  const first = inFlight[0].start - (end - start) / 2;
  return {
    ...next,
    zoom: { ...next.zoom, start: Math.max(0, Math.min((model.map?.size ?? 0) - (end - start), first)) },
  };
}

/** With fewer buckets on the screen, a larger scale shows no more detail. */
const LEAST_BUCKETS = 32;

/** Changes the scale by `by` levels around the middle; after the largest scale, shows the whole disk again. */
function zoomed(model: Model, by: number): Model {
  const { map } = model;
  if (!map) return model;
  const { start, end } = shownRange(model);
  const level = Math.max(0, model.zoom.level + by);
  const length = map.size / 4 ** level;
  if (length < LEAST_BUCKETS * map.bucket) return { ...model, zoom: { level: 0, start: 0 } };
  const first = (start + end - length) / 2;
  return { ...model, zoom: { level, start: Math.max(0, Math.min(map.size - length, first)) } };
}
