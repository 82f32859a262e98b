/**
 * What the host can do beyond Deno's own file calls: find holes, punch them, reserve space, see locks, sync a folder.
 * The only foreign function calls of the program.
 *
 * They are calls of the C library on Linux (glibc and musl, x86_64 and aarch64), made only if `--allow-ffi` has been
 * granted before; this file never prompts. All are abilities, none is needed: the first refusal by the kernel or the
 * file system ends one for that file. There are none elsewhere: macOS finds holes too, but answers of APFS have led
 * other converters to lose data, and punching them takes a call with variable arguments, which Deno cannot make on ARM.
 * Windows has no such calls.
 *
 * `--allow-ffi=PATH` with one of {@linkcode libcPaths} suffices. It must be the absolute path: Deno takes
 * `--allow-ffi=libc.so.6` for a file in the current folder.
 *
 * @module
 */
import { closeSync, constants, fstatSync, openSync } from "node:fs";

/** Which file this is: equal for two names of one file. */
export interface FileIdentity {
  readonly dev: number;
  readonly ino: number;
}

/**
 * Abilities of the host for one open file. Each returns `null` or `false` where the host refuses; it is not asked again
 * then. Other failures (no space left) are thrown as {@linkcode HostFailure}. All offsets are file bytes.
 */
export interface HostFile extends Disposable {
  /** Whether a hole lies at `fileOffset`, and where it or the data there ends, at most `limit`. */
  holeAt(fileOffset: number, limit: number): { readonly hole: boolean; readonly end: number } | null;
  /** Makes the range read as zeroes without writing them; `keep`: it stays reserved. The file is not grown. */
  zero(start: number, end: number, keep: boolean): boolean;
  /** Reserves space for the range; grows the file where it ends before. */
  reserve(start: number, end: number): boolean;
  /** Whether {@linkcode HostFile.zero} has not been refused yet. */
  readonly canZero: boolean;
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

/** A call that failed for another reason than being unknown to the host. */
export class HostFailure extends Error {
  override readonly name = "HostFailure";
  /** The number that the C library gave. */
  readonly errno: number;

