/**
 * The program of a worker: it compresses, decompresses, copies and compares. It imports nothing but the modules that
 * `program.ts` lists, which starts it.
 *
 * @module
 */
import { compressCluster } from "../../formats/codec/compress.ts";
import { decompressCluster } from "../../formats/codec/decompress.ts";
import { ownStreams, type Streams } from "../../formats/codec/zlib_streams.ts";
import type { TaskResult, WorkerRequest, WorkerResponse, WorkerTask } from "./protocol.ts";
import { workerFiles } from "./worker_files.ts";

const scope = self as unknown as {
  onmessage: (event: MessageEvent<WorkerRequest>) => void;
  /** Null: the worker is ready for requests. */
  postMessage(message: WorkerResponse | null): void;
};
const files = workerFiles();

function carryOut(task: WorkerTask, streams: Streams): TaskResult["value"] {
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
  }
}

function resultOf(task: WorkerTask, streams: Streams): TaskResult {
  const begun = performance.now();
  const seconds = () => (performance.now() - begun) / 1000;
  try {
    return { value: carryOut(task, streams), seconds: seconds() };
  } catch (error) {
    return { value: null, seconds: seconds(), problem: String(error) };
  }
}

/** In place of streams, for batches that neither compress nor decompress: `node:zlib` takes long to load. */
const noStreams: Streams = () => -1;

scope.onmessage = async ({ data: { slot, tasks } }) => {
  const needsStreams = tasks.some(({ verb }) => verb !== "copy" && verb !== "compare");
  const streams = needsStreams ? await ownStreams() : noStreams;
  scope.postMessage({ slot, results: tasks.map((task) => resultOf(task, streams)) });
};
scope.postMessage(null);
