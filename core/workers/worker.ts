/**
 * What a worker is sent, what it answers, and its program.
 *
 * @module
 */
import {
  alignDown,
  type Codec,
  equalBytes,
  type PackedWith,
  packUnit,
  pageMemory,
  reusedStreams,
  type Streams,
  unitFunctions,
  unpackUnit,
  zeroes,
} from "../../formats/mod.ts";
import { type CompareOrder, type Copied, type CopyOrder, fileHands, type UnloadOrder } from "./file_requests.ts";
import { isZero, splitZeroes } from "../zeroes.ts";

/**
 * Bytes that a worker reads, compares or writes at once: fewer than one thread alone, because two that write into one
 * file wait for each other, and with 1 MiB they took twice the time of 256 KiB.
 */
const WORKER_PIECE = 256 << 10;

/** What a worker can do. The views are of shared memory: no byte is copied on the way. */
export type Work =
  | { readonly verb: "pack"; readonly codec: Codec; readonly bytes: Uint8Array; readonly into: Uint8Array }
  | { readonly verb: "unpack"; readonly codec: PackedWith; readonly bytes: Uint8Array; readonly into: Uint8Array }
  | { readonly verb: "copy"; readonly order: CopyOrder }
  | { readonly verb: "unload"; readonly order: UnloadOrder }
  | { readonly verb: "compare"; readonly order: CompareOrder };

/** A batch on its way to a worker; `berth` is its number. */
export interface Orders {
  readonly berth: number;
  readonly works: readonly Work[];
}

/** The batch when it comes back. */
export interface Answers {
  readonly berth: number;
  readonly answers: readonly Answer[];
}

/** What a worker answers. */
export interface Answer {
  /**
   * Of packing, the length of the result, -1 where there is none; of unpacking, whether it gave what it should; of
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
    `(${serve})(() => import("node:zlib"), ${reusedStreams.name}, ${packUnit.name}, ${unpackUnit.name},`,
    `  ${fileHands.name}(${splitZeroes.name}, ${unpackUnit.name}, ${equalBytes.name}, ${pageMemory.name}, ${WORKER_PIECE}));`,
  ].join("\n");
  return URL.createObjectURL(new Blob([text], { type: "application/javascript" }));
}

/** Runs in the worker: stands alone, like what it is handed. Says `null` when it begins to listen. */
function serve(
  library: () => Promise<Parameters<typeof reusedStreams>[0]>,
  streamsOf: typeof reusedStreams,
  pack: typeof packUnit,
  unpack: typeof unpackUnit,
  files: ReturnType<typeof fileHands>,
): void {
  const scope = self as unknown as {
    onmessage: (event: MessageEvent<Orders>) => void;
    postMessage(message: Answers | null): void;
  };
  let streams: Streams | undefined;
  const carryOut = (work: Work, run: Streams): Answer["result"] => {
    if (work.verb === "pack") return pack(run, work.codec, work.bytes, work.into);
    if (work.verb === "unpack") return unpack(run, work.codec, work.bytes, work.into);
    if (work.verb === "unload") return files.unload(work.order, run);
    return work.verb === "copy" ? files.copy(work.order) : files.compare(work.order);
  };
  const answer = (work: Work, run: Streams): Answer => {
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
