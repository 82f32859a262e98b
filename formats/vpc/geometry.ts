/**
 * Cylinders, heads and sectors of a track: how Virtual PC describes the size of a disk.
 *
 * @module
 */

/** A disk geometry, as in the footer. */
export interface Geometry {
  /** Up to 65535. */
  readonly cylinders: number;
  readonly heads: number;
  /** Sectors of a track, up to 255. */
  readonly sectors: number;
}

/** The largest geometry. Readers use the current size in its place. */
export const LARGEST: Geometry = { cylinders: 65535, heads: 16, sectors: 255 };

/** Returns the sectors of a geometry. */
export function sectorsOf({ cylinders, heads, sectors }: Geometry): number {
  return cylinders * heads * sectors;
}

/**
 * Returns the geometry of a disk by the "CHS Calculation" of the specification's appendix. It mostly has fewer sectors
 * than the disk.
 *
 * @param total sectors of the disk
 *
 * @example
 * ```ts
 * import { specifiedGeometry } from "./geometry.ts";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual(specifiedGeometry(20480), { cylinders: 301, heads: 4, sectors: 17 });
 * ```
 */
export function specifiedGeometry(total: number): Geometry {
  const counted = Math.min(total, sectorsOf(LARGEST));
  if (counted >= 65535 * 16 * 63) return tracks(counted, 16, 255);
  const perTrack = Math.floor(counted / 17);
  const heads = Math.max(4, Math.ceil(perTrack / 1024));
  if (perTrack < heads * 1024 && heads <= 16) return tracks(counted, heads, 17);
  const wide = tracks(counted, 16, 31);
  return wide.cylinders < 1024 ? wide : tracks(counted, 16, 63);
}

function tracks(total: number, heads: number, sectors: number): Geometry {
  return { cylinders: Math.floor(Math.floor(total / sectors) / heads), heads, sectors };
}

/**
 * Returns a geometry of exactly `total` sectors, so that readers that use the geometry see the same size as those that
 * use the current size; the largest geometry, if there is no such geometry.
 *
 * @example
 * ```ts
 * import { exactGeometry, LARGEST, sectorsOf } from "./geometry.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(sectorsOf(exactGeometry(20480)), 20480);
 * assert.deepEqual(exactGeometry(1_000_003), LARGEST); // a prime number
 * ```
 */
export function exactGeometry(total: number): Geometry {
  if (total === 0) return { cylinders: 0, heads: 0, sectors: 0 };
  const specified = specifiedGeometry(total);
  if (sectorsOf(specified) === total) return specified;
  for (const sectors of SECTORS_TO_TRY) {
    for (let heads = 16; heads > 0; heads--) {
      const cylinders = total / (heads * sectors);
      if (Number.isInteger(cylinders) && cylinders <= LARGEST.cylinders) return { cylinders, heads, sectors };
    }
  }
  return LARGEST;
}

/**
 * Returns the smallest number of sectors, `total` or more, of which the calculation of the specification loses none: that
 * is how qemu-img rounds a size. Disks larger than every geometry keep their size.
 *
 * @example
 * ```ts
 * import { roundedToGeometry } from "./geometry.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(roundedToGeometry(20480), 20536);
 * ```
 */
export function roundedToGeometry(total: number): number {
  if (total >= sectorsOf(LARGEST)) return total;
  let found = sectorsOf(specifiedGeometry(total));
  for (let more = 1; found < total; more++) found = sectorsOf(specifiedGeometry(total + more));
  return found;
}

/** Sectors of a track in the order of preference: first those that a BIOS can address, from 63 down. */
const SECTORS_TO_TRY = [
  ...Array.from({ length: 63 }, (_, index) => 63 - index),
  ...Array.from({ length: 192 }, (_, index) => 64 + index),
];
