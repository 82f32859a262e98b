/**
 * Giving space back to the host.
 *
 * @module
 */
import type { WritableStorage } from "../storage/types.ts";
import type { SparseHeader } from "./header.ts";

/** Lets the host have the space of grains that nothing points at any more. */
export async function punchHoles(
  storage: WritableStorage,
  header: SparseHeader,
  grains: readonly number[],
): Promise<void> {
  if (!storage.zeroesCheaply) return;
  for (const place of grains) {
    const end = Math.min(place + header.grainBytes, storage.size);
    if (place >= header.overhead && place < end) await storage.zeroAt(place, end);
  }
}
