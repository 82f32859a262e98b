/**
 * Creates a stream-optimized extent, as VMware's own tools write it: header and descriptor, grains in ascending order,
 * each grain table after its grains, then the grain directory, the footer and the end-of-stream marker. It only
 * appends.
 *
 * @module
 */
import { alignDown, SECTOR, viewOf } from "../bytes.ts";
import type { GuestReader } from "../guest_reader.ts";
import { ImageError } from "../errors.ts";
import { serialize } from "../shared/mutex.ts";
import type { Compressor } from "../codec/compress.ts";
import type { WritableStorage } from "../storage/types.ts";
import { encodeHeader, FLAG, MARKER, type SparseHeader, tableCount } from "./header.ts";
import {
  type Appender,
  appender,
  type CompressedGrain,
  compressGrains,
  grainRecord,
  marker,
  padToSectors,
} from "./stream_optimized.ts";
import type { ExtentFileWriter } from "./grain_writer.ts";

/** Parameters of {@linkcode streamWriter}. */
export interface StreamSetup {
  readonly storage: WritableStorage;
  /** A header whose footer states the directory. */
  readonly header: SparseHeader;
  /** The descriptor's text. */
  readonly descriptor: Uint8Array;
  /** The backing file; null if there is none. */
  readonly backing: GuestReader | null;
  readonly compress: Compressor;
}

/** Starts the extent. Calls of the writer may overlap; writes are whole grains at ascending guest bytes. */
export async function streamWriter(
  { storage, header, descriptor, backing, compress }: StreamSetup,
): Promise<ExtentFileWriter> {
  const file = appender(storage, 0);
  await file.append(encodeHeader(header));
  const front = new Uint8Array(header.overhead - SECTOR);
  front.set(descriptor);
  await file.append(front);
  const tables = streamTables(file, header);
  const inOrder = serialize();

  /** Appends grains in the order of the calls, while later ones are already being compressed. */
  function add(grains: Promise<readonly CompressedGrain[]>): Promise<void> {
    // A rejection is thrown by the await below; until then it must not count as unhandled.
    grains.catch(() => {});
    return inOrder(async () => {
      for (const grain of await grains) await tables.add(grain);
    });
  }

  let position = 0;
  function advance(start: number, end: number): void {
    if (start < position) {
      const message = `Cannot write guest byte ${start} of "${storage.label}": a stream is written with rising ` +
        `positions, and is at ${position} already`;
      throw new ImageError("unsupported", message, { path: storage.label });
    }
    position = end;
  }

  return {
    async write(from, start) {
      advance(start, start + from.length);
      await add(compressGrains(compress, from, start, header.grainBytes));
    },
    async zero(start, end) {
      advance(start, end);
      // A grain that is left out is a hole, which reads as zeroes except where the backing file has data.
      const stop = Math.min(end, backing?.size ?? 0);
      if (start < stop) await add(zeroGrains(start, stop));
    },
    finish: () =>
      inOrder(async () => {
        await tables.finish();
        await file.flush();
      }),
  };

  async function zeroGrains(start: number, end: number): Promise<CompressedGrain[]> {
    const stream = header.flags & FLAG.zeroed ? null : await compressedZeroes(compress, header.grainBytes);
    const count = Math.ceil((end - start) / header.grainBytes);
    return Array.from({ length: count }, (_, index) => ({ start: start + index * header.grainBytes, stream }));
  }
}

/** Returns a compressed grain of zeroes. */
export async function compressedZeroes(compress: Compressor, grainBytes: number): Promise<Uint8Array | null> {
  return (await compressGrains(compress, new Uint8Array(grainBytes), 0, grainBytes))[0].stream;
}

/** Appends grains, and each grain table after its grains. */
function streamTables(file: Appender, header: SparseHeader) {
  const { grainBytes, entriesPerTable } = header;
  const coverage = grainBytes * entriesPerTable;
  const directory = new Uint8Array(tableCount(header) * 4);
  let index = -1;
  let table = viewOf(new Uint8Array(0));

  async function endTable(): Promise<void> {
    if (index < 0) return;
    const bytes = new Uint8Array(table.buffer);
    await file.append(marker(MARKER.table, bytes.length / SECTOR));
    viewOf(directory).setUint32(index * 4, file.fileOffset / SECTOR, true);
    await file.append(bytes);
  }

  return {
    async add({ start, stream }: CompressedGrain): Promise<void> {
      const next = Math.floor(start / coverage);
      if (next !== index) {
        await endTable();
        index = next;
        table = viewOf(new Uint8Array(entriesPerTable * 4));
      }
      const entry = (alignDown(start, grainBytes) - index * coverage) / grainBytes * 4;
      table.setUint32(entry, stream === null ? 1 : file.fileOffset / SECTOR, true);
      if (stream !== null) await file.append(...grainRecord(start, stream));
    },
    async finish(): Promise<void> {
      await endTable();
      await appendEnd(file, directory, header);
    },
  };
}

/** Appends the grain directory, the footer that states its file offset, and the end-of-stream marker. */
export async function appendEnd(file: Appender, directory: Uint8Array, header: SparseHeader): Promise<void> {
  const bytes = padToSectors(directory.length === 0 ? new Uint8Array(SECTOR) : directory);
  await file.append(marker(MARKER.directory, bytes.length / SECTOR));
  const fileOffset = file.fileOffset;
  await file.append(bytes);
  await file.append(marker(MARKER.footer, 1));
  await file.append(encodeHeader({ ...header, directory: fileOffset }));
  await file.append(marker(MARKER.endOfStream, 0));
}
