/** Keeping a backing file (`-B`), joining, snapshots and bitmaps: the rules that a wrong converter breaks first. */
import assert from "node:assert/strict";
import { convert } from "../../core/convert.ts";
import { openDisk } from "../../core/open/open_disk.ts";
import type { ConvertJob, TargetSpec } from "../../core/job.ts";
import { type FileOperation, watchedFiles } from "../support/files.ts";
import { guestBytes, hasQemu, mapJson, mergedMap, qemuImgOk, qemuIo, type Scratch, scratch } from "../support/qemu.ts";

const KIB = 1024;
const ignore = !hasQemu;

/** A base of 1 MiB full of 0x11, and above it data, zeroes as data, and zero clusters; the overlay is longer. */
async function twoLayers(folder: Scratch): Promise<{ base: string; top: string }> {
  const [base, top] = [folder.file("base.qcow2"), folder.file("top.qcow2")];
  await qemuImgOk("create", "-q", "-f", "qcow2", base, "1M");
  await qemuIo(base, "write -P 0x11 0 1M");
  await qemuImgOk("create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", top, "2M");
  await qemuIo(
    top,
    "write -P 0x22 64k 64k", // data
    "write -P 0 192k 64k", // data that is zero
    "write -z 320k 64k", // zero clusters
    "write -P 0x33 448k 4k", // part of a cluster: the rest was copied from the base
    "write -z 1216k 64k", // zero clusters past the base's end
    "write -P 0 1344k 64k", // data that is zero past the base's end
    "write -P 0x44 1472k 64k", // data past the base's end
  );
  return { base, top };
}

const overlayOf = (folder: Scratch, base: string, options: Record<string, string> = {}): TargetSpec => ({
  path: folder.file("ours.qcow2"),
  format: "qcow2",
  backing: { path: base, format: "qcow2" },
  options,
});

for (
  const [name, options, compress] of [["v3", {}, false], ["v2", { compat: "0.10" }, false], [
    "compressed",
    {},
    true,
  ]] as const
) {
  Deno.test({
    name: `-B, ${name}: zeroes hide the backing file, nothing is written past its end, and the map is qemu-img's`,
    ignore,
    async fn() {
      await using folder = await scratch();
      const { base, top } = await twoLayers(folder);
      await convert({
        sources: [{ path: top }],
        target: { ...overlayOf(folder, base, options), compress },
      });
      const ours = folder.file("ours.qcow2");
      assert.deepEqual(await guestBytes(ours), await guestBytes(top));
      await qemuImgOk("check", ours);
      const theirs = folder.file("theirs.qcow2");
      const flags = compress ? ["-c"] : [];
      const list = Object.entries(options).flatMap(([key, value]) => ["-o", `${key}=${value}`]);
      await qemuImgOk("convert", "-O", "qcow2", ...flags, ...list, "-B", base, "-F", "qcow2", top, theirs);
      const map = mergedMap(await mapJson(ours));
      assert.deepEqual(map, mergedMap(await mapJson(theirs)));
      const at = (guest: number) => map.find(({ start, length }) => start <= guest && guest < start + length)!;
      assert.equal(at(0).depth, 1, "the base shows");
      for (const hidden of [192, 320]) {
        assert.equal(at(hidden * KIB).depth, 0, "zeroes of the overlay hide the base");
        if (name === "v2") assert.equal(at(hidden * KIB).data, true, "v2 has no zero clusters");
        else assert.equal(at(hidden * KIB).zero, true);
      }
    },
  });
}

Deno.test({
  name: "-B never reads or writes what only the base holds",
  ignore,
  async fn() {
    await using folder = await scratch();
    const { base, top } = await twoLayers(folder);
    for (const compress of [false, true]) {
      const operations: FileOperation[] = [];
      const files = watchedFiles((operation) => operations.push(operation));
      await convert({ sources: [{ path: top }], target: { ...overlayOf(folder, base), compress } }, {
        files,
      });
      const map = await mapJson(base);
      const data = map.filter((entry) => entry.data && entry.offset !== undefined);
      const touched = operations.filter(({ op, file, start, end }) =>
        op === "read" && file === "base.qcow2" &&
        data.some(({ offset, length }) => start < offset! + length && end > offset!)
      );
      assert.deepEqual(touched, []);
      const written = operations.filter(({ op, file }) => op === "write" && file.includes("ours")).reduce(
        (sum, { start, end }) => sum + end - start,
        0,
      );
      assert.ok(written < 900 * KIB, `${written} bytes are written`);
    }
  },
});

Deno.test({
  name: "-B of a file deeper in the chain takes over every layer above it",
  ignore,
  async fn() {
    await using folder = await scratch();
    const { base, top } = await twoLayers(folder);
    const third = folder.file("third.qcow2");
    await qemuImgOk("create", "-q", "-f", "qcow2", "-b", top, "-F", "qcow2", third, "2M");
    await qemuIo(third, "write -P 0x55 640k 64k");
    await convert({ sources: [{ path: third }], target: overlayOf(folder, base) });
    assert.deepEqual(await guestBytes(folder.file("ours.qcow2")), await guestBytes(third));
  },
});

