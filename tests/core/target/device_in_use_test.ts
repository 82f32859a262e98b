/** Devices in use are refused by every job that writes; here ordinary files count as devices. */
import assert from "node:assert/strict";
import {
  amend,
  bench,
  changeBitmap,
  changeSnapshots,
  check,
  commit,
  convert,
  createImage,
  type DeviceUse,
  rebase,
  resize,
} from "../../../mod.ts";
import type { Files } from "../../../formats/mod.ts";
import { filesWithDevices } from "../../support/devices.ts";
import { rng, scratch } from "../../support/qemu.ts";

const MIB = 1 << 20;
const mounted: readonly DeviceUse[] = [{ device: "sda1", kind: "mount", name: "/home" }];

/** Options of a job, and the paths that it may use. */
interface Try {
  readonly files: Files;
  readonly forceDevice?: boolean;
  /** A raw image with content. */
  readonly source: string;
  /** The device: a qcow2 image over `base`. */
  readonly device: string;
  readonly base: string;
}

const jobs: readonly (readonly [name: string, job: (given: Try) => Promise<unknown>])[] = [
  [
    "convert",
    ({ source, device, files, forceDevice = false }) =>
      convert({ sources: [{ path: source, format: "raw" }], target: { path: device, format: "raw" }, forceDevice }, {
        files,
      }),
  ],
  ["convert into an existing image", ({ source, device, files, forceDevice = false }) =>
    convert({
      sources: [{ path: source, format: "raw" }],
      target: { path: device, format: "raw", create: false },
      forceDevice,
    }, { files })],
  [
    "create",
    ({ device, files, forceDevice = false }) =>
      createImage({ path: device, format: "qcow2", size: MIB, forceDevice }, { files }),
  ],
  ["commit", ({ device, ...options }) => commit({ path: device, format: "qcow2" }, options)],
  ["rebase", ({ device, ...options }) => rebase({ path: device, format: "qcow2" }, null, options)],
  ["resize", ({ device, ...options }) => resize({ path: device, format: "qcow2" }, 4 * MIB, options)],
  ["check -r", ({ device, ...options }) => check({ path: device, format: "qcow2" }, { ...options, repair: "all" })],
  [
    "bitmap",
    ({ device, ...options }) => changeBitmap({ path: device, format: "qcow2" }, "a", [{ action: "add" }], options),
  ],
  [
    "snapshot",
    ({ device, ...options }) =>
      changeSnapshots({ path: device, format: "qcow2" }, { action: "create", name: "a" }, options),
  ],
  ["amend", ({ device, ...options }) => amend({ path: device, format: "qcow2" }, { lazy_refcounts: "on" }, options)],
  ["bench -w", ({ device, ...options }) => {
    const requests = { count: 1, depth: 1, bufferSize: 512, step: 512, offset: 0 };
    const write = { pattern: 7, flushInterval: 0, drain: true };
    return bench({ path: device, format: "qcow2" }, { ...requests, write }, options);
  }],
];

for (const [name, job] of jobs) {
  Deno.test(`a device in use is refused, and written with forceDevice: ${name}`, async () => {
    await using folder = await scratch();
    const [source, base, device] = ["source", "base", "device"].map(folder.file);
    await Deno.writeFile(source!, rng(1).bytes(MIB));
    await createImage({ path: base!, format: "qcow2", size: 2 * MIB });
    await createImage({ path: device!, format: "qcow2", backing: { path: base!, format: "qcow2" } });
    await convert({
      sources: [{ path: source!, format: "raw" }],
      target: { path: device!, format: "qcow2", create: false },
    });
    const given = { source: source!, base: base!, device: device!, allowRefs: [folder.path] };
    const before = await Deno.readFile(device!);
    const files = filesWithDevices((path) => path === device, () => mounted);
    await assert.rejects(job({ ...given, files }), {
      kind: "refused",
      message: `Cannot write to the device "${device}": sda1 is mounted at "/home"; unmount it first ` +
        "(--force-device writes nevertheless, and destroys what is there)",
    });
    assert.deepEqual(await Deno.readFile(device!), before);
    await job({ ...given, files, forceDevice: true });
  });
}

Deno.test("commit into a base on a device in use is refused", async () => {
  await using folder = await scratch();
  const [base, overlay] = ["base", "overlay"].map(folder.file);
  await createImage({ path: base!, format: "qcow2", size: MIB });
  await createImage({ path: overlay!, format: "qcow2", backing: { path: base!, format: "qcow2" } });
  const before = await Deno.readFile(base!);
  const files = filesWithDevices((path) => path === base, () => mounted);
  await assert.rejects(commit({ path: overlay! }, { files }), { kind: "refused", message: /mounted at "\/home"/ });
  assert.deepEqual(await Deno.readFile(base!), before);
});

