/**
 * What a packing worker is sent, what it answers, and its program.
 *
 * @module
 */
import { type Codec, type PackedWith, packUnit, reusedStreams, unitFunctions, unpackUnit } from "../formats/mod.ts";

/** What is to be done with the bytes of a unit; a result of `room` bytes at most. */
export type Work =
  | { readonly verb: "pack"; readonly codec: Codec; readonly bytes: Uint8Array; readonly room: number }
  | { readonly verb: "unpack"; readonly codec: PackedWith; readonly bytes: Uint8Array; readonly room: number };

/** What a worker is sent for a unit. The views are of shared memory: no byte is copied on the way. */
export interface Order {
  readonly work: Work;
  readonly into: Uint8Array;
}

/** What a worker answers: the length of the result, -1 where there is none, or what went wrong. */
export interface Answer {
  readonly length: number;
  readonly seconds: number;
  readonly problem?: string;
}

/** A batch on its way to a worker; `berth` is its number. */
export interface Orders {
  readonly berth: number;
  readonly orders: readonly Order[];
}

/** The batch when it comes back. */
export interface Answers {
  readonly berth: number;
  readonly answers: readonly Answer[];
}

/**
 * The worker's program as a blob: a worker from a file would need read access to this program's own folder.
 */
export function workerUrl(): string {
  const hands = [packUnit, unpackUnit].map(({ name }) => `${name}.bind(null, run)`);
  const text = [
    `import * as zlib from "node:zlib";`,
    ...unitFunctions,
    `const run = ${reusedStreams.name}(zlib);`,
    `(${serve})(${hands});`,
  ].join("\n");
  return URL.createObjectURL(new Blob([text], { type: "application/javascript" }));
}

/** Runs in the worker: stands alone, like what it is handed. */
function serve(
  pack: (codec: Codec, unit: Uint8Array, into: Uint8Array) => number,
  unpack: (codec: PackedWith, packed: Uint8Array, into: Uint8Array) => boolean,
): void {
  const scope = self as unknown as {
    onmessage: (event: MessageEvent<Orders>) => void;
    postMessage(message: Answers): void;
  };
  const carryOut = ({ work, into }: Order): number => {
    if (work.verb === "pack") return pack(work.codec, work.bytes, into);
    return unpack(work.codec, work.bytes, into) ? into.length : -1;
  };
  const answer = (order: Order): Answer => {
    const begun = performance.now();
    const since = () => (performance.now() - begun) / 1000;
    try {
      return { length: carryOut(order), seconds: since() };
    } catch (error) {
      return { length: -1, seconds: since(), problem: String(error) };
    }
  };
  scope.onmessage = ({ data }) => scope.postMessage({ berth: data.berth, answers: data.orders.map(answer) });
}
