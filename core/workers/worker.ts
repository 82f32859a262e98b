/**
 * The program of a worker: it compresses, decompresses, copies, compares and hashes. It imports nothing but the modules that
 * `program.ts` lists, which starts it.
 *
 * @module
 */
import { compressCluster } from "../../formats/codec/compress.ts";
import { decompressCluster } from "../../formats/codec/decompress.ts";
import { ownStreams, type Streams } from "../../formats/codec/zlib_streams.ts";
import { ownSha256, type Sha256 } from "./hash_blocks.ts";
import type { TaskResult, WorkerRequest, WorkerResponse, WorkerTask } from "./protocol.ts";
import { workerFiles } from "./worker_files.ts";

const scope = self as unknown as {
  onmessage: (event: MessageEvent<WorkerRequest>) => void;
  /** Null: the worker is ready for requests. */
  postMessage(message: WorkerResponse | null): void;
};
const files = workerFiles();

function carryOut(task: WorkerTask, streams: Streams, sha256: Sha256): TaskResult["value"] {
  switch (task.verb) {
    case "compress":
      return compressCluster(streams, task.codec, task.bytes, task.into);
    case "decompress":
      return decompressCluster(streams, task.codec, task.bytes, task.into);
    case "decompressInto":
      return files.decompressInto(task.request, streams);
    case "copy":
      return files.copy(task.request);
    case "compare":
      return files.compare(task.request);
    case "hash":
      return files.hash(task.request, sha256);
  }
}

function resultOf(task: WorkerTask, streams: Streams, sha256: Sha256): TaskResult {
  const begun = performance.now();
  const seconds = () => (performance.now() - begun) / 1000;
  try {
    return { value: carryOut(task, streams, sha256), seconds: seconds() };
  } catch (error) {
    return { value: null, seconds: seconds(), problem: String(error) };
  }
}

/** In place of streams, for batches that neither compress nor decompress: `node:zlib` takes long to load. */
const noStreams: Streams = () => -1;

/** In place of SHA-256, for batches that hash nothing. */
const noSha256: Sha256 = (bytes) => bytes;

/** Tasks that need no streams. */
const PLAIN: readonly WorkerTask["verb"][] = ["copy", "compare", "hash"];

scope.onmessage = async ({ data: { slot, tasks } }) => {
  const needsStreams = tasks.some(({ verb }) => !PLAIN.includes(verb));
  const streams = needsStreams ? await ownStreams() : noStreams;
  const sha256 = tasks.some(({ verb }) => verb === "hash") ? await ownSha256() : noSha256;
  scope.postMessage({ slot, results: tasks.map((task) => resultOf(task, streams, sha256)) });
};
scope.postMessage(null);
