/**
 * Writes into existing images: changes extent files in place, and sets a new content ID in the descriptor.
 *
 * @module
 */
import { SECTOR } from "../bytes.ts";
import type { DiskWriter, EditContext } from "../contract.ts";
import type { GuestReader } from "../guest_reader.ts";
import { ImageError } from "../errors.ts";
import type { WritableStorage } from "../storage/types.ts";
import { withNewContentId } from "./descriptor_edit.ts";
import { backingOf } from "./open.ts";
import { FLAG, UNCLEAN_AT } from "./header.ts";
import { type HostedSparse, isHostedSparse, openHostedSparse, readRedundant } from "./hosted_sparse.ts";
import { refuseMetadataFaults } from "./metadata_overlap.ts";
import { type ExtentFile, type Layout, readLayout, refuseTracked, refuseTruncated } from "./extent_files.ts";
import { streamEditor } from "./stream_optimized_edit.ts";
import { allocateAtEnd, type FileEnd, grainTables } from "./grain_tables.ts";
import { type ExtentFileWriter, grainWriter } from "./grain_writer.ts";
import { backingFrom, type ExtentFileSpan, flatWriter, writerOf } from "./writer.ts";

/**
 * Opens an existing image for writing.
 *
 * @throws ImageError as `openVmdk`, and `unsupported` for subformats that are read only
 */
export async function editVmdk(storage: WritableStorage, context: EditContext): Promise<DiskWriter> {
  const layout = await readLayout(storage, (file) => context.openNamed(file));
  refuseTracked(layout.descriptor, storage.label);
  refuseTruncated(layout, storage.label);
  const named = backingOf(layout.descriptor, storage.label);
  const backing = named && await context.openBacking(named);
  const editors: ExtentFileEditor[] = [];
  for (const extentFile of layout.extentFiles) {
    editors.push(await editorOf(extentFile, backing && backingFrom(backing, extentFile.guestStart), context));
  }
  const compress = editors.some((editor) => editor.compress);
  if (compress && editors.length > 1) {
    throw unsupported(storage.label, "one of its several extents is compressed");
  }
  const spans: ExtentFileSpan[] = layout.extentFiles.map((extentFile, index) => {
    return {
      start: extentFile.guestStart,
      end: extentFile.guestStart + extentFile.size,
      writer: editors[index].writer,
    };
  });
  let changed = false;
  return writerOf({
    size: layout.size,
    clusterSize: editors.find((editor) => editor.clusterSize > 1)?.clusterSize ?? 1,
    compress,
    order: "any",
    startsZeroed: false,
    zeroes: editors.every((editor) => editor.cheap) ? "cheap" : "written",
    spans,
    async begin() {
      changed = true;
      for (const editor of editors) await editor.begin();
    },
    async finish() {
      if (!changed) return;
      await context.beforeNewId?.();
      await updateContentId(storage, layout);
    },
  });
}

/** The writer of one extent file, and its traits. */
interface ExtentFileEditor {
  readonly writer: ExtentFileWriter;
  readonly clusterSize: number;
  readonly compress: boolean;
  /** Whether writing zeroes costs less than writing data. */
  readonly cheap: boolean;
  begin(): Promise<void>;
}

function unsupported(label: string, reason: string): ImageError {
  return new ImageError("unsupported", `Cannot write into "${label}": ${reason}`, { path: label });
}

async function editorOf(
  extentFile: ExtentFile<WritableStorage>,
  backing: GuestReader | null,
  context: EditContext,
): Promise<ExtentFileEditor> {
  const { storage, line, type } = extentFile;
  const simple = { clusterSize: 1, compress: false, begin: () => Promise.resolve() };
  if (type === "zero" || storage === null) return { ...simple, cheap: true, writer: zeroWriter() };
  const isOwn = line === null || type === "sparse" && extentFile.guestStart === 0 && line.access === "RDONLY";
  // streamOptimized states RDONLY for its only extent; that is a hint for virtual machines, no protection.
  if (!isOwn && line.access !== "RW" || line?.access === "NOACCESS") {
    return { ...simple, cheap: true, writer: refusingWriter(storage.label, line!.access) };
  }
  if (type === "flat") {
    // The caller syncs only the descriptor file, so that the extent file is synced here.
    const writer = { ...flatWriter(storage, extentFile.fileOffset), finish: () => storage.sync() };
    return { ...simple, cheap: storage.zeroesCheaply, writer };
  }
  return await sparseEditor(storage, extentFile.size, backing, context);
}

