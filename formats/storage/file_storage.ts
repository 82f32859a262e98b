/**
 * Storage in an open file or block device.
 *
 * @module
 */
import { alignDown, alignUp, zeroes } from "../bytes.ts";
import { corrupt, ImageError } from "../errors.ts";
import { type BackgroundWriteback, backgroundWriteback } from "./background_writeback.ts";
import type { FileIdentity, HostCopy, HostFile } from "./host.ts";
import { hostError, permissionFlag } from "./host_error.ts";
import { type PageCacheTrimmer, pageCacheTrimmer } from "./page_cache.ts";
import type { Origin, Storage, StoredFile } from "./types.ts";

/**
 * How often a lock is tried, and how long it is waited in between, in milliseconds: a program that is being started by
 * this one holds a copy of every handle, and with it of every lock, until it has begun.
 */
const LOCK_ATTEMPTS = 6;
const LOCK_PAUSE = 50;

/** Zeroes are written in pieces that stay in the cache; after so many bytes signals and timers get their turn. */
const BREATH = 64 << 20;

/** No logical block of a device is larger than a page of the smallest kind. */
const DEVICE_BLOCK = 4096;

/** What is known of a file when it has been opened. */
export interface OpenedFile {
  readonly isDevice: boolean;
  /** Whether it has just been created: empty, and zeroes throughout as it grows. */
  readonly isNew: boolean;
  /** Whether it may be read. */
  readonly read: boolean;
  readonly identity: FileIdentity | null;
  /** In bytes. */
  readonly size: number;
  /** What the host can do for it beyond Deno. */
  readonly host: HostFile | null;
}

/**
 * A file or block device, open. Made by `openFileStorage` and `createFileStorage`.
 *
 * Requests never disturb each other: each positions and transfers in one synchronous go, which is also twice as fast as
 * Deno's asynchronous calls.
 */
export class FileStorage implements StoredFile {
  readonly label: string;
  /** Which file this is; `null` where the platform or missing read access hides it. */
  readonly identity: FileIdentity | null;
  /** Whether it is a block device. */
  readonly isDevice: boolean;
  readonly startsZeroed: boolean;
  readonly holeAt?: (fileOffset: number, limit: number) => Promise<{ readonly hole: boolean; readonly end: number }>;
  readonly origin: Origin;
  readonly copyFrom?: NonNullable<StoredFile["copyFrom"]>;
  readonly mayShareWith?: NonNullable<StoredFile["mayShareWith"]>;
  readonly #file: Deno.FsFile;
  readonly #host: HostFile | null;
  readonly #readable: boolean;
  readonly #early: BackgroundWriteback;
  readonly #footprint: PageCacheTrimmer | null;
  #size: number;
  #cursor = -1;
  /** From here on nothing was ever written: it reads as zeroes. */
  #untouchedFrom: number;
  #reserved = false;
  #locked = false;
  #closed = false;

  /** Takes over `file` and `opened.host`. */
  constructor(path: string, file: Deno.FsFile, opened: OpenedFile) {
    this.label = path;
    this.#file = file;
    this.identity = opened.identity;
    this.isDevice = opened.isDevice;
    this.startsZeroed = opened.isNew;
    this.#host = opened.host;
    this.origin = { path, identity: opened.identity, start: 0, host: opened.host };
    this.#readable = opened.read;
    this.#footprint = opened.host && pageCacheTrimmer(opened.host);
    this.#early = backgroundWriteback(path, () => this.#footprint?.synced());
    this.#size = opened.size;
    this.#untouchedFrom = opened.size;
    const host = opened.host;
    if (host) {
      this.holeAt = (fileOffset, limit) =>
        Promise.resolve(host.holeAt(fileOffset, limit) ?? { hole: false, end: limit });
      // Shared blocks would give back the space that was asked for.
      this.mayShareWith = ({ origin }) => !this.#reserved && !!origin?.host && host.mayShareWith(origin.host);
      this.copyFrom = (source, start, end, fileOffset, how) =>
        this.#copyByHost(host, source, start, end, fileOffset, how);
    }
  }

  get size(): number {
    return this.#size;
  }

  get zeroesCheaply(): boolean {
    return this.#host?.canZero ?? false;
  }

