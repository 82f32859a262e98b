/**
 * Reads the contents of a disk for the questions whether it may boot.
 *
 * @module
 */
import { diskContents, ImageError } from "../../mod.ts";
import type { DiskContents, OpenedDisk } from "../../mod.ts";

/**
 * Returns the contents of a disk; a text: why they cannot be read.
 *
 * @param sectorSize bytes of a logical sector; default: that of the image
 */
export async function contentsOf(
  disk: OpenedDisk,
  sectorSize: number | undefined = disk.layers[0]!.disk.logicalSectorSize,
): Promise<DiskContents | string> {
  try {
    return await diskContents(disk, sectorSize);
  } catch (error) {
    if (error instanceof ImageError) return error.message;
    throw error;
  }
}
