/**
 * Calls of the host beyond those of Deno: find and punch holes, reserve space, copy between files, trim the page cache, test
 * locks, sync a folder.
 *
 * They are calls of the C library (`libc.ts`) on Linux. All are optional: after the first refusal by the kernel or the file
 * system, a call is not tried again for that file. macOS reports holes too, but answers of APFS made other converters lose
 * data, and punching holes takes a variadic call, which Deno cannot make on ARM. Windows has no such calls.
 *
 * @module
 */
import { ImageError } from "../errors.ts";
import { hostError } from "./host_error.ts";
import { cPath, errnoOf, HostFailure, type Libc, openLibc } from "./libc.ts";

/** The identity of a file, equal for two names of one file. */
export interface FileIdentity {
  /** Number of the file system. */
  readonly dev: number;
  /** Number of the file in it. */
  readonly ino: number;
  /** The number of a block device, which all its device nodes share. */
  readonly device?: number;
}

/** Whether a byte of a file is in a hole, and the file offset at which that hole or the data ends. */
export interface HoleStatus {
  /** Whether the bytes from the offset on are a hole. */
  readonly hole: boolean;
  /** File offset where the hole or the data ends. */
  readonly end: number;
}

/** How the host copies: `clone` only by sharing blocks between two files, `copy` also by copying bytes. */
export type HostCopy = "copy" | "clone";

/**
 * Calls of the host for one open file. Each returns `null` or `false` where the host refuses, and is not tried again. Other
 * failures (no space left) are thrown as {@linkcode HostFailure}. All positions are file offsets.
 */
export interface HostFile extends Disposable {
  /**
   * Returns whether `fileOffset` is in a hole, and the end of that hole or of the data, at most `limit`. There are no holes
   * past the end of the file, so that a read there fails.
   */
  holeAt(fileOffset: number, limit: number): HoleStatus | null;
  /** Makes the range read as zeroes without writing them; `keep`: its space stays reserved. Does not extend the file. */
  zero(start: number, end: number, keep: boolean): boolean;
  /** Reserves space for the range; extends the file where it ends before. */
  reserve(start: number, end: number): boolean;
  /** False once the host has refused {@linkcode HostFile.zero}. */
  readonly canZero: boolean;
  /**
   * Copies `[start, end)` of `from` to file offset `target` of this file inside the kernel. Returns the number of bytes
   * copied, fewer than all where the host refuses. `clone` shares blocks, and needs whole blocks of the file system.
   */
  copyFrom(from: HostFile, start: number, end: number, target: number, how: HostCopy): number;
  /** Returns whether the host may support shared blocks between `from` and this file. Changes nothing. */
  mayShareWith(from: HostFile): boolean;
  /** Drops the clean pages of this range from the page cache. */
  dropCache(start: number, end: number): void;
  /** Sets the attribute "no copy-on-write" of an empty file. */
  switchOffCopyOnWrite(): boolean;
  /** Sets the extent size hint of an empty file, in bytes. */
  setExtentSizeHint(bytes: number): boolean;
  /** Returns the bytes of a logical sector of a block device; `null` for a file. */
  sectorSize(): number | null;
  /** The descriptor for the C library. */
  readonly descriptor: number;
  /** Of a file that was opened with `exclusive`: whether the kernel reserved the device, or refused because it is in use. */
  readonly claim?: "granted" | "refused";
}

/** The file that {@linkcode openHostFile} opens a second time. */
export interface OpenFile {
  /** The handle of Deno. */
  readonly file: Deno.FsFile;
  /** Its identity; `null` where Deno lacks the permission to return it. */
  readonly identity: FileIdentity | null;
  /** Whether it has been opened for writing. */
  readonly write: boolean;
  /** Whether to reserve the block device for this program: no file system on it can be mounted until it is closed. */
  readonly exclusive?: boolean;
}

const EINTR = 4;
const ENXIO = 6;
const EWOULDBLOCK = 11;
const EIO = 5;
const EBUSY = 16;
const EINVAL = 22;
/** EPERM, EINVAL, ENOTTY, ENOSYS, EOPNOTSUPP: the file does not support the call. */
const REFUSALS: readonly number[] = [1, 22, 25, 38, 95];
/** For two files, also EBADF, EXDEV, EISDIR, ETXTBSY: this pair does not support the call. */
const COPY_REFUSALS: readonly number[] = [...REFUSALS, 9, 18, 21, 26];

