/**
 * The program of workers, in memory. A worker that is started from a file needs read access to the folder of this program,
 * which a conversion does not have. So this module imports the text of each module of the worker, strips its types, and
 * makes it a module at a `blob:` URL. Loaded when workers are started.
 *
 * @module
 */
import { stripTypeScriptTypes } from "node:module";
import bytes from "../../formats/bytes.ts" with { type: "text" };
import compress from "../../formats/codec/compress.ts" with { type: "text" };
import decompress from "../../formats/codec/decompress.ts" with { type: "text" };
import zlibStreams from "../../formats/codec/zlib_streams.ts" with { type: "text" };
import errors from "../../formats/errors.ts" with { type: "text" };
import pageMemory from "../../formats/page_memory.ts" with { type: "text" };
import zeroes from "../zeroes.ts" with { type: "text" };
import worker from "./worker.ts" with { type: "text" };
import workerFiles from "./worker_files.ts" with { type: "text" };

/** The modules of the worker by file name; each imports values only from those before it. The last one is the program. */
const modules: readonly (readonly [name: string, text: string])[] = [
  ["errors.ts", errors],
  ["bytes.ts", bytes],
  ["page_memory.ts", pageMemory],
  ["zlib_streams.ts", zlibStreams],
  ["compress.ts", compress],
  ["decompress.ts", decompress],
  ["zeroes.ts", zeroes],
  ["worker_files.ts", workerFiles],
  ["worker.ts", worker],
];

/** The program of a worker in memory. */
export interface WorkerProgram {
  readonly url: string;
  /** Frees the memory; workers that have started go on. */
  revoke(): void;
}

/** Returns the program of a worker. */
export function workerProgram(): WorkerProgram {
  const urls = new Map<string, string>();
  let url = "";
  for (const [name, text] of modules) {
    const linked = stripTypeScriptTypes(text).replace(
      / from "\.[^"]*?([^/"]+\.ts)"/g,
      (_, imported) => ` from "${urls.get(imported)}"`,
    );
    url = URL.createObjectURL(new Blob([linked], { type: "application/javascript" }));
    urls.set(name, url);
  }
  return { url, revoke: () => urls.forEach((url) => URL.revokeObjectURL(url)) };
}
