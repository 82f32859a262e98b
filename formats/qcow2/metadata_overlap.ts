/**
 * Where an existing image keeps its own tables, so that no damaged entry leads guest data into them.
 *
 * A sound image gives every table clusters of its own (specification, "Host cluster management"), but a refcount of one
 * does not show that: it says how many refer to a cluster, not who does.
 *
 * @module
 */
import { viewOf } from "../bytes.ts";
import { corrupt, ImageError } from "../errors.ts";
import type { Storage } from "../storage/types.ts";
import type { BitmapEntry } from "./bitmaps/read.ts";
import type { Header } from "./header/header.ts";
import { geometryOf, hostOffsetOf, l1ReservedSet } from "./mapping/l2_entry.ts";
import { readSnapshots } from "./snapshots/read.ts";
import { REPAIR_FIRST } from "./refuse_corrupt.ts";
import { windowReader } from "./header/window_reader.ts";

/** Clusters outside tables in one piece that are held: memory stays below some hundred MiB, whatever a file says. */
const SCATTERED_MAX = 1 << 23;
/** Bytes of snapshots' L1 tables that are read; the L2 tables of what lies beyond are not looked after. */
const SNAPSHOT_L1_BYTES_MAX = 32 << 20;

/** What a host cluster holds, as messages name it. */
export type Holding =
  | "the header"
  | "the active L1 table"
  | "the refcount table"
  | "the snapshot table"
  | "the L1 table of a snapshot"
  | "the bitmap directory"
  | "a bitmap table"
  | "a refcount block"
  | "an L2 table"
  | "an L2 table of a snapshot"
  | "bits of a bitmap";

/** The host clusters with an image's tables. Clusters are numbered from the start of the file. */
export interface MetadataRanges {
  /** The cluster after the last that holds a table. */
  readonly end: number;
  /** What `cluster` holds; null where that is no table. */
  at(cluster: number): Holding | null;
  /** Notes that `count` clusters from `first` on, which were free, hold tables now. */
  add(first: number, count: number, holding: Holding): void;
  /** Notes that a table has left its place. */
  remove(first: number, count: number): void;
  /**
   * Refuses a cluster that an L2 entry gives to the guest, but that holds a table.
   *
   * @throws ImageError `corrupt`, with guest offset and host cluster
   */
  requireData(cluster: number, guestOffset: number): void;
}

/** What {@linkcode metadataPlaces} needs of an image. */
export interface PlacesSetup {
  readonly storage: Storage;
  readonly header: Header;
  /** The active L1 table as on disk. */
  readonly l1: Uint8Array;
  /** File offsets of refcount blocks, 0 for none. */
  readonly refcountTable: Float64Array;
  /** The bitmap directory; empty where it cannot be trusted. */
  readonly bitmaps: readonly BitmapEntry[];
}

/**
 * The places of an image's tables, as its header and tables name them.
 *
 * @throws ImageError `corrupt` where two tables share a cluster or an L1 entry names none; `unsupported` for more than
 * can be held; and what reading snapshots throws
 */
export async function metadataPlaces(setup: PlacesSetup): Promise<MetadataRanges> {
  const { storage, header, refcountTable } = setup;
  const { clusterSize } = header;
  const snapshots = await readSnapshots(storage, header);
  const pieces = tablePieces(setup, snapshots);
  const places = placesOf(storage.label, clusterSize, mergedPieces(pieces, storage.label, clusterSize));
  for (const fileOffset of refcountTable) {
    if (fileOffset !== 0) claim(setup, places, fileOffset / clusterSize, "a refcount block", "a refcount block");
  }
  addActiveTables(setup, places);
  await addBitmapBits(setup, places);
  await addSnapshotTables(setup, places, snapshots);
  return places;
}

/** Neighbouring clusters with one table. */
interface Piece {
  readonly first: number;
  readonly end: number;
  readonly holding: Holding;
}

