/**
 * A pipe as a target, which is written in order and cannot be read back.
 *
 * @module
 */
import { ImageError, throwIfCancelled } from "../errors.ts";
import { hostError } from "./host_error.ts";
import type { StoredFile } from "./types.ts";

/**
 * Returns storage for the pipe at `path`. The first write opens it, and waits for a reader.
 *
 * @param signal a write fails with `cancelled` when it is aborted, because a reader may never come or continue
 */
export function pipeStorage(path: string, signal?: AbortSignal): StoredFile {
  let file: Deno.FsFile | undefined;
  let written = 0;

  function refused(): ImageError {
    const message = `Cannot write into "${path}": it is a pipe, and takes only what is written from front to end ` +
      `(-O vmdk -o subformat=streamOptimized)`;
    return new ImageError("unsupported", message, { path });
  }

  async function open(): Promise<Deno.FsFile> {
    const opening = Deno.open(path, { write: true });
    return await unlessCancelled(opening, signal).catch((error) => {
      // A reader that still comes reads the end of the stream.
      opening.then((late) => late.close(), () => {});
      throw error;
    });
  }

  async function write(bytes: Uint8Array): Promise<void> {
    try {
      file ??= await open();
      for (let done = 0; done < bytes.length;) {
        done += await unlessCancelled(file.write(bytes.subarray(done)), signal);
      }
      written += bytes.length;
    } catch (error) {
      throw hostError(error, "write into", path);
    }
  }

  return {
    label: path,
    identity: null,
    isDevice: false,
    startsZeroed: true,
    zeroesCheaply: false,
    get size() {
      return written;
    },
    lock: () => Promise.resolve(),
    readAt: () => Promise.reject(refused()),
    writeAt: (from, fileOffset) => fileOffset === written ? write(from) : Promise.reject(refused()),
    zeroAt: () => Promise.reject(refused()),
    truncate: (size) => size === written ? Promise.resolve() : Promise.reject(refused()),
    reserve: () => Promise.reject(refused()),
    sync: () => Promise.resolve(),
    [Symbol.asyncDispose]() {
      file?.close();
      file = undefined;
      return Promise.resolve();
    },
  };
}

/** Returns the result of `work`; throws `cancelled` if the signal is aborted before. */
async function unlessCancelled<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await work;
  const cancelled = Promise.withResolvers<void>();
  const cancel = () => cancelled.resolve();
  if (signal.aborted) cancel();
  signal.addEventListener("abort", cancel);
  try {
    await Promise.race([work, cancelled.promise]);
    throwIfCancelled(signal);
    return await work;
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}
