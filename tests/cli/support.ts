/**
 * Fake formats, terminals and clocks for tests of the command line.
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

/** Formats with names that qemu-img has; opening and creating fail. */
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

/** Parses the arguments after `convert`, with the fake formats. */
export async function parsed(args: readonly string[], windows = false): Promise<ParsedConvert> {
  return await parseConvert(args, fakeFormats, windows);
}

/** Returns the job of the arguments after `convert`; throws where they are no job. */
export async function jobOf(args: readonly string[], windows = false): Promise<ConvertJob> {
  const request = await parsed(args, windows);
  if (request.kind !== "job") throw new Error(`not a job: ${request.kind}`);
  return request.job;
}

/** A terminal made of strings, with a clock that is set by hand. */
export interface FakeIo extends Io {
  stdout: string;
  stderr: string;
  clock: number;
}

/** Returns a terminal or pipe with `columns`. */
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
