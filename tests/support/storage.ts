/**
 * Storage that reports each request, or fails it.
 *
 * @module
 */
import { ImageError } from "../../formats/errors.ts";
import type { WritableStorage } from "../../formats/storage/types.ts";

/** The verbs of a storage. */
export type OperationKind = "read" | "write" | "zero" | "truncate" | "sync" | "reserve" | "hole";

/** One request, in file bytes. `truncate` has the new size as start and end; `sync` has 0 for both. */
export interface Operation {
  readonly op: OperationKind;
  readonly start: number;
  readonly end: number;
}

/**
 * Calls `report` before each request, then passes it on to `inner`, which it owns. What `report` throws is the result.
 * {@linkcode RecordingStorage} and {@linkcode FaultyStorage} are the usual uses.
 */
export class WatchedStorage implements WritableStorage {
  readonly holeAt?: NonNullable<WritableStorage["holeAt"]>;
  readonly #inner: WritableStorage;
  readonly #report: (operation: Operation) => void;

  constructor(inner: WritableStorage, report: (operation: Operation) => void) {
    this.#inner = inner;
    this.#report = report;
    const holeAt = inner.holeAt?.bind(inner);
    if (holeAt) {
      // deno-lint-ignore require-await
      this.holeAt = async (start, limit) => {
        report({ op: "hole", start, end: limit });
        return holeAt(start, limit);
      };
    }
  }

  get label(): string {
    return this.#inner.label;
  }
  get size(): number {
    return this.#inner.size;
  }
  get startsZeroed(): boolean {
    return this.#inner.startsZeroed;
  }
  get zeroesCheaply(): boolean {
    return this.#inner.zeroesCheaply;
  }
  async readAt(into: Uint8Array, fileOffset: number): Promise<void> {
    this.#report({ op: "read", start: fileOffset, end: fileOffset + into.length });
    await this.#inner.readAt(into, fileOffset);
  }
  async writeAt(from: Uint8Array, fileOffset: number): Promise<void> {
    this.#report({ op: "write", start: fileOffset, end: fileOffset + from.length });
    await this.#inner.writeAt(from, fileOffset);
  }
  async zeroAt(start: number, end: number): Promise<void> {
    this.#report({ op: "zero", start, end });
    await this.#inner.zeroAt(start, end);
  }
  async truncate(size: number): Promise<void> {
    this.#report({ op: "truncate", start: size, end: size });
    await this.#inner.truncate(size);
  }
  async reserve(start: number, end: number, written: boolean): Promise<void> {
    this.#report({ op: "reserve", start, end });
    await this.#inner.reserve(start, end, written);
  }
  async sync(): Promise<void> {
    this.#report({ op: "sync", start: 0, end: 0 });
    await this.#inner.sync();
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#inner[Symbol.asyncDispose]();
  }
}

/** Keeps a list of all requests. */
export class RecordingStorage extends WatchedStorage {
  /** The requests so far; may be emptied (`length = 0`). */
  readonly operations: Operation[];

  constructor(inner: WritableStorage) {
    const operations: Operation[] = [];
    super(inner, (operation) => operations.push(operation));
    this.operations = operations;
  }

  /** Returns the operations of these kinds, in order. */
  of(...kinds: OperationKind[]): Operation[] {
    return this.operations.filter((operation) => kinds.includes(operation.op));
  }
}

/** Returns `inner` on a full disk: requests that reach past `most` bytes fail with `io`, reads excepted. */
export function fullDisk(inner: WritableStorage, most: number): WritableStorage {
  return new WatchedStorage(inner, ({ op, end }) => {
    if (end <= most || op === "read" || op === "hole") return;
    throw new ImageError("io", `Cannot ${op} up to ${end} of "${inner.label}": the disk is full`, {
      path: inner.label,
    });
  });
}

/** Counts operations of the chosen kinds and fails one of them with `io`; that one does not reach `inner`. */
export class FaultyStorage extends WatchedStorage {
  readonly #counter: { count: number };

  /** Fails the `nth` operation of these kinds, counted from 1; 0 fails none. */
  constructor(inner: WritableStorage, kinds: readonly OperationKind[], nth: number) {
    const counter = { count: 0 };
    super(inner, ({ op, start }) => {
      if (!kinds.includes(op) || ++counter.count !== nth) return;
      const message = `Cannot ${op} at ${start} of "${inner.label}": made to fail`;
      throw new ImageError("io", message, { path: inner.label, offset: start });
    });
    this.#counter = counter;
  }

  /** The number of operations of the chosen kinds so far, the failed one included. */
  get count(): number {
    return this.#counter.count;
  }
}
