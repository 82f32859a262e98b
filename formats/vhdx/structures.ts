/**
 * An image as its structures describe it, read in the order in which they lead to each other.
 *
 * @module
 */
import { corrupt } from "../errors.ts";
import type { Storage } from "../storage/types.ts";
import { type Bat, batOf } from "./bat.ts";
import { type Geometry, geometryOf } from "./bat_layout.ts";
import { NO_GUID } from "./guid.ts";
import { creatorOf, type CurrentHeader, readHeader, SECTOR_4K } from "./header.ts";
import { hasSignature } from "./signature.ts";
import { readLog } from "./log.ts";
import { type Metadata, readMetadata } from "./metadata.ts";
import { readRegions, type Regions } from "./regions.ts";
import { replayed } from "./log_replay.ts";

/** An image. */
export interface Image {
  /** The file as it is once the log is replayed. */
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
 * Reads all but the blocks. A log that is in use is replayed in memory.
 *
 * @throws ImageError `corrupt` where the image contradicts the specification; `unsupported` for what it requires and
 * this program does not know
 */
export async function readImage(file: Storage): Promise<Image> {
  const identifier = new Uint8Array(SECTOR_4K);
  if (file.size >= SECTOR_4K) await file.readAt(identifier, 0);
  if (!hasSignature(identifier)) {
    throw corrupt(`Cannot open "${file.label}" as a VHDX file: it does not begin with "vhdxfile"`, file.label, 0);
  }
  const header = await readHeader(file);
  const dirty = header.logGuid !== NO_GUID;
  const storage = dirty ? replayed(file, await readLog(file, header)) : file;
  const log = { name: "log", start: header.logAt, end: header.logAt + header.logLength };
  const regions = await readRegions(storage, log);
  const metadata = await readMetadata(storage, regions.metadata);
  const geometry = geometryOf(metadata);
  const bat = batOf(storage, regions, geometry, metadata.parent !== null);
  return { storage, creator: creatorOf(identifier), header, dirty, regions, metadata, geometry, bat };
}
