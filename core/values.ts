/**
 * Parses values of options as qemu-img does. Pure.
 *
 * @module
 */
import { ImageError } from "../formats/mod.ts";

const SUFFIXES = "bkmgtpe";

function usage(message: string): ImageError {
  return new ImageError("usage", message);
}

/**
 * Parses a size in bytes: decimal or 0x hexadecimal, with a suffix b, k, M, G, T, P or E (powers of 1024, upper or lower
 * case). A fraction needs a suffix, and is rounded down to whole bytes.
 *
 * @param what name of the value for messages, such as `-S`
 * @throws ImageError `usage`
 *
 * @example
 * ```ts
 * import { parseSize } from "./values.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(parseSize("1.5k", "-S"), 1536);
 * assert.throws(() => parseSize("1.5", "-S"));
 * ```
 */
export function parseSize(text: string, what: string): number {
  const value = hexSize(text) ?? decimalSize(text);
  if (value === undefined) {
    throw usage(
      `Cannot read the size "${text}" of ${what}: it must be a number such as 65536, 64k, 1.5G or 0x10000` +
        " (suffixes b, k, M, G, T, P, E)",
    );
  }
  if (!Number.isSafeInteger(value)) {
    throw usage(`Cannot use the size "${text}" of ${what}: it must be between 0 and ${Number.MAX_SAFE_INTEGER}`);
  }
  return value;
}

function multiplier(suffix: string): number {
  return suffix === "" ? 1 : 1024 ** SUFFIXES.indexOf(suffix.toLowerCase());
}

function hexSize(text: string): number | undefined {
  const match = /^\s*\+?0x([0-9a-f]+)([kmgtp]?)$/i.exec(text);
  if (match === null) return undefined;
  return exactly(BigInt(`0x${match[1]}`)) * multiplier(match[2]!);
}

function decimalSize(text: string): number | undefined {
  const match = /^\s*\+?([0-9]+)(?:\.([0-9]*))?([bkmgtpe]?)$/i.exec(text);
  if (match === null) return undefined;
  const factor = multiplier(match[3]!);
  const fraction = Number(`0.${match[2] ?? ""}0`);
  if (fraction !== 0 && factor === 1) return undefined;
  return exactly(BigInt(match[1]!)) * factor + Math.floor(fraction * factor);
}

/** Returns the value as a number; `Infinity` where a number cannot be exact. */
function exactly(value: bigint): number {
  return value > BigInt(Number.MAX_SAFE_INTEGER) ? Infinity : Number(value);
}

/**
 * Parses a whole number from `min` to `max`: decimal, 0x hexadecimal, or octal with a leading 0.
 *
 * @throws ImageError `usage`
 */
export function parseNumber(text: string, what: string, min: number, max: number): number {
  const match = /^\s*\+?(0x[0-9a-f]+|[0-9]+)$/i.exec(text);
  const digits = match?.[1] ?? "";
  const octal = /^0[0-9]/.test(digits);
  const value = match === null || (octal && /[89]/.test(digits)) ? NaN : octal ? parseInt(digits, 8) : Number(digits);
  if (!(value >= min && value <= max)) {
    throw usage(`Cannot use "${text}" as ${what}: it must be a whole number from ${min} to ${max}`);
  }
  return value;
}

/**
 * Parses a flag: on and off, yes and no, true and false, y and n.
 *
 * @throws ImageError `usage`
 */
export function parseFlag(text: string, what: string): boolean {
  if (["on", "yes", "true", "y"].includes(text)) return true;
  if (["off", "no", "false", "n"].includes(text)) return false;
  throw usage(`Cannot use "${text}" for ${what}: it must be on or off`);
}
