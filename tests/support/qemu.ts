/**
 * Runs qemu-img and qemu-io, which make inputs and check outputs; also temporary folders, seeds and digests.
 *
 * A test that needs them is written `Deno.test({ name, ignore: !hasQemu, fn })`. If they are missing, a warning says so; with
 * `CI=true`, `tests/support/qemu_test.ts` fails.
 *
 * @module
 */

import { openLibc } from "../../formats/storage/libc.ts";

// The C library stays open: loading it takes 2 ms, and most tests open and close one file after another.
openLibc();

/** The result of a program. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Whether qemu-img and qemu-io are installed. */
export const hasQemu: boolean = isInstalled("qemu-img") && isInstalled("qemu-io");

/** Whether this runs in continuous integration, where no test may be skipped. */
export const inCi: boolean = readEnv("CI") === "true";

if (!hasQemu) {
  console.warn("qemu-img or qemu-io is not installed (Debian: qemu-utils): tests that need them are skipped");
}

/** Runs qemu-img; never throws for its exit code. */
export function qemuImg(...args: string[]): Promise<Outcome> {
  return run("qemu-img", args);
}

/** Runs qemu-img and returns its stdout; throws with its stderr if it fails. */
export async function qemuImgOk(...args: string[]): Promise<string> {
  return ok("qemu-img", args, await qemuImg(...args));
}

/** Starts a qemu-io that holds the image open until disposed; options (`-r`) before the path, as in {@linkcode qemuIo}. */
export async function heldOpen(...args: string[]): Promise<AsyncDisposable> {
  const child = new Deno.Command("qemu-io", { args, stdin: "piped", stdout: "piped", stderr: "null" }).spawn();
  const output = child.stdout.getReader();
  // It prints its prompt when the image is open.
  await output.read();
  return {
    async [Symbol.asyncDispose]() {
      await child.stdin.close();
      await output.cancel();
      await child.status;
    },
  };
}

/**
 * Starts a qemu-img that reads a raw image slowly until disposed, under a lock that lets no other process write. The image
 * must be larger than 2 MiB, which qemu-img reads at once.
 */
export async function heldForReading(path: string): Promise<AsyncDisposable> {
  const copy = `${path}.copy`;
  const args = ["convert", "-r", "1k", "-f", "raw", "-O", "raw", path, copy];
  const child = new Deno.Command("qemu-img", { args, stdin: "null", stdout: "null", stderr: "null" }).spawn();
  // It creates the target after it has opened the source.
  while (!await Deno.stat(copy).catch(() => null)) await new Promise((resolve) => setTimeout(resolve, 10));
  return {
    async [Symbol.asyncDispose]() {
      child.kill();
      await child.status;
      await Deno.remove(copy);
    },
  };
}

/**
 * Runs qemu-io commands (`write -P 7 0 64k`) on an image; throws if one fails. With options (`-f raw`), `image` is an array
 * of them and the path.
 */
export async function qemuIo(image: string | readonly string[], ...commands: string[]): Promise<string> {
  const args = [...commands.flatMap((command) => ["-c", command]), ...(typeof image === "string" ? [image] : image)];
  const stdout = ok("qemu-io", args, await run("qemu-io", args));
  // qemu-io reports a failed read or write on stdout, and old versions exit with 0 nevertheless.
  if (/failed|error|verification/i.test(stdout)) throw new Error(`qemu-io ${args.join(" ")}: ${stdout}`);
  return stdout;
}

/** Returns the whole guest disk, by `qemu-img convert -O raw`. */
export async function guestBytes(path: string, format?: string): Promise<Uint8Array> {
  await using scratch_ = await scratch();
  const raw = scratch_.file("guest.raw");
  await qemuImgOk("convert", ...(format ? ["-f", format] : []), "-O", "raw", path, raw);
  return await readSparse(raw);
}

/** Returns the content of a file. Does not read its holes: new memory is zero, and costs little until it is touched. */
export async function readSparse(path: string): Promise<Uint8Array> {
  const { openFileStorage } = await import("../../formats/storage/file.ts");
  await using storage = await openFileStorage(path);
  const bytes = new Uint8Array(storage.size);
  for (let at = 0; at < bytes.length;) {
    const { hole, end } = await storage.holeAt?.(at, bytes.length) ?? { hole: false, end: bytes.length };
    if (!hole) await storage.readAt(bytes.subarray(at, end), at);
    at = end;
  }
  return bytes;
}

/** One entry of `qemu-img map --output=json`, in guest bytes. */
export interface MapEntry {
  readonly start: number;
  readonly length: number;
  readonly depth: number;
  readonly present: boolean;
  readonly zero: boolean;
  readonly data: boolean;
  readonly compressed?: boolean;
  readonly offset?: number;
}

/** Returns `qemu-img map --output=json`. */
export async function mapJson(path: string, format?: string): Promise<MapEntry[]> {
  return JSON.parse(await qemuImgOk("map", "--output=json", ...(format ? ["-f", format] : []), path));
}

/** Returns a map without file offsets, adjacent entries of one status merged: two images of one content have the same. */
export function mergedMap(map: readonly MapEntry[]): Omit<MapEntry, "offset" | "present" | "compressed">[] {
  const merged: { start: number; length: number; depth: number; zero: boolean; data: boolean }[] = [];
  for (const { start, length, depth, zero, data } of map) {
    const last = merged.at(-1);
    if (last && last.depth === depth && last.zero === zero && last.data === data) last.length += length;
    else merged.push({ start, length, depth, zero, data });
  }
  return merged;
}

