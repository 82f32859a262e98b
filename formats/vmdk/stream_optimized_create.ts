/**
 * A new stream-optimized extent, as VMware's own tools write it: header and descriptor, grains in ascending order, each
 * grain table behind its grains, then the grain directory, the footer and the end-of-stream marker. It is written from
 * front to end without a step back.
 *
 * @module
 */
import { alignDown, SECTOR, viewOf } from "../bytes.ts";
import type { GuestReader } from "../guest_reader.ts";
import { ImageError } from "../errors.ts";
import { serialize } from "../shared/mutex.ts";
import type { Compressor } from "../codec/compress.ts";
import type { WritableStorage } from "../storage/types.ts";
import { encodeHeader, FLAG, type SparseHeader, tablesOf } from "./header.ts";
import {
  type Appender,
  appender,
  type CompressedGrain,
  compressGrains,
  grainRecord,
  MARKER,
  marker,
  padded,
} from "./stream_optimized.ts";
import type { ExtentWriter } from "./grain_writer.ts";

/** What {@linkcode streamWriter} needs. */
export interface StreamSetup {
  readonly storage: WritableStorage;
  /** With the directory at the end. */
  readonly header: SparseHeader;
  /** The descriptor's text. */
  readonly descriptor: Uint8Array;
  /** What shows through holes; null where that is nothing. */
  readonly backing: GuestReader | null;
  readonly compress: Compressor;
}

/** Starts the extent. Calls of the writer may overlap; writes come with rising positions, whole grains each. */
export async function streamWriter(
  { storage, header, descriptor, backing, compress }: StreamSetup,
): Promise<ExtentWriter> {
  const file = appender(storage, 0);
  await file.append(encodeHeader(header));
  const front = new Uint8Array(header.overhead - SECTOR);
  front.set(descriptor);
  await file.append(front);
  const tables = streamTables(file, header);
  const turn = serialize();

  /** Grains are compressed at the same time, and placed in the order of the calls. */
  function add(grains: Promise<readonly CompressedGrain[]>): Promise<void> {
    // The error is thrown when it is this call's turn.
    grains.catch(() => {});
    return turn(async () => {
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
      // What is left out is a hole, and zero unless something shows through it.
      const stop = Math.min(end, backing?.size ?? 0);
      if (start < stop) await add(zeroGrains(start, stop));
    },
    finish: () =>
      turn(async () => {
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

/** A whole grain of zeroes, compressed. */
export async function compressedZeroes(compress: Compressor, grainBytes: number): Promise<Uint8Array | null> {
  return (await compressGrains(compress, new Uint8Array(grainBytes), 0, grainBytes))[0].stream;
}

/** Grains and the tables behind them. */
function streamTables(file: Appender, header: SparseHeader) {
  const { grainBytes, entriesPerTable } = header;
  const reach = grainBytes * entriesPerTable;
  const directory = new Uint8Array(tablesOf(header) * 4);
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
      const next = Math.floor(start / reach);
      if (next !== index) {
        await endTable();
        index = next;
        table = viewOf(new Uint8Array(entriesPerTable * 4));
      }
      const entry = (alignDown(start, grainBytes) - index * reach) / grainBytes * 4;
      table.setUint32(entry, stream === null ? 1 : file.fileOffset / SECTOR, true);
      if (stream !== null) await file.append(...grainRecord(start, stream));
    },
    async finish(): Promise<void> {
      await endTable();
      await appendEnd(file, directory, header);
    },
  };
}

/** The grain directory, the footer that tells where it lies, and the end of the stream. */
export async function appendEnd(file: Appender, directory: Uint8Array, header: SparseHeader): Promise<void> {
  const bytes = padded(directory.length === 0 ? new Uint8Array(SECTOR) : directory);
  await file.append(marker(MARKER.directory, bytes.length / SECTOR));
  const place = file.fileOffset;
  await file.append(bytes);
  await file.append(marker(MARKER.footer, 1));
  await file.append(encodeHeader({ ...header, directory: place }));
  await file.append(marker(MARKER.endOfStream, 0));
}
