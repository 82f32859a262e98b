/**
 * What the tests of vmdk share: opening by path and from memory, reading everything, runs as text.
 *
 * @module
 */
import { dirname, resolve } from "node:path";
import type { Disk, DiskWriter } from "../../../formats/contract.ts";
import type { NamedFile } from "../../../formats/guest_reader.ts";
import type { OptionValues } from "../../../formats/options.ts";
import { ImageError } from "../../../formats/errors.ts";
import { type Extent, sameStatus } from "../../../formats/extent.ts";
import { openFileStorage } from "../../../formats/storage/file.ts";
import { MemoryStorage } from "../../../formats/storage/memory.ts";
import { vmdk } from "../../../formats/vmdk/mod.ts";
import { inlineCodecs } from "../../support/codecs.ts";

/** Files in memory by name. */
export type Files = { readonly [name: string]: Uint8Array };

/** Opens the image at `path` with the files beside it; disposing it closes all of them. */
export async function openPath(path: string): Promise<Disk & AsyncDisposable> {
  const stack = new AsyncDisposableStack();
  const storage = stack.use(await openFileStorage(path));
  try {
    const disk = await vmdk.open(storage, {
      ...inlineCodecs,
      openNamed: async ({ name }) => stack.use(await openFileStorage(resolve(dirname(path), name))),
    });
    return { ...disk, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

/** Opens the first of `files`; the others are what it may name. */
export function openFiles(files: Files, onWarning?: (message: string) => void): Promise<Disk> {
  const [name] = Object.keys(files);
  return vmdk.open(new MemoryStorage(files[name], name), {
    ...inlineCodecs,
    openNamed: (file) => Promise.resolve(named(files, file)),
    ...(onWarning && { onWarning }),
  });
}

function named(files: Files, { name }: NamedFile): MemoryStorage {
  const bytes = files[name];
  if (bytes === undefined) throw new ImageError("missing", `There is no file "${name}"`, { path: name });
  return new MemoryStorage(bytes, name);
}

/** Returns all extents of a disk, neighbours of one status merged, as `kind start-end` in units of 512 bytes. */
export async function extentLines(disk: Disk): Promise<string[]> {
  const extents: Extent[] = [];
  for (let at = 0; at < disk.size;) {
    const { location: _, ...extent } = await disk.extentAt(at, disk.size);
    if (extent.start !== at || extent.end <= at || extent.end > disk.size) {
      throw new Error(`Bad extent at ${at}: ${extent.end}`);
    }
    const last = extents.at(-1);
    if (last !== undefined && sameStatus(last, extent)) extents[extents.length - 1] = { ...last, end: extent.end };
    else extents.push(extent);
    at = extent.end;
  }
  return extents.map(({ kind, start, end }) => `${kind} ${start / 512}-${end / 512}`);
}

/** Guest bytes up to `most`: data as read, in pieces of `piece` bytes; zeroes and holes as zeroes. */
export async function bytesOf(disk: Disk, most = Infinity, piece = 256 << 10): Promise<Uint8Array> {
  const bytes = new Uint8Array(Math.min(most, disk.size));
  for (let at = 0; at < bytes.length;) {
    const extent = await disk.extentAt(at, bytes.length);
    for (let from = at; extent.kind === "data" && from < extent.end; from += piece) {
      const into = bytes.subarray(from, Math.min(from + piece, extent.end)).fill(0xee);
      await disk.read(into, from);
    }
    at = extent.end;
  }
  return bytes;
}

/** A new image in memory. */
export interface Made {
  readonly storage: MemoryStorage;
  readonly files: Map<string, MemoryStorage>;
  readonly writer: DiskWriter;
}

/** Starts an image called `name` in memory. */
export async function make(name: string, size: number, options: OptionValues): Promise<Made> {
  const storage = new MemoryStorage(undefined, name);
  const files = new Map<string, MemoryStorage>();
  const writer = await vmdk.create!(storage, { size, options, backing: null, compress: false }, {
    ...inlineCodecs,
    createNamed(extent) {
      const file = new MemoryStorage(undefined, extent);
      files.set(extent, file);
      return Promise.resolve(file);
    },
    backing: null,
  });
  return { storage, files, writer };
}
