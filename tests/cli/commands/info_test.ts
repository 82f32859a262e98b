import assert from "node:assert/strict";
import { basename } from "node:path";
import { inspect } from "../../../mod.ts";
import { threeDigits } from "../../../tui/human.ts";
import { diskcast, diskcastProcess } from "../../support/diskcast.ts";
import { main } from "../../../cli/main.ts";
import { hasQemu, qemuImg, qemuImgOk, qemuIo, scratch } from "../../support/qemu.ts";
import { watchedFiles } from "../../support/files.ts";
import { samplesIn } from "./support.ts";

type Json = { [name: string]: unknown };

/** Drops the fields that QEMU 7.2 does not print. */
function known({ children, "named-files": _names, ...rest }: Json): Json {
  assert(Array.isArray(children) && children.length > 0);
  return rest;
}

Deno.test("info --output=json is that of qemu-img, field by field", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  for (const { name, path, format } of await samplesIn(folder)) {
    const expected = JSON.parse(await qemuImgOk("info", "--output=json", "-f", format, path));
    const { code, stdout, stderr } = await diskcast("info", "--output=json", "-f", format, path);
    assert.deepEqual([code, stderr], [0, ""], name);
    assert.deepEqual(known(JSON.parse(stdout)), expected, name);
    const chain = JSON.parse(await qemuImgOk("info", "--output=json", "--backing-chain", "-f", format, path));
    const found = await diskcast("info", "--output=json", "--backing-chain", "-f", format, path);
    assert.deepEqual(JSON.parse(found.stdout).map(known), chain, name);
  }
});

/** Returns a line of the table of snapshots as QEMU 10 prints it: other widths, other names of two columns. */
function asInQemu10(line: string): string {
  if (line.startsWith("ID  ")) {
    return "ID      TAG               VM_SIZE                DATE        VM_CLOCK     ICOUNT";
  }
  const cells = /^(\S+) +(.{16}) +(\d.*B) +(\S+ \S+) +(\d\d:\S+) +(\S+)$/.exec(line)?.slice(1);
  if (cells === undefined) return line;
  const [id, tag, size, date, clock, instructions] = cells;
  const first = `${id!.padEnd(7)} ${tag} ${size!.padStart(8)} ${date!.padStart(19)}`;
  return `${first} ${`00${clock}`.padStart(15)} ${instructions!.padStart(10)}`;
}

Deno.test("info for people has every line of qemu-img, in any order", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  for (const { name, path, format } of await samplesIn(folder)) {
    const expected = (await qemuImgOk("info", "-f", format, path)).split("\n").map((line) =>
      asInQemu10(line.trimEnd())
    );
    const lines = (await diskcast("info", "-f", format, path)).stdout.split("\n");
    // Both programs round to three digits, maybe differently in the last one.
    assert.deepEqual(expected.filter((line) => !lines.includes(line)), [], name);
  }
});

