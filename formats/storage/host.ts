/**
 * What the host can do beyond Deno's own file calls: find holes, punch them, reserve space, copy between files, deallocate
 * what it keeps of a file in memory, see locks, sync a folder.
 *
 * They are calls of the C library (`libc.ts`). All are abilities, none is needed: the first refusal by the kernel or the
 * file system ends one for that file. There are none elsewhere: macOS finds holes too, but answers of APFS have led
 * other converters to lose data, and punching them takes a call with variable arguments, which Deno cannot make on ARM.
 * Windows has no such calls.
 *
 * @module
 */
import { cPath, errnoOf, HostFailure, type Libc, openLibc } from "./libc.ts";

/** Which file this is: equal for two names of one file. */
export interface FileIdentity {
  /** Number of the file system. */
  readonly dev: number;
  /** Number of the file in it. */
  readonly ino: number;
  /** Of a block device: its number, by which all nodes for it agree, whatever their inodes. */
  readonly device?: number;
}

/** How the host copies: the bytes if it must, or only by letting two files share them. */
export type HostCopy = "copy" | "clone";

/**
 * Abilities of the host for one open file. Each returns `null` or `false` where the host refuses; it is not asked again
 * then. Other failures (no space left) are thrown as {@linkcode HostFailure}. All offsets are file bytes.
 */
export interface HostFile extends Disposable {
  /**
   * Whether a hole lies at `fileOffset`, and where it or the data there ends, at most `limit`. Past the end of the file
   * there is none: who reads there shall hear of it.
   */
  holeAt(fileOffset: number, limit: number): { readonly hole: boolean; readonly end: number } | null;
  /** Makes the range read as zeroes without writing them; `keep`: it stays reserved. The file is not grown. */
  zero(start: number, end: number, keep: boolean): boolean;
  /** Reserves space for the range; grows the file where it ends before. */
  reserve(start: number, end: number): boolean;
  /** Whether {@linkcode HostFile.zero} has not been refused yet. */
  readonly canZero: boolean;
  /**
   * Copies `[start, end)` of `from` to `target` of this file without their passing through this program, and returns
   * how many bytes from the start on; less than all where the host refuses. `clone`: only if the two files can then
   * share one place on the disk, which takes whole blocks of the file system.
   */
  copyFrom(from: HostFile, start: number, end: number, target: number, how: HostCopy): number;
  /** Whether the host may let `from` and this file share blocks. Tried without changing anything. */
  mayShareWith(from: HostFile): boolean;
  /** The host need not keep this range in memory. What is not on the disk yet stays. */
  forget(start: number, end: number): void;
  /** For the C library. */
  readonly descriptor: number;
}

/** The file that {@linkcode openHostFile} must find again at its path. */
export interface OpenFile {
  /** The handle that Deno has opened. */
  readonly file: Deno.FsFile;
  /** What Deno tells about it; `null` if it may not tell. */
  readonly identity: FileIdentity | null;
  /** Whether it has been opened for writing. */
  readonly write: boolean;
}

const EINTR = 4;
const ENXIO = 6;
const EWOULDBLOCK = 11;
const EINVAL = 22;
/** EPERM, EINVAL, ENOTTY, ENOSYS, EOPNOTSUPP: the call is not for this file. */
const REFUSALS: readonly number[] = [1, 22, 25, 38, 95];
/** Of two files, also EBADF, EXDEV, EISDIR, ETXTBSY: not for these two. */
const COPY_REFUSALS: readonly number[] = [...REFUSALS, 9, 18, 21, 26];

const O_RDONLY = 0;
const O_WRONLY = 1;
const O_RDWR = 2;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
const AT_EMPTY_PATH = 0x1000;
const STATX_INO = 0x100;
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
/** `_IOW(0x94, 13, struct file_clone_range)`, of 32 bytes; see ioctl_ficlonerange(2). */
const FICLONERANGE = 0x4020940dn;

