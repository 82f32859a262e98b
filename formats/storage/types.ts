/**
 * Storage: bytes that are read and written by position. It has no cursor, so that requests may overlap.
 *
 * @module
 */

import type { MaybePromise } from "../maybe_promise.ts";
import type { DeviceUse } from "./block_devices.ts";
import type { FileIdentity, HoleStatus, HostCopy, HostFile } from "./host.ts";

/** Bytes that can be read by position. All positions are file offsets, in bytes. */
export interface Storage extends AsyncDisposable {
  /** Its name in messages, usually the path. */
  readonly label: string;
  /** Length in bytes. */
  readonly size: number;
  /** Bytes of a logical sector, of a block device whose host reports it. */
  readonly logicalSectorSize?: number;
  /**
   * Fills `into` with the bytes from `fileOffset` on.
   *
   * @throws ImageError `io` if they cannot be read, `corrupt` if the storage ends before.
   */
  readAt(into: Uint8Array, fileOffset: number): Promise<void>;
  /**
   * Returns whether `fileOffset` is in a hole, and the end of that hole or of the data, at most `limit`. Holes read as
   * zeroes. Absent where the host cannot report holes.
   */
  holeAt?(fileOffset: number, limit: number): MaybePromise<HoleStatus>;
  /** The file of the host with these bytes; absent where there is none that can be opened a second time. */
  readonly origin?: Origin;
}

/** A file of the host, for callers that read or write it without this storage. */
export interface Origin {
  /** The path by which it was opened. */
  readonly path: string;
  /** Its identity; `null` where the host does not report it. */
  readonly identity: FileIdentity | null;
  /** File offset of the first byte of the storage. */
  readonly start: number;
  /** Calls of the host beyond those of Deno; `null` for none. */
  readonly host: HostFile | null;
}

/** Bytes that can be read and written by position. */
export interface WritableStorage extends Storage {
  /** Whether bytes that were never written read as zeroes: true for a new file, false for a device or an existing file. */
  readonly startsZeroed: boolean;
  /** Whether {@linkcode zeroAt} costs less than writing zeroes. */
  readonly zeroesCheaply: boolean;
  /** Writes all of `from` at `fileOffset`; extends the storage where it ends before. */
  writeAt(from: Uint8Array, fileOffset: number): Promise<void>;
  /** Makes `[start, end)` read as zeroes, as a hole where the host can; extends the storage to `end`. */
  zeroAt(start: number, end: number): Promise<void>;
  /**
   * Copies `[start, end)` of `source` to `fileOffset` inside the host; extends the storage where it ends before. Returns the
   * number of bytes copied, fewer than all where the host refuses. Absent where the host cannot copy.
   */
  copyFrom?(source: Storage, start: number, end: number, fileOffset: number, how: HostCopy): Promise<number>;
  /** Records that `[start, end)` was written through another handle of {@linkcode Storage.origin}. */
  noteWritten?(start: number, end: number): void;
  /** Returns whether `copyFrom` may share blocks between this storage and `source`. */
  mayShareWith?(source: Storage): boolean;
  /** Sets the size in bytes; new bytes read as zeroes. */
  truncate(size: number): Promise<void>;
  /**
   * Reserves space of the host for `[start, end)`, by writing zeroes if `written` is set, else by reservation where the host
   * can. The range must not hold data. Extends the storage where it ends before.
   */
  reserve(start: number, end: number, written: boolean): Promise<void>;
  /**
   * Begins background writeback of the bytes written so far. Never waits; only {@linkcode sync} guarantees that they are on
   * stable storage. Absent where the host gains nothing by it.
   */
  beginSync?(): void;
  /** Returns when everything written is on stable storage. */
  sync(): Promise<void>;
}

/** An open file of the host. */
export interface StoredFile extends WritableStorage {
  /** Its identity, independent of its path; `null` where the host does not report it. */
  readonly identity: FileIdentity | null;
  /** Whether it is a block device, which has a fixed size and is written in place. */
  readonly isDevice: boolean;
  /**
   * Of a block device that was opened with `exclusive`: whether the kernel reserved it for this program, or refused because
   * it is in use. Absent where the host cannot be asked.
   */
  readonly claim?: "granted" | "refused";
  /**
   * Takes the advisory lock of the whole file until it is closed. Waits a moment at most.
   *
   * @throws ImageError `refused` if another handle holds a conflicting lock
   */
  lock(exclusive: boolean): Promise<void>;
  /** Switches copy-on-write off for an empty file. Returns whether the host did; absent where it cannot. */
  switchOffCopyOnWrite?(): boolean;
  /** States how many bytes of an empty file the host allocates at once. Returns whether it did; absent where it cannot. */
  setExtentSizeHint?(bytes: number): boolean;
}

/** A file system: of the host, or of a test. Every failure is an ImageError. */
export interface Files {
  /**
   * Opens an existing file or device.
   *
   * @param options `exclusive`: a block device is reserved for this program where the host can, see `StoredFile.claim`
   */
  open(path: string, options?: { readonly write?: boolean; readonly exclusive?: boolean }): Promise<StoredFile>;
  /**
   * Returns how the host uses an open block device; `null` where it does not report that. Absent: there are no devices.
   */
  deviceUses?(file: StoredFile): Promise<readonly DeviceUse[] | null>;
  /**
   * Creates a new file; throws `refused` if the path exists.
   *
   * @param options `ownerOnly`: no other user may open it, from the first moment
   */
  create(path: string, options?: { readonly ownerOnly?: boolean }): Promise<StoredFile>;
  /**
   * Opens the pipe at `path` for writing; `null` where `path` is no pipe. Absent: there are no pipes.
   *
   * @param signal aborts the wait for a reader
   */
  pipe?(path: string, signal?: AbortSignal): Promise<StoredFile | null>;
  /** Renames a file; replaces an existing one. */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file. */
  remove(path: string): Promise<void>;
}
