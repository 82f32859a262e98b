/**
 * Options of a new image: their specifications, their values, and the limits of the format.
 *
 * @module
 */
import { alignUp, isPowerOfTwo, MIB, SECTOR } from "../bytes.ts";
import type { CreatePlan } from "../contract.ts";
import type { OptionSpec } from "../options.ts";
import { ImageError } from "../errors.ts";

const GIB = 2 ** 30;
/** Guest bytes of the largest disk ([MS-VHDX] 1.3). */
export const MAX_SIZE = 64 * 2 ** 40;
/** The smallest block, in bytes ([MS-VHDX] 2.6.2.1). */
export const MIN_BLOCK = MIB;
/** The largest block, in bytes. */
export const MAX_BLOCK = 256 * MIB;

/** The options of a new image. */
export const CREATE_OPTIONS: readonly OptionSpec[] = [
  {
    name: "subformat",
    type: "choice",
    help: "dynamic: blocks come as they are written; fixed: all blocks from the start, in their order",
    values: ["dynamic", "fixed"],
    default: "dynamic",
  },
  {
    name: "block_size",
    type: "size",
    help: "bytes that are allocated at once, a power of two; absent: 1 MiB to 64 MiB by the disk's size",
    min: MIN_BLOCK,
    max: MAX_BLOCK,
  },
  {
    name: "logical_sector_size",
    type: "size",
    help: "bytes of a sector as the guest sees it, 512 or 4096; absent: as the source, or 512",
    min: 512,
    max: 4096,
  },
  {
    name: "log_size",
    type: "size",
    help: "bytes kept for the log, rounded up to whole MiB",
    default: MIB,
    min: MIB,
    max: 2 ** 32 - MIB,
  },
  {
    name: "block_state_zero",
    type: "flag",
    help: "mark blocks without data as zero; off: as not present, as Hyper-V does, with undefined content (dynamic)",
    default: true,
  },
  {
    name: "sparse",
    type: "flag",
    help: "leave holes in the file; off: write every byte, because Windows refuses VHDX files with holes",
    default: true,
  },
];

/** The options of a plan, with defaults for absent ones. Sizes in bytes. */
export interface CreateSettings {
  /** Guest bytes, whole sectors. */
  readonly size: number;
  readonly fixed: boolean;
  readonly blockSize: number;
  /** Bytes of a logical sector: 512 or 4096. */
  readonly logicalSector: number;
  readonly logLength: number;
  readonly marksZero: boolean;
  readonly sparse: boolean;
}

/** Returns the settings of `plan`. */
export function settingsOf({ size, options, logicalSectorSize }: CreatePlan): CreateSettings {
  const logicalSector = Number(options["logical_sector_size"] ?? logicalSectorSize ?? SECTOR);
  const sectors = alignUp(size, logicalSector);
  const { block_size: blockSize, log_size: logSize } = options;
  return {
    size: sectors,
    fixed: options["subformat"] === "fixed",
    blockSize: typeof blockSize === "number" ? blockSize : usualBlockSize(sectors),
    logicalSector,
    logLength: alignUp(typeof logSize === "number" ? logSize : MIB, MIB),
    marksZero: options["block_state_zero"] !== false,
    sparse: options["sparse"] !== false,
  };
}

/** Returns the default block size: small blocks waste less space, large ones keep the BAT short. */
function usualBlockSize(size: number): number {
  if (size > 32 * 1024 * GIB) return 64 * MIB;
  if (size > 100 * GIB) return 32 * MIB;
  if (size > GIB) return 16 * MIB;
  let blockSize = MIN_BLOCK;
  while (blockSize < size && blockSize < 8 * MIB) blockSize *= 2;
  return blockSize;
}

/**
 * Checks a plan.
 *
 * @throws ImageError `usage`
 */
export function checkPlan(plan: CreatePlan): void {
  const { blockSize, fixed, logicalSector, size } = settingsOf(plan);
  if (size > MAX_SIZE) {
    throw usage(`Cannot create a VHDX disk of ${plan.size} bytes: the largest has ${MAX_SIZE} (64 TiB)`);
  }
  if (logicalSector !== 512 && logicalSector !== 4096) {
    throw usage(`Cannot use ${logicalSector} for option "logical_sector_size": it must be 512 or 4096`);
  }
  if (!isPowerOfTwo(blockSize)) {
    throw usage(`Cannot use ${blockSize} for option "block_size": it must be a power of two from 1 MiB to 256 MiB`);
  }
  if (fixed && plan.options["block_state_zero"] !== undefined) {
    throw usage(`Cannot use option "block_state_zero" with subformat "fixed": all of its blocks are present`);
  }
  if (plan.backing) {
    throw usage("Cannot create a VHDX disk over a backing file: differencing images are read and edited only");
  }
  if (plan.compress) throw usage("Cannot compress into a VHDX disk: the format has no compression");
}

function usage(message: string): ImageError {
  return new ImageError("usage", message);
}
