/** More files than may be open at once: those used longest ago are closed, and opened again when they are used. */
import assert from "node:assert/strict";
import { type FileStorage, openFileStorage } from "../../../formats/storage/file.ts";
import { MOST_OPEN } from "../../../formats/storage/open_files.ts";
import { descriptorsIn } from "../../support/files.ts";
import { scratch } from "../../support/qemu.ts";

const onLinux = Deno.build.os === "linux";
const COUNT = MOST_OPEN + 40;

Deno.test("many files take few descriptors, one each, and are read in any order", { ignore: !onLinux }, async () => {
  await using folder = await scratch();
  await using stack = new AsyncDisposableStack();
  const files: FileStorage[] = [];
  for (let nth = 0; nth < COUNT; nth++) {
    await Deno.writeFile(folder.file(`${nth}`), new Uint8Array(600).fill(nth % 251));
    files.push(stack.use(await openFileStorage(folder.file(`${nth}`))));
    await files[nth].lock(false);
  }
  const order = Array.from({ length: 3 * COUNT }, (_, turn) => turn * 37 % COUNT);
  const into = new Uint8Array(100);
  for (const nth of order) {
    await files[nth].readAt(into, 500);
    assert.deepEqual(into, new Uint8Array(100).fill(nth % 251));
    assert.deepEqual(await files[nth].holeAt?.(0, 600) ?? { hole: false, end: 600 }, { hole: false, end: 600 });
  }
  const count = descriptorsIn(folder.path);
  assert.ok(count <= MOST_OPEN, `${count} descriptors`);
  await stack.disposeAsync();
  assert.equal(descriptorsIn(folder.path), 0);
  await assert.rejects(files[0].readAt(into, 0), /is closed/);
});

Deno.test(
  "a file that was replaced meanwhile is not read, nor one that is written now",
  { ignore: !onLinux },
  async () => {
    await using folder = await scratch();
    await using stack = new AsyncDisposableStack();
    const open = async (name: string) => {
      await Deno.writeFile(folder.file(name), new Uint8Array(10));
      const file = stack.use(await openFileStorage(folder.file(name)));
      await file.lock(false);
      return file;
    };
    const [replaced, written] = [await open("replaced"), await open("written")];
    for (let nth = 0; nth < MOST_OPEN; nth++) await open(`${nth}`);
    await Deno.remove(folder.file("replaced"));
    await Deno.writeFile(folder.file("replaced"), new Uint8Array(10));
    await assert.rejects(replaced.readAt(new Uint8Array(1), 0), {
      kind: "refused",
      message: /another file has this name/,
    });
    await using writer = await openFileStorage(folder.file("written"), { write: true });
    await writer.lock(true);
    await assert.rejects(written.readAt(new Uint8Array(1), 0), { kind: "refused", message: /writing to it/ });
  },
);
