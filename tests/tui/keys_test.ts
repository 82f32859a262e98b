import assert from "node:assert/strict";
import fc from "fast-check";
import { keysOfPending, readKeys } from "../../tui/keys.ts";
import { seed } from "../support/qemu.ts";

const encoder = new TextEncoder();
const nothing = new Uint8Array(0);

const rows: readonly (readonly [typed: string, keys: readonly string[]])[] = [
  ["q?P ", ["q", "?", "P", " "]],
  ["\x03\x0c\r\n\t\x7f\x08\x00", ["ctrl-c", "ctrl-l", "enter", "enter", "tab", "backspace", "backspace", "ctrl-space"]],
  ["\x1b[A\x1b[B\x1b[C\x1b[D", ["up", "down", "right", "left"]],
  ["\x1bOA\x1bOH\x1bOF", ["up", "home", "end"]],
  ["\x1b[5~\x1b[6~\x1b[1~\x1b[4~\x1b[H\x1b[F", ["pageup", "pagedown", "home", "end", "home", "end"]],
  ["\x1b[1;5C\x1b[5;2~", ["right", "pageup"]],
  ["\x1b[[Aq", ["q"]],
  ["\x1b[15~q", ["q"]],
  ["\x1bx\x1b\x1b[A", ["alt-x", "escape", "up"]],
  ["é漢😀", ["é", "漢", "😀"]],
  ["\x1b[1\x03", ["ctrl-c"]],
  ["\x1b]11;rgb:1e/1e/2e\x1b\\q", ["osc 11;rgb:1e/1e/2e", "q"]],
  ["\x1b]11;rgb:ffff/ffff/ffff\x07q", ["osc 11;rgb:ffff/ffff/ffff", "q"]],
];

for (const [typed, keys] of rows) {
  Deno.test(`keys: ${JSON.stringify(typed)}, in one read and cut anywhere`, () => {
    const bytes = encoder.encode(typed);
    assert.deepEqual(readKeys(nothing, bytes).keys, keys);
    for (let at = 1; at < bytes.length; at++) {
      const first = readKeys(nothing, bytes.subarray(0, at));
      const second = readKeys(first.pending, bytes.subarray(at));
      assert.deepEqual([...first.keys, ...second.keys], keys, `cut at ${at}`);
      assert.equal(second.pending.length, 0);
    }
  });
}

Deno.test("keys: an escape stays pending, and is the key Esc when nothing follows", () => {
  const { keys, pending } = readKeys(nothing, encoder.encode("a\x1b"));
  assert.deepEqual(keys, ["a"]);
  assert.deepEqual([...pending], [0x1b]);
  assert.deepEqual(keysOfPending(pending), ["escape"]);
  assert.deepEqual(keysOfPending(encoder.encode("\x1b[")), ["escape", "["]);
  assert.deepEqual(keysOfPending(nothing), []);
});

Deno.test("keys: invalid bytes are dropped and do not block", () => {
  assert.deepEqual(readKeys(nothing, new Uint8Array([0xff, 0xc0, 0x80, 0x71])).keys, ["q"]);
  assert.deepEqual(readKeys(nothing, new Uint8Array([0xe6, 0x71])).keys, ["q"]);
  const endless = readKeys(nothing, encoder.encode(`\x1b[${"1;".repeat(100)}`));
  assert(endless.pending.length < 40);
});

Deno.test("keys: any bytes decode the same one by one and at once", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const whole = readKeys(nothing, bytes);
      let pending: Uint8Array = nothing;
      const keys: string[] = [];
      for (const byte of bytes) {
        const read = readKeys(pending, new Uint8Array([byte]));
        keys.push(...read.keys);
        pending = read.pending;
      }
      // A sequence that is dropped for its length is dropped earlier when it comes byte by byte.
      if (bytes.length < 32) assert.deepEqual(keys, whole.keys);
      assert(pending.length <= 40);
    }),
    { seed: seed() },
  );
});
