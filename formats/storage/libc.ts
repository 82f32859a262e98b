/**
 * The C library: the only foreign function calls of the program.
 *
 * Linux only (glibc and musl, x86_64 and aarch64), and only if `--allow-ffi` is granted already; nothing here prompts. `--allow-ffi=PATH` with one of {@linkcode libcPaths} suffices. It must be the absolute path: Deno takes
 * `--allow-ffi=libc.so.6` for a file in the current folder.
 *
 * @module
 */

/** The failure of a call that the host supports. */
export class HostFailure extends Error {
  override readonly name = "HostFailure";
  /** The error number of the C library. */
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

const SYMBOLS = {
  lseek: { parameters: ["i32", "i64", "i32"], result: "i64" },
  fallocate: { parameters: ["i32", "i32", "i64", "i64"], result: "i32" },
  fcntl: { parameters: ["i32", "i32", "buffer"], result: "i32" },
  flock: { parameters: ["i32", "i32"], result: "i32" },
  fsync: { parameters: ["i32"], result: "i32" },
  posix_fadvise: { parameters: ["i32", "i64", "i64", "i32"], result: "i32" },
  ioctl: { parameters: ["i32", "u64", "buffer"], result: "i32" },
  // musl has it since 1.2.
  copy_file_range: { parameters: ["i32", "buffer", "i32", "buffer", "usize", "u32"], result: "i64", optional: true },
  open: { parameters: ["buffer", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  // glibc has it since 2.28, musl since 1.2.5.
  statx: { parameters: ["i32", "buffer", "i32", "u32", "buffer"], result: "i32", optional: true },
  memcpy: { parameters: ["buffer", "pointer", "usize"], result: "void" },
  __errno_location: { parameters: [], result: "pointer" },
} as const satisfies Deno.ForeignLibraryInterface;

/** The open C library. The caller of {@linkcode openLibc} closes it. */
export type Libc = Pick<Deno.DynamicLibrary<typeof SYMBOLS>, "symbols" | "close">;

/**
 * Returns the paths of the C library in Linux distributions, likely ones first; empty on other systems. The narrowest flag is
 * `--allow-ffi=` with the first path that exists.
 */
export function libcPaths(): readonly string[] {
  if (Deno.build.os !== "linux") return [];
  const arch = Deno.build.arch;
  const folders = [`/lib/${arch}-linux-gnu`, `/usr/lib/${arch}-linux-gnu`, "/lib64", "/usr/lib64", "/usr/lib", "/lib"];
  return [...folders.map((folder) => `${folder}/libc.so.6`), `/lib/ld-musl-${arch}.so.1`];
}

/** The open library and its number of users: opening takes longer than reading a megabyte. */
let shared: { readonly library: Libc; users: number } | null = null;

/** Opens the C library; `null` where the user has not allowed it. */
export function openLibc(): Libc | null {
  if (shared === null) {
    const library = loadLibc();
    if (library === null) return null;
    shared = { library, users: 0 };
  }
  const use = shared;
  use.users++;
  return {
    symbols: use.library.symbols,
    close() {
      if (--use.users > 0) return;
      shared = null;
      use.library.close();
    },
  };
}

/** Whether no library may be loaded. Cached, because permission queries for each file take as long as opening it. */
let refused = Deno.build.os !== "linux";

function loadLibc(): Libc | null {
  if (refused) return null;
  const all = Deno.permissions.querySync({ name: "ffi" }).state === "granted";
  const names = all ? ["libc.so.6", ...libcPaths()] : libcPaths().filter(mayLoad);
  refused = names.length === 0;
  for (const name of names) {
    try {
      return Deno.dlopen(name, SYMBOLS);
    } catch {
      // The next path may exist.
    }
  }
  return null;
}

function mayLoad(path: string): boolean {
  return Deno.permissions.querySync({ name: "ffi", path }).state === "granted";
}

/** Returns a path as a C string. */
export function cPath(path: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${path}\0`);
}

/**
 * Returns the error number of the previous call; must be called immediately after it. The C library copies the number,
 * because Deno reads foreign memory only with `--allow-ffi` for all paths.
 */
export function errnoOf(libc: Libc): number {
  const number = new Int32Array(1);
  libc.symbols.memcpy(number, libc.symbols.__errno_location(), 4n);
  return number[0];
}
