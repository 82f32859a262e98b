/**
 * Output into memory, for jobs that write no files. Pages without data take no memory.
 *
 * @module
 */
import { corrupt, ImageError, type WritableStorage, zeroes } from "../../formats/mod.ts";
import type { OutputFiles } from "./output_file.ts";

/** Bytes of a page of a file in memory. */
const PAGE = 64 << 10;

/** Returns output whose files are in memory, for a job that only plans. */
export function dryOutput(): OutputFiles {
  return {
    create: async (path) => sparseFile(path, !await isDevice(path)),
    edit: (path) => Promise.reject(new ImageError("unsupported", `Cannot plan to write into "${path}": it exists`)),
    inPlace: undefined,
    pipe: undefined,
    commit: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** Returns whether there is a block device, whose old bytes must be overwritten by zeroes. Asks for no permission. */
async function isDevice(path: string): Promise<boolean> {
  if ((await Deno.permissions.query({ name: "read", path })).state !== "granted") return false;
  const found = await Deno.stat(path).catch(() => null);
  return found?.isBlockDevice === true;
}

/** Returns a file in memory that allocates pages only for data. */
function sparseFile(label: string, startsZeroed: boolean): WritableStorage {
  const pages = new Map<number, Uint8Array>();
  let size = 0;
  const each = (start: number, end: number, visit: (page: number, from: number, to: number, at: number) => void) => {
    for (let at = start; at < end;) {
      const page = Math.floor(at / PAGE);
      const to = Math.min(end, (page + 1) * PAGE);
      visit(page, at - page * PAGE, to - page * PAGE, at - start);
      at = to;
    }
  };
  const grow = (end: number) => size = Math.max(size, end);
  const clear = (start: number, end: number) => {
    // Visit the pages of the range or all allocated pages, whichever are fewer.
    if (end - start < pages.size * PAGE) {
      return each(start, end, (page, from, to) => {
        if (from === 0 && to === PAGE) pages.delete(page);
        else pages.get(page)?.fill(0, from, to);
      });
    }
    for (const [page, bytes] of pages) {
      const from = Math.max(0, start - page * PAGE);
      const to = Math.min(PAGE, end - page * PAGE);
      if (from === 0 && to === PAGE) pages.delete(page);
      else if (from < to) bytes.fill(0, from, to);
    }
  };
  return {
    label,
    get size() {
      return size;
    },
    startsZeroed,
    zeroesCheaply: true,
    readAt(into, fileOffset) {
      const end = fileOffset + into.length;
      if (end > size) {
        return Promise.reject(corrupt(`Cannot read to byte ${end} of "${label}": it ends at ${size}`, label));
      }
      each(fileOffset, end, (page, from, to, at) => {
        const bytes = pages.get(page);
        if (bytes) into.set(bytes.subarray(from, to), at);
        else into.fill(0, at, at + to - from);
      });
      return Promise.resolve();
    },
    writeAt(content, fileOffset) {
      // The shared zeroes, recognised by their buffer, need no page.
      if (content.buffer === zeroes(0).buffer) {
        clear(fileOffset, fileOffset + content.length);
        grow(fileOffset + content.length);
        return Promise.resolve();
      }
      each(fileOffset, fileOffset + content.length, (page, from, to, at) => {
        const bytes = pages.get(page) ?? new Uint8Array(PAGE);
        bytes.set(content.subarray(at, at + to - from), from);
        pages.set(page, bytes);
      });
      grow(fileOffset + content.length);
      return Promise.resolve();
    },
    zeroAt(start, end) {
      clear(start, end);
      grow(end);
      return Promise.resolve();
    },
    truncate(to) {
      clear(to, Math.max(to, size));
      size = to;
      return Promise.resolve();
    },
    reserve(_start, end) {
      grow(end);
      return Promise.resolve();
    },
    sync: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
