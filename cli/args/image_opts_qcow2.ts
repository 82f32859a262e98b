/**
 * The keys of a description that tune QEMU's own work on a qcow2 image: its caches, its overlap checks, its discards.
 * No result here depends on them, so they are checked and have no effect. Names and values are those of
 * `BlockdevOptionsQcow2` in QEMU's QMP reference.
 *
 * @module
 */
import type { Fields } from "./option_tree.ts";
import { usageError } from "./usage.ts";

const FLAGS = ["lazy-refcounts", "pass-discard-request", "pass-discard-snapshot", "pass-discard-other"];
const SIZES = ["cache-size", "l2-cache-size", "l2-cache-entry-size", "refcount-cache-size"];
const TEMPLATES = ["none", "constant", "cached", "all"];
const CHECKED_STRUCTURES = [
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

/**
 * Reads and checks these keys.
 *
 * @throws ImageError `usage` for a value that QEMU would not take
 */
export function takeQcow2Tuning(fields: Fields): void {
  for (const key of FLAGS) fields.flag(key);
  for (const key of SIZES) fields.size(key);
  takeSeconds(fields, "cache-clean-interval");
  if (fields.type("overlap-check") !== "group") return takeTemplate(fields, "overlap-check");
  const checks = fields.group("overlap-check", "template");
  takeTemplate(checks, "template");
  for (const key of CHECKED_STRUCTURES) checks.flag(key);
  checks.done(`template, ${CHECKED_STRUCTURES.join(", ")}`);
}

function takeSeconds(fields: Fields, key: string): void {
  const text = fields.text(key);
  if (text === undefined || /^[0-9]+$/.test(text)) return;
  throw usageError(`Cannot use "${text}" for ${fields.name(key)}: it must be a whole number of seconds`);
}

function takeTemplate(fields: Fields, key: string): void {
  const text = fields.text(key);
  if (text === undefined || TEMPLATES.includes(text)) return;
  throw usageError(`Cannot use "${text}" for ${fields.name(key)}: it must be ${TEMPLATES.join(", ")}`);
}
