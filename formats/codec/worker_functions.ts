/**
 * The functions that compress and decompress a unit, for a worker that runs their text.
 *
 * @module
 */
import { anyShrinks, compressCluster, levelFor, sampled, zstdOptions } from "./compress.ts";
import { decompressCluster } from "./decompress.ts";
import { openStream, reusedStreams } from "./zlib_streams.ts";

/** All that they need by name, but for globals: each is a declaration, and together they are a program. */
export const unitFunctions: readonly { readonly name: string; toString(): string }[] = [
  openStream,
  reusedStreams,
  zstdOptions,
  sampled,
  anyShrinks,
  levelFor,
  compressCluster,
  decompressCluster,
];