Deno.test({
  name: "-B of a file that is not in the chain is said aloud",
  ignore,
  async fn() {
    await using folder = await scratch();
    const { base, top } = await twoLayers(folder);
    await Deno.copyFile(base, folder.file("copy.qcow2"));
    const warnings: string[] = [];
    const onEvent = (event: { type: string; message?: string }) =>
      event.type === "warning" && warnings.push(event.message!);
    await convert({ sources: [{ path: top }], target: overlayOf(folder, folder.file("copy.qcow2")) }, { onEvent });
    assert.deepEqual(await guestBytes(folder.file("ours.qcow2")), await guestBytes(top));
    assert.match(warnings.join(), /is not in the backing chain of the source/);
  },
});

Deno.test({
  name: "-n -B into an overlay and into a copy of the base writes only what differs",
  ignore,
  async fn() {
    await using folder = await scratch();
    const { base, top } = await twoLayers(folder);
    const existing = folder.file("existing.qcow2");
    await qemuImgOk("create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", existing, "2M");
    const backing = { path: base, format: "qcow2" };
    await convert({ sources: [{ path: top }], target: { path: existing, format: "qcow2", create: false, backing } });
    assert.deepEqual(await guestBytes(existing), await guestBytes(top));
    assert.equal(mergedMap(await mapJson(existing))[0].depth, 1);
    const copy = folder.file("copy.raw");
    await qemuImgOk("convert", "-O", "raw", base, copy);
    await Deno.truncate(copy, 2 << 20);
    await convert({ sources: [{ path: top }], target: { path: copy, format: "raw", create: false, backing } });
    assert.deepEqual(await Deno.readFile(copy), await guestBytes(top));
    const wrong = { path: top, format: "qcow2" };
    const job: ConvertJob = {
      sources: [{ path: top }],
      target: { path: existing, format: "qcow2", create: false, backing: wrong },
    };
    await assert.rejects(convert(job), { kind: "usage", message: /the image names/ });
  },
});

Deno.test({
  name: "a compressed cluster may straddle two joined sources, and sources may have odd sizes",
  ignore,
  async fn() {
    await using folder = await scratch();
    const parts = [100_001, 7, 0, 65_535, 300_000].map((length, index) => {
      const bytes = new Uint8Array(length).fill(index + 1, 0, Math.ceil(length * 0.7));
      Deno.writeFileSync(folder.file(`part${index}`), bytes);
      return bytes;
    });
    const sources = parts.map((_, index) => ({ path: folder.file(`part${index}`), format: "raw" }));
    const all = new Uint8Array(Math.ceil(465_543 / 512) * 512);
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    for (const compress of [false, true]) {
      for (const cluster_size of ["512", "4k", "64k", "2M"]) {
        await convert({
          sources,
          target: { path: folder.file("out"), format: "qcow2", compress, options: { cluster_size } },
        });
        assert.deepEqual(await guestBytes(folder.file("out"), "qcow2"), all, `${compress} ${cluster_size}`);
        await qemuImgOk("check", "-f", "qcow2", folder.file("out"));
      }
    }
  },
});

Deno.test({
  name: "-l converts a snapshot with its own size and content",
  ignore,
  async fn() {
    await using folder = await scratch();
    const image = folder.file("image.qcow2");
    await qemuImgOk("create", "-q", "-f", "qcow2", image, "1M");
    await qemuIo(image, "write -P 1 0 512k");
    await qemuImgOk("snapshot", "-c", "before", image);
    await qemuImgOk("resize", "-q", image, "3M");
    await qemuIo(image, "write -P 2 0 3M");
    const target = { path: folder.file("out.raw"), format: "raw" };
    for (const snapshot of [{ idOrName: "before" }, { idOrName: "1" }, { name: "before" }, { id: "1" }]) {
      await convert({ sources: [{ path: image, snapshot }], target });
      const expected = new Uint8Array(1 << 20).fill(1, 0, 512 * KIB);
      assert.deepEqual(await Deno.readFile(target.path), expected);
    }
    const missing = convert({ sources: [{ path: image, snapshot: { idOrName: "after" } }], target });
    await assert.rejects(missing, { kind: "missing", message: /before/ });
  },
});

