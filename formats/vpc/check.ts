/**
 * Checking a VHD image: both footers agree, checksums are right, every block has a place of its own in the file.
 *
 * @module
 */
import { SECTOR } from "../bytes.ts";
import { ImageError } from "../errors.ts";
import { type CheckContext, type CheckReport, MAX_PROBLEMS, type Problem } from "../maintenance.ts";
import type { Storage } from "../storage/types.ts";
import { extentsOf } from "./block_locations.ts";
import { faultOfCopy } from "./footer_copies.ts";
import { endOfUse } from "./used_end.ts";
import { readImage, type VpcImage } from "./structures.ts";
import { parentOf } from "./parent_locator.ts";

type Note = (message: string, fileOffset?: number) => void;

/**
 * Checks the image in `storage`. A wrong checksum counts as one problem more where everything else agrees.
 *
 * @throws ImageError where it does not open
 */
export async function checkVpc(storage: Storage, { checkpoint }: CheckContext): Promise<CheckReport> {
  const problems: Problem[] = [];
  let corruptions = 0;
  const note: Note = (message, fileOffset) => {
    corruptions++;
    if (problems.length >= MAX_PROBLEMS) return;
    problems.push({ kind: "corruption", message, ...(fileOffset !== undefined && { fileOffset }) });
  };
  const image = await readImage(storage, (what, at) => note(`The checksum of the ${what} is wrong`, at));
  await checkFooters(storage, image, note);
  await checkParent(storage, image, note);
  if (image.blocks !== null) {
    const wrong = (_index: number, { message, offset }: ImageError) => note(message, offset);
    const { clashes } = await extentsOf(image.blocks, checkpoint, wrong);
    for (const { start } of clashes) {
      note(`The block at ${start * SECTOR} begins before the one in front of it ends`, start * SECTOR);
    }
  }
  const leaks = await leaksOf(storage, image, () => checkpoint());
  if (leaks > 0) {
    const unit = image.blocks === null ? "sectors" : "blocks";
    problems.push({ kind: "leak", message: `The file ends ${leaks} ${unit} behind everything that is in use` });
  }
  return { problems, corruptions, leaks, checkErrors: 0 };
}

/** Units behind everything in use: blocks, or sectors of a fixed image. */
async function leaksOf(storage: Storage, image: VpcImage, checkpoint: () => Promise<void>): Promise<number> {
  const unit = image.blocks === null ? SECTOR : image.blocks.bitmapBytes + image.blocks.header.blockSize;
  return Math.max(0, Math.floor((image.endOffset - await endOfUse(storage, image, checkpoint)) / unit));
}

async function checkFooters(storage: Storage, image: VpcImage, note: Note): Promise<void> {
  if (image.isCopy) note("The footer at the end of the file is missing or damaged, its copy is sound", image.endOffset);
  if (image.blocks === null || image.isCopy) return;
  const fault = await faultOfCopy(storage, image);
  if (fault !== null) note(`The copy of the footer at the beginning of the file ${fault}`, 0);
}

async function checkParent(storage: Storage, { parent }: VpcImage, note: Note): Promise<void> {
  try {
    if (parent !== null) await parentOf(parent, storage);
  } catch (error) {
    if (!(error instanceof ImageError && error.kind === "corrupt")) throw error;
    note(error.message, error.offset);
  }
}