const O_RDONLY = 0;
const O_WRONLY = 1;
const O_RDWR = 2;
/** Without O_CREAT, and on a block device only: fails with EBUSY where the device is in use, open(2). */
const O_EXCL = 0o200;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
const AT_EMPTY_PATH = 0x1000;
const STATX_INO = 0x100;
const SEEK_CUR = 1;
const SEEK_END = 2;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const FALLOC_KEEP_SIZE = 1;
const FALLOC_PUNCH_HOLE = 2;
const FALLOC_ZERO_RANGE = 16;
const F_OFD_GETLK = 36;
const F_WRLCK = 1;
const F_UNLCK = 2;
const LOCK_EX_NB = 2 | 4;
const LOCK_UN = 8;
const FADV_DONTNEED = 4;
/** Bytes of a logical sector in an int; BLKSSZGET in linux/fs.h. */
const BLKSSZGET = 0x1268n;
/** `_IOW(0x94, 13, struct file_clone_range)`, of 32 bytes; see ioctl_ficlonerange(2). */
const FICLONERANGE = 0x4020940dn;
/** Attributes of a file in an int; see ioctl_iflags(2). */
const FS_IOC_GETFLAGS = 0x80086601n;
const FS_IOC_SETFLAGS = 0x40086602n;
const FS_NOCOW_FL = 0x0080_0000;
/** `struct fsxattr` of 28 bytes: flags at byte 0, the extent size at byte 4; see ioctl_xfs_fsgetxattr(2). */
const FS_IOC_FSGETXATTR = 0x801c581fn;
const FS_IOC_FSSETXATTR = 0x401c5820n;
const FS_XFLAG_EXTSIZE = 0x0000_0800;

/**
 * Returns the calls for the file at `path` that is open as `opened`; `null` where the host has none.
 *
 * They use the descriptor of Deno's handle, and share its position. Where that is not found (Deno does not expose it), and
 * for exclusive use, they have one of their own. The C library opens it without permission checks of Deno; therefore this
 * function verifies that both are the same file. `node:fs` would take longer to load than everything else here.
 */
export function openHostFile(path: string, opened: OpenFile): HostFile | null {
  const libc = openLibc();
  if (!libc) return null;
  const shared = opened.exclusive ? -1 : descriptorOf(libc, opened.file);
  if (shared >= 0) return hostFile(libc, shared, { write: opened.write, own: false });
  // The file may be renamed or inaccessible by now. These calls are optional.
  const flags = !opened.write ? O_RDONLY : opened.identity ? O_RDWR : O_WRONLY;
  let descriptor = open(libc, path, flags | (opened.exclusive ? O_EXCL : 0));
  const isBusy = opened.exclusive === true && descriptor < 0 && errnoOf(libc) === EBUSY;
  if (isBusy) descriptor = open(libc, path, flags);
  if (descriptor >= 0 && isSameFile(libc, descriptor, opened)) {
    const file = hostFile(libc, descriptor, { write: opened.write, own: true });
    return opened.exclusive ? Object.assign(file, { claim: isBusy ? "refused" as const : "granted" as const }) : file;
  }
  if (descriptor >= 0) libc.symbols.close(descriptor);
  libc.close();
  return null;
}

/** Most descriptors that are looked at. New ones get the lowest free number. */
const MAX_DESCRIPTOR = 1024;

/** Bounds of the positions by which a descriptor is found: all file systems allow them, and no reader is there by chance. */
const MARK_BASE = 2 ** 30;

/**
 * Returns the descriptor of a handle of Deno, which moves with its position; negative where none is found. The position of
 * the handle stays.
 */
function descriptorOf(libc: Libc, file: Deno.FsFile): number {
  const isAt = (descriptor: number, mark: number) => Number(libc.symbols.lseek(descriptor, 0n, SEEK_CUR)) === mark;
  const seekMark = () => file.seekSync(MARK_BASE + Math.floor(Math.random() * MARK_BASE), Deno.SeekMode.Start);
  try {
    const position = file.seekSync(0, Deno.SeekMode.Current);
    try {
      const mark = seekMark();
      for (let descriptor = 0; descriptor < MAX_DESCRIPTOR; descriptor++) {
        if (isAt(descriptor, mark) && isAt(descriptor, seekMark())) return descriptor;
      }
    } finally {
      file.seekSync(position, Deno.SeekMode.Start);
    }
  } catch {
    // A device does not have these positions.
  }
  return -1;
}

