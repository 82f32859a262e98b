/**
 * Storage in an open file or block device.
 *
 * @module
 */
import { alignDown, alignUp, zeroes } from "../bytes.ts";
import { corrupt, ImageError } from "../errors.ts";
import { type BackgroundWriteback, backgroundWriteback } from "./background_writeback.ts";
import { type HoleCache, holeCache } from "./hole_cache.ts";
import type { FileIdentity, HostCopy, HostFile } from "./host.ts";
import { hostError, permissionFlag } from "./host_error.ts";
import { type PageCacheTrimmer, pageCacheTrimmer } from "./page_cache.ts";
import { noteClosed, noteUse, type Reopenable } from "./open_files.ts";
import type { Origin, Storage, StoredFile } from "./types.ts";

/**
 * Attempts to take a lock, and the pause between them in milliseconds: a child process that is being started holds a copy
 * of every handle, and with it of every lock, until its program runs.
 */
const LOCK_ATTEMPTS = 6;
const LOCK_PAUSE = 50;

/** Bytes of zeroes that are written before the event loop runs, for signals and timers. */
const YIELD_BYTES = 64 << 20;

/** The largest logical block of a device, in bytes. */
const DEVICE_BLOCK = 4096;

/** Properties of a file that was just opened. */
export interface OpenedFile {
  readonly isDevice: boolean;
  /** Whether it was just created: empty, and zero wherever it grows. */
  readonly isNew: boolean;
  /** Whether it may be read. */
  readonly read: boolean;
  readonly identity: FileIdentity | null;
  /** Bytes of the file. */
  readonly size: number;
  /** Calls of the host beyond those of Deno. */
  readonly host: HostFile | null;
  /** Opens the same file again, for reading; absent for one that must stay open. */
  readonly reopen?: () => OpenHandles;
}

/** The handle of Deno for a file, and the calls of the host for it. */
export interface OpenHandles {
  readonly file: Deno.FsFile;
  readonly host: HostFile | null;
}

/**
 * An open file or block device, as `openFileStorage` and `createFileStorage` return it.
 *
 * Overlapping requests are safe: each sets the position and transfers in one synchronous step, which is also twice as fast
 * as the asynchronous calls of Deno.
 */
export class FileStorage implements StoredFile, Reopenable {
  readonly label: string;
  /** Which file this is; `null` where the platform or missing read access hides it. */
  readonly identity: FileIdentity | null;
  /** Whether it is a block device. */
  readonly isDevice: boolean;
  readonly claim?: "granted" | "refused";
  readonly logicalSectorSize?: number;
  readonly startsZeroed: boolean;
  readonly holeAt?: NonNullable<StoredFile["holeAt"]>;
  readonly origin: Origin;
  readonly copyFrom?: NonNullable<StoredFile["copyFrom"]>;
  readonly mayShareWith?: NonNullable<StoredFile["mayShareWith"]>;
  readonly switchOffCopyOnWrite?: () => boolean;
  readonly setExtentSizeHint?: (bytes: number) => boolean;
  readonly #reopen: OpenedFile["reopen"];
  /** Null while the file is suspended. */
  #handles: OpenHandles | null;
  readonly #holes?: HoleCache;
  readonly #readable: boolean;
  readonly #writeback: BackgroundWriteback;
  readonly #trimmer: PageCacheTrimmer | null;
  #size: number;
  #cursor = -1;
  /** File offset from which on nothing was ever written: the bytes there read as zeroes. */
  #unwrittenFrom: number;
  #reserved = false;
  #locked = false;
  #closed = false;

