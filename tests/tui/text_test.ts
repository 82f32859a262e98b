import assert from "node:assert/strict";
import stringWidth from "string-width";
import { columnsOf, cut, loadWidths, shortened } from "../../tui/text.ts";

const WIDE = ["磁盘", "e\u0301", "👩‍👩‍👧", "─│", "サーバー.vmdk", "\u00ad"];

// This must be the first test of the file: each file has modules of its own, so string-width is not loaded yet.
Deno.test("before string-width is loaded, the width is an upper bound", async () => {
  await loadWidths("/Übersicht/диск/δίσκος.raw");
  assert.equal(columnsOf("e\u0301"), 4, "narrow names load nothing");
  for (const text of WIDE) {
    assert(columnsOf(text) >= stringWidth(text), text);
    for (let columns = 0; columns < 12; columns++) {
      assert(stringWidth(cut(text, columns, "…")) <= columns && stringWidth(shortened(text, columns, "…")) <= columns);
    }
  }
  // The width of a wide text has been asked for, which loads string-width.
  await new Promise((resolve) => setTimeout(resolve, 0));
  await loadWidths("e\u0301");
  for (const text of WIDE) assert.equal(columnsOf(text), stringWidth(text), text);
});

Deno.test("every single character is as wide as string-width says", async () => {
  await loadWidths("磁");
  for (let code = 0x20; code < 0x3000; code++) {
    const one = String.fromCharCode(code);
    assert.equal(columnsOf(one), stringWidth(one), code.toString(16));
  }
});