/** Opens a descriptor for the file at `path`; negative where that fails. */
function open(libc: Libc, path: string, flags: number): number {
  return libc.symbols.open(cPath(path), flags | O_CLOEXEC);
}

/** An intended use of an image: reading it, replacing its file, or changing it in place. */
export type ImageUse = "read" | "replace" | "change";

/**
 * Returns whether QEMU, or a program with the same locks, has the image open in a way that excludes this use: for writing,
 * or, for a change, also for reading without write sharing. `null` without `--allow-ffi`, without read access, or outside
 * Linux.
 *
 * QEMU holds a shared lock on byte 100 + n of a file while it uses permission n, and on byte 200 + n while it excludes
 * others from permission n; permission 1 is writing (as /proc/locks shows). All versions of QEMU honour these locks.
 */
export function heldByQemu(path: string, use: ImageUse = "read"): boolean | null {
  if (Deno.permissions.querySync({ name: "read", path }).state !== "granted") return null;
  const libc = openLibc();
  if (!libc) return null;
  try {
    const descriptor = open(libc, path, O_RDONLY | O_NONBLOCK);
    if (descriptor < 0) return null;
    const found = (use === "change" ? [101n, 201n] : [101n]).map((byte) => isLocked(libc, descriptor, byte));
    libc.symbols.close(descriptor);
    return found.includes(null) ? null : found.includes(true);
  } finally {
    libc.close();
  }
}

/** Returns whether another program holds a lock on this byte of the file; `null` where the host does not report it. */
function isLocked(libc: Libc, descriptor: number, byte: bigint): boolean | null {
  // struct flock: type, start at byte 8, length at byte 16.
  const lock = new DataView(new ArrayBuffer(32));
  lock.setInt16(0, F_WRLCK, true);
  lock.setBigInt64(8, byte, true);
  lock.setBigInt64(16, 1n, true);
  const failed = libc.symbols.fcntl(descriptor, F_OFD_GETLK, new Uint8Array(lock.buffer)) !== 0;
  return failed ? null : lock.getInt16(0, true) !== F_UNLCK;
}

/**
 * Syncs the directory entries of a folder, after a rename in it. Returns whether that was possible: it needs read access to
 * the folder or `--allow-ffi`, and does not exist on Windows and some file systems.
 *
 * @throws ImageError `io` where the host could not write the entries
 */
export function syncFolder(path: string): boolean {
  if (Deno.build.os === "windows") return false;
  if (Deno.permissions.querySync({ name: "read", path }).state !== "granted") return syncFolderByLibc(path);
  let folder: Deno.FsFile;
  try {
    folder = Deno.openSync(path, { read: true });
  } catch {
    return false;
  }
  using _closed = folder;
  try {
    folder.syncSync();
    return true;
  } catch (error) {
    if (isUnsupportedSync(error)) return false;
    throw hostError(error, "sync the folder", path);
  }
}

/** Whether the file system cannot sync folders (EINVAL, EROFS, ENOTSUP). */
function isUnsupportedSync(error: unknown): boolean {
  const { code } = error as { readonly code?: string };
  return code === "EINVAL" || code === "EROFS" || code === "ENOTSUP" || code === "EBADF";
}

function syncFolderByLibc(path: string): boolean {
  const libc = openLibc();
  if (!libc) return false;
  try {
    // Only folders have this name. The value of O_DIRECTORY differs between processors.
    const descriptor = open(libc, `${path}/.`, O_RDONLY);
    if (descriptor < 0) return false;
    const synced = libc.symbols.fsync(descriptor) === 0;
    const failed = !synced && errnoOf(libc) === EIO;
    libc.symbols.close(descriptor);
    if (failed) throw new ImageError("io", `Cannot sync the folder "${path}": input/output error`, { path });
    return synced;
  } finally {
    libc.close();
  }
}

/**
 * Returns whether `descriptor` is the file that is open as `opened`. Where Deno or the host cannot return identities, locks
 * decide: a lock on one handle must block the other, and its release must unblock it.
 */
