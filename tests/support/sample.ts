/**
 * The content of the sample disk.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { fatDisk, type FatEntry } from "./fat16.ts";

/** The path of the sample. */
export const samplePath: string = fileURLToPath(new URL("../samples/sample.qcow2", import.meta.url));

/** Guest bytes of the sample. */
export const SAMPLE_SIZE = 64 << 20;

/** Returns the files of the sample. */
export function sampleFiles(): readonly FatEntry[] {
  const content = (text: string) => new TextEncoder().encode(text.replaceAll("\n", "\r\n"));
  return [
    { name: "README.TXT", content: content(README) },
    {
      name: "TABLES",
      entries: [
        { name: "PRIMES.TXT", content: content(primes(100_000)) },
        { name: "SQUARES.TXT", content: content(squares(5_000)) },
      ],
    },
    { name: "PATTERN.BIN", content: new Uint8Array(40_000).map((_, at) => at % 251) },
    { name: "ZEROES.BIN", content: new Uint8Array(3 << 20) },
    { name: "EMPTY.TXT", content: new Uint8Array(0) },
  ];
}

/** Returns the whole guest disk. */
export function sampleDisk(): Uint8Array {
  return fatDisk(SAMPLE_SIZE, "DISKCAST", sampleFiles());
}

const README = `A small disk to try diskcast on: an MBR partition table, one FAT16 file system, and
files that are easy to check.

TABLES\\PRIMES.TXT   the primes below 100000
TABLES\\SQUARES.TXT  the squares of 1 to 5000
PATTERN.BIN         0, 1, ... 250, 0, 1, ...
ZEROES.BIN          3 MiB of zeroes
EMPTY.TXT           nothing
`;

function primes(below: number): string {
  const composite = new Uint8Array(below);
  const found: number[] = [];
  for (let candidate = 2; candidate < below; candidate++) {
    if (composite[candidate]) continue;
    found.push(candidate);
    for (let multiple = candidate * candidate; multiple < below; multiple += candidate) composite[multiple] = 1;
  }
  return found.join("\n") + "\n";
}

function squares(to: number): string {
  return Array.from({ length: to }, (_, at) => `${at + 1} * ${at + 1} = ${(at + 1) ** 2}\n`).join("");
}