  /** Takes ownership of `file` and `opened.host`. */
  constructor(path: string, file: Deno.FsFile, opened: OpenedFile) {
    this.label = path;
    this.#handles = { file, host: opened.host };
    this.#reopen = opened.reopen;
    this.identity = opened.identity;
    this.isDevice = opened.isDevice;
    this.startsZeroed = opened.isNew;
    const currentHost = () => this.#used().host;
    this.origin = {
      path,
      identity: opened.identity,
      start: 0,
      get host() {
        return currentHost();
      },
    };
    this.#readable = opened.read;
    this.#trimmer = opened.host &&
      pageCacheTrimmer({ dropCache: (start, end) => this.#handles?.host?.dropCache(start, end) });
    this.#writeback = backgroundWriteback(path, () => this.#trimmer?.synced());
    this.#size = opened.size;
    this.#unwrittenFrom = opened.size;
    const host = opened.host;
    if (host?.claim) this.claim = host.claim;
    const sectorSize = opened.isDevice ? host?.sectorSize() : null;
    if (sectorSize) this.logicalSectorSize = sectorSize;
    if (host) {
      const holes = holeCache((fileOffset, limit) => {
        const { host } = this.#used();
        // The host's calls share the position of the handle.
        this.#cursor = -1;
        return host?.holeAt(fileOffset, limit) ?? null;
      }, () => this.#size);
      this.#holes = holes;
      this.holeAt = (fileOffset, limit) => holes.holeAt(fileOffset, limit) ?? { hole: false, end: limit };
      this.switchOffCopyOnWrite = () => host.switchOffCopyOnWrite();
      this.setExtentSizeHint = (bytes) => host.setExtentSizeHint(bytes);
      // Shared blocks would release the reserved space.
      this.mayShareWith = ({ origin }) => !this.#reserved && !!origin?.host && host.mayShareWith(origin.host);
      this.copyFrom = (source, start, end, fileOffset, how) =>
        this.#copyByHost(host, source, start, end, fileOffset, how);
    }
    if (this.#reopen) noteUse(this);
  }

  /** Returns the handles, and opens the file again where it is suspended. */
  #used(): OpenHandles {
    if (this.#reopen && !this.#closed) noteUse(this);
    if (this.#handles) return this.#handles;
    if (!this.#reopen || this.#closed) throw new Error(`"${this.label}" is closed`);
    this.#cursor = -1;
    this.#handles = this.#reopen();
    if (this.#locked && !this.#tryLock(false)) throw this.#inUse(false);
    return this.#handles;
  }

  /** Closes the file until it is used again. */
  suspend(): void {
    const handles = this.#handles;
    if (!this.#reopen || !handles) return;
    this.#releaseLock();
    this.#handles = null;
    handles.host?.[Symbol.dispose]();
    handles.file.close();
  }

  get size(): number {
    return this.#size;
  }

  get zeroesCheaply(): boolean {
    return this.#handles?.host?.canZero ?? false;
  }

  /**
   * Takes the advisory lock of the whole file, shared or exclusive, until it is closed. Waits {@linkcode LOCK_PAUSE}
   * between a few attempts. Succeeds on file systems without locks. On Windows an exclusive lock also blocks other handles
   * of this program.
   *
   * @throws ImageError `refused` if another program or another handle holds a conflicting lock
   */
  async lock(exclusive: boolean): Promise<void> {
    for (let attempt = 1;; attempt++) {
      if (this.#tryLock(exclusive)) return;
      if (attempt === LOCK_ATTEMPTS) break;
      await new Promise((resolve) => setTimeout(resolve, LOCK_PAUSE));
    }
    throw this.#inUse(exclusive);
  }

  // deno-lint-ignore require-await
  async readAt(into: Uint8Array, fileOffset: number): Promise<void> {
    if (!this.#readable) throw this.#unreadable(fileOffset);
    if (fileOffset + into.length > this.#size) throw this.#tooShort(into.length, fileOffset, this.#size);
    try {
      const { file } = this.#used();
      this.#seek(file, fileOffset);
      for (let done = 0; done < into.length;) {
        const count = file.readSync(done === 0 ? into : into.subarray(done));
        if (count === null) throw this.#tooShort(into.length, fileOffset, file.seekSync(0, Deno.SeekMode.End));
        done += count;
        this.#cursor += count;
      }
      this.#trimmer?.read(fileOffset, fileOffset + into.length);
    } catch (error) {
      this.#cursor = -1;
      throw hostError(error, `read ${into.length} bytes at ${fileOffset} of`, this.label, fileOffset);
    }
  }

  // deno-lint-ignore require-await
  async writeAt(from: Uint8Array, fileOffset: number): Promise<void> {
    this.#checkEnd(fileOffset, fileOffset + from.length);
    // Before the write, which may fail after it has written a part.
    this.#unwrittenFrom = Math.max(this.#unwrittenFrom, fileOffset + from.length);
    this.#write(from, fileOffset);
  }

  noteWritten(start: number, end: number): void {
    this.#unwrittenFrom = Math.max(this.#unwrittenFrom, end);
    this.#holes?.wrote(start, end);
    this.#trimmer?.wrote(end - start);
    this.#size = Math.max(this.#size, end);
  }

  async zeroAt(start: number, end: number): Promise<void> {
    if (end <= start) return;
    this.#checkEnd(start, end);
    const writtenEnd = Math.min(end, this.#unwrittenFrom);
    if (start < writtenEnd) await this.#zeroWritten(start, writtenEnd);
    if (end > this.#size) await this.truncate(end);
  }

  /** A device has a fixed size: shrinking it does nothing, growing it fails. */
  // deno-lint-ignore require-await
  async truncate(size: number): Promise<void> {
    if (size === this.#size) return;
    if (this.isDevice) return this.#checkEnd(0, size);
    this.#holes?.clear();
    try {
      this.#used().file.truncateSync(size);
    } catch (error) {
      throw hostError(error, `set the size to ${size} bytes of`, this.label, size);
    }
    this.#size = size;
    this.#unwrittenFrom = Math.min(this.#unwrittenFrom, size);
  }

  async reserve(start: number, end: number, written: boolean): Promise<void> {
    if (end <= start) return;
    this.#checkEnd(start, end);
    this.#reserved = true;
    this.#holes?.clear();
    if (!written && this.#reserveByHost(start, end)) this.#size = Math.max(this.#size, end);
    else await this.#writeZeroes(start, end);
  }

  beginSync(): void {
    this.#writeback.begin();
  }

  async sync(): Promise<void> {
    try {
      await this.#writeback.settled();
      await this.#used().file.sync();
    } catch (error) {
      throw hostError(error, "sync", this.label);
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#writeback[Symbol.dispose]();
      if (this.#reopen) noteClosed(this);
      this.#releaseLock();
      this.#handles?.host?.[Symbol.dispose]();
      this.#handles?.file.close();
      this.#handles = null;
    }
    return Promise.resolve();
  }

  /** Releases the lock, which closing the handle does not do while a child process that is being started has a copy. */
  #releaseLock(): void {
    if (!this.#locked) return;
    try {
      this.#handles?.file.unlockSync();
    } catch {
      // Closing the handle releases the lock later.
    }
  }

  #tryLock(exclusive: boolean): boolean {
    try {
      return this.#locked = this.#used().file.tryLockSync(exclusive);
    } catch (error) {
      if (lacksLocks(error)) return true;
      throw hostError(error, "lock", this.label);
    }
  }

  #seek(file: Deno.FsFile, fileOffset: number): void {
    if (this.#cursor === fileOffset) return;
    this.#cursor = -1;
    this.#cursor = file.seekSync(fileOffset, Deno.SeekMode.Start);
  }

  #inUse(exclusive: boolean): ImageError {
    const found = exclusive ? "it is in use" : "another program is writing to it";
    return new ImageError("refused", `Cannot lock "${this.label}": ${found}`, { path: this.label });
  }

  #write(from: Uint8Array, fileOffset: number): void {
    this.#holes?.wrote(fileOffset, fileOffset + from.length);
    try {
      const { file } = this.#used();
      this.#seek(file, fileOffset);
      for (let done = 0; done < from.length;) {
        const count = file.writeSync(done === 0 ? from : from.subarray(done));
        if (count === 0) throw new Error("the host takes no more bytes");
        done += count;
        this.#cursor += count;
      }
    } catch (error) {
      this.#cursor = -1;
      throw hostError(error, `write ${from.length} bytes at ${fileOffset} of`, this.label, fileOffset);
    }
    this.#trimmer?.wrote(from.length);
    this.#size = Math.max(this.#size, fileOffset + from.length);
  }

  // deno-lint-ignore require-await
  async #copyByHost(
    host: HostFile,
    { origin, label }: Storage,
    start: number,
    end: number,
    fileOffset: number,
    how: HostCopy,
  ): Promise<number> {
    if (!origin?.host) return 0;
    this.#checkEnd(fileOffset, fileOffset + end - start);
    this.#unwrittenFrom = Math.max(this.#unwrittenFrom, fileOffset + end - start);
    this.#holes?.clear();
    try {
      const copied = host.copyFrom(origin.host, origin.start + start, origin.start + end, fileOffset, how);
      this.#trimmer?.wrote(copied);
      if (copied > 0) this.#size = Math.max(this.#size, fileOffset + copied);
      return copied;
    } catch (error) {
      throw hostError(
        error,
        `copy ${end - start} bytes at ${start} of "${label}" to ${fileOffset} of`,
        this.label,
        fileOffset,
      );
    }
  }

  async #writeZeroes(start: number, end: number): Promise<void> {
    let yieldAt = start + YIELD_BYTES;
    for (let position = start; position < end;) {
      const piece = zeroes(Math.min(end - position, 1 << 20));
      this.#write(piece, position);
      position += piece.length;
      if (position >= yieldAt && position < end) {
        yieldAt += YIELD_BYTES;
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
    }
  }

  /** Zeroes a range that was written. Devices zero whole blocks only; for a file, the host handles the edges. */
  async #zeroWritten(start: number, end: number): Promise<void> {
    const innerStart = this.isDevice ? Math.min(alignUp(start, DEVICE_BLOCK), end) : start;
    const innerEnd = this.isDevice ? Math.max(alignDown(end, DEVICE_BLOCK), innerStart) : end;
    if (innerStart === innerEnd || !this.#zeroByHost(innerStart, innerEnd)) return await this.#writeZeroes(start, end);
    await this.#writeZeroes(start, innerStart);
    await this.#writeZeroes(innerEnd, end);
  }

  #zeroByHost(start: number, end: number): boolean {
    const { host } = this.#used();
    if (!host) return false;
    this.#holes?.zeroed(start, end);
    try {
      return host.zero(start, end, this.#reserved);
    } catch (error) {
      throw hostError(error, `zero ${end - start} bytes at ${start} of`, this.label, start);
    }
  }

  #reserveByHost(start: number, end: number): boolean {
    const { host } = this.#used();
    if (!host || this.isDevice) return false;
    try {
      return host.reserve(start, end);
    } catch (error) {
      throw hostError(error, `reserve ${end - start} bytes at ${start} of`, this.label, start);
    }
  }

  #checkEnd(start: number, end: number): void {
    if (!this.isDevice || end <= this.#size) return;
    const message = `Cannot grow the device "${this.label}": it has ${this.#size} bytes, and ${end} are needed`;
    throw new ImageError("io", message, { path: this.label, offset: start });
  }

  #tooShort(length: number, fileOffset: number, size: number): ImageError {
    const message = `Cannot read ${length} bytes at ${fileOffset} of "${this.label}": it ends at ${size}`;
    return corrupt(message, this.label, fileOffset);
  }

  #unreadable(fileOffset: number): ImageError {
    const flag = permissionFlag("read", folderOf(this.label));
    const message = `Cannot read back from the new file "${this.label}": Deno must be allowed to, add ${flag}`;
    return new ImageError("permission", message, { path: this.label, offset: fileOffset });
  }
}

function folderOf(path: string): string {
  const cut = Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\"));
  return cut < 0 ? "." : path.slice(0, Math.max(cut, 1));
}

/** ENOLCK, EOPNOTSUPP, ENOSYS. */
function lacksLocks(error: unknown): boolean {
  return error instanceof Deno.errors.NotSupported ||
    (error instanceof Error &&
      ["ENOLCK", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"].includes((error as { code?: string }).code ?? ""));
}