function isSameFile(libc: Libc, descriptor: number, opened: OpenFile): boolean {
  const found = opened.identity && identityOf(libc, descriptor);
  if (found) return found.dev === opened.identity.dev && found.ino === opened.identity.ino;
  if (!opened.file.tryLockSync(true)) return false;
  const blocked = libc.symbols.flock(descriptor, LOCK_EX_NB) !== 0 && errnoOf(libc) === EWOULDBLOCK;
  opened.file.unlockSync();
  const free = libc.symbols.flock(descriptor, LOCK_EX_NB) === 0;
  libc.symbols.flock(descriptor, LOCK_UN);
  return blocked && free;
}

/** Returns the identity of `descriptor` in the form of Deno; `null` where the host does not report it. */
function identityOf(libc: Libc, descriptor: number): FileIdentity | null {
  // struct statx: the inode at byte 32, the two halves of the device's number at 136.
  const found = new DataView(new ArrayBuffer(256));
  const { statx } = libc.symbols;
  if (statx?.(descriptor, cPath(""), AT_EMPTY_PATH, STATX_INO, new Uint8Array(found.buffer)) !== 0) return null;
  const [major, minor] = [found.getUint32(136, true), found.getUint32(140, true)];
  const low = (major & 0xfff) * 0x100 + (minor & 0xff) + (minor >>> 8) * 0x100000;
  return { dev: (major >>> 12) * 2 ** 44 + low, ino: Number(found.getBigUint64(32, true)) };
}

/**
 * Returns the calls for a descriptor. Owns `libc`, and the descriptor where `own` is set. After disposal the number may be
 * that of another file, so no call uses it any more.
 */
function hostFile(libc: Libc, opened: number, { write, own }: { write: boolean; own: boolean }): HostFile {
  let descriptor = opened;
  let canSeek = true;
  let canReserve = write;
  let canPunch = write;
  let canZeroRange = write;
  let canCopy = write;
  let canClone = write;
  return {
    get descriptor() {
      return descriptor;
    },
    holeAt(fileOffset, limit) {
      const found = canSeek ? seekHole(libc, descriptor, fileOffset, limit) : null;
      canSeek = found !== null;
      return found;
    },
    zero(start, end, keep) {
      if (!keep && canPunch) {
        canPunch = fallocate(libc, descriptor, FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, start, end);
        if (canPunch) return true;
      }
      canZeroRange &&= fallocate(libc, descriptor, FALLOC_ZERO_RANGE | FALLOC_KEEP_SIZE, start, end);
      return canZeroRange;
    },
    reserve(start, end) {
      canReserve &&= fallocate(libc, descriptor, 0, start, end);
      return canReserve;
    },
    copyFrom(from, start, end, target, how) {
      if (how === "clone") {
        canClone &&= clone(libc, from.descriptor, descriptor, start, end, target);
        return canClone ? end - start : 0;
      }
      const copied = canCopy ? copyRange(libc, from.descriptor, descriptor, start, end, target) : 0;
      canCopy = copied === end - start;
      return copied;
    },
    mayShareWith: (from) => canClone && supportsClones(libc, from.descriptor, descriptor),
    dropCache(start, end) {
      libc.symbols.posix_fadvise(descriptor, BigInt(start), BigInt(end - start), FADV_DONTNEED);
    },
    switchOffCopyOnWrite: () => setNoCopyOnWrite(libc, descriptor),
    setExtentSizeHint: (bytes) => setExtentSizeHint(libc, descriptor, bytes),
    sectorSize() {
      const size = new Int32Array(1);
      return libc.symbols.ioctl(descriptor, BLKSSZGET, new Uint8Array(size.buffer)) === 0 ? size[0]! : null;
    },
    get canZero() {
      return canPunch || canZeroRange;
    },
    [Symbol.dispose]() {
      if (own) libc.symbols.close(descriptor);
      descriptor = -1;
      libc.close();
    },
  };
}

/** As {@linkcode HostFile.holeAt}; `null` where the file system does not report holes, or the answer is impossible. */
function seekHole(libc: Libc, descriptor: number, fileOffset: number, limit: number): HoleStatus | null {
  const data = Number(libc.symbols.lseek(descriptor, BigInt(fileOffset), SEEK_DATA));
  if (data < 0) return errnoOf(libc) === ENXIO ? holeAtEnd(libc, descriptor, fileOffset, limit) : null;
  if (data > fileOffset) return { hole: true, end: Math.min(data, limit) };
  if (data < fileOffset) return null;
  const hole = Number(libc.symbols.lseek(descriptor, BigInt(fileOffset), SEEK_HOLE));
  return hole > fileOffset ? { hole: false, end: Math.min(hole, limit) } : null;
}

