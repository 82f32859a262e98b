import assert from "node:assert/strict";
import { boundedOutput } from "../../tui/bounded_output.ts";

Deno.test("after an error nothing is in flight: output is ready, drained and silent", async () => {
  let writes = 0;
  const output = boundedOutput({ write: () => Promise.reject(new Error(`the terminal is gone: ${++writes}`)) });
  output.frame("a");
  output.keep("b");
  await output.drained();
  assert.equal(output.ready(), true);
  output.frame("c");
  output.keep("d");
  assert.equal(output.ready(), true);
  await output.drained();
  assert.equal(writes, 1);
});

Deno.test("an empty frame is not in flight, and text that is kept while a frame is comes after it", async () => {
  const written: string[] = [];
  let take = () => {};
  const output = boundedOutput({
    async write(bytes) {
      written.push(new TextDecoder().decode(bytes));
      await new Promise<void>((resolve) => take = resolve);
      return bytes.length;
    },
  });
  output.frame("");
  assert.equal(output.ready(), true);
  output.frame("first");
  output.frame("dropped");
  output.keep("kept");
  assert.equal(output.ready(), false);
  const drained = output.drained();
  take();
  await new Promise((resolve) => setTimeout(resolve, 0));
  take();
  await drained;
  assert.deepEqual(written, ["first", "kept"]);
  assert.equal(output.ready(), true);
});
