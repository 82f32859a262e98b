import assert from "node:assert/strict";
import { guestBytes, hasQemu, qemuImg, qemuImgOk, qemuIo, scratch } from "../../support/qemu.ts";
import { assertBytes } from "../../support/model.ts";
import { diskcast } from "../../support/diskcast.ts";

const SAMPLE = "tests/samples/sample.qcow2";

const timeless = (text: string) => text.replace(/\d+\.\d+ seconds/, "T seconds");

Deno.test("bench prints what qemu-img prints, except for the time", { ignore: !hasQemu }, async () => {
  for (
    const options of [
      ["-c", "100"],
      ["-c", "50", "-s", "64k", "-d", "3", "-o", "1M", "-S", "3M"],
      ["-q", "-c", "9", "-t", "none", "-i", "threads", "--pattern=3", "--no-drain", "-U"],
      ["-c", "0"],
      ["-s", "0", "-c", "3"],
      ["--image-opts", "-c", "9"],
    ]
  ) {
    const image = options[0] === "--image-opts" ? `driver=qcow2,file.filename=${SAMPLE}` : SAMPLE;
    const [ours, theirs] = [await diskcast("bench", ...options, image), await qemuImg("bench", ...options, image)];
    assert.deepEqual([ours.code, timeless(ours.stdout)], [theirs.code, timeless(theirs.stdout)], options.join(" "));
  }
});

Deno.test("bench refuses what qemu-img refuses", { ignore: !hasQemu }, async () => {
  for (
    const args of [
      [],
      [SAMPLE, SAMPLE],
      ["-c", "x", SAMPLE],
      ["none"],
      ["-c", "1", "-d", "1", "-s", "65M", SAMPLE],
      ["-c", "1", "-o", "64M", SAMPLE],
      ["-i", "magic", "-c", "1", SAMPLE],
      ["-i", "native", "-c", "1", SAMPLE],
      ["-t", "magic", "-c", "1", SAMPLE],
      ["--flush-interval=100", "-c", "1", SAMPLE],
      ["-w", "--flush-interval=10", "-c", "1", SAMPLE],
      ["-w", "--pattern=256", "-c", "1", SAMPLE],
      ["-w", "-U", "-c", "1", SAMPLE],
    ]
  ) {
    const { code, stderr } = await diskcast("bench", ...args);
    assert.equal(code, (await qemuImg("bench", ...args)).code, args.join(" "));
    assert.match(stderr, /^diskcast: /m);
  }
});

Deno.test("bench -w leaves the bytes that qemu-img leaves", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  for (
    const options of [
      ["-c", "10"],
      ["-c", "5", "-s", "64k", "-d", "3", "-o", "1M", "-S", "3M", "--pattern=7"],
      ["-c", "30", "-d", "2", "--flush-interval=5", "--pattern=0x11", "-t", "writethrough"],
      ["-c", "30", "-d", "2", "--flush-interval=5", "--no-drain", "-t", "unsafe"],
      ["-c", "9", "-s", "5000", "-o", "100", "--pattern=9", "-f", "qcow2"],
    ]
  ) {
    const [ours, theirs] = [folder.file("ours.qcow2"), folder.file("theirs.qcow2")];
    for (const path of [ours, theirs]) {
      await qemuImgOk("create", "-q", "-f", "qcow2", path, "16M");
      await qemuIo(path, "write -P 1 0 2M");
    }
    const [mine, other] = [
      await diskcast("bench", "-w", ...options, ours),
      await qemuImg("bench", "-w", ...options, theirs),
    ];
    assert.deepEqual([mine.code, timeless(mine.stdout)], [other.code, timeless(other.stdout)], options.join(" "));
    assertBytes(await guestBytes(ours), await guestBytes(theirs));
    assert.equal((await qemuImg("check", "-q", ours)).code, 0);
  }
});

Deno.test("bench -n warns that it has no effect", async () => {
  const { code, stderr } = await diskcast("bench", "-n", "-c", "1", SAMPLE);
  assert.equal(code, 0);
  assert.match(stderr, /warning: -n has no effect/);
});