Deno.test("info opens the image alone, and reports whether the files that it names would be opened", {
  ignore: !hasQemu,
}, async () => {
  await using folder = await scratch();
  await using other = await scratch();
  const path = folder.file("a.qcow2");
  await Deno.writeFile(other.file("base.raw"), new Uint8Array(1 << 20));
  await Deno.writeFile(folder.file("base.raw"), new Uint8Array(1 << 20));
  for (
    const [backing, state] of [
      [other.file("base.raw"), "refused"],
      [folder.file("base.raw"), "found"],
      ["base.raw", "found"],
      ["gone.raw", "missing"],
      ["nbd://host/export", "refused"],
    ]
  ) {
    await qemuImgOk("create", "-q", "-u", "-f", "qcow2", "-b", backing, "-F", "raw", path, "1M");
    const opened: string[] = [];
    const info = await inspect(path, { files: watchedFiles(({ op, file }) => op === "open" && opened.push(file)) });
    assert.deepEqual(info.names.map((one) => [one.name, one.state]), [[backing, state]]);
    assert.deepEqual(opened, ["a.qcow2"]);
    const { code, stdout } = await diskcast("info", path);
    assert.equal(code, 0);
    assert.match(stdout, /^Named files:\n {4}backing file "/m);
  }
});

Deno.test(
  "info lists every file that an image names, and its disk size those that qemu-img counts",
  { ignore: !hasQemu },
  async () => {
    await using folder = await scratch();
    const create = async (name: string, format: string, options: string, size: string) => {
      await qemuImgOk("create", "-q", "-f", format, "-o", options, folder.file(name), size);
      return folder.file(name);
    };
    const images: [path: string, format: string, named: string[]][] = [
      [
        await create("sparse.vmdk", "vmdk", "subformat=twoGbMaxExtentSparse", "5G"),
        "vmdk",
        ["sparse-s001.vmdk", "sparse-s002.vmdk", "sparse-s003.vmdk"],
      ],
      [
        await create("flat.vmdk", "vmdk", "subformat=twoGbMaxExtentFlat", "3G"),
        "vmdk",
        ["flat-f001.vmdk", "flat-f002.vmdk"],
      ],
      [await create("a.qcow2", "qcow2", `data_file=${folder.file("a.data")},data_file_raw=on`, "64M"), "qcow2", [
        "a.data",
      ]],
    ];
    for (const [path, format, named] of images) {
      await qemuIo(path, "write -P 1 1M 3M");
      const { stdout } = await diskcast("info", "--output=json", "-f", format, path);
      const found = JSON.parse(stdout);
      assert.deepEqual(found["named-files"].map(({ path }: { path: string }) => basename(path)), named);
      const expected = JSON.parse(await qemuImgOk("info", "--output=json", "-f", format, path));
      assert.equal(found["actual-size"], expected["actual-size"], path);
      assert.equal(found["actual-size"] > 3 << 20, format === "vmdk");
      assert.ok(found["children"][0].info["actual-size"] < 3 << 20);
      const { stdout: text } = await diskcast("info", "-f", format, path);
      assert.equal(text.match(/^ {4}data file .* there, and may be opened/gm)?.length, named.length);
    }
  },
);

Deno.test("info does not open a data file", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  const path = folder.file("a.qcow2");
  const data = folder.file("data.bin");
  await qemuImgOk("create", "-q", "-f", "qcow2", "-o", `data_file=${data}`, path, "1M");
  await Deno.remove(data);
  const info = await inspect(path);
  assert.deepEqual(info.names.map(({ role, name, state }) => [role, name, state]), [["data file", data, "missing"]]);
  assert.equal(info.size, 1 << 20);
});

Deno.test("info needs no permission but for its image", async () => {
  await using folder = await scratch();
  const path = folder.file("a.raw");
  await Deno.writeFile(path, new Uint8Array(1234));
  const { code, stdout, stderr } = await diskcastProcess(["info", "-f", "raw", path], { read: [path] });
  assert.deepEqual([code, stderr], [0, ""]);
  assert.match(stdout, /^file format: raw\nvirtual size: 1\.21 KiB \(1234 bytes\)$/m);
  const printed = await diskcast("info", "--print-permissions", "-f", "raw", path);
  assert.match(printed.stdout, /^deno run --allow-read=\S*a\.raw \S*(mod\.ts|diskcast\.js) info -f raw \S+\n$/);
});

Deno.test("info fails as qemu-img does", { ignore: !hasQemu }, async () => {
  await using folder = await scratch();
  const path = folder.file("a.qcow2");
  await qemuImgOk("create", "-q", "-u", "-f", "qcow2", "-b", "gone", "-F", "raw", path, "1M");
  for (
    const args of [
      ["info", folder.file("none")],
      ["info", "-f", "qcow2", folder.file("none")],
      ["info", "--backing-chain", path],
      ["info"],
      ["info", path, path],
      ["info", "--output=xml", path],
      ["info", "-f", "nonsense", path],
    ]
  ) {
    const expected = await qemuImg(...args);
    const { code, stdout, stderr } = await diskcast(...args);
    assert.deepEqual([code, stdout], [expected.code, ""], args.join(" "));
    assert.match(stderr, /^diskcast: /);
  }
});

