/**
 * Made-up formats, terminals and clocks for tests of the command line.
 *
 * @module
 */
import type { ConvertJob, Format } from "../../mod.ts";
import type { Io } from "../../cli/report/report.ts";
import { parseConvert, type ParsedConvert } from "../../cli/commands/convert.ts";

function fakeFormat(name: string, extensions: string[], more: Partial<Format>): Format {
  return {
    name,
    title: `Format ${name}`,
    extensions,
    subformats: { written: [], read: [] },
    maxSize: 2 ** 40,
    has: { backing: false, overlays: false, compression: false, snapshots: false, bitmaps: false },
    probe: () => "no",
    open: () => Promise.reject(new Error("a fake")),
    create: () => Promise.reject(new Error("a fake")),
    edit: () => Promise.reject(new Error("a fake")),
    createOptions: [],
    ...more,
  };
}

/** Formats whose names are known to users of qemu-img; they cannot do anything. */
export const fakeFormats: readonly Format[] = [
  fakeFormat("qcow2", ["qcow2"], {
    subformats: { written: [], read: [] },
    maxSize: 2 ** 40,
    has: { backing: true, overlays: true, compression: true, snapshots: true, bitmaps: true },
    createOptions: [
      { name: "cluster_size", type: "size", help: "bytes of a cluster", default: 65536 },
      { name: "lazy_refcounts", type: "flag", help: "delay refcounts", default: false },
      { name: "compat", type: "choice", help: "version", values: ["0.10", "1.1"], default: "1.1" },
      { name: "data_file", type: "text", help: "keep the data in this file" },
    ],
  }),
  fakeFormat("vpc", ["vhd"], {}),
  fakeFormat("raw", ["raw", "img"], {
    createOptions: [{ name: "nocow", type: "flag", help: "no copy on write" }],
  }),
];

/** What the words after `convert` ask for, with the made-up formats. */
export async function parsed(args: readonly string[], windows = false): Promise<ParsedConvert> {
  return await parseConvert(args, fakeFormats, windows);
}

/** The job of a request; throws where it is none. */
export async function jobOf(args: readonly string[], windows = false): Promise<ConvertJob> {
  const request = await parsed(args, windows);
  if (request.kind !== "job") throw new Error(`not a job: ${request.kind}`);
  return request.job;
}

/** A terminal made of strings, with a clock that stands until it is set. */
export interface FakeIo extends Io {
  stdout: string;
  stderr: string;
  clock: number;
}

/** A terminal or pipe of `columns`. */
export function fakeIo(errIsTerminal = false, columns = 80): FakeIo {
  const io: FakeIo = {
    stdout: "",
    stderr: "",
    clock: 0,
    out: (text) => void (io.stdout += text),
    err: (text) => void (io.stderr += text),
    errIsTerminal,
    plain: true,
    columns: () => columns,
    now: () => io.clock,
  };
  return io;
}
