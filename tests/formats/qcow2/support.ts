/**
 * Helpers of the qcow2 tests: opening by path, reading the whole disk, extents as text.
 *
 * @module
 */
import { dirname, resolve } from "node:path";
import type { Disk, OpenContext } from "../../../formats/contract.ts";
import type { SnapshotChoice } from "../../../formats/snapshots.ts";
import { openQcow2 } from "../../../formats/qcow2/open.ts";
import { type Extent, sameStatus } from "../../../formats/extent.ts";
import { openFileStorage } from "../../../formats/storage/file.ts";
import { inlineCodecs } from "../../support/codecs.ts";
import type { MapEntry } from "../../support/qemu.ts";

/** Opens the image at `path` and the files that it names. Disposal closes all of them. */
export async function openPath(path: string, snapshot?: SnapshotChoice): Promise<Disk & AsyncDisposable> {
  const stack = new AsyncDisposableStack();
  const storage = stack.use(await openFileStorage(path));
  const context: OpenContext = {
    ...inlineCodecs,
    snapshot,
    openNamed: async ({ name }) => stack.use(await openFileStorage(resolve(dirname(path), name))),
  };
  try {
    const disk = await openQcow2(storage, context);
    return { ...disk, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

/** A context for images that name no other file. */
export const standalone: OpenContext = {
  ...inlineCodecs,
  openNamed: ({ name }) => Promise.reject(new Error(`The image asked for "${name}"`)),
};

/** Returns all extents of a disk; neighbours with the same status are merged. */
export async function extentsOf(disk: Disk): Promise<Extent[]> {
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
  return extents;
}

/** Reads all guest bytes, data in pieces of `piece` bytes; zeroes and holes as zeroes. */
export async function bytesOf(disk: Disk, piece = 256 << 10): Promise<Uint8Array> {
  const bytes = new Uint8Array(disk.size);
  for (const extent of await extentsOf(disk)) {
    if (extent.kind !== "data") continue;
    for (let at = extent.start; at < extent.end; at += piece) {
      const into = bytes.subarray(at, Math.min(at + piece, extent.end)).fill(0xee);
      await disk.read(into, at);
    }
  }
  return bytes;
}

/** Formats extents as `kind start-end` lines. Compressed data is data, as in qemu-img map. */
export function extentLines(extents: readonly { kind: string; start: number; end: number }[]): string[] {
  const merged: { kind: string; start: number; end: number }[] = [];
  for (const { kind, start, end } of extents) {
    const last = merged.at(-1);
    if (last !== undefined && last.kind === kind) last.end = end;
    else merged.push({ kind, start, end });
  }
  return merged.map(({ kind, start, end }) => `${kind} ${start}-${end}`);
}

/** Formats the map of an image with a single layer. */
export function mapLines(map: readonly MapEntry[]): string[] {
  return extentLines(map.map(({ start, length, present, zero }) => ({
    kind: !present ? "hole" : zero ? "zero" : "data",
    start,
    end: start + length,
  })));
}