Deno.test("sizes have three digits, as qemu-img writes them", () => {
  const rows = [[0, "0 B"], [999, "999 B"], [1000, "0.977 KiB"], [1 << 20, "1 MiB"], [
    1.5 * 2 ** 40,
    "1.5 TiB",
  ]] as const;
  for (const [bytes, text] of rows) assert.equal(threeDigits(bytes), text);
});

const sample = new URL("../../samples/sample.qcow2", import.meta.url).pathname;
const CONTENTS = [
  "Contents:",
  "    partition table: MBR",
  "    partition 1: FAT16 (LBA), active, 63.0 MiB at 1.0 MiB, FAT16",
  "    boot loader for UEFI: none, it has no EFI system partition",
  "    boot loader for BIOS: none, its first sector has no boot code",
];

/** Runs a command with a terminal as its output. */
async function onTerminal(...args: string[]): Promise<string> {
  let out = "";
  await main(args, {
    out: (text) => void (out += text),
    err: () => {},
    outIsTerminal: true,
    errIsTerminal: false,
    plain: true,
    columns: () => 80,
    now: () => performance.now(),
  });
  return out;
}

Deno.test("--contents shows partitions, file systems and boot loaders below the lines of qemu-img", async () => {
  const plain = await diskcast("info", sample);
  assert.ok(!plain.stdout.includes("Contents:"));
  const human = await diskcast("info", "--contents", sample);
  assert.equal(human.stdout, `${plain.stdout}${CONTENTS.join("\n")}\n`);
  const json = JSON.parse((await diskcast("info", "--contents", "--output=json", sample)).stdout);
  assert.deepEqual(json.contents, {
    "partition-table": "mbr",
    "sector-size": 512,
    "partitions": [{
      "number": 1,
      "start": 1 << 20,
      "size": 63 << 20,
      "type": "FAT16 (LBA)",
      "type-id": "0x0e",
      "active": true,
      "file-system": "FAT16",
    }],
    "boot": {
      "bios": { "boots": false, "why": "its first sector has no boot code" },
      "uefi": { "boots": false, "why": "it has no EFI system partition" },
    },
  });
  const { contents: _, ...rest } = json;
  assert.deepEqual(rest, JSON.parse((await diskcast("info", "--output=json", sample)).stdout));
});

Deno.test("a terminal gets the contents of an image that needs no other file; JSON and overlays need --contents", async () => {
  await using folder = await scratch();
  assert.ok((await onTerminal("info", sample)).endsWith(`${CONTENTS.join("\n")}\n`));
  assert.ok(!(await onTerminal("info", "--output=json", sample)).includes("contents"));
  assert.ok(!(await onTerminal("--as-qemu-img", "info", sample)).includes("Contents:"));
  await Deno.copyFile(sample, folder.file("base.qcow2"));
  const overlay = folder.file("overlay.qcow2");
  assert.equal((await diskcast("create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", overlay)).code, 0);
  assert.ok(!(await onTerminal("info", overlay)).includes("Contents:"));
  assert.ok((await onTerminal("info", "--contents", overlay)).includes(CONTENTS.join("\n")));
  // Contents that cannot be read are left out, unless they are asked for.
  await Deno.remove(folder.file("base.qcow2"));
  const asked = await diskcast("info", "--contents", overlay);
  assert.deepEqual([asked.code, asked.stdout], [1, ""]);
  assert.match(asked.stderr, /base\.qcow2/);
});

Deno.test("--print-permissions of --contents has the backing files", async () => {
  await using folder = await scratch();
  await Deno.copyFile(sample, folder.file("base.qcow2"));
  const overlay = folder.file("overlay.qcow2");
  assert.equal((await diskcast("create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", overlay)).code, 0);
  const without = await diskcast("info", "--print-permissions", overlay);
  assert.ok(!without.stdout.includes("base.qcow2"));
  const contents = await diskcast("info", "--contents", "--print-permissions", overlay);
  assert.ok(contents.stdout.includes("base.qcow2"));
});
