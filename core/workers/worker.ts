/**
 * What a worker is sent, what it answers, and its program.
 *
 * @module
 */
import {
  alignDown,
  type Codec,
  compressCluster,
  decompressCluster,
  type DecompressCodec,
  equalBytes,
  pageMemory,
  reusedStreams,
  type Streams,
  unitFunctions,
  zeroes,
} from "../../formats/mod.ts";
import {
  type CompareRequest,
  type Copied,
  type CopyRequest,
  type DecompressIntoRequest,
  fileHands,
} from "./file_requests.ts";
import { isZero, splitZeroes } from "../zeroes.ts";

/**
 * Bytes that a worker reads, compares or writes at once: fewer than one thread alone, because two that write into one
 * file wait for each other, and with 1 MiB they took twice the time of 256 KiB.
 */
const WORKER_PIECE = 256 << 10;

/** What a worker can do. The views are of shared memory: no byte is copied on the way. */
export type WorkerTask =
  | { readonly verb: "compress"; readonly codec: Codec; readonly bytes: Uint8Array; readonly into: Uint8Array }
  | {
    readonly verb: "decompress";
    readonly codec: DecompressCodec;
    readonly bytes: Uint8Array;
    readonly into: Uint8Array;
  }
  | { readonly verb: "copy"; readonly order: CopyRequest }
  | { readonly verb: "unload"; readonly order: DecompressIntoRequest }
  | { readonly verb: "compare"; readonly order: CompareRequest };

/** A batch on its way to a worker; `berth` is its number. */
export interface WorkerRequest {
  readonly berth: number;
  readonly works: readonly WorkerTask[];
}

/** The batch when it comes back. */
export interface WorkerResponse {
  readonly berth: number;
  readonly answers: readonly TaskResult[];
}

/** What a worker answers. */
export interface TaskResult {
  /**
   * Of compressing, the length of the result, -1 where there is none; of decompressing, whether it gave what it should; of
   * comparing, the first byte that differs, -1 where none does. `null` where it went wrong.
   */
  readonly result: number | boolean | Copied | null;
  /** How long it took. */
  readonly seconds: number;
  /** What went wrong. */
  readonly problem?: string;
}

/**
 * The worker's program as a blob: a worker from a file would need read access to this program's own folder.
 */
export function workerUrl(): string {
  const text = [
    `let compareBytes; const ZEROES = new Uint8Array(${1 << 20});`,
    ...unitFunctions,
    alignDown,
    zeroes,
    equalBytes,
    isZero,
    splitZeroes,
    pageMemory,
    fileHands,
    `(${serve})(() => import("node:zlib"), ${reusedStreams.name}, ${compressCluster.name}, ${decompressCluster.name},`,
    `  ${fileHands.name}(${splitZeroes.name}, ${decompressCluster.name}, ${equalBytes.name}, ${pageMemory.name}, ${WORKER_PIECE}));`,
  ].join("\n");
  return URL.createObjectURL(new Blob([text], { type: "application/javascript" }));
}

/** Runs in the worker: stands alone, like what it is handed. Says `null` when it begins to listen. */
function serve(
  library: () => Promise<Parameters<typeof reusedStreams>[0]>,
  streamsOf: typeof reusedStreams,
  compress: typeof compressCluster,
  decompress: typeof decompressCluster,
  files: ReturnType<typeof fileHands>,
): void {
  const scope = self as unknown as {
    onmessage: (event: MessageEvent<WorkerRequest>) => void;
    postMessage(message: WorkerResponse | null): void;
  };
  let streams: Streams | undefined;
  const carryOut = (work: WorkerTask, run: Streams): TaskResult["result"] => {
    if (work.verb === "compress") return compress(run, work.codec, work.bytes, work.into);
    if (work.verb === "decompress") return decompress(run, work.codec, work.bytes, work.into);
    if (work.verb === "unload") return files.unload(work.order, run);
    return work.verb === "copy" ? files.copy(work.order) : files.compare(work.order);
  };
  const answer = (work: WorkerTask, run: Streams): TaskResult => {
    const begun = performance.now();
    const since = () => (performance.now() - begun) / 1000;
    try {
      return { result: carryOut(work, run), seconds: since() };
    } catch (error) {
      return { result: null, seconds: since(), problem: String(error) };
    }
  };
  scope.onmessage = async ({ data: { berth, works } }) => {
    // Who only copies does without.
    const needed = works.some(({ verb }) => verb !== "copy" && verb !== "compare");
    if (needed && !streams) streams = streamsOf(await library());
    scope.postMessage({ berth, answers: works.map((work) => answer(work, streams!)) });
  };
  scope.postMessage(null);
}
