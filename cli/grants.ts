/**
 * The files and folders that a command line names, for the launcher of the npm package (`npm/diskcast.js`), which grants
 * them before the program starts. Opens no file and needs no permission. Pure.
 *
 * @module
 */
import { dirname, isAbsolute, join } from "node:path";
import { allFormats, grantable } from "../mod.ts";
import type { ConvertJob } from "../mod.ts";
import { pathOf } from "./args/image_names.ts";
import { convertRequest } from "./args/convert_args.ts";
import { isOn, listOf, parseArgs, textOf } from "./args/parse_args.ts";
import { commands, definitionOf } from "./commands/mod.ts";
import { looksLikePath, pathOfText } from "./wizard/paths.ts";
import type { ParsedArgs } from "./commands/command.ts";

/** Paths as the command line names them, each with the access that the command needs. */
export interface Grants {
  /** Images, which may name further files in their own folders. */
  readonly images: readonly string[];
  /** Further files and folders to read. */
  readonly read: readonly string[];
  readonly write: readonly string[];
  /** Whether the folder for temporary files is read and written. */
  readonly temporary?: boolean;
}

const NONE: Grants = { images: [], read: [], write: [] };
/** Without a permission, neither the home folder nor a file is known. */
const HOST = { home: undefined, windows: Deno.build.os === "windows", exists: () => false };
const WINDOWS = Deno.build.os === "windows";

/** Returns the grants of the arguments of the program; none where they cannot be read, which the program then reports. */
export async function grantsOf([name, ...args]: readonly string[]): Promise<Grants> {
  // Without a command, and with files in its place, a terminal gets the wizard.
  if (name === undefined || name === "wizard") return wizardGrants(args);
  if (commands.every((one) => one.name !== name) && looksLikePath(name)) return wizardGrants([name, ...args]);
  if (name === "demo") return { ...NONE, temporary: true };
  try {
    const command = commands.find((one) => one.name === name);
    const parsed = command && parseArgs(await definitionOf(command), args);
    return parsed ? grantableOf(await commandGrants(name, parsed)) : NONE;
  } catch {
    return NONE;
  }
}

/** The wizard lists images of the current folder and proposes targets in it. For all others it makes Deno ask. */
function wizardGrants(args: readonly string[]): Grants {
  const files = args.filter((arg) => !arg.startsWith("-")).map((arg) => pathOfText(arg, HOST));
  return grantableOf({ images: files, read: ["."], write: ["."] });
}

async function commandGrants(name: string, parsed: ParsedArgs): Promise<Grants> {
  const [first] = parsed.files;
  const further = [...listOf(parsed, "allow-ref")];
  const image = first === undefined ? [] : [imageName(first, parsed)];
  const named = (option: string) => [textOf(parsed, option) ?? []].flat().filter((path) => path !== "");
  switch (name) {
    case "convert":
    case "plan": {
      const request = await convertRequest(parsed, allFormats, WINDOWS);
      return request.kind === "job" ? jobGrants(request.job, name === "convert") : NONE;
    }
    case "dd": {
      const operand = (key: string) => parsed.files.filter((file) => file.startsWith(key)).map((file) => file.slice(3));
      const folders = operand("of=").map((path) => dirname(path));
      return { images: operand("if="), read: [...further, ...folders], write: folders };
    }
    case "create": {
      const folder = image.map((path) => dirname(path));
      return { images: backingOf(image[0], named("backing")), read: [...further, ...folder], write: folder };
    }
    case "check":
      return { images: image, read: further, write: textOf(parsed, "repair") === undefined ? [] : image };
    case "snapshot": {
      const changes = ["create", "apply", "delete"].some((option) => textOf(parsed, option) !== undefined);
      return { images: image, read: further, write: changes ? image : [] };
    }
    case "bench":
      return { images: image, read: further, write: isOn(parsed, "write") ? image : [] };
    case "rebase":
      return { images: [...image, ...backingOf(image[0], named("backing"))], read: further, write: image };
    case "commit":
      // The backing file is written, whose name only the image states.
      return { images: image, read: further, write: image.map((path) => dirname(path)) };
    case "bitmap":
      return { images: [...image, ...named("source-file")], read: further, write: image };
    case "resize":
    case "amend":
      return { images: image, read: further, write: image };
    case "info":
    case "map":
    case "compare":
    case "measure":
    case "digest":
      return { images: parsed.files.map((file) => imageName(file, parsed)), read: further, write: [] };
    default:
      return NONE;
  }
}

/** Returns the grants of a conversion, which writes a new target under a temporary name in the same folder. */
function jobGrants({ sources, target, allowRefs = [] }: ConvertJob, writes: boolean): Grants {
  const data = target.options?.data_file;
  const folders = [target.path, ...(typeof data === "string" ? [join(dirname(target.path), data)] : [])].map(dirname);
  const backing = target.backing === undefined ? [] : backingOf(target.path, [target.backing.path]);
  const images = [...sources.map(({ path }) => path), ...backing];
  if (target.create === false) {
    return { images: [...images, target.path], read: allowRefs, write: writes ? [target.path] : [] };
  }
  return { images, read: [...allowRefs, ...folders], write: writes ? folders : [] };
}

/** Returns backing files by path: a relative name starts from the folder of the image. */
function backingOf(image: string | undefined, names: readonly string[]): string[] {
  return names.map((name) => image === undefined || isAbsolute(name) ? name : join(dirname(image), name));
}

/** Returns the path in an image's name or description. */
function imageName(name: string, parsed: ParsedArgs): string {
  if (!isOn(parsed, "image-opts")) return pathOf(name, WINDOWS, "image");
  return /(?:^|,)(?:file\.)?filename=((?:[^,]|,,)+)/.exec(name)?.[1]?.replaceAll(",,", ",") ?? name;
}

function grantableOf({ images, read, write }: Grants): Grants {
  const all = (paths: readonly string[]) => [...new Set(paths.map(grantable))];
  return { images: all(images), read: all(read), write: all(write) };
}
