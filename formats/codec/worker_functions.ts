/**
 * The functions that pack and unpack a unit, for a worker that runs their text.
 *
 * @module
 */
import { anyShrinks, levelFor, packUnit, sampled, zstdOptions } from "./compress.ts";
import { unpackUnit } from "./decompress.ts";
import { openStream, reusedStreams } from "./zlib_streams.ts";

/** All that they need by name, but for globals: each is a declaration, and together they are a program. */
export const unitFunctions: readonly { readonly name: string; toString(): string }[] = [
  openStream,
  reusedStreams,
  zstdOptions,
  sampled,
  anyShrinks,
  levelFor,
  packUnit,
  unpackUnit,
];
