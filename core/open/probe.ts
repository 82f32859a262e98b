/**
 * Which format a file has, from the bytes at both of its ends.
 *
 * @module
 */
import { extname, type Format, ImageError, type Peek, type Storage } from "../../formats/mod.ts";

const HEAD = 64 << 10;
const TAIL = 4 << 10;

/** What probing found; `guessed` where nothing was recognised and raw is what is left. */
export interface Probed {
  readonly format: Format;
  readonly guessed: boolean;
}

/** Recognises the format of `storage`. */
export async function probe(storage: Storage, formats: readonly Format[]): Promise<Probed> {
  const peek = await peekAt(storage);
  const answers = formats.map((format) => ({ format, answer: format.probe(peek) }));
  const sure = answers.filter(({ answer }) => answer === "yes").map(({ format }) => format.name);
  if (sure.length > 1) throw twoFaced(storage.label, sure);
  const found = answers.find(({ answer }) => answer === "yes") ?? answers.find(({ answer }) => answer === "maybe");
  if (found) {
    refuseDisguise(storage.label, found.format, formats);
    return { format: found.format, guessed: false };
  }
  return { format: formatNamed("raw", formats, storage.label), guessed: true };
}

/**
 * The format with that name.
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

/** `-f` speaks of sources alone. */
const BENEATH = "; of a file beneath an image with backing.driver in --image-opts";

/**
 * Some formats are known by their beginning, some by their end, and a guest writes both ends of a raw or fixed disk:
 * whoever can choose how a file is read can choose what is read.
 */
function twoFaced(path: string, names: readonly string[]): ImageError {
  const message = `Cannot guess the format of "${path}": it has the marks of ${names.join(" and of ")}; ` +
    `say which with -f ${names[0]}${BENEATH}`;
  return new ImageError("refused", message, { path });
}

/**
 * A raw disk is written by its guest, who can put the header of another format into it and have the host's files read as
 * its backing file. A file that says by its name that it is raw is therefore never taken for something else by guess.
 */
function refuseDisguise(path: string, format: Format, formats: readonly Format[]): void {
  const ending = extname(path).slice(1).toLowerCase();
  if (ending === "" || format.extensions.includes(ending)) return;
  const raw = formats.find((candidate) => candidate.name === "raw");
  if (ending !== "raw" || !raw) return;
  const message = `Cannot guess the format of "${path}": its name says raw, its bytes say ${format.name}; ` +
    `say which with -f raw or -f ${format.name}${BENEATH}`;
  throw new ImageError("refused", message, { path });
}
