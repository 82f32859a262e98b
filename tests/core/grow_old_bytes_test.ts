/**
 * A disk that grows shows zeroes where its file holds old bytes behind the end of the disk: data of a longer disk, whose
 * tables and blocks are still there.
 */
import assert from "node:assert/strict";
import {
  amend,
  changeSnapshots,
  check,
  commit,
  type ConvertJob,
  createImage,
  inspect,
  openDisk,
  rebase,
  resize,
} from "../../mod.ts";
import { convert } from "../../core/convert.ts";
import { diskcast } from "../support/diskcast.ts";
import { guestBytes, hasQemu, qemuImgOk, type Scratch, scratch } from "../support/qemu.ts";

const MIB = 1 << 20;
const LONG = 8 * MIB;
/** Ends inside a block, a cluster and a grain. */
const SHORT = 5 * MIB + 3 * 512;
/** Guest bytes of the old content. */
const OLD = 0xee;

/** An image whose size is lowered by hand: `shorten` changes its bytes, and nothing else of the file. */
interface Image {
  readonly format: string;
  readonly options?: ConvertJob["target"]["options"];
  /** The file whose bytes are changed, if it is not the image; "descriptor" is text. */
  shorten(bytes: Uint8Array): void;
}

/** Replaces every number `from` of `width` bytes, at multiples of 4, by `to`; asserts that there were `times`. */
function replace(bytes: Uint8Array, from: number, to: number, width: 4 | 8, little: boolean, times: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let found = 0;
  for (let at = 0; at + width <= bytes.length; at += 4) {
    const value = width === 4 ? view.getUint32(at, little) : Number(view.getBigUint64(at, little));
    if (value !== from) continue;
    if (width === 4) view.setUint32(at, to, little);
    else view.setBigUint64(at, BigInt(to), little);
    found++;
  }
  assert.equal(found, times, `places of ${from}`);
}

/** Lowers the current size in the footers of a VHD, and corrects their checksums. */
function shortenVhd(bytes: Uint8Array, offsets: readonly number[]): void {
  for (const at of offsets) {
    const footer = bytes.subarray(at, at + 512);
    const view = new DataView(footer.buffer, footer.byteOffset, 512);
    assert.equal(Number(view.getBigUint64(48)), LONG);
    view.setBigUint64(48, BigInt(SHORT));
    view.setUint32(64, 0);
    view.setUint32(64, ~footer.reduce((sum, byte) => sum + byte, 0));
  }
}

/** Lowers the number of sectors in the extent line of a descriptor, whose length stays. */
function shortenDescriptor(bytes: Uint8Array): void {
  const text = new TextDecoder("latin1").decode(bytes);
  const line = `RW ${LONG / 512} `;
  const at = text.indexOf(line);
  assert.ok(at >= 0);
  bytes.set(new TextEncoder().encode(`RW ${String(SHORT / 512).padEnd(String(LONG / 512).length)} `), at);
}

const shortenVhdx = (bytes: Uint8Array) => replace(bytes.subarray(MIB, 4 * MIB), LONG, SHORT, 8, true, 1);
const shortenQcow2 = (bytes: Uint8Array) => new DataView(bytes.buffer).setBigUint64(24, BigInt(SHORT));
const shortenVdi = (bytes: Uint8Array) => replace(bytes.subarray(0, 512), LONG, SHORT, 8, true, 1);
const shortenSparse = (bytes: Uint8Array) => {
  new DataView(bytes.buffer).setBigUint64(12, BigInt(SHORT / 512), true);
  shortenDescriptor(bytes.subarray(0, 65536));
};

