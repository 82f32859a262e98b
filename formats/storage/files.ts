/**
 * The host's files.
 *
 * @module
 */
import { createFileStorage, openFileStorage } from "./file.ts";
import { hostError } from "./host_error.ts";
import type { Files } from "./types.ts";

/**
 * Files as Deno reaches them.
 *
 * @example
 * ```ts
 * import { hostFiles } from "./files.ts";
 * import assert from "node:assert/strict";
 *
 * await assert.rejects(hostFiles.open("no such file"), { kind: "missing" });
 * ```
 */
export const hostFiles: Files = {
  open: openFileStorage,
  create: createFileStorage,
  async rename(from, to) {
    try {
      await Deno.rename(from, to);
    } catch (error) {
      throw hostError(error, `rename "${from}" to`, to);
    }
  },
  async remove(path) {
    try {
      await Deno.remove(path);
    } catch (error) {
      throw hostError(error, "remove", path);
    }
  },
};
