/**
 * The program of workers, in memory. A worker that is started from a file needs read access to the folder of this
 * program, which a conversion does not have. So this module imports the text of each module of the worker, and joins
 * the texts to one module at a `blob:` URL. Loaded when workers are started.
 *
 * @module
 */
import bytes from "../../formats/bytes.ts" with { type: "text" };
import compress from "../../formats/codec/compress.ts" with { type: "text" };
import decompress from "../../formats/codec/decompress.ts" with { type: "text" };
import zlibStreams from "../../formats/codec/zlib_streams.ts" with { type: "text" };
import errors from "../../formats/errors.ts" with { type: "text" };
import pageMemory from "../../formats/page_memory.ts" with { type: "text" };
import zeroes from "../zeroes.ts" with { type: "text" };
import hashBlocks from "./hash_blocks.ts" with { type: "text" };
import worker from "./worker.ts" with { type: "text" };
import workerFiles from "./worker_files.ts" with { type: "text" };

/** The modules of the worker; each uses values only of those before it. Their top-level names differ. */
const modules: readonly string[] = [
  errors,
  bytes,
  pageMemory,
  zlibStreams,
  compress,
  decompress,
  zeroes,
  hashBlocks,
  workerFiles,
  worker,
];

/** Import statements, which begin in the first column, as `deno fmt` puts them. */
const IMPORTS = /^import [^;]*;\n/gm;

/** The keyword of an exported declaration. */
const EXPORT = /^export (?=(?:async |class |const |function |interface |type ))/gm;

/** Returns the URL of the program of a worker; the caller revokes it when no worker is started any more. */
export function workerProgramUrl(): string {
  const texts = modules.map((text) => text.replace(IMPORTS, "").replace(EXPORT, ""));
  // The modules are type-checked where they stand.
  const program = ["// @ts-nocheck", ...texts].join("\n");
  return URL.createObjectURL(new Blob([program], { type: "application/typescript" }));
}
