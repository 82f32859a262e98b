/**
 * Disks in memory for the tests of contents.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { GuestReader } from "../../../formats/mod.ts";

/** A disk that counts the bytes that are read. */
export interface CountingDisk extends GuestReader {
  bytesRead: number;
}

/** Returns a disk whose bytes from `start` on are `bytes`. Reads outside them fail the test. */
export function diskOf(bytes: Uint8Array, start = 0): CountingDisk {
  const disk: CountingDisk = {
    size: start + bytes.length,
    clusterSize: 512,
    bytesRead: 0,
    extentAt: () => assert.fail("extents are not asked for"),
    read(into, at) {
      assert.ok(at >= start && at + into.length <= start + bytes.length, `a read of ${into.length} bytes at ${at}`);
      disk.bytesRead += into.length;
      into.set(bytes.subarray(at - start, at - start + into.length));
      return Promise.resolve();
    },
  };
  return disk;
}

/** A record of an MBR; sectors are logical ones. */
export interface MbrRecord {
  readonly type: number;
  readonly first: number;
  readonly sectors: number;
  readonly active?: boolean;
}

/** Writes the records and the signature of an MBR, or of a table in its chain, at a byte of the disk. */
export function putMbr(disk: Uint8Array, records: readonly MbrRecord[], at = 0): void {
  const view = new DataView(disk.buffer, disk.byteOffset + at);
  records.forEach(({ type, first, sectors, active }, index) => {
    const record = 446 + 16 * index;
    view.setUint8(record, active ? 0x80 : 0);
    view.setUint8(record + 4, type);
    view.setUint32(record + 8, first, true);
    view.setUint32(record + 12, sectors, true);
  });
  view.setUint16(510, 0xaa55, true);
}

/** Writes text as Latin-1. */
export function putText(disk: Uint8Array, at: number, text: string): void {
  disk.set(Uint8Array.from(text, (letter) => letter.charCodeAt(0)), at);
}
