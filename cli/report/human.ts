/**
 * Numbers and tables as the results of commands show them, as qemu-img does. Pure.
 *
 * @module
 */
import type { SnapshotInfo } from "../../mod.ts";
import { visible } from "./report.ts";

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/**
 * Bytes in three digits.
 *
 * @example
 * ```ts
 * import { threeDigits } from "./human.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(threeDigits(417792), "408 KiB");
 * assert.equal(threeDigits(1310720), "1.25 MiB");
 * assert.equal(threeDigits(1000), "0.977 KiB");
 * ```
 */
export function threeDigits(bytes: number): string {
  let unit = 0;
  let value = bytes;
  // From 1000 on, not from 1024: there are three digits only.
  for (; value >= 1000 && unit < UNITS.length - 1; unit++) value /= 1024;
  return `${Number(value.toPrecision(3))} ${UNITS[unit]}`;
}

/** A digest in the form of sha256sum. */
export function digestLine(sha256: string, path: string): string {
  return `${sha256}  ${visible(path)}\n`;
}

/** Bytes in three digits and exactly. */
export function bothSizes(bytes: number): string {
  return `${threeDigits(bytes)} (${bytes} bytes)`;
}

/** Snapshots as a table with a head. */
export function snapshotTable(snapshots: readonly SnapshotInfo[]): string {
  const head = row(["ID", "TAG", "VM SIZE", "DATE", "VM CLOCK", "ICOUNT"]);
  return [
    head,
    ...snapshots.map((one) =>
      row([
        visible(one.id),
        visible(one.name),
        threeDigits(one.vmStateSize),
        dateText(one.dateSeconds),
        clockText(one.clockSeconds, one.clockNanoseconds),
        one.instructions === undefined ? "" : String(one.instructions),
      ])
    ),
  ].join("");
}

function row([id, tag, size, date, clock, instructions]: readonly string[]): string {
  const cells = [
    id.padEnd(9),
    tag.padEnd(16),
    size.padStart(8),
    date.padStart(19),
    clock.padStart(12),
    instructions.padStart(10),
  ];
  return `${cells.join(" ").trimEnd()}\n`;
}

/** A moment in the zone of the user. */
function dateText(seconds: number): string {
  const date = new Date(seconds * 1000);
  const two = (value: number) => String(value).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** How long a machine had run: hours, minutes, seconds and milliseconds. */
function clockText(seconds: number, nanoseconds: number): string {
  const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
  const parts = [two(seconds / 3600), two(seconds / 60 % 60), two(seconds % 60)];
  return `${parts.join(":")}.${String(Math.floor(nanoseconds / 1e6)).padStart(3, "0")}`;
}