/** Returns the SHA-256 of a file in hex; reads it in pieces. */
export async function digestOf(path: string): Promise<string> {
  // Loaded only when needed: it takes 25 ms, and every test file imports this module.
  const { createHash } = await import("node:crypto");
  const hash = createHash("sha256");
  using file = await Deno.open(path);
  const buffer = new Uint8Array(1 << 20);
  for (;;) {
    const count = file.readSync(buffer);
    if (count === null) return hash.digest("hex");
    hash.update(buffer.subarray(0, count));
  }
}

/** A temporary folder; removed when disposed. */
export interface Scratch extends AsyncDisposable {
  readonly path: string;
  /** Returns the path of `name` in it. */
  file(name: string): string;
}

/** Makes a temporary folder, in `dir` or in the folder of the system: `await using folder = await scratch()`. */
export async function scratch(dir?: string): Promise<Scratch> {
  const options = { prefix: "diskcast-test-", ...(dir !== undefined && { dir }) };
  const path = await Deno.realPath(await Deno.makeTempDir(options));
  return {
    path,
    file: (name) => `${path}/${name}`,
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}

/** Makes a temporary folder with a copy of every file of `folder`. */
export async function copyOf(folder: Scratch): Promise<Scratch> {
  const copy = await scratch();
  for await (const { name } of Deno.readDir(folder.path)) await Deno.copyFile(folder.file(name), copy.file(name));
  return copy;
}

/** The seed of the ordinary run, so that the tests of a commit do the same each time. */
const USUAL_SEED = 20_240_229;

/** Returns the seed of this run, `TEST_SEED` if that is set, and prints it, so that a failure can be repeated. */
export function seed(): number {
  const given = readEnv("TEST_SEED");
  const value = given ? Number(given) >>> 0 : USUAL_SEED;
  console.log(`TEST_SEED=${value}`);
  return value;
}

/**
 * Returns how often a test repeats something with other random values: `usual` times in the ordinary run, `fuzzed` times if
 * `TEST_SEED` is set, as `deno task fuzz` does.
 */
export function rounds(usual: number, fuzzed: number): number {
  return readEnv("TEST_SEED") ? fuzzed : usual;
}

/** Random numbers from a seed. */
export interface Rng {
  /** Returns an integer from `low` up to, not including, `high`; with one argument from 0. */
  int(low: number, high?: number): number;
  /** Returns true with this probability. */
  chance(probability: number): boolean;
  /** Returns one of the values. */
  pick<T>(values: readonly T[]): T;
  /** Returns `length` random bytes. */
  bytes(length: number): Uint8Array;
}

/** Returns a generator (mulberry32) that yields the same numbers for the same seed on every machine. */
export function rng(seed: number): Rng {
  let state = seed | 0;
  const fill = (words: Uint32Array): void => {
    // A local variable stays in a register.
    let now = state;
    for (let at = 0; at < words.length; at++) {
      now = (now + 0x6d2b79f5) | 0;
      let mixed = Math.imul(now ^ (now >>> 15), now | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      words[at] = mixed ^ (mixed >>> 14);
    }
    state = now;
  };
  const one = new Uint32Array(1);
  const next = (): number => {
    fill(one);
    return one[0];
  };
  const int = (low: number, high?: number): number => {
    const [from, to] = high === undefined ? [0, low] : [low, high];
    return from + Math.floor(next() / 2 ** 32 * (to - from));
  };
  return {
    int,
    chance: (probability) => next() < probability * 2 ** 32,
    pick: (values) => values[int(values.length)],
    bytes(length) {
      const words = new Uint32Array(Math.ceil(length / 4));
      fill(words);
      return new Uint8Array(words.buffer, 0, length);
    },
  };
}

/** Runs a program to its end. */
export async function run(
  program: string,
  args: readonly string[],
  options: { readonly cwd?: string | undefined; readonly env?: Record<string, string> | undefined } = {},
): Promise<Outcome> {
  const output = await new Deno.Command(program, {
    args: [...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    ...(options.cwd !== undefined && { cwd: options.cwd }),
    ...(options.env !== undefined && { env: options.env }),
  }).output();
  const text = new TextDecoder();
  return { code: output.code, stdout: text.decode(output.stdout), stderr: text.decode(output.stderr) };
}

function ok(program: string, args: readonly string[], outcome: Outcome): string {
  if (outcome.code === 0) return outcome.stdout;
  throw new Error(`${program} ${args.join(" ")} ended with ${outcome.code}:\n${outcome.stderr}${outcome.stdout}`);
}

/** Returns whether a program is in a folder of PATH: to start it would take 5 ms in every test file. */
export function isInstalled(program: string): boolean {
  const [separator, ending] = Deno.build.os === "windows" ? [";", ".exe"] : [":", ""];
  return (readEnv("PATH") ?? "").split(separator).some((folder) => {
    try {
      return Deno.statSync(`${folder}/${program}${ending}`).isFile;
    } catch {
      return false;
    }
  });
}

/** Returns an environment variable, or undefined where it is not set or may not be read. */
export function readEnv(name: string): string | undefined {
  const granted = Deno.permissions.querySync({ name: "env", variable: name }).state === "granted";
  return granted ? Deno.env.get(name) : undefined;
}