const IMAGES: readonly Image[] = [
  { format: "qcow2", shorten: shortenQcow2 },
  { format: "qcow2", options: { extended_l2: true, cluster_size: 131072 }, shorten: shortenQcow2 },
  { format: "qcow2", options: { compat: "0.10" }, shorten: shortenQcow2 },
  { format: "qcow2", options: { data_file: "data" }, shorten: shortenQcow2 },
  { format: "qcow2", options: { data_file: "data", data_file_raw: true }, shorten: shortenQcow2 },
  { format: "vdi", shorten: shortenVdi },
  { format: "vdi", options: { static: true }, shorten: shortenVdi },
  { format: "vpc", shorten: (bytes) => shortenVhd(bytes, [0, bytes.length - 512]) },
  { format: "vpc", options: { subformat: "fixed" }, shorten: (bytes) => shortenVhd(bytes, [bytes.length - 512]) },
  { format: "vhdx", options: { block_size: MIB }, shorten: shortenVhdx },
  { format: "vhdx", options: { block_size: MIB, subformat: "fixed" }, shorten: shortenVhdx },
  { format: "vmdk", shorten: shortenSparse },
  { format: "vmdk", options: { zeroed_grain: true }, shorten: shortenSparse },
  { format: "vmdk", options: { subformat: "monolithicFlat" }, shorten: shortenDescriptor },
  { format: "vmdk", options: { subformat: "twoGbMaxExtentFlat" }, shorten: shortenDescriptor },
  // The header of the extent file states more guest bytes than the descriptor.
  { format: "vmdk", options: { subformat: "twoGbMaxExtentSparse" }, shorten: shortenDescriptor },
];

const nameOf = ({ format, options = {} }: Image) =>
  [format, ...Object.entries(options).map(([name, value]) => `${name}=${value}`)].join(",");

/** Writes an image of a disk full of old bytes, then lowers the size that it states. */
async function shortened(folder: Scratch, image: Image, name: string): Promise<string> {
  const path = folder.file(name);
  await Deno.writeFile(folder.file("long.raw"), new Uint8Array(LONG).fill(OLD));
  await convert({
    sources: [{ path: folder.file("long.raw"), format: "raw" }],
    target: { path, format: image.format, ...(image.options && { options: image.options }) },
  });
  const bytes = await Deno.readFile(path);
  image.shorten(bytes);
  await Deno.writeFile(path, bytes);
  return path;
}

async function contentOf(path: string, format: string): Promise<Uint8Array> {
  await using disk = await openDisk({ path, format });
  const bytes = new Uint8Array(disk.size);
  await disk.read(bytes, 0);
  return bytes;
}

/** Asserts that the disk has its old bytes up to `SHORT`, and zeroes from there on, for QEMU, too. */
async function assertZeroesFrom(path: string, format: string, size: number, start = SHORT): Promise<void> {
  const expected = new Uint8Array(size);
  expected.fill(OLD, 0, start);
  assert.equal(Buffer.compare(await contentOf(path, format), expected), 0);
  // QEMU looks for a data file in its own folder.
  if (!hasQemu || (await inspect(path)).names.some(({ role }) => role === "data file" && format === "qcow2")) return;
  const found = await guestBytes(path, format);
  assert.equal(Buffer.compare(found.subarray(0, size), expected), 0, "QEMU");
}

for (const image of IMAGES) {
  for (const size of [SHORT + 512, 7 * MIB + 512, 12 * MIB]) {
    Deno.test(`${nameOf(image)}: old bytes behind the end do not show after resize to ${size}`, async () => {
      await using folder = await scratch();
      const path = await shortened(folder, image, `a.${image.format}`);
      assert.equal((await contentOf(path, image.format)).length, SHORT);
      await resize({ path, format: image.format }, size);
      await assertZeroesFrom(path, image.format, size);
      const { corruptions } = await check({ path, format: image.format });
      assert.equal(corruptions, 0);
    });
  }
  if (image.options?.["zeroed_grain"] !== undefined) continue;
  Deno.test(`${nameOf(image)}: nor with preallocation`, async () => {
    await using folder = await scratch();
    const path = await shortened(folder, image, `a.${image.format}`);
    await resize({ path, format: image.format }, 10 * MIB, { preallocation: "full" });
    await assertZeroesFrom(path, image.format, 10 * MIB);
  });
  Deno.test(`${nameOf(image)}: nor when a longer overlay is committed into it`, async () => {
    await using folder = await scratch();
    const path = await shortened(folder, image, `a.${image.format}`);
    const overlay = folder.file("overlay.qcow2");
    await createImage({
      path: overlay,
      format: "qcow2",
      size: 9 * MIB,
      backing: { path, format: image.format },
    });
    await commit({ path: overlay, format: "qcow2" });
    await assertZeroesFrom(path, image.format, 9 * MIB);
  });
}

