/**
 * Lines and tables that several commands print as results. Pure.
 *
 * @module
 */
import type { DigestMember, SnapshotInfo } from "../../mod.ts";
import { threeDigits, visible } from "../../tui/human.ts";

/** Formats a digest as sha256sum does; one of another algorithm with its name, as `sha256sum --tag` does. */
export function digestLine({ sha256, blocksSha256 }: DigestMember, path: string): string {
  return sha256 === undefined
    ? `BLOCKS-SHA256 (${visible(path)}) = ${blocksSha256}\n`
    : `${sha256}  ${visible(path)}\n`;
}

/** Formats snapshots as a table with a head, as qemu-img 10 does. */
export function snapshotTable(snapshots: readonly SnapshotInfo[]): string {
  const head = row(["ID", "TAG", "VM_SIZE", "DATE", "VM_CLOCK", "ICOUNT"]);
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
    id.padEnd(7),
    tag.padEnd(16),
    size.padStart(8),
    date.padStart(19),
    clock.padStart(15),
    instructions.padStart(10),
  ];
  return `${cells.join(" ").trimEnd()}\n`;
}

/** Formats seconds since 1970 as a local date and time. */
function dateText(seconds: number): string {
  const date = new Date(seconds * 1000);
  const two = (value: number) => String(value).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** Formats the running time of a machine: hours, minutes, seconds and milliseconds. */
function clockText(seconds: number, nanoseconds: number): string {
  const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
  const hours = String(Math.floor(seconds / 3600)).padStart(4, "0");
  const parts = [hours, two(seconds / 60 % 60), two(seconds % 60)];
  return `${parts.join(":")}.${String(Math.floor(nanoseconds / 1e6)).padStart(3, "0")}`;
}
