/** The command that --print-permissions prints does the job: for every kind of image that names other files. */
import assert from "node:assert/strict";
import { diskcast } from "../support/diskcast.ts";
import { hasQemu, qemuImgOk, run, type Scratch, scratch } from "../support/qemu.ts";
import { buildVdi, FREE } from "../formats/vdi/build.ts";
import { build as buildVhdx, GUID } from "../formats/vhdx/build.ts";

const MIB = 1 << 20;
const id = (fill: number) => new Uint8Array(16).fill(fill);

/** Makes an image; returns its name. */
type Maker = (folder: Scratch) => Promise<string>;

const overlay = (format: string, options: string[]): Maker => async (folder) => {
  await qemuImgOk("create", "-q", "-f", format, ...options, folder.file("base"), "1M");
  await qemuImgOk("create", "-q", "-f", format, "-b", "base", "-F", format, folder.file("top"));
  return "top";
};

const images: { readonly [name: string]: { readonly make: Maker; readonly judge?: true; readonly all?: true } } = {
  "a qcow2 over another": { make: overlay("qcow2", []), judge: true, all: true },
  "a qcow2 with a data file": {
    async make(folder) {
      await qemuImgOk(
        "create",
        "-q",
        "-f",
        "qcow2",
        "-o",
        `data_file=${folder.file("data")}`,
        folder.file("top"),
        "1M",
      );
      return "top";
    },
    judge: true,
  },
  "a VMDK with extent files": {
    async make(folder) {
      await qemuImgOk(
        "create",
        "-q",
        "-f",
        "vmdk",
        "-o",
        "subformat=twoGbMaxExtentFlat",
        folder.file("top.vmdk"),
        "1M",
      );
      return "top.vmdk";
    },
    judge: true,
  },
  "a VMDK over another": { make: overlay("vmdk", []), judge: true },
  "a VDI that states the ID of its parent": {
    async make(folder) {
      const base = buildVdi({ type: 1, size: MIB, uuid: id(1), blocks: [new Uint8Array(MIB)], map: [0] });
      await Deno.writeFile(folder.file("base.vdi"), base);
      const top = buildVdi({ type: 4, size: MIB, uuid: id(2), parent: id(1), map: [FREE] });
      await Deno.writeFile(folder.file("top.vdi"), top);
      return "top.vdi";
    },
  },
  "a VHDX with a parent by a path of Windows": {
    async make(folder) {
      await Deno.writeFile(folder.file("base.vhdx"), buildVhdx({ size: MIB }));
      const parent = { parent_linkage: `{${GUID.data}}`, relative_path: ".\\base.vhdx" };
      await Deno.writeFile(folder.file("top.vhdx"), buildVhdx({ size: MIB, parent }));
      return "top.vhdx";
    },
  },
};

/** Commands, with their options; those of `usual` for every kind of image, all for the first. */
const usual = [["info"], ["map"], ["convert", "-O", "raw"]];
const further = [["info", "--backing-chain"], ["check"], ["digest"], ["measure", "-O", "qcow2"], ["resize", "+1M"]];

for (const [name, { make, judge, all }] of Object.entries(images)) {
  Deno.test({
    name: `the printed permissions are enough for ${name}`,
    ignore: Deno.build.os === "windows" || judge === true && !hasQemu,
    async fn() {
      await using folder = await scratch();
      const path = folder.file(await make(folder));
      for (const [command, ...more] of all ? [...usual, ...further] : usual) {
        const args = command === "convert"
          ? [command, ...more, path, folder.file("out.raw")]
          : command === "resize"
          ? [command, path, ...more]
          : [command!, ...more, path];
        const printed = await diskcast(command!, "--print-permissions", ...args.slice(1));
        assert.equal(printed.code, 0, printed.stderr);
        const { code, stderr } = await run("sh", ["-c", printed.stdout.replace("deno run", "deno run --no-prompt -q")]);
        assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
      }
    },
  });
}
