/**
 * Storage: bytes by position, whatever holds them. No cursor in sight, so requests never disturb each other.
 *
 * @module
 */

import type { FileIdentity, HostCopy, HostFile } from "./host.ts";

/** Bytes that can be read by position. All offsets and sizes are file bytes. */
export interface Storage extends AsyncDisposable {
  /** What messages call it, usually its path. */
  readonly label: string;
  /** Length in bytes. */
  readonly size: number;
  /**
   * Fills `into` with the bytes from `fileOffset` on.
   *
   * @throws ImageError `io` if they cannot be read, `corrupt` if the storage ends before.
   */
  readAt(into: Uint8Array, fileOffset: number): Promise<void>;
  /**
   * Whether a hole lies at `fileOffset`, and where it or the data there ends (at most `limit`). Holes read as zeroes.
   * Absent where the host cannot tell.
   */
  holeAt?(fileOffset: number, limit: number): Promise<{ readonly hole: boolean; readonly end: number }>;
  /** The host's file that holds these bytes; absent where there is none that others may open, too. */
  readonly origin?: Origin;
}

/** A file of the host, for those who read or write it by themselves. */
export interface Origin {
  /** Under which name it was opened. */
  readonly path: string;
  /** Which file it is; `null` where the host does not tell. */
  readonly identity: FileIdentity | null;
  /** Where in it the bytes begin. */
  readonly start: number;
  /** What the host can do for it; `null`: no more than Deno. */
  readonly host: HostFile | null;
}

/** Bytes that can be read and written by position. */
export interface WritableStorage extends Storage {
  /** Whether bytes that were never written read as zeroes: true for a new file, false for a device or an existing file. */
  readonly startsZeroed: boolean;
  /** Whether {@linkcode zeroAt} costs less than writing zeroes. */
  readonly zeroesCheaply: boolean;
  /** Writes all of `from` at `fileOffset`, growing the storage where it ends before. */
  writeAt(from: Uint8Array, fileOffset: number): Promise<void>;
  /** Makes `[start, end)` read as zeroes, as a hole where the host can; grows the storage to `end`. */
  zeroAt(start: number, end: number): Promise<void>;
  /**
   * Lets the host copy `[start, end)` of `source` to `fileOffset`, growing the storage where it ends before; returns how
   * many bytes it has copied, less than all where it refuses. Absent where it cannot.
   */
  copyFrom?(source: Storage, start: number, end: number, fileOffset: number, how: HostCopy): Promise<number>;
  /** Takes note that another handle of {@linkcode Storage.origin} has written `[start, end)`. */
  noteWritten?(start: number, end: number): void;
  /** Whether `copyFrom` may let this storage and `source` share their blocks. */
  mayShareWith?(source: Storage): boolean;
  /** Cuts or grows to `size` bytes; what is new reads as zeroes. */
  truncate(size: number): Promise<void>;
  /**
   * Makes sure that the host has space for `[start, end)`; content and size are kept (grows where it ends before).
   * `written`: by writing zeroes, else by reservation where the host can. The range must not hold data.
   */
  reserve(start: number, end: number, written: boolean): Promise<void>;
  /**
   * Lets the host begin to bring to stable storage what has been written so far, beside other work; never waits. Whether
   * it is there, only {@linkcode sync} tells. Absent where nothing is gained by it.
   */
  beginSync?(): void;
  /** Returns when everything written is on stable storage. */
  sync(): Promise<void>;
}

/** A file of the host, open. */
export interface StoredFile extends WritableStorage {
  /** Which file it is, whatever its name; `null` where the host does not tell. */
  readonly identity: FileIdentity | null;
  /** Whether it is a block device, which keeps its size and is written in place. */
  readonly isDevice: boolean;
  /**
   * Takes the advisory lock of the whole file until it is closed. Waits a moment at most.
   *
   * @throws ImageError `refused` if another holds a lock against it
   */
  lock(exclusive: boolean): Promise<void>;
}

/** How files are reached: the host's, or a test's. Every failure is an ImageError. */
export interface Files {
  /** Opens an existing file or device. */
  open(path: string, options?: { readonly write?: boolean }): Promise<StoredFile>;
  /** Creates a new file; `refused` if the name is taken. */
  create(path: string): Promise<StoredFile>;
  /**
   * What is at `path` as a pipe to be written into; `null` where that is none. Absent: there are no pipes.
   *
   * @param signal ends the waiting for a reader
   */
  pipe?(path: string, signal?: AbortSignal): Promise<StoredFile | null>;
  /** Gives a file another name, replacing what has it. */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file. */
  remove(path: string): Promise<void>;
}
