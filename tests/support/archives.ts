/**
 * Small archives and compressed files for tests.
 *
 * @module
 */
import { crc32, deflateRawSync, gzipSync, zstdCompressSync } from "node:zlib";

/** Returns gzip-compressed data. */
export function gzip(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(gzipSync(bytes));
}

/** Returns zstd-compressed data. */
export function zstd(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(zstdCompressSync(bytes));
}

/** Returns an xz file that holds nothing: stream header, index and footer. */
export function xz(): Uint8Array {
  return new Uint8Array(Buffer.from("/Td6WFoAAATm1rRGAAAAABzfRCEftvN9AQAAAAAEWVo=", "base64"));
}

/** Returns a bzip2 file that holds nothing: the header and the end of the stream. */
export function bzip2(): Uint8Array {
  return new Uint8Array(Buffer.from("QlpoORdyRThQkAAAAAA=", "base64"));
}

/** Returns a tar archive (ustar) of files by name. */
export function tar(files: { readonly [name: string]: Uint8Array }): Uint8Array {
  const blocks: Uint8Array[] = [];
  for (const [name, content] of Object.entries(files)) {
    const header = new Uint8Array(512);
    const put = (at: number, text: string) => header.set(new TextEncoder().encode(text), at);
    put(0, name);
    put(100, "0000644\0");
    put(124, `${content.length.toString(8).padStart(11, "0")}\0`);
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\0" + "00");
    put(148, `${header.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, "0")}\0 `);
    const padded = new Uint8Array(Math.ceil(content.length / 512) * 512);
    padded.set(content);
    blocks.push(header, padded);
  }
  blocks.push(new Uint8Array(1024));
  return joined(blocks);
}

/** Returns a zip archive of one compressed file. */
export function zip(name: string, content: Uint8Array): Uint8Array {
  const compressed = new Uint8Array(deflateRawSync(content));
  const nameBytes = new TextEncoder().encode(name);
  // Version needed, flags, method, time, date, CRC, sizes, length of the name: the same in both headers.
  const common = new Uint8Array(26);
  const view = new DataView(common.buffer);
  view.setUint16(0, 20, true);
  view.setUint16(4, 8, true);
  view.setUint32(10, crc32(content), true);
  view.setUint32(14, compressed.length, true);
  view.setUint32(18, content.length, true);
  view.setUint16(22, nameBytes.length, true);
  const local = joined([signature(0x04034b50), common, nameBytes, compressed]);
  const central = joined([signature(0x02014b50), new Uint8Array([20, 0]), common, new Uint8Array(14), nameBytes]);
  const end = new Uint8Array(22);
  const endView = new DataView(end.buffer);
  endView.setUint32(0, 0x06054b50, true);
  endView.setUint16(8, 1, true);
  endView.setUint16(10, 1, true);
  endView.setUint32(12, central.length, true);
  endView.setUint32(16, local.length, true);
  return joined([local, central, end]);
}

function signature(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
