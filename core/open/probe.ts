/**
 * Detects the format of a file from the bytes at its two ends.
 *
 * @module
 */
import { extname, type Format, ImageError, type Peek, type Storage } from "../../formats/mod.ts";

const HEAD = 64 << 10;
const TAIL = 4 << 10;

/** For messages: `-f` states the format of a source, not of its backing file. */
const FOR_BACKING_FILE = "; for a backing file with backing.driver in --image-opts";

/** Result of {@linkcode probe}. */
export interface Probed {
  readonly format: Format;
  /** Whether the file is taken as raw although nothing is recognised: neither a format nor the contents of a disk. */
  readonly guessed: boolean;
}

/**
 * Returns the format of `storage`. Raw is the format of a file in which no other is recognised.
 *
 * @throws ImageError `refused` where several formats are recognised, another format than raw in a file named `.raw`, or
 * contents that are no disk: an archive, compressed data, a text
 */
export async function probe(storage: Storage, formats: readonly Format[]): Promise<Probed> {
  const peek = await peekAt(storage);
  const answers = formats.map((format) => ({ format, answer: format.probe(peek) }));
  const sure = answers.filter(({ answer }) => answer === "yes").map(({ format }) => format.name);
  if (sure.length > 1) throw ambiguous(storage.label, sure);
  const found = answers.find(({ answer }) => answer === "yes") ?? answers.find(({ answer }) => answer === "maybe");
  if (found) {
    refuseDisguisedRaw(storage.label, found.format, formats);
    return { format: found.format, guessed: false };
  }
  const raw = formatNamed("raw", formats, storage.label);
  return { format: raw, guessed: !await looksLikeDisk(storage, peek) };
}

/** Returns whether a file without an image format has the contents of a disk; throws for contents that are no disk. */
async function looksLikeDisk(storage: Storage, peek: Peek): Promise<boolean> {
  const [{ isRawDisk, recognise }, { VOLUME_HEAD }] = await Promise.all([
    import("../contents/recognise.ts"),
    import("../contents/signatures.ts"),
  ]);
  const head = new Uint8Array(Math.min(VOLUME_HEAD, storage.size));
  head.set(peek.head);
  if (head.length > peek.head.length) await storage.readAt(head.subarray(peek.head.length), peek.head.length);
  const contents = recognise({ ...peek, head });
  if (contents === null || isRawDisk(contents)) return contents !== null;
  const { notADisk } = await import("../contents/refuse.ts");
  throw notADisk(storage.label, contents, `or take its bytes as they are with -f raw${FOR_BACKING_FILE}`);
}

/**
 * Returns the format of that name.
 *
 * @throws ImageError `unsupported` if there is none
 */
export function formatNamed(name: string, formats: readonly Format[], path?: string): Format {
  const format = formats.find((candidate) => candidate.name === name);
  if (format) return format;
  const known = formats.map((candidate) => candidate.name).join(", ");
  const subject = path === undefined ? "" : ` of "${path}"`;
  throw new ImageError("unsupported", `Unknown file format "${name}"${subject}: the known formats are ${known}`, {
    path,
  });
}

async function peekAt(storage: Storage): Promise<Peek> {
  const head = new Uint8Array(Math.min(HEAD, storage.size));
  const tail = new Uint8Array(Math.min(TAIL, storage.size));
  await storage.readAt(head, 0);
  await storage.readAt(tail, storage.size - tail.length);
  return { head, tail, size: storage.size };
}

/**
 * Returns the error for a file that several formats recognise. The guest writes both ends of a raw or fixed disk, so it
 * could select the format, and with that the files that are read.
 */
function ambiguous(path: string, names: readonly string[]): ImageError {
  const message = `Cannot guess the format of "${path}": it has the marks of ${names.join(" and of ")}; ` +
    `say which with -f ${names[0]}${FOR_BACKING_FILE}`;
  return new ImageError("refused", message, { path });
}

/**
 * Throws where the name of a file says raw and its bytes another format. A guest can write the header of another format
 * into a raw disk, and with it name files of the host as backing files.
 */
function refuseDisguisedRaw(path: string, format: Format, formats: readonly Format[]): void {
  const ending = extname(path).slice(1).toLowerCase();
  if (ending === "" || format.extensions.includes(ending)) return;
  const raw = formats.find((candidate) => candidate.name === "raw");
  if (ending !== "raw" || !raw) return;
  const message = `Cannot guess the format of "${path}": its name says raw, its bytes say ${format.name}; ` +
    `say which with -f raw or -f ${format.name}${FOR_BACKING_FILE}`;
  throw new ImageError("refused", message, { path });
}
