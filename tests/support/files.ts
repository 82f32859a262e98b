/**
 * Files that report each request before it is carried out, or fail it: for whole jobs, as `tests/support/storage.ts` is
 * for one storage.
 *
 * @module
 */
import { basename } from "node:path";
import { type Files, hostFiles, ImageError, type StoredFile } from "../../formats/mod.ts";
import { type OperationKind, WatchedStorage } from "./storage.ts";

/** A request to a file; `rename`, `remove`, `open` and `create` concern the file as a whole. */
export interface FileOperation {
  readonly op: OperationKind | "open" | "create" | "rename" | "remove" | "lock";
  /** Name of the file, without its folder. */
  readonly file: string;
  /** File bytes. */
  readonly start: number;
  readonly end: number;
}

class WatchedFile extends WatchedStorage implements StoredFile {
  readonly identity: StoredFile["identity"];
  readonly isDevice: boolean;
  readonly lock: StoredFile["lock"];

  constructor(file: StoredFile, report: (operation: FileOperation) => void) {
    const name = basename(file.label);
    super(file, ({ op, start, end }) => report({ op, file: name, start, end }));
    this.identity = file.identity;
    this.isDevice = file.isDevice;
    this.lock = (exclusive) => file.lock(exclusive);
  }
}

/** The host's files; `report` is called before every request; what it throws is the result. */
export function watchedFiles(report: (operation: FileOperation) => void): Files {
  const whole = (op: FileOperation["op"], path: string) => report({ op, file: basename(path), start: 0, end: 0 });
  return {
    async open(path, options) {
      whole("open", path);
      return new WatchedFile(await hostFiles.open(path, options), report);
    },
    async create(path, options) {
      whole("create", path);
      return new WatchedFile(await hostFiles.create(path, options), report);
    },
    async rename(from, to) {
      whole("rename", to);
      await hostFiles.rename(from, to);
    },
    async remove(path) {
      whole("remove", path);
      await hostFiles.remove(path);
    },
  };
}

/** Files that fail the `nth` request (from 1) for which `chosen` holds, and count such requests. */
export function faultyFiles(
  chosen: (operation: FileOperation) => boolean,
  nth: number,
): { readonly files: Files; count(): number } {
  let count = 0;
  const files = watchedFiles((operation) => {
    if (!chosen(operation) || ++count !== nth) return;
    throw new ImageError("io", `Cannot ${operation.op} "${operation.file}": made to fail`, { path: operation.file });
  });
  return { files, count: () => count };
}

/** Returns the number of descriptors of files in `folder`: other tests run in this process, too. */
export function descriptorsIn(folder: string): number {
  const links = [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => {
    try {
      return Deno.readLinkSync(`/proc/self/fd/${name}`);
    } catch {
      return "";
    }
  });
  return links.filter((path) => path.startsWith(folder)).length;
}
