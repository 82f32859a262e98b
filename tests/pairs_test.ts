/** Every pair of formats and sub-variants: what one program writes, the other reads the same. */
import assert from "node:assert/strict";
import { convert } from "../mod.ts";
import { layeredDisk } from "./support/layered.ts";
import { assertBytes } from "./support/model.ts";
import { hasQemu, qemuImg, qemuImgOk, qemuIo, rng, type Scratch, scratch, seed } from "./support/qemu.ts";

/** A sub-variant, as both programs take it. */
interface Variant {
  readonly name: string;
  readonly format: string;
  /** Options for diskcast. */
  readonly options: { readonly [name: string]: string };
  /** Further options that qemu-img needs to make the size exact. */
  readonly theirs?: string;
  /** Whether `qemu-img check` knows it. */
  readonly checks: boolean;
  /** Whether it can be written again. */
  readonly edits: boolean;
}

const vmdk = (subformat: string): Variant => ({
  name: `vmdk ${subformat}`,
  format: "vmdk",
  options: { subformat },
  checks: !subformat.endsWith("Flat"),
  edits: subformat !== "streamOptimized",
});

const variants: readonly Variant[] = [
  { name: "raw", format: "raw", options: {}, checks: false, edits: true },
  { name: "qcow2", format: "qcow2", options: {}, checks: true, edits: true },
  ...["monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "streamOptimized"].map(vmdk),
  { name: "vdi dynamic", format: "vdi", options: {}, checks: true, edits: true },
  { name: "vdi static", format: "vdi", options: { static: "on" }, checks: true, edits: true },
  ...["dynamic", "fixed"].map((subformat): Variant => ({
    name: `vpc ${subformat}`,
    format: "vpc",
    options: { subformat },
    theirs: "force_size=on",
    checks: false,
    edits: true,
  })),
  ...["dynamic", "fixed"].map((subformat): Variant => ({
    name: `vhdx ${subformat}`,
    format: "vhdx",
    options: { subformat },
    checks: true,
    edits: true,
  })),
];

/** Returns the `-o` options of qemu-img. */
function theirOptions({ options, theirs }: Variant): string[] {
  const list = [...Object.entries(options).map(([name, value]) => `${name}=${value}`), ...(theirs ? [theirs] : [])];
  return list.length > 0 ? ["-o", list.join(",")] : [];
}

const fileOf = (folder: Scratch, who: string, { name }: Variant) =>
  folder.file(`${who}-${name.replaceAll(" ", "-")}.img`);

/** Asserts that qemu-img finds the image equal to the raw disk `origin`, size included, and finds no errors in it. */
async function judge(variant: Variant, path: string, origin: string, what: string): Promise<void> {
  const compared = await qemuImg("compare", "-f", variant.format, "-F", "raw", path, origin);
  assert.equal(compared.code, 0, `${what}: ${compared.stdout}${compared.stderr}`);
  assert.match(compared.stdout, /Images are identical/, what);
  assert.doesNotMatch(compared.stdout, /size mismatch/, what);
  if (!variant.checks) return;
  const checked = await qemuImg("check", "-f", variant.format, path);
  assert.ok(checked.code === 0 || checked.code === 63, `${what}: ${checked.stdout}${checked.stderr}`);
}

Deno.test({
  name: "every pair of formats: written by one program, read by the other, from random layers",
  ignore: !hasQemu,
  async fn() {
    const random = rng(seed());
    await using folder = await scratch();
    const disk = await layeredDisk(folder, "disk", random);
    const origin = folder.file("origin.raw");
    await qemuImgOk("convert", "-f", disk.layers[0].format, "-O", "raw", disk.path, origin);
    const { size } = await Deno.stat(origin);
    const bytes = await Deno.readFile(origin);

    for (const variant of variants) {
      const path = fileOf(folder, "theirs", variant);
      await qemuImgOk("convert", "-f", "raw", "-O", variant.format, ...theirOptions(variant), origin, path);
      const ours = fileOf(folder, "ours", variant);
      const target = { path: ours, format: variant.format, options: variant.options };
      await convert({ sources: [{ path: disk.path, format: disk.layers[0].format }], target, sync: "never" });
      await judge(variant, ours, origin, `layers to ${variant.name}`);
    }
    for (const from of variants) {
      for (const to of variants) {
        const sources = [{ path: fileOf(folder, random.chance(0.5) ? "theirs" : "ours", from), format: from.format }];
        const target = { path: folder.file("pair.img"), format: to.format, options: to.options };
        await convert({ sources, target, sync: "never" });
        const back = { path: folder.file("back.raw"), format: "raw" };
        await convert({ sources: [{ path: target.path, format: to.format }], target: back, sync: "never" });
        assertBytes(await Deno.readFile(back.path), bytes);
        await judge(to, target.path, origin, `${from.name} to ${to.name}`);
      }
    }
    for (const to of variants.filter(({ edits }) => edits)) {
      const path = folder.file(`existing-${to.name.replaceAll(" ", "-")}.img`);
      await qemuImgOk("create", "-q", "-f", to.format, ...theirOptions(to), path, `${size}`);
      await qemuIo(["-f", to.format, path], `write -P 85 0 ${Math.min(size, 70_144)}`, `write -P 86 ${size - 512} 512`);
      const target = { path, format: to.format, create: false };
      await convert({ sources: [{ path: disk.path, format: disk.layers[0].format }], target, sync: "never" });
      await judge(to, path, origin, `-n into ${to.name}`);
    }
  },
});
