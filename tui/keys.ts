/**
 * Decodes the bytes of a terminal as keys. A sequence that is split between two reads stays pending. Pure.
 *
 * @module
 */

/** A key: the character itself, or a name: `up`, `enter`, `escape`, `ctrl-c`, `alt-x`; `osc TEXT` for an answer. */
export type Key = string;

/** Complete keys, and bytes that may be the beginning of another. */
export interface ReadKeys {
  readonly keys: readonly Key[];
  readonly pending: Uint8Array;
}

const ESC = 0x1b;
/** Longer sequences are dropped. */
const LONGEST = 32;

const FINALS: { readonly [final: string]: Key } = {
  A: "up",
  B: "down",
  C: "right",
  D: "left",
  H: "home",
  F: "end",
  Z: "shift-tab",
};

const TILDES: { readonly [number: string]: Key } = {
  1: "home",
  3: "delete",
  4: "end",
  5: "pageup",
  6: "pagedown",
  7: "home",
  8: "end",
};

const CONTROLS: { readonly [byte: number]: Key } = { 8: "backspace", 9: "tab", 10: "enter", 13: "enter" };

/** A decoded key and its length in bytes. `bytes` of 0: more are needed; no key: an unknown sequence. */
interface Decoded {
  readonly bytes: number;
  readonly key?: Key;
}

const MORE: Decoded = { bytes: 0 };

/**
 * Decodes the keys in `pending` and `bytes`.
 *
 * @example
 * ```ts
 * import { readKeys } from "./keys.ts";
 * import assert from "node:assert/strict";
 *
 * const first = readKeys(new Uint8Array(0), new TextEncoder().encode("q\x1b["));
 * assert.deepEqual(first.keys, ["q"]);
 * assert.deepEqual(readKeys(first.pending, new TextEncoder().encode("A")).keys, ["up"]);
 * ```
 */
export function readKeys(pending: Uint8Array, bytes: Uint8Array): ReadKeys {
  const all = new Uint8Array([...pending, ...bytes]);
  const keys: Key[] = [];
  let at = 0;
  while (at < all.length) {
    const next = decodeKey(all.subarray(at));
    if (next.bytes === 0) break;
    if (next.key !== undefined) keys.push(next.key);
    at += next.bytes;
  }
  return { keys, pending: all.slice(at) };
}

/** Decodes pending bytes that no further byte has followed for a while: a single escape is the key Esc. */
export function keysOfPending(pending: Uint8Array): readonly Key[] {
  // An answer of the terminal that has not ended is no key.
  if (pending[0] !== ESC || pending[1] === 0x5d) return [];
  return ["escape", ...readKeys(new Uint8Array(0), pending.subarray(1)).keys];
}

function decodeKey(bytes: Uint8Array): Decoded {
  const first = bytes[0];
  if (first === ESC) return decodeEscape(bytes);
  if (CONTROLS[first] !== undefined) return { bytes: 1, key: CONTROLS[first] };
  if (first === 0x7f) return { bytes: 1, key: "backspace" };
  if (first === 0) return { bytes: 1, key: "ctrl-space" };
  if (first < 0x20) return { bytes: 1, key: `ctrl-${String.fromCharCode(first + 0x60)}` };
  return decodeCharacter(bytes);
}

function decodeEscape(bytes: Uint8Array): Decoded {
  if (bytes.length === 1) return MORE;
  const second = String.fromCharCode(bytes[1]);
  if (bytes[1] === ESC) return { bytes: 1, key: "escape" };
  if (second === "[") return decodeSequence(bytes);
  if (second === "]") return decodeAnswer(bytes);
  if (second === "O") {
    if (bytes.length === 2) return MORE;
    return decoded(3, FINALS[String.fromCharCode(bytes[2])]);
  }
  const rest = decodeKey(bytes.subarray(1));
  return rest.bytes === 0 ? MORE : decoded(rest.bytes + 1, rest.key && `alt-${rest.key}`);
}

/** Longer answers are dropped. */
const LONGEST_ANSWER = 256;

/** Decodes `ESC ]`, a text, and BEL or `ESC \`: the answer of a terminal, as the key `osc TEXT`. */
function decodeAnswer(bytes: Uint8Array): Decoded {
  for (let at = 2; at < bytes.length; at++) {
    const isBell = bytes[at] === 0x07;
    if (bytes[at] === ESC && at + 1 === bytes.length) return MORE;
    if (!isBell && bytes[at] !== ESC) continue;
    const text = new TextDecoder().decode(bytes.subarray(2, at));
    return { bytes: at + (isBell ? 1 : 2), key: `osc ${text}` };
  }
  return bytes.length > LONGEST_ANSWER ? { bytes: bytes.length } : MORE;
}

/** Decodes `ESC [`, parameters, and a final byte that names the sequence. */
function decodeSequence(bytes: Uint8Array): Decoded {
  let at = 2;
  // Function keys of the Linux console: ESC [ [ A.
  if (bytes[at] === 0x5b) return bytes.length > 3 ? { bytes: 4 } : MORE;
  while (at < bytes.length && bytes[at] >= 0x20 && bytes[at] <= 0x3f) at++;
  if (at > LONGEST) return { bytes: at };
  if (at === bytes.length) return MORE;
  // A control character ends the incomplete sequence, and is a key of its own.
  if (bytes[at] < 0x40 || bytes[at] > 0x7e) return { bytes: at };
  const final = String.fromCharCode(bytes[at]);
  const first = String.fromCharCode(...bytes.subarray(2, at)).split(";")[0];
  return decoded(at + 1, final === "~" ? TILDES[first] : FINALS[final]);
}

function decoded(bytes: number, key: Key | undefined): Decoded {
  return key === undefined ? { bytes } : { bytes, key };
}

function decodeCharacter(bytes: Uint8Array): Decoded {
  const first = bytes[0];
  const length = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
  if (length === 0 || first > 0xf4) return { bytes: 1 };
  for (let at = 1; at < length && at < bytes.length; at++) if ((bytes[at] & 0xc0) !== 0x80) return { bytes: at };
  if (bytes.length < length) return MORE;
  return { bytes: length, key: new TextDecoder().decode(bytes.subarray(0, length)) };
}