  /**
   * Takes the advisory lock of the whole file, shared or exclusive, until it is closed. Never waits. File systems
   * without locks grant it. On Windows an exclusive lock also keeps other handles of this program from the file.
   *
   * @throws ImageError `refused` if another program or another handle holds a lock against it
   */
  async lock(exclusive: boolean): Promise<void> {
    for (let attempt = 1;; attempt++) {
      if (this.#tryLock(exclusive)) return;
      if (attempt === LOCK_ATTEMPTS) break;
      await new Promise((resolve) => setTimeout(resolve, LOCK_PAUSE));
    }
    const found = exclusive ? "it is in use" : "another program is writing to it";
    throw new ImageError("refused", `Cannot lock "${this.label}": ${found}`, { path: this.label });
  }

  // deno-lint-ignore require-await
  async readAt(into: Uint8Array, fileOffset: number): Promise<void> {
    if (!this.#readable) throw this.#unreadable(fileOffset);
    if (fileOffset + into.length > this.#size) throw this.#tooShort(into.length, fileOffset, this.#size);
    try {
      this.#seek(fileOffset);
      for (let done = 0; done < into.length;) {
        const count = this.#file.readSync(done === 0 ? into : into.subarray(done));
        if (count === null) throw this.#tooShort(into.length, fileOffset, this.#file.seekSync(0, Deno.SeekMode.End));
        done += count;
        this.#cursor += count;
      }
      this.#footprint?.read(fileOffset, fileOffset + into.length);
    } catch (error) {
      this.#cursor = -1;
      throw hostError(error, `read ${into.length} bytes at ${fileOffset} of`, this.label, fileOffset);
    }
  }

  // deno-lint-ignore require-await
  async writeAt(from: Uint8Array, fileOffset: number): Promise<void> {
    this.#checkEnd(fileOffset, fileOffset + from.length);
    // Before writing: a write that fails may have changed a part.
    this.#untouchedFrom = Math.max(this.#untouchedFrom, fileOffset + from.length);
    this.#write(from, fileOffset);
  }

  noteWritten(start: number, end: number): void {
    this.#untouchedFrom = Math.max(this.#untouchedFrom, end);
    this.#footprint?.wrote(end - start);
    this.#size = Math.max(this.#size, end);
  }

  async zeroAt(start: number, end: number): Promise<void> {
    if (end <= start) return;
    this.#checkEnd(start, end);
    const touchedEnd = Math.min(end, this.#untouchedFrom);
    if (start < touchedEnd) await this.#zeroTouched(start, touchedEnd);
    if (end > this.#size) await this.truncate(end);
  }

  /** A device keeps its size: cutting it does nothing, growing it fails. */
  // deno-lint-ignore require-await
  async truncate(size: number): Promise<void> {
    if (size === this.#size) return;
    if (this.isDevice) return this.#checkEnd(0, size);
    try {
      this.#file.truncateSync(size);
    } catch (error) {
      throw hostError(error, `set the size to ${size} bytes of`, this.label, size);
    }
    this.#size = size;
    this.#untouchedFrom = Math.min(this.#untouchedFrom, size);
  }

  async reserve(start: number, end: number, written: boolean): Promise<void> {
    if (end <= start) return;
    this.#checkEnd(start, end);
    this.#reserved = true;
    if (!written && this.#reserveByHost(start, end)) this.#size = Math.max(this.#size, end);
    else await this.#writeZeroes(start, end);
  }

  beginSync(): void {
    this.#early.begin();
  }

  async sync(): Promise<void> {
    try {
      await this.#early.settled();
      await this.#file.sync();
    } catch (error) {
      throw hostError(error, "sync", this.label);
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#early[Symbol.dispose]();
      this.#host?.[Symbol.dispose]();
      this.#unlock();
      this.#file.close();
    }
    return Promise.resolve();
  }

  /** Closing would do, were there not the copies of the handle in programs that are just being started. */
  #unlock(): void {
    if (!this.#locked) return;
    try {
      this.#file.unlockSync();
    } catch {
      // Closing does it then.
    }
  }

  #tryLock(exclusive: boolean): boolean {
    try {
      return this.#locked = this.#file.tryLockSync(exclusive);
    } catch (error) {
      if (lacksLocks(error)) return true;
      throw hostError(error, "lock", this.label);
    }
  }

  #seek(fileOffset: number): void {
    if (this.#cursor === fileOffset) return;
    this.#cursor = -1;
    this.#cursor = this.#file.seekSync(fileOffset, Deno.SeekMode.Start);
  }

  #write(from: Uint8Array, fileOffset: number): void {
    try {
      this.#seek(fileOffset);
      for (let done = 0; done < from.length;) {
        const count = this.#file.writeSync(done === 0 ? from : from.subarray(done));
        if (count === 0) throw new Error("the host takes no more bytes");
        done += count;
        this.#cursor += count;
      }
    } catch (error) {
      this.#cursor = -1;
      throw hostError(error, `write ${from.length} bytes at ${fileOffset} of`, this.label, fileOffset);
    }
    this.#footprint?.wrote(from.length);
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
    this.#untouchedFrom = Math.max(this.#untouchedFrom, fileOffset + end - start);
    try {
      const copied = host.copyFrom(origin.host, origin.start + start, origin.start + end, fileOffset, how);
      this.#footprint?.wrote(copied);
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
    let breathAt = start + BREATH;
    for (let position = start; position < end;) {
      const piece = zeroes(Math.min(end - position, 1 << 20));
      this.#write(piece, position);
      position += piece.length;
      if (position >= breathAt && position < end) {
        breathAt += BREATH;
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
    }
  }

  /** Devices zero whole blocks only; on a file the host takes care of the edges. */
  async #zeroTouched(start: number, end: number): Promise<void> {
    const innerStart = this.isDevice ? Math.min(alignUp(start, DEVICE_BLOCK), end) : start;
    const innerEnd = this.isDevice ? Math.max(alignDown(end, DEVICE_BLOCK), innerStart) : end;
    if (innerStart === innerEnd || !this.#zeroByHost(innerStart, innerEnd)) return await this.#writeZeroes(start, end);
    await this.#writeZeroes(start, innerStart);
    await this.#writeZeroes(innerEnd, end);
  }

  #zeroByHost(start: number, end: number): boolean {
    if (!this.#host) return false;
    try {
      return this.#host.zero(start, end, this.#reserved);
    } catch (error) {
      throw hostError(error, `zero ${end - start} bytes at ${start} of`, this.label, start);
    }
  }

  #reserveByHost(start: number, end: number): boolean {
    if (!this.#host || this.isDevice) return false;
    try {
      return this.#host.reserve(start, end);
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
