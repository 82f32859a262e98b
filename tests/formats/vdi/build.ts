/**
 * VDI images by hand, from public descriptions of the format alone: for what qemu-img cannot make. It shares no code with
 * the format.
 *
 * @module
 */
import type { Rng } from "../../support/qemu.ts";

/** The entry of a block that is not allocated, and of one that reads as zeroes. */
export const FREE = 0xffffffff;
export const DISCARDED = 0xfffffffe;

/** What to build. */
export interface Built {
  /** 1 dynamic, 2 static, 3 undo, 4 differencing. */
  readonly type: 1 | 2 | 3 | 4;
  /** Guest bytes. */
  readonly size: number;
  readonly blockSize?: number;
  readonly extraBytes?: number;
  /** Length of the header: 400, or 384 without the second geometry. */
  readonly headerBytes?: number;
  /** Entries by block; what is missing is free. */
  readonly map?: readonly number[];
  /** The blocks of the file, in their order. */
  readonly blocks?: readonly Uint8Array[];
  readonly uuid?: Uint8Array;
  readonly parent?: Uint8Array;
}

/** Where things lie in a built image. */
export const AT = { map: 512, data: 1024 } as const;

/** The UUID of built images, as stored. */
export const UUID = Uint8Array.from({ length: 16 }, (_, index) => 0x10 + index);

/** The bytes of an image; its map has one sector, so up to 128 blocks. */
export function buildVdi(built: Built): Uint8Array {
  const { blockSize = 1 << 20, extraBytes = 0, blocks = [], map = [] } = built;
  const entries = Math.ceil(built.size / blockSize);
  const bytes = new Uint8Array(AT.data + blocks.length * (blockSize + extraBytes));
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode("<<< Oracle VM VirtualBox Disk Image >>>\n"));
  const numbers: readonly (readonly [number, number])[] = [
    [64, 0xbeda107f],
    [68, 0x0001_0001],
    [72, built.headerBytes ?? 400],
    [76, built.type],
    [340, AT.map],
    [344, AT.data],
    [360, 512],
    [376, blockSize],
    [380, extraBytes],
    [384, entries],
    [388, blocks.length],
  ];
  for (const [at, value] of numbers) view.setUint32(at, value, true);
  view.setBigUint64(368, BigInt(built.size), true);
  bytes.set(built.uuid ?? UUID, 392);
  bytes.set(Uint8Array.from({ length: 16 }, (_, index) => 0x30 + index), 408);
  if (built.parent) bytes.set(built.parent, 424);
  for (let index = 0; index < entries; index++) view.setUint32(AT.map + index * 4, map[index] ?? FREE, true);
  blocks.forEach((block, index) => {
    const at = AT.data + index * (blockSize + extraBytes);
    bytes.fill(0xee, at, at + extraBytes);
    bytes.set(block, at + extraBytes);
  });
  return bytes;
}

/** Returns an image of random blocks in random file blocks, some of which are unused. */
export function randomImage(
  random: Rng,
  type: 1 | 4,
): { readonly bytes: Uint8Array; readonly parentBytes: Uint8Array } {
  const blockSize = random.pick([512, 4096, 16_384]);
  const entries = random.int(1, 10);
  const size = entries * blockSize - random.int(blockSize / 512) * 512;
  const locations = Array.from({ length: random.int(entries + 1) }, (_, index) => index);
  const map = Array.from({ length: entries }, () => {
    if (locations.length > 0 && random.chance(0.6)) return locations.splice(random.int(locations.length), 1)[0];
    return random.chance(0.5) ? FREE : DISCARDED;
  });
  const used = Math.max(0, ...map.map((entry) => entry < DISCARDED ? entry + 1 : 0));
  const blocks = Array.from({ length: used }, () => random.bytes(blockSize));
  const extraBytes = random.pick([0, 0, 512]);
  const parentBytes = random.bytes(random.pick([0, Math.floor(size / 1024) * 512, size, size + 512]));
  if (random.chance(0.5)) parentBytes.fill(0, parentBytes.length >> 2, parentBytes.length >> 1);
  const parent = type === 4 ? { parent: UUID } : {};
  return { bytes: buildVdi({ type, size, blockSize, extraBytes, map, blocks, ...parent }), parentBytes };
}