type Snapshots = Awaited<ReturnType<typeof readSnapshots>>;

function tablePieces({ storage, header, bitmaps }: PlacesSetup, snapshots: Snapshots): Piece[] {
  const { clusterSize, l1, refcountTable } = header;
  const pieces: Piece[] = [];
  const put = (holding: Holding, fileOffset: number, bytes: number) => {
    const fileEnd = Math.min(fileOffset + bytes, storage.size);
    if (fileEnd <= fileOffset) return;
    pieces.push({ first: Math.floor(fileOffset / clusterSize), end: Math.ceil(fileEnd / clusterSize), holding });
  };
  put("the header", 0, clusterSize);
  put("the active L1 table", l1.fileOffset, l1.entries * 8);
  put("the refcount table", refcountTable.fileOffset, refcountTable.clusters * clusterSize);
  const snapshotBytes = snapshots.reduce((sum, { bytes }) => sum + bytes, 0);
  put("the snapshot table", header.snapshots.fileOffset, snapshotBytes);
  for (const { l1 } of snapshots) put("the L1 table of a snapshot", l1.fileOffset, l1.entries * 8);
  if (bitmaps.length > 0) {
    put("the bitmap directory", header.bitmaps!.directoryFileOffset, header.bitmaps!.directorySize);
  }
  for (const { table } of bitmaps) put("a bitmap table", table.fileOffset, table.entries * 8);
  return pieces;
}

/** The pieces in order. Snapshots may share L1 tables, which are never written here; nothing else may be shared. */
function mergedPieces(pieces: readonly Piece[], label: string, clusterSize: number): Piece[] {
  const sorted = [...pieces].sort((a, b) => a.first - b.first || a.end - b.end);
  const merged: Piece[] = [];
  for (const piece of sorted) {
    const last = merged.at(-1);
    if (last === undefined || piece.first >= last.end) {
      merged.push(piece);
    } else if (piece.holding === "the L1 table of a snapshot" && last.holding === piece.holding) {
      merged[merged.length - 1] = { ...last, end: Math.max(last.end, piece.end) };
    } else {
      throw shared(label, clusterSize, piece.first, last.holding, piece.holding);
    }
  }
  return merged;
}

function placesOf(label: string, clusterSize: number, pieces: readonly Piece[]): MetadataRanges {
  let inPieces = [...pieces];
  const scattered = new Map<number, Holding>();
  let end = inPieces.at(-1)?.end ?? 0;

  function at(cluster: number): Holding | null {
    const found = scattered.get(cluster);
    if (found !== undefined) return found;
    let from = 0;
    for (let to = inPieces.length; from < to;) {
      const middle = (from + to) >>> 1;
      if (inPieces[middle]!.end <= cluster) from = middle + 1;
      else to = middle;
    }
    const piece = inPieces[from];
    return piece !== undefined && piece.first <= cluster ? piece.holding : null;
  }

  return {
    get end() {
      return end;
    },
    at,
    add(first, count, holding) {
      if (scattered.size + count > SCATTERED_MAX) {
        throw new ImageError(
          "unsupported",
          `Cannot write into "${label}": it has more than ${SCATTERED_MAX} clusters of tables`,
          { path: label },
        );
      }
      for (let cluster = first; cluster < first + count; cluster++) scattered.set(cluster, holding);
      end = Math.max(end, first + count);
    },
    remove(first, count) {
      for (let cluster = first; cluster < first + count; cluster++) scattered.delete(cluster);
      inPieces = inPieces.filter((piece) => piece.first !== first);
    },
    requireData(cluster, guestOffset) {
      const holding = at(cluster);
      if (holding === null) return;
      throw corrupt(
        `Cannot change guest byte ${guestOffset} of "${label}": its L2 entry points at host cluster ${cluster}, ` +
          `which holds ${holding}, must point at data; ${REPAIR_FIRST}`,
        label,
        cluster * clusterSize,
      );
    },
  };
}

