/**
 * Writing into existing images: their extents in place, and a new content ID in the descriptor.
 *
 * @module
 */
import { SECTOR, viewOf } from "../bytes.ts";
import type { DiskWriter, EditContext } from "../contract.ts";
import type { GuestReader } from "../guest_reader.ts";
import { ImageError } from "../errors.ts";
import type { WritableStorage } from "../storage/types.ts";
import { withNewContentId } from "./descriptor_edit.ts";
import { backingOf } from "./open.ts";
import { FLAG, UNCLEAN_AT } from "./header.ts";
import { type HostedSparse, openHostedSparse, readRedundant } from "./hosted_sparse.ts";
import { SPARSE_MAGIC } from "./signatures.ts";
import { type Layout, type Part, readLayout } from "./extent_files.ts";
import { streamEditor } from "./stream_optimized_edit.ts";
import { allocateAt, type FileEnd, tablesFor } from "./grain_tables.ts";
import { type ExtentWriter, grainWriter } from "./grain_writer.ts";
import { backingFrom, flatWriter, writerOf, type WritingPart } from "./writer.ts";

/**
 * Opens an existing image for writing.
 *
 * @throws ImageError as `openVmdk`, and `unsupported` for kinds that are not written here
 */
export async function editVmdk(storage: WritableStorage, context: EditContext): Promise<DiskWriter> {
  const layout = await readLayout(storage, (file) => context.openNamed(file));
  refuseTracked(layout, storage.label);
  const named = backingOf(layout.descriptor, storage.label);
  const backing = named && await context.openBacking(named);
  const editors: Editor[] = [];
  for (const part of layout.parts) {
    editors.push(await editorOf(part, backing && backingFrom(backing, part.guestStart), context));
  }
  const compress = editors.some((editor) => editor.compress);
  if (compress && editors.length > 1) {
    throw unsupported(storage.label, "one of its several extents is compressed");
  }
  const parts: WritingPart[] = layout.parts.map((part, index) => {
    return { start: part.guestStart, end: part.guestStart + part.size, writer: editors[index].writer };
  });
  let changed = false;
  return writerOf({
    size: layout.size,
    clusterSize: editors.find((editor) => editor.unit > 1)?.unit ?? 1,
    compress,
    order: "any",
    startsZeroed: false,
    zeroes: editors.every((editor) => editor.cheap) ? "cheap" : "written",
    parts,
    async begin() {
      changed = true;
      for (const editor of editors) await editor.begin();
    },
    async finish() {
      if (changed) await renewContentId(storage, layout);
    },
  });
}

/** How one extent is changed. */
interface Editor {
  readonly writer: ExtentWriter;
  readonly unit: number;
  readonly compress: boolean;
  /** Whether zeroes cost less than data. */
  readonly cheap: boolean;
  begin(): Promise<void>;
}

function unsupported(label: string, reason: string): ImageError {
  return new ImageError("unsupported", `Cannot write into "${label}": ${reason}`, { path: label });
}

/** A changed block tracking file would have to record every write: backups would miss what is written here. */
function refuseTracked({ descriptor }: Layout<WritableStorage>, label: string): void {
  if (descriptor?.values.get("changetrackpath")) throw unsupported(label, "its changes are tracked in another file");
}

async function editorOf(
  part: Part<WritableStorage>,
  backing: GuestReader | null,
  context: EditContext,
): Promise<Editor> {
  const { storage, line, kind } = part;
  const simple = { unit: 1, compress: false, begin: () => Promise.resolve() };
  if (kind === "zero" || storage === null) return { ...simple, cheap: true, writer: zeroWriter() };
  const isOwn = line === null || kind === "sparse" && part.guestStart === 0 && line.access === "RDONLY";
  // Streams state RDONLY of their only extent, which is a hint for virtual machines.
  if (!isOwn && line.access !== "RW" || line?.access === "NOACCESS") {
    return { ...simple, cheap: true, writer: refusingWriter(storage.label, line!.access) };
  }
  if (kind === "flat") {
    // The caller syncs the image's own file, which is the descriptor; this file is synced here.
    const writer = { ...flatWriter(storage, part.fileOffset), finish: () => storage.sync() };
    return { ...simple, cheap: storage.zeroesCheaply, writer };
  }
  return await sparseEditor(storage, part.size, backing, context);
}

