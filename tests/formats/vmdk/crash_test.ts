import assert from "node:assert/strict";
import type { Files } from "../../../formats/mod.ts";
import { vmdk } from "../../../formats/vmdk/mod.ts";
import { inlineCodecs } from "../../support/codecs.ts";
import { tryFolderCrashes } from "../../support/crash_matrix.ts";
import { fingerprint, readAll, readerOf } from "../../support/model.ts";
import { hasQemu, qemuImgOk, qemuIo, type Rng, rng, scratch, seed } from "../../support/qemu.ts";
import { openPath } from "./support.ts";

const runSeed = seed();
const SIZE = 3 << 20;

for (const options of ["", "zeroed_grain=on"]) {
  Deno.test({
    name: `a crash while a VMDK over another is written leaves every sector old or new: ${options || "plain"}`,
    ignore: !hasQemu,
    async fn() {
      await using folder = await scratch();
      const random = rng(runSeed);
      const backingBytes = random.bytes(SIZE);
      const path = folder.file("a.vmdk");
      await Deno.writeFile(folder.file("base.raw"), backingBytes);
      await qemuImgOk("convert", "-f", "raw", "-O", "vmdk", folder.file("base.raw"), folder.file("base.vmdk"));
      const more = options ? ["-o", options] : [];
      await qemuImgOk("create", "-q", "-f", "vmdk", ...more, "-b", "base.vmdk", "-F", "vmdk", path);
      await qemuIo(["-f", "vmdk", path], "write -P 1 100k 500k", "write -P 2 2M 300k");
      const look = async () => {
        await using disk = await openPath(path);
        return await readAll(disk, backingBytes);
      };
      /** All that the disk was meant to be, one after another. */
      const versions = [await look()];
      let now = versions[0];
      await tryFolderCrashes({
        folder: folder.path,
        action: (files) => change(path, files, versions, backingBytes, random),
        async state() {
          now = await look();
          return fingerprint(now);
        },
        mixed() {
          for (let at = 0; at < SIZE; at += 512) {
            const isKnown = versions.some((version) => isSame(now, version, at));
            assert(isKnown, `the sector at guest byte ${at} has never been like that`);
          }
        },
        random,
        most: 20,
      });
    },
  });
}

function isSame(one: Uint8Array, other: Uint8Array, sector: number): boolean {
  for (let at = sector; at < sector + 512; at++) if (one[at] !== other[at]) return false;
  return true;
}

async function change(
  path: string,
  files: Files,
  versions: Uint8Array[],
  backingBytes: Uint8Array,
  random: Rng,
): Promise<void> {
  await using storage = await files.open(path, { write: true });
  const writer = await vmdk.edit!(storage, {
    ...inlineCodecs,
    compress: false,
    openNamed: () => Promise.reject(new Error("It names no such file")),
    openBacking: () => Promise.resolve(readerOf(backingBytes)),
  });
  for (let step = 0; step < 14; step++) {
    const model = versions.at(-1)!.slice();
    const start = random.int(SIZE / 512) * 512;
    const end = Math.min(SIZE, start + random.int(1, 500) * 512);
    const bytes = step % 3 === 0 ? null : random.bytes(end - start);
    if (bytes) await writer.write(bytes, start);
    else await writer.zero(start, end);
    model.set(bytes ?? new Uint8Array(end - start), start);
    versions.push(model);
  }
  await writer.finish();
}
