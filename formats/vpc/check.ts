/**
 * Check of an image: both footers agree, checksums are right, and no two blocks overlap.
 *
 * @module
 */
import { SECTOR } from "../bytes.ts";
import { ImageError } from "../errors.ts";
import { type CheckContext, type CheckReport, MAX_PROBLEMS, type Problem } from "../maintenance.ts";
import type { Storage } from "../storage/types.ts";
import { batmapOffset, batmapRanges, findWrongBits, readBatmap } from "./batmap.ts";
import { blockIn, type BlockLocations, readBlockLocations } from "./block_locations.ts";
import { footerCopyFault } from "./footer_copies.ts";
import { usedEnd } from "./used_end.ts";
import { readImage, type VpcImage } from "./structures.ts";
import { readParent } from "./parent_locator.ts";

type Note = (message: string, fileOffset?: number) => void;

/**
 * Checks the image in `storage`. A wrong checksum is one corruption, if the fields agree with the rest of the file.
 *
 * @throws ImageError where the image does not open
 */
export async function checkVpc(storage: Storage, { checkpoint }: CheckContext): Promise<CheckReport> {
  const problems: Problem[] = [];
  let corruptions = 0;
  const addCorruption: Note = (message, fileOffset) => {
    corruptions++;
    if (problems.length >= MAX_PROBLEMS) return;
    problems.push({ kind: "corruption", message, ...(fileOffset !== undefined && { fileOffset }) });
  };
  const image = await readImage(storage, (what, at) => addCorruption(`The checksum of the ${what} is wrong`, at));
  await checkFooters(storage, image, addCorruption);
  await checkParent(storage, image, addCorruption);
  if (image.blocks !== null) {
    const wrong = (_index: number, { message, offset }: ImageError) => addCorruption(message, offset);
    const locations = await readBlockLocations(image.blocks, checkpoint, wrong);
    const { overlaps } = locations;
    for (const { start } of overlaps) {
      addCorruption(`The block at ${start * SECTOR} begins before the previous block ends`, start * SECTOR);
    }
    await checkBatmap(storage, image, locations, addCorruption, () => checkpoint());
  }
  const leaks = await countLeaks(storage, image, () => checkpoint());
  if (leaks > 0) {
    const counted = image.blocks === null ? "sectors" : "blocks";
    problems.push({ kind: "leak", message: `The file ends ${leaks} ${counted} behind everything that is in use` });
  }
  return { problems, corruptions, leaks, checkErrors: 0 };
}

/** Counts the blocks, or the sectors of a fixed image, that fit behind everything in use. */
async function countLeaks(storage: Storage, image: VpcImage, checkpoint: () => Promise<void>): Promise<number> {
  const bytesEach = image.blocks === null ? SECTOR : image.blocks.bitmapBytes + image.blocks.header.blockSize;
  return Math.max(0, Math.floor((image.endOffset - await usedEnd(storage, image, checkpoint)) / bytesEach));
}

async function checkFooters(storage: Storage, image: VpcImage, addCorruption: Note): Promise<void> {
  if (image.isCopy) {
    addCorruption("The footer at the end of the file is missing or damaged, its copy is valid", image.endOffset);
  }
  if (image.blocks === null || image.isCopy) return;
  const fault = await footerCopyFault(storage, image);
  if (fault !== null) addCorruption(`The copy of the footer at the beginning of the file ${fault}`, 0);
}

/** Checks the batmap of an image whose creator states one: XenServer refuses the image without it, and uses its bits unchecked. */
async function checkBatmap(
  storage: Storage,
  image: VpcImage,
  locations: BlockLocations,
  addCorruption: Note,
  checkpoint: () => Promise<void>,
): Promise<void> {
  const { blocks } = image;
  if (blocks === null) return;
  const state = await readBatmap(storage, image);
  const headerOffset = batmapOffset(blocks.header);
  if (state.kind === "invalid") {
    addCorruption(`The batmap behind the block allocation table ${state.fault}`, headerOffset);
  }
  if (state.kind !== "valid") return;
  const over = blockIn(blocks, locations, batmapRanges(blocks, state));
  if (over !== null) addCorruption(`The block at ${over} overlaps the batmap`, over);
  const wrong = (index: number) =>
    addCorruption(
      `The batmap states that block ${index} is full, and it is not`,
      state.batmap.bitsOffset + (index >> 3),
    );
  await findWrongBits(blocks, state.batmap, wrong, checkpoint);
}

async function checkParent(storage: Storage, { parent }: VpcImage, addCorruption: Note): Promise<void> {
  try {
    if (parent !== null) await readParent(parent, storage);
  } catch (error) {
    if (!(error instanceof ImageError && error.kind === "corrupt")) throw error;
    addCorruption(error.message, error.offset);
  }
}