async function sparseEditor(
  storage: WritableStorage,
  size: number,
  backing: GuestReader | null,
  context: EditContext,
): Promise<Editor> {
  const magic = new Uint8Array(Math.min(4, storage.size));
  await storage.readAt(magic, 0);
  if (magic.length < 4 || viewOf(magic).getUint32(0, true) !== SPARSE_MAGIC) {
    throw unsupported(storage.label, "extents of ESXi snapshots (COWD, seSparse) are only read here");
  }
  const sparse = await openHostedSparse(storage);
  const { header } = sparse;
  if (header.capacity < size) throw unsupported(storage.label, "its header and its descriptor do not agree in size");
  const redundant = await readRedundant(storage, sparse.header);
  if (header.compressed) {
    if ((header.flags & FLAG.markers) === 0) throw unsupported(storage.label, "its compressed grains have no markers");
    const compress = context.compressor;
    const writer = await streamEditor({ storage, sparse, redundant, backing, compress });
    return { writer, unit: header.grainBytes, compress: true, cheap: true, begin: () => Promise.resolve() };
  }
  if (header.version === 3) throw unsupported(storage.label, "it has version 3, whose changes are tracked elsewhere");
  return {
    writer: plainEditor(storage, sparse, redundant, backing),
    unit: header.grainBytes,
    compress: false,
    cheap: true,
    // A crash from here on shows in the header.
    begin: () => storage.writeAt(new Uint8Array([1]), UNCLEAN_AT),
  };
}

function plainEditor(
  storage: WritableStorage,
  { header, directory }: HostedSparse,
  redundant: Uint8Array | null,
  backing: GuestReader | null,
): ExtentWriter {
  const end: FileEnd = { next: storage.size };
  const tables = tablesFor({
    storage,
    header,
    directory: new Uint8Array(directory.buffer),
    redundant,
    fresh: false,
    place: (length) => Promise.resolve(allocateAt(storage, end, length, SECTOR)),
  });
  return {
    ...grainWriter({ storage, header, tables, end, zeroedFrom: storage.size, backing }),
    async finish() {
      if (storage.size < end.next) await storage.truncate(end.next);
      // Grains, then what points at them, then that it was closed: a power failure must not leave one before the other.
      await storage.sync();
      await tables.flush();
      await tables.flushDirectories();
      await storage.sync();
      await storage.writeAt(new Uint8Array([0]), UNCLEAN_AT);
    },
  };
}

/** Zeroes that have no file: they can be nothing else. */
function zeroWriter(): ExtentWriter {
  return {
    write: (from) => {
      if (from.every((byte) => byte === 0)) return Promise.resolve();
      const message = "Cannot write into an extent of type ZERO: it has no file, and can hold nothing but zeroes";
      return Promise.reject(new ImageError("unsupported", message));
    },
    zero: () => Promise.resolve(),
    finish: () => Promise.resolve(),
  };
}

function refusingWriter(label: string, access: string): ExtentWriter {
  const refuse = () => {
    const message = `Cannot write into "${label}": the descriptor says that this extent is ${access}`;
    return Promise.reject(new ImageError("refused", message, { path: label }));
  };
  return { write: refuse, zero: refuse, finish: () => Promise.resolve() };
}

/** Images above this one must see that it is not what it was. */
async function renewContentId(storage: WritableStorage, { descriptor, embedded }: Layout<WritableStorage>) {
  if (descriptor === null) return;
  const [fileOffset, length] = embedded ? [embedded.fileOffset, embedded.length] : [0, storage.size];
  const old = new Uint8Array(length);
  await storage.readAt(old, fileOffset);
  const renewed = withNewContentId(old).subarray(0, embedded ? length : undefined);
  await storage.writeAt(renewed, fileOffset);
}
