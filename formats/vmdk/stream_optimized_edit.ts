/**
 * Changes a stream-optimized extent: appends compressed grains over the old footer, changes tables in place, and
 * appends a new directory and footer. A sequential reader of the stream meets the newer copy of a grain after the older
 * one.
 *
 * @module
 */
import { alignUp, SECTOR, viewOf } from "../bytes.ts";
import type { GuestReader } from "../guest_reader.ts";
import type { Compressor } from "../codec/compress.ts";
import type { WritableStorage } from "../storage/types.ts";
import { FLAG, MARKER } from "./header.ts";
import type { HostedSparse } from "./hosted_sparse.ts";
import { appender, type CompressedGrain, compressGrains, grainRecord, marker } from "./stream_optimized.ts";
import { appendEnd, compressedZeroes } from "./stream_optimized_create.ts";
import { grainTables } from "./grain_tables.ts";
import type { ExtentFileWriter } from "./grain_writer.ts";

/** Bytes of footer marker, footer and end-of-stream marker. */
const END_BYTES = 3 * SECTOR;

/** Parameters of {@linkcode streamEditor}. */
export interface StreamEdit {
  readonly storage: WritableStorage;
  readonly sparse: HostedSparse;
  readonly redundant: Uint8Array | null;
  readonly backing: GuestReader | null;
  readonly compress: Compressor;
}

/** Opens the extent for changes. Calls of the writer may overlap. */
export async function streamEditor(
  { storage, sparse, redundant, backing, compress }: StreamEdit,
): Promise<ExtentFileWriter> {
  const { header, hasFooter, streamEnd } = sparse;
  const { grainBytes } = header;
  const coverage = grainBytes * header.entriesPerTable;
  const end = storage.size;
  // Bytes of others after the stream stay: the new end is written behind them.
  const file = appender(storage, hasFooter && streamEnd === end ? end - END_BYTES : alignUp(end, SECTOR));
  const directory = new Uint8Array(sparse.directory.buffer);
  const tables = grainTables({
    storage,
    // With a footer, the directory is not changed in place but appended again.
    header: hasFooter ? { ...header, directory: null } : header,
    directory,
    redundant,
    isNew: false,
    async allocate(length) {
      await file.append(marker(MARKER.table, length / SECTOR));
      const { fileOffset } = file;
      await file.append(new Uint8Array(length));
      // The table itself is written over these zeroes later.
      await file.flush();
      return fileOffset;
    },
  });
  let turn: Promise<void> = Promise.resolve();
  let changed = false;
  const zeroes = header.flags & FLAG.zeroed ? null : await compressedZeroes(compress, grainBytes);

  function oneAtATime(action: () => Promise<void>): Promise<void> {
    turn = turn.then(action);
    turn.catch(() => {});
    return turn;
  }

  async function add({ start, stream }: CompressedGrain): Promise<void> {
    changed = true;
    const index = Math.floor(start / coverage);
    const table = await tables.forChange(index);
    const entry = stream === null ? 1 : file.fileOffset / SECTOR;
    viewOf(table).setUint32((start - index * coverage) / grainBytes * 4, entry, true);
    tables.changed(index);
    if (stream !== null) await file.append(...grainRecord(start, stream));
  }

  /** Zeroes a grain, unless it reads as zeroes already. */
  async function zeroGrain(start: number): Promise<void> {
    const index = Math.floor(start / coverage);
    const table = await tables.find(index);
    const entry = table === null ? 0 : viewOf(table).getUint32((start - index * coverage) / grainBytes * 4, true);
    const isZero = entry === 0 ? backing === null || start >= backing.size : entry === 1 && zeroes === null;
    if (!isZero) await add({ start, stream: zeroes });
  }

  return {
    async write(from, start) {
      const grains = await compressGrains(compress, from, start, grainBytes);
      await oneAtATime(async () => {
        for (const grain of grains) await add(grain);
      });
    },
    zero: (start, stop) =>
      oneAtATime(async () => {
        for (let at = start; at < stop; at += grainBytes) await zeroGrain(at);
      }),
    async finish() {
      await turn;
      if (!changed) return;
      await file.flush();
      await tables.flush();
      if (hasFooter) await appendEnd(file, directory, { ...header, directory: null });
      await file.flush();
      await tables.flushDirectories();
    },
  };
}
