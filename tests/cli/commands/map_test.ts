import assert from "node:assert/strict";
import { main } from "../../../cli/main.ts";
import { mapExtents } from "../../../mod.ts";
import { diskcast, diskcastProcess } from "../../support/diskcast.ts";
import { hasQemu, type MapEntry, mapJson, qemuImg, qemuImgOk, qemuIo, scratch } from "../../support/qemu.ts";
import { samplesIn } from "./support.ts";
import { fakeIo } from "../support.ts";

/** Whether the host reports holes, so that raw images have the map that qemu-img prints. */
const seesHoles = Deno.build.os === "linux";

/** Drops the fields that QEMU 7.2 does not print. */
function known(entries: MapEntry[]): MapEntry[] {
  return entries.map(({ compressed, ...rest }) => {
    assert.equal(typeof compressed, "boolean");
    return rest;
  });
}

Deno.test("map --output=json is that of qemu-img, field by field", { ignore: !hasQemu || !seesHoles }, async () => {
  await using folder = await scratch();
  for (const { name, path, format } of await samplesIn(folder)) {
    // qemu-img does not ask the host about a data file.
    const ranges = [[], ["-s", "64k"], ["-s", "100000", "-l", "3000000"], ["-l", "1M"], ["-s", "20M"], ["-l", "0"]];
    for (const range of name === "data.qcow2" ? [[]] : ranges) {
      const args = ["map", "--output=json", "-f", format, ...range, path];
      const { code, stdout, stderr } = await diskcast(...args);
      assert.deepEqual([code, stderr], [0, ""], args.join(" "));
      assert.deepEqual(known(JSON.parse(stdout)), JSON.parse(await qemuImgOk(...args)), args.join(" "));
    }
  }
});

Deno.test("the table of map is that of qemu-img", { ignore: !hasQemu || !seesHoles }, async () => {
  await using folder = await scratch();
  for (const { name, path, format } of await samplesIn(folder)) {
    if (name === "compressed.qcow2") continue;
    const args = ["map", "-f", format, path];
    const { code, stdout } = await diskcast(...args);
    assert.equal(code, 0);
    assert.equal(stdout, await qemuImgOk(...args), name);
  }
  const compressed = await diskcast("map", folder.file("compressed.qcow2"));
  assert.match(compressed.stdout, /^0 +0x[0-9a-f]+ +compressed$/m);
});

Deno.test("VDI and VHD state all of their disk, qcow2 and VMDK only what they hold", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  const source = folder.file("a.raw");
  await Deno.writeFile(source, new Uint8Array(6 << 20).fill(7, 3 << 20, 4 << 20));
  const kinds = ["vdi", "vdi,static=on", "vpc,force_size=on", "vpc,subformat=fixed,force_size=on", "vmdk", "qcow2"];
  for (
    const kind of [...kinds, "vmdk,subformat=monolithicFlat", "vmdk,zeroed_grain=on", "qcow2,preallocation=metadata"]
  ) {
    const [format, ...options] = kind.split(",");
    const path = folder.file(`${kind}.img`);
    const more = options.length === 0 ? [] : ["-o", options.join(",")];
    await qemuImgOk("convert", "-f", "raw", "-O", format!, ...more, source, path);
    const { stdout } = await diskcast("map", "--output=json", "-f", format!, path);
    assert.deepEqual(known(JSON.parse(stdout)), await mapJson(path, format), kind);
    const top = folder.file("top.qcow2");
    await qemuImgOk("create", "-q", "-f", "qcow2", "-b", path, "-F", format!, top, "8M");
    const over = await diskcast("map", "--output=json", top);
    assert.deepEqual(known(JSON.parse(over.stdout)), await mapJson(top), `over ${kind}`);
  }
});

Deno.test("the keys of a map are in the order of qemu-img 10", async () => {
  const { stdout } = await diskcast("map", "--output=json", "tests/samples/sample.qcow2");
  const keys = ["start", "length", "depth", "present", "zero", "data", "compressed"];
  const [entry] = JSON.parse(stdout);
  assert.deepEqual(Object.keys(entry).slice(0, 7), keys);
});