/**
 * The abilities for the file at `path` that is open as `opened`; `null` where there are none.
 *
 * A second descriptor is needed, since Deno does not show that of its handle. The C library opens it, without asking
 * Deno; that it is the file which Deno has opened is checked. `node:fs` would take longer to load than all else here.
 */
export function openHostFile(path: string, opened: OpenFile): HostFile | null {
  const libc = openLibc();
  if (!libc) return null;
  // It can be renamed or forbidden by now. Abilities are optional.
  const descriptor = open(libc, path, !opened.write ? O_RDONLY : opened.identity ? O_RDWR : O_WRONLY);
  if (descriptor >= 0 && isSameFile(libc, descriptor, opened)) return hostFile(libc, descriptor, opened.write);
  if (descriptor >= 0) libc.symbols.close(descriptor);
  libc.close();
  return null;
}

/** A descriptor of its own for the file at `path`; negative where it cannot be opened. */
function open(libc: Libc, path: string, flags: number): number {
  return libc.symbols.open(cPath(path), flags | O_CLOEXEC);
}

/** What one would do with an image: read it, put another file in its place, or change it where it is. */
export type ImageUse = "read" | "replace" | "change";

/**
 * Whether QEMU, or a program that locks as it does, has the image open in a way that forbids this use: for writing, or,
 * where it is to be changed, for reading without leave for others to write. `null` where that cannot be told (no
 * `--allow-ffi`, or not on Linux). Needs read access; where that is missing, the answer is `null`.
 *
 * QEMU holds a shared lock on byte 100 + n of a file while it uses permission n, and on byte 200 + n while others shall
 * not use it; permission 1 is to write (as /proc/locks shows). Its versions see each other's locks, so this does not
 * change between them.
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

/** Whether another program holds a lock on this byte of the file; `null` where the host does not tell. */
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
 * Puts the names in a folder on stable storage, after a rename in it. Returns whether that was done: it takes read
 * access to the folder or `--allow-ffi`, and is not possible on Windows.
 */
export function syncFolder(path: string): boolean {
  if (Deno.build.os === "windows") return false;
  try {
    if (Deno.permissions.querySync({ name: "read", path }).state === "granted") {
      using folder = Deno.openSync(path, { read: true });
      folder.syncSync();
      return true;
    }
  } catch {
    return false;
  }
  const libc = openLibc();
  if (!libc) return false;
  try {
    // Only a folder has this name: the flag that says so differs between processors.
    const descriptor = open(libc, `${path}/.`, O_RDONLY);
    if (descriptor < 0) return false;
    const synced = libc.symbols.fsync(descriptor) === 0;
    libc.symbols.close(descriptor);
    return synced;
  } finally {
    libc.close();
  }
}

/**
 * Whether `descriptor` is the file that is open as `opened`. Where Deno or the host may not tell which file that is,
 * locks do: one that is taken through the one handle must be in the way of the other, and no longer when it is given
 * back.
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

/** Which file `descriptor` is, as Deno tells it; `null` where the host does not tell. */
function identityOf(libc: Libc, descriptor: number): FileIdentity | null {
  // struct statx: the inode at byte 32, the two halves of the device's number at 136.
  const found = new DataView(new ArrayBuffer(256));
  const { statx } = libc.symbols;
  if (statx?.(descriptor, cPath(""), AT_EMPTY_PATH, STATX_INO, new Uint8Array(found.buffer)) !== 0) return null;
  const [major, minor] = [found.getUint32(136, true), found.getUint32(140, true)];
  const low = (major & 0xfff) * 0x100 + (minor & 0xff) + (minor >>> 8) * 0x100000;
  return { dev: (major >>> 12) * 2 ** 44 + low, ino: Number(found.getBigUint64(32, true)) };
}