/** Returns the hole up to the end of the file, after which there is no data; no hole where the file was truncated meanwhile. */
function holeAtEnd(libc: Libc, descriptor: number, fileOffset: number, limit: number): HoleStatus | null {
  const size = Number(libc.symbols.lseek(descriptor, 0n, SEEK_END));
  return size > fileOffset ? { hole: true, end: Math.min(size, limit) } : { hole: false, end: limit };
}

/** Returns false where the host refuses the call. */
function fallocate(libc: Libc, descriptor: number, mode: number, start: number, end: number): boolean {
  for (;;) {
    if (libc.symbols.fallocate(descriptor, mode, BigInt(start), BigInt(end - start)) === 0) return true;
    const errno = errnoOf(libc);
    if (REFUSALS.includes(errno)) return false;
    if (errno !== EINTR) throw new HostFailure(errno);
  }
}

/**
 * Returns whether the host can share blocks between two files. It tries to share one byte, which never succeeds: EINVAL
 * means that only the range was refused.
 */
function supportsClones(libc: Libc, from: number, to: number): boolean {
  const range = new BigInt64Array([BigInt(from), 1n, 1n, 1n]);
  return libc.symbols.ioctl(to, FICLONERANGE, new Uint8Array(range.buffer)) !== 0 && errnoOf(libc) === EINVAL;
}

/** Returns false where the host cannot clone. The struct: descriptor, start and length of the source, offset in the target. */
function clone(libc: Libc, from: number, to: number, start: number, end: number, target: number): boolean {
  const range = new BigInt64Array([BigInt(from), BigInt(start), BigInt(end - start), BigInt(target)]);
  for (;;) {
    if (libc.symbols.ioctl(to, FICLONERANGE, new Uint8Array(range.buffer)) === 0) return true;
    if (!mayRetry(errnoOf(libc))) return false;
  }
}

/** Returns the number of bytes copied. The host stops early at the end of the source, and where it refuses. */
function copyRange(libc: Libc, from: number, to: number, start: number, end: number, target: number): number {
  const { copy_file_range } = libc.symbols;
  if (!copy_file_range) return 0;
  const offsets = [new BigInt64Array([BigInt(start)]), new BigInt64Array([BigInt(target)])];
  const [sourceOffset, targetOffset] = offsets.map((offset) => new Uint8Array(offset.buffer));
  let done = 0;
  while (done < end - start) {
    const count = Number(copy_file_range(from, sourceOffset, to, targetOffset, BigInt(end - start - done), 0));
    if (count > 0) done += count;
    else if (count === 0 || !mayRetry(errnoOf(libc))) break;
  }
  return done;
}

/** Returns true for an interrupted call, false where this pair of files does not support it; throws any other failure. */
function mayRetry(errno: number): boolean {
  if (errno === EINTR) return true;
  if (COPY_REFUSALS.includes(errno)) return false;
  throw new HostFailure(errno);
}

function setNoCopyOnWrite(libc: Libc, descriptor: number): boolean {
  const flags = new Uint32Array(2);
  const bytes = new Uint8Array(flags.buffer);
  if (libc.symbols.ioctl(descriptor, FS_IOC_GETFLAGS, bytes) !== 0) return false;
  flags[0] |= FS_NOCOW_FL;
  return libc.symbols.ioctl(descriptor, FS_IOC_SETFLAGS, bytes) === 0;
}

function setExtentSizeHint(libc: Libc, descriptor: number, bytes: number): boolean {
  const attributes = new Uint8Array(28);
  if (libc.symbols.ioctl(descriptor, FS_IOC_FSGETXATTR, attributes) !== 0) return false;
  const view = new DataView(attributes.buffer);
  view.setUint32(0, view.getUint32(0, true) | FS_XFLAG_EXTSIZE, true);
  view.setUint32(4, bytes, true);
  return libc.symbols.ioctl(descriptor, FS_IOC_FSSETXATTR, attributes) === 0;
}