Deno.test("a device that is mounted after it was opened is refused before the first write", async () => {
  await using folder = await scratch();
  const [source, device] = ["source", "device"].map(folder.file);
  await Deno.writeFile(source!, rng(1).bytes(MIB));
  await Deno.writeFile(device!, new Uint8Array(MIB));
  let asked = 0;
  const files = filesWithDevices((path) => path === device, () => ++asked === 1 ? [] : mounted);
  const job = { sources: [{ path: source!, format: "raw" }], target: { path: device!, format: "raw" } };
  await assert.rejects(convert(job, { files }), { kind: "refused", message: /mounted at "\/home"/ });
  assert.deepEqual(await Deno.readFile(device!), new Uint8Array(MIB));
});

Deno.test("a device whose use is not known is refused", { ignore: Deno.build.os === "darwin" }, async () => {
  await using folder = await scratch();
  await Deno.writeFile(folder.file("a"), new Uint8Array(512));
  const files = filesWithDevices((path) => path.endsWith("/device"), () => null);
  await Deno.writeFile(folder.file("device"), new Uint8Array(MIB));
  const job = {
    sources: [{ path: folder.file("a"), format: "raw" }],
    target: { path: folder.file("device"), format: "raw" },
  };
  await assert.rejects(convert(job, { files }), { kind: "refused", message: /does not report whether it is in use/ });
});

Deno.test("a source on a device in use is read with a warning, which forceShare leaves out", async () => {
  await using folder = await scratch();
  await Deno.writeFile(folder.file("device"), rng(1).bytes(MIB));
  const warningsOf = async (uses: readonly DeviceUse[], forceShare: boolean) => {
    const warnings: string[] = [];
    await convert({
      sources: [{ path: folder.file("device"), format: "raw" }],
      target: { path: folder.file("copy"), format: "raw" },
      forceShare,
    }, {
      files: filesWithDevices((path) => path === folder.file("device"), () => uses),
      onEvent: (event) => event.type === "warning" && warnings.push(event.message),
    });
    assert.deepEqual(await Deno.readFile(folder.file("copy")), await Deno.readFile(folder.file("device")));
    return warnings;
  };
  assert.deepEqual(await warningsOf(mounted, false), [
    `"${folder.file("device")}" may be written to while it is read, and the result inconsistent: ` +
    'sda1 is mounted at "/home" (-U leaves out this warning)',
  ]);
  assert.deepEqual(await warningsOf(mounted, true), []);
  assert.deepEqual(await warningsOf([], false), []);
});

Deno.test("the kernel decides where /sys shows no use, or cannot be read", async () => {
  await using folder = await scratch();
  await Deno.writeFile(folder.file("device"), new Uint8Array(MIB));
  const job = { path: folder.file("device"), format: "qcow2", size: MIB };
  for (const uses of [[], null]) {
    const refusing = filesWithDevices(() => true, () => uses, "refused");
    await assert.rejects(createImage(job, { files: refusing }), {
      kind: "refused",
      message: /the system or another program has it in use; stop that first/,
    });
    assert.deepEqual(await Deno.readFile(folder.file("device")), new Uint8Array(MIB));
  }
  await createImage(job, { files: filesWithDevices(() => true, () => null, "granted") });
  // What is mounted elsewhere is seen though the kernel would allow it.
  const granting = filesWithDevices(() => true, () => mounted, "granted");
  await assert.rejects(createImage(job, { files: granting }), { kind: "refused", message: /is mounted/ });
});

const reasons: readonly (readonly [use: DeviceUse, message: RegExp])[] = [
  [{ device: "sda2", kind: "mount", name: "/", system: true }, /mounted at "\/", the running system; choose another/],
  [{ device: "sda2", kind: "swap" }, /sda2 is swap space; switch it off with swapoff first/],
  [{ device: "sda2", kind: "btrfs" }, /sda2 belongs to a mounted btrfs; unmount it first/],
  [{ device: "sda2", kind: "holder", name: "vg-a", holder: "LVM" }, /sda2 is in use by LVM \(vg-a\); stop that first/],
  [{ device: "sda2", kind: "loop", name: "loop3" }, /sda2 is attached to loop3; detach that first/],
];

Deno.test("the reason and the remedy are named", async (t) => {
  await using folder = await scratch();
  await Deno.writeFile(folder.file("device"), new Uint8Array(MIB));
  for (const [use, message] of reasons) {
    await t.step(use.kind, async () => {
      const files = filesWithDevices(() => true, () => [use]);
      const job = { path: folder.file("device"), format: "raw", size: MIB };
      await assert.rejects(createImage(job, { files }), { kind: "refused", message });
    });
  }
});