Deno.test("map finds every extent of an image that was written in random order", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  const path = folder.file("a.qcow2");
  await qemuImgOk("create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", path, "4M");
  const clusters = Array.from({ length: 500 }, (_, index) => (index * 7919) % 1000);
  await qemuIo(path, ...clusters.map((cluster) => `write -P 1 ${cluster}k 1k`));
  await qemuIo(path, "write -z 40k 80k", "write -z 100k 4k", "write -P 2 1M 300k");
  const found = await diskcast("map", "--output=json", path);
  assert.deepEqual(known(JSON.parse(found.stdout)), await mapJson(path));
});

Deno.test("map ends when its pipe is closed", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  const path = folder.file("a.qcow2");
  await qemuImgOk("create", "-q", "-f", "qcow2", "-o", "cluster_size=512", path, "4M");
  // Every second cluster: two entries a KiB.
  await qemuIo(path, ...Array.from({ length: 2000 }, (_, index) => `write ${index}k 512`));
  const lengths: number[] = [];
  for (const left of [false, true]) {
    const io = { ...fakeIo(), outIsClosed: () => left };
    let length = 0;
    io.out = (text) => void (length += text.length);
    assert.equal(await main(["map", "--output=json", path], io), 0);
    lengths.push(length);
  }
  assert(lengths[1]! < lengths[0]! / 2, `${lengths}`);
});

Deno.test("a window of a raw file has offsets of the whole file", async () => {
  await using folder = await scratch();
  const path = folder.file("a.raw");
  await Deno.writeFile(path, new Uint8Array(8192).fill(1));
  const entries = await Array.fromAsync(mapExtents({ path, format: "raw", offset: 1024, size: 2048 }));
  assert.deepEqual(entries.map(({ start, length, offset, file }) => [start, length, offset, file]), [
    [0, 2048, 1024, path],
  ]);
});

Deno.test("a picture has a letter for every state, and fits its columns", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  await samplesIn(folder);
  const { code, stdout } = await diskcast("map", "--picture", folder.file("top.qcow2"));
  assert.equal(code, 0);
  const lines = stdout.split("\n");
  assert(lines.every((line) => line.length <= 80), stdout);
  for (const letter of ["D", "\\.", "b"]) assert.match(stdout, new RegExp(`^ +[\\d.]+ \\w+ [D.b]*${letter}`, "m"));
  assert.match(stdout, /^b in a backing file: /m);
  const svg = await diskcast("map", "--output=svg", folder.file("top.qcow2"));
  assert.match(svg.stdout, /^<svg [^>]+>\n<title>[^<]+top\.qcow2<\/title>\n(<rect [^>]+>.*\n)+<\/svg>\n$/);
  const empty = await diskcast("map", "--picture", "-s", "1G", folder.file("top.qcow2"));
  assert.deepEqual([empty.code, empty.stdout], [0, "\n"]);
});

Deno.test("map fails as qemu-img does", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  const path = folder.file("a.raw");
  await Deno.writeFile(path, new Uint8Array(1234));
  for (const args of [[folder.file("none")], [], ["-s", "x", path], ["--output=xml", path], ["-f", "qcow2", path]]) {
    const { code, stdout, stderr } = await diskcast("map", ...args);
    assert.deepEqual([code, stdout], [(await qemuImg("map", ...args)).code, ""], args.join(" "));
    assert.match(stderr, /^diskcast: /);
  }
  const both = await diskcast("map", "--picture", "--output=json", path);
  assert.equal(both.code, 1);
});

Deno.test("map needs no permission but for the files of the chain", async () => {
  const path = "tests/samples/sample.qcow2";
  const { code, stdout, stderr } = await diskcastProcess(["map", path], { read: [path] });
  assert.deepEqual([code, stderr], [0, ""]);
  assert.match(stdout, /^Offset +Length +Mapped to +File\n0 /);
});