Deno.test({
  name: "--bitmaps copies bitmaps, refuses an inconsistent one, and leaves it out where that is allowed",
  ignore,
  async fn() {
    await using folder = await scratch();
    const image = folder.file("image.qcow2");
    await qemuImgOk("create", "-q", "-f", "qcow2", image, "4M");
    await qemuImgOk("bitmap", "--add", "-g", "64k", image, "good");
    await qemuImgOk("bitmap", "--add", "--disable", image, "still");
    await qemuIo(image, "write -P 1 1M 128k");
    const target = { path: folder.file("out.qcow2"), format: "qcow2" };
    await convert({ sources: [{ path: image }], target, bitmaps: true });
    const bits = async (path: string) => {
      await using disk = await openDisk(path);
      return await Promise.all(
        (disk.layers[0].disk.bitmaps ?? []).map(async ({ name, granularity, enabled, pieces }) => {
          const set: number[] = [];
          for await (const { offset, bits } of pieces()) {
            bits.forEach((byte, index) => {
              for (let bit = 0; bit < 8; bit++) if (byte >> bit & 1) set.push((offset + index) * 8 + bit);
            });
          }
          return { name, granularity, enabled, set };
        }),
      );
    };
    const copied = await bits(target.path);
    assert.deepEqual(copied, await bits(image));
    assert.deepEqual(copied.find(({ name }) => name === "good")?.set, [16, 17]);
    await qemuImgOk("check", target.path);
    assert.match(await qemuImgOk("info", target.path), /name: good/);

    await convert({ sources: [{ path: target.path }], target: { path: folder.file("plain.qcow2"), format: "qcow2" } });
    assert.doesNotMatch(await qemuImgOk("info", folder.file("plain.qcow2")), /bitmaps/);
    const old = { path: folder.file("old.qcow2"), format: "qcow2", options: { compat: "0.10" } };
    const created: string[] = [];
    const files = watchedFiles(({ op, file }) => void (op === "create" && created.push(file)));
    await assert.rejects(convert({ sources: [{ path: image }], target: old, bitmaps: true }, { files }), {
      kind: "unsupported",
      message: /Cannot copy bitmaps to ".*old\.qcow2": qcow2 with compat=0\.10 has none/,
    });
    assert.deepEqual(created, []);
    await convert({ sources: [{ path: image }], target: old });
    const before = await Deno.readFile(old.path);
    const inPlace = { path: old.path, format: "qcow2", create: false };
    await assert.rejects(convert({ sources: [{ path: image }], target: inPlace, bitmaps: true }), {
      kind: "unsupported",
      message: /Cannot copy bitmaps to ".*old\.qcow2"/,
    });
    assert.deepEqual(await Deno.readFile(old.path), before);
    // The last copy has a bitmap of that name: found before the first byte, the copied one, is written.
    const there = await Deno.readFile(target.path);
    const again = { path: target.path, format: "qcow2", create: false };
    await assert.rejects(convert({ sources: [{ path: image }], target: again, bitmaps: true }), {
      kind: "usage",
      message: /Cannot add the bitmap "good" to ".*": there is one of this name already/,
    });
    assert.deepEqual(await Deno.readFile(target.path), there);

    // The first flag byte of a directory entry: bit 0 says that the bitmap was in use.
    const bytes = await Deno.readFile(image);
    const name = new TextDecoder("latin1").decode(bytes).lastIndexOf("good");
    bytes[name - 24 + 15] |= 1;
    await Deno.writeFile(image, bytes);
    assert.match(await qemuImgOk("info", image), /in-use/);
    await assert.rejects(convert({ sources: [{ path: image }], target, bitmaps: true }), {
      kind: "corrupt",
      message: /skip-broken/,
    });
    await convert({ sources: [{ path: image }], target, bitmaps: "skip-broken" });
    assert.deepEqual((await bits(target.path)).map((bitmap) => bitmap.name), ["still"]);
  },
});

Deno.test({
  name: "-B for vmdk: the new image stores the content ID of its parent, and reads through it",
  ignore,
  async fn() {
    await using folder = await scratch();
    const [base, source] = [folder.file("base.vmdk"), folder.file("source.raw")];
    await qemuImgOk("create", "-q", "-f", "vmdk", base, "4M");
    await qemuIo(["-f", "vmdk", base], "write -P 1 0 2M");
    await Deno.writeFile(source, new Uint8Array(4 << 20).fill(1, 0, 1 << 20).fill(2, 3 << 20));
    for (const subformat of ["monolithicSparse", "twoGbMaxExtentSparse", "streamOptimized"]) {
      const target = {
        ...overlayOf(folder, base, { subformat }),
        format: "vmdk",
        backing: { path: base, format: "vmdk" },
      };
      await convert({
        sources: [{ path: source, format: "raw" }],
        target: { ...target, path: folder.file("top.vmdk") },
      });
      await qemuImgOk("compare", "-f", "raw", "-F", "vmdk", source, folder.file("top.vmdk"));
      await using disk = await openDisk(folder.file("top.vmdk"));
      assert.equal(disk.layers.length, 2);
    }
    // The parent changes, and its content ID with it: what is above it must not be read over it any more.
    await qemuIo(["-f", "vmdk", base], "write -P 9 0 64k");
    await assert.rejects(openDisk(folder.file("top.vmdk")), { kind: "corrupt", message: /has been changed/ });
  },
});