function shared(label: string, clusterSize: number, cluster: number, one: string, other: string): ImageError {
  return corrupt(
    `Cannot write into "${label}": host cluster ${cluster} holds ${one} and ${other}, must hold one table; ` +
      REPAIR_FIRST,
    label,
    cluster * clusterSize,
  );
}

/** Adds a cluster that must be nobody else's; `what` names it in the message. */
function claim(
  { storage, header }: PlacesSetup,
  places: MetadataRanges,
  cluster: number,
  holding: Holding,
  what: string,
): void {
  const other = places.at(cluster);
  if (other !== null) throw shared(storage.label, header.clusterSize, cluster, other, what);
  places.add(cluster, 1, holding);
}

function addActiveTables(setup: PlacesSetup, places: MetadataRanges): void {
  const { storage, header } = setup;
  const { clusterSize } = header;
  const { l2Reach } = geometryOf(header);
  const l1 = viewOf(setup.l1);
  for (let at = 0; at < l1.byteLength; at += 8) {
    const [high, low] = [l1.getUint32(at), l1.getUint32(at + 4)];
    if (high === 0 && low === 0) continue;
    const fileOffset = hostOffsetOf(high, low);
    const what = `the L2 table of the guest bytes from ${at / 8 * l2Reach} on`;
    if (l1ReservedSet(high, low) || fileOffset % clusterSize !== 0 || fileOffset + clusterSize > storage.size) {
      throw corrupt(
        `Cannot write into "${storage.label}": L1 entry ${at / 8} says that ${what} begins at byte ${fileOffset}, ` +
          `must be at a cluster of the file (${storage.size} bytes), without reserved bits; ${REPAIR_FIRST}`,
        storage.label,
        header.l1.fileOffset + at,
      );
    }
    if (fileOffset !== 0) claim(setup, places, fileOffset / clusterSize, "an L2 table", what);
  }
}

/** The clusters of bitmaps, which are changed in place, too. Entries that cannot be are told when they are used. */
async function addBitmapBits(setup: PlacesSetup, places: MetadataRanges): Promise<void> {
  const { storage, header: { clusterSize }, bitmaps } = setup;
  const bytesAt = windowReader(storage);
  for (const { name, table } of bitmaps) {
    for (let index = 0; index < table.entries; index++) {
      const view = viewOf(await bytesAt(table.fileOffset + index * 8, 8));
      const fileOffset = hostOffsetOf(view.getUint32(0), view.getUint32(4));
      if (fileOffset === 0 || fileOffset % clusterSize !== 0 || fileOffset >= storage.size) continue;
      claim(setup, places, fileOffset / clusterSize, "bits of a bitmap", `bits of the bitmap "${name}"`);
    }
  }
}

/** What snapshots refer to is never changed here, so a bad entry of theirs is no obstacle. */
async function addSnapshotTables(setup: PlacesSetup, places: MetadataRanges, snapshots: Snapshots): Promise<void> {
  const { storage, header: { clusterSize } } = setup;
  let room = SNAPSHOT_L1_BYTES_MAX;
  for (const { l1 } of snapshots) {
    const length = Math.min(l1.entries * 8, room, Math.max(0, storage.size - l1.fileOffset));
    room -= length;
    const bytes = new Uint8Array(length - length % 8);
    if (bytes.length > 0) await storage.readAt(bytes, l1.fileOffset);
    const view = viewOf(bytes);
    for (let at = 0; at < bytes.length; at += 8) {
      const fileOffset = hostOffsetOf(view.getUint32(at), view.getUint32(at + 4));
      if (fileOffset === 0 || fileOffset % clusterSize !== 0 || fileOffset >= storage.size) continue;
      const held = places.at(fileOffset / clusterSize);
      if (held === null || held === "an L2 table") {
        places.add(fileOffset / clusterSize, 1, "an L2 table of a snapshot");
      }
    }
  }
}