async function sparseEditor(
  storage: WritableStorage,
  size: number,
  backing: GuestReader | null,
  context: EditContext,
): Promise<ExtentFileEditor> {
  if (!await isHostedSparse(storage)) {
    throw unsupported(storage.label, "extents of ESXi snapshots (COWD, seSparse) are only read here");
  }
  const sparse = await openHostedSparse(storage);
  const { header } = sparse;
  await refuseMetadataFaults(storage, sparse);
  if (header.capacity < size) throw unsupported(storage.label, "its header and its descriptor do not agree in size");
  const redundant = await readRedundant(storage, sparse.header);
  if (header.compressed) {
    if ((header.flags & FLAG.markers) === 0) throw unsupported(storage.label, "its compressed grains have no markers");
    const compress = context.compressor;
    const writer = await streamEditor({ storage, sparse, redundant, backing, compress });
    return { writer, clusterSize: header.grainBytes, compress: true, cheap: true, begin: () => Promise.resolve() };
  }
  if (header.version === 3) throw unsupported(storage.label, "it has version 3, whose changes are tracked elsewhere");
  return {
    writer: uncompressedEditor(storage, sparse, redundant, backing),
    clusterSize: header.grainBytes,
    compress: false,
    cheap: true,
    // Marks the extent unclean until it is closed.
    begin: () => storage.writeAt(new Uint8Array([1]), UNCLEAN_AT),
  };
}

function uncompressedEditor(
  storage: WritableStorage,
  { header, directory }: HostedSparse,
  redundant: Uint8Array | null,
  backing: GuestReader | null,
): ExtentFileWriter {
  const end: FileEnd = { next: storage.size };
  const tables = grainTables({
    storage,
    header,
    directory: new Uint8Array(directory.buffer),
    redundant,
    isNew: false,
    allocate: (length) => Promise.resolve(allocateAtEnd(storage, end, length, SECTOR)),
  });
  return {
    ...grainWriter({ storage, header, tables, end, zeroedFrom: storage.size, backing }),
    async finish() {
      if (storage.size < end.next) await storage.truncate(end.next);
      // In this order, each on stable storage before the next: grains, tables and directories, the clean mark.
      await storage.sync();
      await tables.flush();
      await tables.flushDirectories();
      await storage.sync();
      await storage.writeAt(new Uint8Array([0]), UNCLEAN_AT);
    },
  };
}

/** Returns the writer of an extent of type ZERO, which has no file: it accepts only zeroes. */
function zeroWriter(): ExtentFileWriter {
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

function refusingWriter(label: string, access: string): ExtentFileWriter {
  const refuse = () => {
    const message = `Cannot write into "${label}": the descriptor says that this extent is ${access}`;
    return Promise.reject(new ImageError("refused", message, { path: label }));
  };
  return { write: refuse, zero: refuse, finish: () => Promise.resolve() };
}

/** Sets a new content ID, so that readers refuse overlays of the old content. */
async function updateContentId(storage: WritableStorage, { descriptor, embedded }: Layout<WritableStorage>) {
  if (descriptor === null) return;
  const [fileOffset, length] = embedded ? [embedded.fileOffset, embedded.length] : [0, storage.size];
  const old = new Uint8Array(length);
  await storage.readAt(old, fileOffset);
  const changed = withNewContentId(old).subarray(0, embedded ? length : undefined);
  await storage.writeAt(changed, fileOffset);
}
