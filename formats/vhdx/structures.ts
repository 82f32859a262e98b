/**
 * Reads the structures of an image, each of which leads to the next.
 *
 * @module
 */
import { corrupt } from "../errors.ts";
import type { Storage } from "../storage/types.ts";
import { type Bat, batOf } from "./bat.ts";
import { type Geometry, geometryOf } from "./bat_layout.ts";
import { NIL_UUID } from "../shared/uuid.ts";
import { type CurrentHeader, readHeader } from "./header.ts";
import { creatorOf, hasSignature, IDENTIFIER_BYTES } from "./identifier.ts";
import { readLog } from "./log.ts";
import { type Metadata, readMetadata } from "./metadata.ts";
import { readRegions, type Regions } from "./regions.ts";
import { replayed } from "./log_replay.ts";

/** The structures of an image. */
export interface Image {
  /** The file with its log replayed in memory. */
  readonly storage: Storage;
  readonly creator: string;
  readonly header: CurrentHeader;
  /** Whether the log holds changes that the file lacks. */
  readonly dirty: boolean;
  readonly regions: Regions;
  readonly metadata: Metadata;
  readonly geometry: Geometry;
  readonly bat: Bat;
}

/**
 * Reads everything except the blocks. A log that is in use is replayed in memory.
 *
 * @throws ImageError `corrupt` where the image contradicts the specification; `unsupported` for required features that
 * are unknown here
 */
export async function readImage(file: Storage): Promise<Image> {
  const identifier = new Uint8Array(IDENTIFIER_BYTES);
  if (file.size >= IDENTIFIER_BYTES) await file.readAt(identifier, 0);
  if (!hasSignature(identifier)) {
    throw corrupt(`Cannot open "${file.label}" as a VHDX file: it does not begin with "vhdxfile"`, file.label, 0);
  }
  const header = await readHeader(file);
  const dirty = header.logGuid !== NIL_UUID;
  const storage = dirty ? replayed(file, await readLog(file, header)) : file;
  const log = { name: "log", start: header.logAt, end: header.logAt + header.logLength };
  const regions = await readRegions(storage, log);
  const metadata = await readMetadata(storage, regions.metadata);
  const geometry = geometryOf(metadata);
  const bat = batOf(storage, regions, geometry, metadata.parent !== null);
  return { storage, creator: creatorOf(identifier), header, dirty, regions, metadata, geometry, bat };
}
