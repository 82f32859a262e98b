import assert from "node:assert/strict";
import { hasQemu, qemuImg } from "../support/qemu.ts";
import { runMain } from "./commands_support.ts";

const SAMPLE = "tests/samples/sample.qcow2";

Deno.test("bench tells what qemu-img tells, but for the time", { ignore: !hasQemu }, async () => {
  const timeless = (text: string) => text.replace(/\d+\.\d+ seconds/, "T seconds");
  for (
    const options of [["-c", "100"], ["-c", "50", "-s", "64k", "-d", "3", "-o", "1M", "-S", "3M"], ["-q", "-c", "9"]]
  ) {
    const [ours, theirs] = [await runMain("bench", ...options, SAMPLE), await qemuImg("bench", ...options, SAMPLE)];
    assert.deepEqual([ours.code, timeless(ours.stdout)], [theirs.code, timeless(theirs.stdout)], options.join(" "));
  }
  for (const words of [[], [SAMPLE, SAMPLE], ["-c", "x", SAMPLE], ["none"]]) {
    assert.equal((await runMain("bench", ...words)).code, (await qemuImg("bench", ...words)).code, words.join(" "));
  }
});

Deno.test("bench does not write over an image, nor read past its end", async () => {
  assert.equal((await runMain("bench", "-w", SAMPLE)).code, 1);
  const large = await runMain("bench", "-c", "1", "-d", "1", "-s", "65M", SAMPLE);
  assert.equal(large.code, 1);
  assert.match(large.stderr, /the disk has 67108864/);
});
