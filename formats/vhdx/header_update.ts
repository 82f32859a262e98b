/**
 * Changing the headers ([MS-VHDX] 2.2.2.1): in turns, so that one that is whole and true is there at any time.
 *
 * @module
 */
import type { WritableStorage } from "../storage/types.ts";
import { type CurrentHeader, encodeHeader, type Header, HEADERS_AT } from "./header.ts";

/** The headers of an image that is being changed. */
export interface Headers {
  /** The one that counts. */
  readonly current: CurrentHeader;
  /** Changes fields of the header, which count when this returns; the other header is left behind. */
  update(change: Partial<Header>): Promise<void>;
  /** Changes fields in both headers. The second write is not waited for to be stable: the first counts. */
  updateBoth(change: Partial<Header>): Promise<void>;
}

/** The headers of `storage`, of which `header` counts. */
export function headersOf(storage: WritableStorage, header: CurrentHeader): Headers {
  let current = header;

  async function write(change: Partial<Header>): Promise<void> {
    const place = current.place === 0 ? 1 : 0;
    const next: CurrentHeader = { ...current, ...change, sequence: current.sequence + 1n, place };
    await storage.writeAt(encodeHeader(next), HEADERS_AT[place]);
    current = next;
  }

  async function update(change: Partial<Header>): Promise<void> {
    await write(change);
    await storage.sync();
  }

  return {
    get current() {
      return current;
    },
    update,
    async updateBoth(change) {
      await update(change);
      await write({});
    },
  };
}