/** Owns `libc` and `descriptor`. */
function hostFile(libc: Libc, descriptor: number, write: boolean): HostFile {
  let canSeek = true;
  let canReserve = write;
  let canPunch = write;
  let canZeroRange = write;
  let canCopy = write;
  let canClone = write;
  return {
    descriptor,
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
    mayShareWith: (from) => canClone && knowsClones(libc, from.descriptor, descriptor),
    forget(start, end) {
      libc.symbols.posix_fadvise(descriptor, BigInt(start), BigInt(end - start), FADV_DONTNEED);
    },
    get canZero() {
      return canPunch || canZeroRange;
    },
    [Symbol.dispose]() {
      libc.symbols.close(descriptor);
      libc.close();
    },
  };
}

/** `null` where the file system cannot tell, or what it tells makes no sense. */
function seekHole(libc: Libc, descriptor: number, fileOffset: number, limit: number): ReturnType<HostFile["holeAt"]> {
  const data = Number(libc.symbols.lseek(descriptor, BigInt(fileOffset), SEEK_DATA));
  if (data < 0) return errnoOf(libc) === ENXIO ? holeAtEnd(libc, descriptor, fileOffset, limit) : null;
  if (data > fileOffset) return { hole: true, end: Math.min(data, limit) };
  if (data < fileOffset) return null;
  const hole = Number(libc.symbols.lseek(descriptor, BigInt(fileOffset), SEEK_HOLE));
  return hole > fileOffset ? { hole: false, end: Math.min(hole, limit) } : null;
}

/** No data follow: a hole, as far as the file goes. One that was cut off meanwhile has lost what was there. */
function holeAtEnd(libc: Libc, descriptor: number, fileOffset: number, limit: number): ReturnType<HostFile["holeAt"]> {
  const size = Number(libc.symbols.lseek(descriptor, 0n, SEEK_END));
  return size > fileOffset ? { hole: true, end: Math.min(size, limit) } : { hole: false, end: limit };
}

/** `false` where the host refuses the call itself. */
function fallocate(libc: Libc, descriptor: number, mode: number, start: number, end: number): boolean {
  for (;;) {
    if (libc.symbols.fallocate(descriptor, mode, BigInt(start), BigInt(end - start)) === 0) return true;
    const errno = errnoOf(libc);
    if (REFUSALS.includes(errno)) return false;
    if (errno !== EINTR) throw new HostFailure(errno);
  }
}

/** One byte can never be shared: a host that could share whole blocks finds fault with that, and with nothing else. */
function knowsClones(libc: Libc, from: number, to: number): boolean {
  const range = new BigInt64Array([BigInt(from), 1n, 1n, 1n]);
  return libc.symbols.ioctl(to, FICLONERANGE, new Uint8Array(range.buffer)) !== 0 && errnoOf(libc) === EINVAL;
}

/** `false` where the host cannot. The struct: descriptor, start and length of the source, place in the target. */
function clone(libc: Libc, from: number, to: number, start: number, end: number, target: number): boolean {
  const range = new BigInt64Array([BigInt(from), BigInt(start), BigInt(end - start), BigInt(target)]);
  for (;;) {
    if (libc.symbols.ioctl(to, FICLONERANGE, new Uint8Array(range.buffer)) === 0) return true;
    if (!mayRetry(errnoOf(libc))) return false;
  }
}

/** How many bytes the host has copied; it stops early at the end of the source, and where it refuses. */
function copyRange(libc: Libc, from: number, to: number, start: number, end: number, target: number): number {
  const { copy_file_range } = libc.symbols;
  if (!copy_file_range) return 0;
  const offsets = [new BigInt64Array([BigInt(start)]), new BigInt64Array([BigInt(target)])];
  const [source, place] = offsets.map((offset) => new Uint8Array(offset.buffer));
  let done = 0;
  while (done < end - start) {
    const count = Number(copy_file_range(from, source, to, place, BigInt(end - start - done), 0));
    if (count > 0) done += count;
    else if (count === 0 || !mayRetry(errnoOf(libc))) break;
  }
  return done;
}

/** Whether the call is to be made again; `false`: the two files do not go together. Throws what is a failure. */
function mayRetry(errno: number): boolean {
  if (errno === EINTR) return true;
  if (COPY_REFUSALS.includes(errno)) return false;
  throw new HostFailure(errno);
}
