import assert from "node:assert/strict";
import fc from "fast-check";
import { type BufferSpan, isZero, splitZeroes } from "../../core/zeroes.ts";
import { seed } from "../support/qemu.ts";

/** One letter a 512-byte sector: `.` zero, `x` not. */
function disk(sectors: string): Uint8Array {
  const bytes = new Uint8Array(sectors.length * 512);
  [...sectors].forEach((letter, index) => letter === "x" && (bytes[index * 512 + 100] = 1));
  return bytes;
}

/** Parts as letters, one a sector. */
function letters(parts: readonly BufferSpan[]): string {
  return parts.map(({ zero, start, end }) => (zero ? "." : "x").repeat((end - start) / 512)).join("");
}

const split = (sectors: string, firstSector: number, least: number, grid: number) =>
  letters(splitZeroes(disk(sectors), firstSector * 512, { grid: grid * 512, least: least * 512 }));

const rows: [name: string, from: number, least: number, grid: number, bytes: string, parts: string][] = [
  ["all zero", 0, 8, 8, "................", "................"],
  ["all data", 0, 8, 8, "xxxxxxxxxxxxxxxx", "xxxxxxxxxxxxxxxx"],
  ["a block with one byte is data", 0, 8, 8, ".......x........", "xxxxxxxx........"],
  ["zeroes across a block border are no hole", 0, 8, 8, "xxxx........xxxx", "xxxxxxxxxxxxxxxx"],
  ["eight unaligned kilobytes leave one block", 0, 8, 8, "xxxx................xxxx", "xxxxxxxx........xxxxxxxx"],
  ["the grid counts from guest byte 0, not from the buffer", 6, 8, 8, "..x.......x", "..xxxxxxxxx"],
  ["a short block at the start counts", 6, 8, 8, "..xxxxxxxx", "..xxxxxxxx"],
  ["a short block at the end counts", 0, 8, 8, "xxxxxxxx..", "xxxxxxxx.."],
  ["zeroes shorter than the least are data", 0, 12, 8, "xxxxxxxx........xxxxxxxx", "xxxxxxxxxxxxxxxxxxxxxxxx"],
  ["but not at the ends", 0, 12, 8, "........xxxxxxxx........", "........xxxxxxxx........"],
  ["sectors, where asked for", 0, 1, 1, "x.x..xx.", "x.x..xx."],
];

for (const [name, from, least, grid, bytes, parts] of rows) {
  Deno.test(`splitZeroes: ${name}`, () => assert.equal(split(bytes, from, least, grid), parts));
}

Deno.test("splitZeroes: parts cover the buffer, neighbours differ, zero parts are zero", () => {
  const sectors = fc.array(fc.constantFrom(".", "x"), { minLength: 1, maxLength: 64 });
  fc.assert(
    fc.property(
      sectors,
      fc.nat(20),
      fc.constantFrom(1, 2, 8),
      fc.integer({ min: 1, max: 20 }),
      (row, from, grid, least) => {
        const bytes = disk(row.join(""));
        const parts = splitZeroes(bytes, from * 512, { grid: grid * 512, least: least * 512 });
        let at = from * 512;
        parts.forEach((part, index) => {
          assert.equal(part.start, at);
          at = part.end;
          if (index > 0) assert.notEqual(part.zero, parts[index - 1].zero);
          if (part.zero) {
            assert.ok(bytes.subarray(part.start - from * 512, part.end - from * 512).every((byte) => byte === 0));
          }
          const inner = index > 0 && index < parts.length - 1;
          if (part.zero && inner) assert.ok(part.end - part.start >= least * 512);
        });
        assert.equal(at, from * 512 + bytes.length);
      },
    ),
    { seed: seed() },
  );
});

Deno.test("isZero: finds a single byte anywhere, also past a mebibyte", () => {
  const bytes = new Uint8Array(3 << 20);
  assert.equal(isZero(bytes), true);
  for (const at of [0, 1, 4095, (1 << 20) - 1, 1 << 20, (2 << 20) + 77, bytes.length - 1]) {
    bytes[at] = 1;
    assert.equal(isZero(bytes), false, `byte ${at}`);
    bytes[at] = 0;
  }
});
