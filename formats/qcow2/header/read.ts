/**
 * The qcow2 header from storage.
 *
 * @module
 */
import type { Storage } from "../../storage/types.ts";
import { type Header, HEADER_LENGTH_V2, headerClusterSize, parseHeader } from "./header.ts";

/**
 * Reads the first cluster of `storage` and parses it.
 *
 * @throws ImageError as `parseHeader` does, and `io`.
 */
export async function readHeader(storage: Storage): Promise<Header> {
  const head = new Uint8Array(Math.min(HEADER_LENGTH_V2, storage.size));
  await storage.readAt(head, 0);
  const clusterSize = headerClusterSize(head, storage.label);
  const cluster = new Uint8Array(Math.min(clusterSize, storage.size));
  await storage.readAt(cluster, 0);
  return parseHeader(cluster, storage.label, storage.size);
}
