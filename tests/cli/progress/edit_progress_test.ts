import assert from "node:assert/strict";
import { runNamed } from "../../../cli/commands/mod.ts";
import { guestBytes, hasQemu, qemuImg, qemuImgOk, qemuIo, rng, rounds, scratch, seed } from "../../support/qemu.ts";
import { fingerprint } from "../../support/model.ts";
import { fakeIo } from "../support.ts";

/** Arguments of each command that takes long on a large image: `top.qcow2` with the backing file `base.qcow2`. */
const CHANGES: readonly (readonly string[])[] = [
  ["check", "top.qcow2"],
  ["check", "-r", "all", "top.qcow2"],
  ["resize", "--preallocation=full", "top.qcow2", "12M"],
  ["resize", "--shrink", "top.qcow2", "1M"],
  ["snapshot", "-c", "new", "top.qcow2"],
  ["snapshot", "-a", "kept", "top.qcow2"],
  ["snapshot", "-d", "kept", "top.qcow2"],
  ["bitmap", "--merge", "bits", "top.qcow2", "more"],
  ["amend", "-o", "refcount_bits=32", "top.qcow2"],
  ["rebase", "-b", "", "top.qcow2"],
  ["rebase", "--drop-identical", "-b", "base.qcow2", "-F", "qcow2", "top.qcow2"],
  ["commit", "top.qcow2"],
];

async function makeImages(folder: { file(name: string): string }): Promise<string> {
  const [base, top] = [folder.file("base.qcow2"), folder.file("top.qcow2")];
  const create = (...args: string[]) => qemuImgOk("create", "-q", "-f", "qcow2", "-o", "cluster_size=512", ...args);
  await create(base, "8M");
  await qemuIo(base, "write -P 1 0 3M");
  await create("-b", "base.qcow2", "-F", "qcow2", top, "8M");
  await qemuImgOk("bitmap", "--add", "-g", "512", top, "bits");
  // Far apart, so that each bit has a cluster of its own.
  await qemuIo(top, "write -P 2 1M 1M", "write -P 2 3M 512", "write -P 2 7M 512");
  await qemuImgOk("bitmap", "--disable", top, "bits");
  await qemuImgOk("bitmap", "--add", "--disable", "-g", "512", top, "more");
  await qemuImgOk("snapshot", "-c", "kept", top);
  await qemuIo(top, "write -P 3 1536k 2M");
  return top;
}

function run(args: readonly string[], top: string, signal: AbortSignal, io = fakeIo()): Promise<number> {
  const paths = args.slice(1).map((arg) => arg === "top.qcow2" ? top : arg);
  return runNamed(args[0]!, ["--progress=json", ...paths], { io, signal });
}

Deno.test("commands on large images report how far they are", { ignore: !hasQemu }, async (t) => {
  await using folder = await scratch();
  const top = await makeImages(folder);
  const before = await Deno.readFile(top);
  const backing = await Deno.readFile(folder.file("base.qcow2"));
  for (const args of CHANGES) {
    await t.step(args.join(" "), async () => {
      await Deno.writeFile(top, before);
      await Deno.writeFile(folder.file("base.qcow2"), backing);
      const io = fakeIo();
      // The clock advances by a second with every reading, so that no line is left out.
      const ticking = { ...io, err: io.err, out: io.out, now: () => io.clock += 1000 };
      const texts: string[] = [];
      ticking.err = (text) => void texts.push(text);
      assert.equal(await run(args, top, new AbortController().signal, ticking), 0, texts.join(""));
      const lines = texts.join("").trim().split("\n").map((line) => JSON.parse(line));
      const shares = lines.filter(({ type }) => type === "status").map(({ percent }) => percent);
      assert(shares.length > 2, `${shares}`);
      assert.deepEqual(shares, shares.toSorted((a, b) => a - b));
      assert(shares.some((share) => share > 5 && share < 95), `${shares}`);
      assert.equal(lines.at(-1).type, "summary");
    });
  }
});

Deno.test(
  "a command that is stopped ends with 130, and leaves the old state or the new",
  { ignore: !hasQemu },
  async (t) => {
    await using folder = await scratch();
    const random = rng(seed());
    const top = await makeImages(folder);
    const before = await Deno.readFile(top);
    const backing = await Deno.readFile(folder.file("base.qcow2"));
    const stateOf = async () => {
      const info = JSON.parse(await qemuImgOk("info", "--output=json", top));
      const { snapshots = [], "virtual-size": size, "format-specific": { data } } = info;
      return JSON.stringify([snapshots.length, size, data["refcount-bits"], fingerprint(await guestBytes(top))]);
    };
    const old = await stateOf();
    for (const args of CHANGES) {
      await t.step(args.join(" "), async () => {
        const restore = async () => {
          await Deno.writeFile(top, before);
          await Deno.writeFile(folder.file("base.qcow2"), backing);
        };
        await restore();
        let readings = 0;
        const count = fakeIo();
        await run(args, top, new AbortController().signal, { ...count, now: () => (readings++, 0) });
        const states = [old, await stateOf()];
        let stopped = 0;
        for (let tries = 0; tries < rounds(3, 5); tries++) {
          await restore();
          // The clock is read for every event.
          let left = random.int(2, readings);
          const controller = new AbortController();
          const io = { ...fakeIo(), now: () => (left-- === 0 && controller.abort("SIGINT"), 0) };
          const code = await run(args, top, controller.signal, io);
          assert(code === 130 || code === 0, `${code}`);
          if (code === 130) stopped++;
          assert([0, 3].includes((await qemuImg("check", "-q", top)).code));
          assert(states.includes(await stateOf()), `after try ${tries}\n${states.join("\n")}`);
        }
        assert(stopped > 0, `never stopped, of ${readings} events`);
      });
    }
  },
);

Deno.test("every long command is reported in sentences, with its own name; only convert has a screen", async () => {
  const io = fakeIo();
  const signal = new AbortController().signal;
  assert.equal(await runNamed("check", ["--accessible", "tests/samples/sample.qcow2"], { io, signal }), 0);
  assert.match(io.stderr, /^Checking\.$/m);
  const refused = fakeIo();
  assert.equal(
    await runNamed("check", ["--progress=screen", "tests/samples/sample.qcow2"], { io: refused, signal }),
    1,
  );
  assert.match(refused.stderr, /only convert has one/);
});

// Other systems allocate space by writing all of it.
const reserves = Deno.build.os === "linux";

Deno.test("create reports how far it is; stopped, it leaves nothing", { ignore: !reserves }, async () => {
  await using folder = await scratch();
  const args = ["--progress=json", "-o", "preallocation=falloc", folder.file("a.raw"), "1536M"];
  const io = fakeIo();
  let seen = 0;
  const counted = {
    ...io,
    err: (text: string) => void (seen += text.split('"percent":').length - 1),
    now: () => io.clock += 1000,
  };
  assert.equal(await runNamed("create", args, { io: counted, signal: new AbortController().signal }), 0);
  assert(seen > 4, `${seen}`);
  await Deno.remove(folder.file("a.raw"));
  const controller = new AbortController();
  let readings = 0;
  const stopping = { ...fakeIo(), now: () => (++readings === 6 && controller.abort("SIGINT"), 0) };
  assert.equal(await runNamed("create", args, { io: stopping, signal: controller.signal }), 130);
  assert.deepEqual(await Array.fromAsync(Deno.readDir(folder.path)), []);
});