  constructor(errno: number) {
    super(REASONS[errno] ?? `error ${errno} of the operating system`);
    this.errno = errno;
  }
}

const REASONS: { readonly [errno: number]: string } = {
  5: "input/output error",
  9: "the file is not open for this",
  13: "permission denied",
  27: "file too large",
  28: "no space left on device",
  30: "read-only file system",
  122: "disk quota exceeded",
};

const EINTR = 4;
const ENXIO = 6;
const EWOULDBLOCK = 11;
/** EPERM, EINVAL, ENOTTY, ENOSYS, EOPNOTSUPP: the call is not for this file. */
const REFUSALS: readonly number[] = [1, 22, 25, 38, 95];

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

const SYMBOLS = {
  lseek: { parameters: ["i32", "i64", "i32"], result: "i64" },
  fallocate: { parameters: ["i32", "i32", "i64", "i64"], result: "i32" },
  fcntl: { parameters: ["i32", "i32", "buffer"], result: "i32" },
  flock: { parameters: ["i32", "i32"], result: "i32" },
  fsync: { parameters: ["i32"], result: "i32" },
  open: { parameters: ["buffer", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  memcpy: { parameters: ["buffer", "pointer", "usize"], result: "void" },
  __errno_location: { parameters: [], result: "pointer" },
} as const satisfies Deno.ForeignLibraryInterface;

type Libc = Deno.DynamicLibrary<typeof SYMBOLS>;

/**
 * Where Linux distributions keep the C library, the likely ones first; empty elsewhere. A program that wants to name
 * the narrowest flag offers `--allow-ffi=` with the first that exists.
 */
export function libcPaths(): readonly string[] {
  if (Deno.build.os !== "linux") return [];
  const arch = Deno.build.arch;
  const folders = [`/lib/${arch}-linux-gnu`, `/usr/lib/${arch}-linux-gnu`, "/lib64", "/usr/lib64", "/usr/lib", "/lib"];
  return [...folders.map((folder) => `${folder}/libc.so.6`), `/lib/ld-musl-${arch}.so.1`];
}

/**
 * The abilities for the file at `path` that is open as `opened`; `null` where there are none.
 *
 * A second descriptor is needed, since Deno does not show that of its handle. It comes from `node:fs`, which asks the
 * same permissions as Deno does; that it is the same file is checked.
 */
export function openHostFile(path: string, opened: OpenFile): HostFile | null {
  const libc = openLibc();
  if (!libc) return null;
  let descriptor = -1;
  try {
    descriptor = openSync(
      path,
      !opened.write ? constants.O_RDONLY : opened.identity ? constants.O_RDWR : constants.O_WRONLY,
    );
    if (isSameFile(libc, descriptor, opened)) return hostFile(libc, descriptor, opened.write);
  } catch {
    // It can be renamed or forbidden by now. Abilities are optional.
  }
  if (descriptor >= 0) closeSync(descriptor);
  libc.close();
  return null;
}

/**
 * Whether QEMU, or a program that locks as it does, has the image open for writing; `null` where that cannot be told
 * (no `--allow-ffi`, or not on Linux). Needs read access; where that is missing, the answer is `null`.
 *
 * QEMU holds a shared lock on byte 100 + n of a file while it uses permission n, and permission 1 is to write (as
 * /proc/locks shows). Its versions see each other's locks, so this does not change between them.
 */
export function heldByQemu(path: string): boolean | null {
  if (Deno.permissions.querySync({ name: "read", path }).state !== "granted") return null;
  const libc = openLibc();
  if (!libc) return null;
  let descriptor = -1;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    // struct flock: type, start at byte 8, length at byte 16.
    const lock = new DataView(new ArrayBuffer(32));
    lock.setInt16(0, F_WRLCK, true);
    lock.setBigInt64(8, 101n, true);
    lock.setBigInt64(16, 1n, true);
    const failed = libc.symbols.fcntl(descriptor, F_OFD_GETLK, new Uint8Array(lock.buffer)) !== 0;
    return failed ? null : lock.getInt16(0, true) !== F_UNLCK;
  } catch {
    return null;
  } finally {
    if (descriptor >= 0) closeSync(descriptor);
    libc.close();
  }
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
    const name = new TextEncoder().encode(`${path}\0`);
    const descriptor = libc.symbols.open(name, constants.O_RDONLY | constants.O_DIRECTORY);
    if (descriptor < 0) return false;
    const synced = libc.symbols.fsync(descriptor) === 0;
    libc.symbols.close(descriptor);
    return synced;
  } finally {
    libc.close();
  }
}

/** The C library, if the user has allowed it before. It is in memory anyway, so opening it again costs little. */
function openLibc(): Libc | null {
  if (Deno.build.os !== "linux") return null;
  const all = Deno.permissions.querySync({ name: "ffi" }).state === "granted";
  const names = all ? ["libc.so.6", ...libcPaths()] : libcPaths().filter(mayLoad);
  for (const name of names) {
    try {
      return Deno.dlopen(name, SYMBOLS);
    } catch {
      // Another distribution keeps it elsewhere.
    }
  }
  return null;
}

function mayLoad(path: string): boolean {
  return Deno.permissions.querySync({ name: "ffi", path }).state === "granted";
}

/**
 * Whether `descriptor` is the file that is open as `opened`. Where Deno may not tell which file that is, locks do: one
 * that is taken through the one handle must be in the way of the other, and no longer when it is given back.
 */
function isSameFile(libc: Libc, descriptor: number, opened: OpenFile): boolean {
  if (opened.identity) {
    const found = fstatSync(descriptor);
    return found.dev === opened.identity.dev && found.ino === opened.identity.ino;
  }
  if (!opened.file.tryLockSync(true)) return false;
  const blocked = libc.symbols.flock(descriptor, LOCK_EX_NB) !== 0 && errnoOf(libc) === EWOULDBLOCK;
  opened.file.unlockSync();
  const free = libc.symbols.flock(descriptor, LOCK_EX_NB) === 0;
  libc.symbols.flock(descriptor, LOCK_UN);
  return blocked && free;
}

/** Owns `libc` and `descriptor`. */
function hostFile(libc: Libc, descriptor: number, write: boolean): HostFile {
  let canSeek = true;
  let canReserve = write;
  let canPunch = write;
  let canZeroRange = write;
  return {
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
    get canZero() {
      return canPunch || canZeroRange;
    },
    [Symbol.dispose]() {
      closeSync(descriptor);
      libc.close();
    },
  };
}

/** `null` where the file system cannot tell, or what it tells makes no sense. */
function seekHole(libc: Libc, descriptor: number, fileOffset: number, limit: number): ReturnType<HostFile["holeAt"]> {
  const data = Number(libc.symbols.lseek(descriptor, BigInt(fileOffset), SEEK_DATA));
  if (data < 0) return errnoOf(libc) === ENXIO ? { hole: true, end: limit } : null;
  if (data > fileOffset) return { hole: true, end: Math.min(data, limit) };
  if (data < fileOffset) return null;
  const hole = Number(libc.symbols.lseek(descriptor, BigInt(fileOffset), SEEK_HOLE));
  return hole > fileOffset ? { hole: false, end: Math.min(hole, limit) } : null;
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

/**
 * Why the call before failed; to be asked at once. The C library itself copies the number, since Deno reads foreign
 * memory only if all of `--allow-ffi` is granted, not that of one path.
 */
function errnoOf(libc: Libc): number {
  const number = new Int32Array(1);
  libc.symbols.memcpy(number, libc.symbols.__errno_location(), 4n);
  return number[0];
}
