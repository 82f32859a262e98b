/**
 * The keys of a description that tune QEMU's own work on a qcow2 image: its caches, its guards, when it gives space
 * back. A conversion comes out the same whatever they say, so they are checked and have no effect. Names and values are
 * those of `BlockdevOptionsQcow2` in QEMU's QMP reference.
 *
 * @module
 */
import { ImageError } from "../../mod.ts";
import type { Fields } from "./option_tree.ts";

const FLAGS = ["lazy-refcounts", "pass-discard-request", "pass-discard-snapshot", "pass-discard-other"];
const SIZES = ["cache-size", "l2-cache-size", "l2-cache-entry-size", "refcount-cache-size"];
const TEMPLATES = ["none", "constant", "cached", "all"];
const GUARDED = [
  "main-header",
  "active-l1",
  "active-l2",
  "refcount-table",
  "refcount-block",
  "snapshot-table",
  "inactive-l1",
  "inactive-l2",
  "bitmap-directory",
];

/** Takes them; throws `usage` for a value that none of them can have. */
export function takeQcow2Tuning(fields: Fields): void {
  for (const key of FLAGS) fields.flag(key);
  for (const key of SIZES) fields.size(key);
  takeSeconds(fields, "cache-clean-interval");
  if (fields.kind("overlap-check") !== "group") return takeTemplate(fields, "overlap-check");
  const guards = fields.group("overlap-check", "template");
  takeTemplate(guards, "template");
  for (const key of GUARDED) guards.flag(key);
  guards.done(`template, ${GUARDED.join(", ")}`);
}

function takeSeconds(fields: Fields, key: string): void {
  const text = fields.text(key);
  if (text === undefined || /^[0-9]+$/.test(text)) return;
  throw refuse(text, fields.name(key), "a whole number of seconds");
}

function takeTemplate(fields: Fields, key: string): void {
  const text = fields.text(key);
  if (text === undefined || TEMPLATES.includes(text)) return;
  throw refuse(text, fields.name(key), TEMPLATES.join(", "));
}

function refuse(text: string, name: string, must: string): ImageError {
  return new ImageError("usage", `Cannot use "${text}" for ${name}: it must be ${must}`);
}