Deno.test("a VDI that grows keeps no more entries than its disk has blocks, and QEMU finds no fault", async () => {
  await using folder = await scratch();
  const path = await shortened(folder, { format: "vdi", shorten: shortenVdi }, "a.vdi");
  await resize({ path, format: "vdi" }, 7 * MIB);
  if (hasQemu) assert.match(await qemuImgOk("check", path), /No errors/);
  assert.deepEqual([(await check(path)).corruptions], [0]);
  // Into the new end is written as into a new disk.
  await Deno.writeFile(folder.file("part.raw"), new Uint8Array(4096).fill(1));
  const { code, stderr } = await diskcast("resize", path, "12M");
  assert.equal(code, 0, stderr);
  await assertZeroesFrom(path, "vdi", 12 * MIB);
});

Deno.test("amend -o size, and a snapshot that is applied, show no old bytes", async () => {
  await using folder = await scratch();
  const image = { format: "qcow2", shorten: shortenQcow2 };
  const path = await shortened(folder, image, "a.qcow2");
  await amend({ path, format: "qcow2" }, { size: 8 * MIB });
  await assertZeroesFrom(path, "qcow2", 8 * MIB);

  // The snapshot has the tables of the longer disk, and states the shorter size.
  const other = await shortened(folder, image, "b.qcow2");
  await changeSnapshots({ path: other, format: "qcow2" }, { action: "create", name: "s" });
  await resize({ path: other, format: "qcow2" }, 9 * MIB);
  await changeSnapshots({ path: other, format: "qcow2" }, { action: "apply", snapshot: { name: "s" } });
  assert.equal((await contentOf(other, "qcow2")).length, SHORT);
  await resize({ path: other, format: "qcow2" }, 8 * MIB);
  await assertZeroesFrom(other, "qcow2", 8 * MIB);
  assert.equal((await check(other)).corruptions, 0);
});

Deno.test("over a longer backing file, what becomes visible is zero; rebase onto a longer one as well", async () => {
  await using folder = await scratch();
  await Deno.writeFile(folder.file("long.raw"), new Uint8Array(LONG).fill(OLD));
  const path = folder.file("o.qcow2");
  await createImage({
    path,
    format: "qcow2",
    size: SHORT,
    backing: { path: folder.file("long.raw"), format: "raw" },
  });
  await resize({ path, format: "qcow2" }, LONG);
  await assertZeroesFrom(path, "qcow2", LONG);

  // A backing file that ends before the overlay is replaced by a longer one.
  await Deno.writeFile(folder.file("short.raw"), new Uint8Array(SHORT).fill(OLD));
  const other = folder.file("p.qcow2");
  await createImage({
    path: other,
    format: "qcow2",
    size: LONG,
    backing: { path: folder.file("short.raw"), format: "raw" },
  });
  await rebase({ path: other, format: "qcow2" }, { name: folder.file("long.raw"), format: "raw" });
  await assertZeroesFrom(other, "qcow2", LONG);
});

Deno.test("convert -n into a longer target leaves what the target has behind the source", async () => {
  await using folder = await scratch();
  const path = await shortened(folder, { format: "vdi", shorten: shortenVdi }, "a.vdi");
  await Deno.writeFile(folder.file("part.raw"), new Uint8Array(4 * MIB).fill(OLD));
  const source = { path: folder.file("part.raw"), format: "raw" };
  await convert({ sources: [source], target: { path, format: "vdi", create: false } });
  const bytes = await contentOf(path, "vdi");
  assert.equal(bytes.length, SHORT);
  assert.ok(bytes.every((byte) => byte === OLD));
  assert.equal((await check(path)).corruptions, 0);
});
