/**
 * What the tests of qcow2 share: opening by path, reading everything, runs as text.
 *
 * @module
 */
import { dirname, resolve } from "node:path";
import type { Disk, OpenContext } from "../../../formats/contract.ts";
import type { SnapshotChoice } from "../../../formats/snapshots.ts";
import { openQcow2 } from "../../../formats/qcow2/open.ts";
import { type Extent, sameStatus } from "../../../formats/extent.ts";
import { openFileStorage } from "../../../formats/storage/file.ts";
import type { MapEntry } from "../../support/qemu.ts";

/** Opens the image at `path` with the files beside it; disposing it closes all of them. */
export async function openPath(path: string, snapshot?: SnapshotChoice): Promise<Disk> {
  const stack = new AsyncDisposableStack();
  const storage = stack.use(await openFileStorage(path));
  const context: OpenContext = {
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

/** A context for images that name no further file. */
export const alone: OpenContext = {
  openNamed: ({ name }) => Promise.reject(new Error(`The image asked for "${name}"`)),
};

/** All runs of a disk, neighbours of one status merged. */
export async function runsOf(disk: Disk): Promise<Extent[]> {
  const runs: Extent[] = [];
  for (let at = 0; at < disk.size;) {
    const { location: _, ...run } = await disk.extentAt(at, disk.size);
    if (run.start !== at || run.end <= at || run.end > disk.size) throw new Error(`Bad run at ${at}: ${run.end}`);
    const last = runs.at(-1);
    if (last !== undefined && sameStatus(last, run)) runs[runs.length - 1] = { ...last, end: run.end };
    else runs.push(run);
    at = run.end;
  }
  return runs;
}

/** All guest bytes: data as read, in pieces of `piece` bytes; zeroes and holes as zeroes. */
export async function bytesOf(disk: Disk, piece = 256 << 10): Promise<Uint8Array> {
  const bytes = new Uint8Array(disk.size);
  for (const run of await runsOf(disk)) {
    if (run.kind !== "data") continue;
    for (let at = run.start; at < run.end; at += piece) {
      const into = bytes.subarray(at, Math.min(at + piece, run.end)).fill(0xee);
      await disk.read(into, at);
    }
  }
  return bytes;
}

/** Runs as `kind start-end` lines; compressed data as qemu-img map does not tell it. */
export function runLines(runs: readonly { kind: string; start: number; end: number }[]): string[] {
  const merged: { kind: string; start: number; end: number }[] = [];
  for (const { kind, start, end } of runs) {
    const last = merged.at(-1);
    if (last !== undefined && last.kind === kind) last.end = end;
    else merged.push({ kind, start, end });
  }
  return merged.map(({ kind, start, end }) => `${kind} ${start}-${end}`);
}

/** The same from the map of an image with a single layer. */
export function mapLines(map: readonly MapEntry[]): string[] {
  return runLines(map.map(({ start, length, present, zero }) => ({
    kind: !present ? "hole" : zero ? "zero" : "data",
    start,
    end: start + length,
  })));
}
