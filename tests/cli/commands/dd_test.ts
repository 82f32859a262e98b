import assert from "node:assert/strict";
import { guestBytes, hasQemu, qemuImg, qemuImgOk, rng, scratch, seed } from "../../support/qemu.ts";
import { diskcast } from "../../support/diskcast.ts";
import { samplesIn } from "./support.ts";

Deno.test("dd copies the given blocks", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  const random = rng(seed());
  const out = folder.file("out");
  for (const { name, path, format } of await samplesIn(folder)) {
    const whole = await guestBytes(path, format);
    for (let round = 0; round < 4; round++) {
      const block = random.pick([512, 4096, 65536, 1 << 20]);
      const [skip, count] = [random.int(0, 2 * whole.length / block), random.int(0, whole.length / block)];
      const args = ["-f", format, `if=${path}`, `of=${out}`, `bs=${block}`];
      if (skip > 0) args.push(`skip=${skip}`);
      const limited = random.chance(0.5);
      if (limited) args.push(`count=${count}`);
      const { code, stdout } = await diskcast("dd", ...args);
      assert.deepEqual([code, stdout], [0, ""], args.join(" "));
      const end = limited ? (skip + count) * block : whole.length;
      assert.deepEqual(await Deno.readFile(out), whole.slice(skip * block, end), `${name}: ${args.join(" ")}`);
    }
  }
});

Deno.test("without both skip and count, dd does what qemu-img does", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  await samplesIn(folder);
  const [ours, theirs] = [folder.file("ours"), folder.file("theirs")];
  for (const args of [[], ["bs=64k", "count=5"], ["bs=3k", "skip=7"], ["bs=1M", "count=100"], ["bs=1M", "skip=100"]]) {
    for (const target of ["raw", "qcow2"]) {
      const given = ["-O", target, `if=${folder.file("v1.qcow2")}`, ...args];
      const expected = await qemuImg("dd", ...given, `of=${theirs}`);
      assert.equal((await diskcast("dd", ...given, `of=${ours}`)).code, expected.code, given.join(" "));
      const compared = await qemuImg("compare", "-s", "-f", target, "-F", target, ours, theirs);
      assert.doesNotMatch(compared.stdout, /size mismatch/, given.join(" "));
      assert.equal((await qemuImg("compare", ours, theirs)).code, 0, given.join(" "));
    }
  }
  await qemuImgOk("check", "-q", ours);
});

Deno.test("dd fails as qemu-img does", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  const sample = "if=tests/samples/sample.qcow2";
  const of = `of=${folder.file("x")}`;
  for (
    const args of [
      [],
      [sample],
      [of],
      ["x"],
      [sample, of, "foo=1"],
      [sample, of, "bs=0"],
      [sample, of, "count=x"],
      ["if=none", of],
      ["-O", "nonsense", sample, of],
    ]
  ) {
    const { code, stdout, stderr } = await diskcast("dd", ...args);
    assert.deepEqual([code, stdout], [(await qemuImg("dd", ...args)).code, ""], args.join(" "));
    assert.match(stderr, /^diskcast: /);
  }
  assert.deepEqual(await Array.fromAsync(Deno.readDir(folder.path)), []);
});
