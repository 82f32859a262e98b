/**
 * Resizes a disk: changes its last extent file, and adds extent files to a split disk. The descriptor, or the header of
 * the file that contains it, is written last, when everything else is on stable storage.
 *
 * @module
 */
import { SECTOR } from "../bytes.ts";
import type { GuestReader } from "../guest_reader.ts";
import { ImageError } from "../errors.ts";
import { truncateOnFailure } from "../shared/growth.ts";
import type { ChangeContext, NewFile, Preallocation } from "../maintenance.ts";
import type { WritableStorage } from "../storage/types.ts";
import { withExtents, withNewContentId } from "./descriptor_edit.ts";
import { changeHeader, checkRoom, descriptorBytes, type HeaderChange, storeDescriptor } from "./descriptor_write.ts";
import { backingOf } from "./open.ts";
import type { NewExtentLine } from "./descriptor_create.ts";
import { FLAG } from "./header.ts";
import { refuseMetadataFaults } from "./metadata_overlap.ts";
import { type HostedSparse, isHostedSparse, openHostedSparse } from "./hosted_sparse.ts";
import { type ExtentFile, type Layout, readLayout, refuseTracked, refuseTruncated } from "./extent_files.ts";
import { createFlat, createSparse, SPLIT_BYTES } from "./extent_create.ts";
import { MAX_SIZE, MAX_SPLIT_SIZE } from "./options.ts";
import { allocateAll, checkGrowth, cutSparse, growSparse } from "./resize_sparse.ts";
import { backingFrom } from "./writer.ts";

/** The extent file at the end of the disk. */
interface LastExtentFile extends ExtentFile<WritableStorage> {
  readonly storage: WritableStorage;
  /** Null if the extent is flat. */
  readonly sparse: HostedSparse | null;
}

/** The steps of a resize; sizes in guest bytes. */
interface Plan {
  readonly storage: WritableStorage;
  readonly layout: Layout<WritableStorage>;
  readonly last: LastExtentFile;
  readonly lastSize: number;
  readonly added: readonly (NewExtentLine & { readonly guestStart: number })[];
  /** The new descriptor. */
  readonly text: Uint8Array;
  readonly growth: Preallocation;
  readonly context: ChangeContext;
}

/**
 * Resizes the disk to `size` guest bytes. New bytes read as zeroes, even if the backing file is longer; bytes past the
 * new end are lost.
 *
 * @throws ImageError `usage` for an invalid size or preallocation; `unsupported` for subformats that cannot be resized
 */
export async function resizeVmdk(
  storage: WritableStorage,
  size: number,
  growth: Preallocation,
  context: ChangeContext,
): Promise<void> {
  const layout = await readLayout(storage, (file) => context.openNamed(file));
  refuseTruncated(layout, storage.label);
  const refuse = refuser(storage.label, size);
  if (size % SECTOR !== 0) {
    throw refuse("usage", `vmdk disks have whole sectors, so it must be a multiple of ${SECTOR}`);
  }
  // Other programs take a header with capacity 0 for one that only holds a descriptor.
  if (size === 0) throw refuse("usage", "it must have at least one sector");
  refuseTracked(layout.descriptor, storage.label);
  const last = await lastExtentFile(layout, refuse);
  if (size === layout.size) return;
  const plan = { ...planOf(layout, last, size, refuse), storage, layout, last, growth, context };
  checkPlan(plan, size, refuse);
  const old = await descriptorBytes(storage, layout);
  const changed = withExtents(old, { lastSize: plan.lastSize, added: plan.added, size });
  // Shrinking loses content, so readers must refuse existing overlays.
  const text = size < layout.size ? withNewContentId(changed) : changed;
  checkRoom(storage, layout, text);
  await (size < layout.size ? shrink : grow)({ ...plan, text });
}

type Refuse = (kind: "usage" | "unsupported", why: string) => ImageError;

function refuser(label: string, size: number): Refuse {
  return (kind, why) => new ImageError(kind, `Cannot resize "${label}" to ${size} bytes: ${why}`, { path: label });
}

/** Returns the last extent file; refuses one that cannot change its size. */
async function lastExtentFile(
  { extentFiles, descriptor }: Layout<WritableStorage>,
  refuse: Refuse,
): Promise<LastExtentFile> {
  const extentFile = extentFiles.at(-1);
  if (descriptor === null) throw refuse("unsupported", "it is one extent, and its descriptor is in another file");
  if (extentFile === undefined) throw refuse("unsupported", "it has no extent that could grow");
  const { storage, line, type } = extentFile;
  if (storage === null) throw refuse("unsupported", "its last extent is of type ZERO, which holds no data");
  const sparse = type === "sparse" ? await hostedSparse(storage, refuse) : null;
  if (line !== null && line.access !== "RW") throw refuse("unsupported", `its last extent is ${line.access}`);
  if (extentFiles.some((other) => other !== extentFile && other.storage === storage)) {
    throw refuse("unsupported", "its last extent shares its file with another");
  }
  return { ...extentFile, storage, sparse };
}

async function hostedSparse(storage: WritableStorage, refuse: Refuse): Promise<HostedSparse> {
  if (!await isHostedSparse(storage)) {
    throw refuse("unsupported", "extents of ESXi snapshots (COWD, seSparse) are only read here");
  }
  const sparse = await openHostedSparse(storage);
  if (sparse.header.compressed || sparse.header.flags & FLAG.markers) {
    throw refuse("unsupported", "it is streamOptimized, which is written once; convert it into a new image");
  }
  if (sparse.header.version === 3) throw refuse("unsupported", "it has version 3, whose changes are tracked elsewhere");
  await refuseMetadataFaults(storage, sparse);
  return sparse;
}

/** Returns the new size of the last extent and the extent lines to add after it. */
function planOf(
  layout: Layout<WritableStorage>,
  last: LastExtentFile,
  size: number,
  refuse: Refuse,
): Pick<Plan, "lastSize" | "added"> {
  const split = /^twoGbMaxExtent/i.test(layout.descriptor?.createType ?? "");
  const wanted = size - last.guestStart;
  if (wanted <= 0 && last.guestStart > 0) {
    throw refuse(
      "unsupported",
      `its last extent begins at byte ${last.guestStart}, and none is taken away; convert it`,
    );
  }
  const lastSize = split ? Math.min(wanted, Math.max(last.size, SPLIT_BYTES)) : wanted;
  const added: (NewExtentLine & { guestStart: number })[] = [];
  let name = last.line?.name ?? "";
  for (let at = last.guestStart + lastSize; at < size;) {
    const length = Math.min(SPLIT_BYTES, size - at);
    name = nextName(name, refuse);
    added.push({ access: "RW", size: length, type: last.sparse ? "SPARSE" : "FLAT", name, guestStart: at });
    at += length;
  }
  return { lastSize, added };
}

/** Returns the next name of a split disk: `disk-s003.vmdk` for `disk-s002.vmdk`. */
function nextName(name: string, refuse: Refuse): string {
  const found = /^(.*-[sf])(\d{1,6})(\.[^.]*)$/.exec(name);
  if (found === null || /[/\\]/.test(name)) {
    throw refuse("unsupported", `it needs further extents, and the name "${name}" does not tell how to call them`);
  }
  const [, stem, digits, ending] = found;
  return `${stem}${String(Number(digits) + 1).padStart(digits.length, "0")}${ending}`;
}

/** Throws for every plan that cannot be carried out, before anything changes. */
function checkPlan(plan: Omit<Plan, "text">, size: number, refuse: Refuse): void {
  const { layout, last, lastSize, growth } = plan;
  if (size < layout.size) return;
  const most = plan.added.length > 0 || layout.extentFiles.length > 1 ? MAX_SPLIT_SIZE : MAX_SIZE;
  if (size > most) throw refuse("usage", `a vmdk of this subformat may have at most ${most} (${most / 2 ** 40} TiB)`);
  if (last.sparse) return checkGrowth({ ...last, sparse: last.sparse, size: lastSize, growth, context: plan.context });
  if (growth === "metadata") throw refuse("usage", "flat extents have no metadata to be preallocated");
}

async function grow(plan: Plan): Promise<void> {
  const { storage, layout, last, context } = plan;
  const named = backingOf(layout.descriptor, storage.label);
  const backing = named && last.sparse ? await context.openBacking(named) : null;
  const files: NewFile[] = [];
  for (const extent of plan.added) files.push(await addExtentFile(plan, extent, backing));
  const headerChange = last.sparse
    ? await growSparse({
      ...last,
      sparse: last.sparse,
      size: plan.lastSize,
      oldSize: last.size,
      backing: backing && backingFrom(backing, last.guestStart),
      growth: plan.growth,
      context,
    })
    : await growFlat(plan);
  for (const file of files) await file.publish();
  await commitSize(plan, headerChange);
}

async function growFlat({ last, lastSize, growth }: Plan): Promise<HeaderChange> {
  const { storage, fileOffset, size } = last;
  const [start, end] = [fileOffset + size, fileOffset + lastSize];
  // No other extent uses the end of this file: it may have old bytes, which must read as zeroes.
  if (storage.size > start) await storage.zeroAt(start, Math.min(storage.size, end));
  await truncateOnFailure(storage, async () => {
    if (storage.size < end) await storage.truncate(end);
    if (growth !== "off") await storage.reserve(start, end, growth === "full");
    await storage.sync();
  });
  return {};
}

async function addExtentFile(
  { last, growth, context }: Plan,
  { name, size, guestStart }: Plan["added"][number],
  backing: GuestReader | null,
): Promise<NewFile> {
  const file = await context.createNamed(name);
  const { storage } = file;
  if (last.sparse === null) {
    await createFlat(storage, size);
    if (growth !== "off") await storage.reserve(0, size, growth === "full");
    return file;
  }
  const zeroedGrains = (last.sparse.header.flags & FLAG.zeroed) !== 0;
  const backingHere = backing && backingFrom(backing, guestStart);
  const writer = await createSparse(storage, { zeroedGrains }, size, null, backingHere);
  if (growth === "off" && backingHere) await writer.zero(0, Math.min(size, backingHere.size));
  await writer.finish();
  if (growth !== "off") {
    await allocateAll({ storage, sparse: await openHostedSparse(storage), size, backing: null, growth, context });
  }
  return file;
}

async function shrink(plan: Plan): Promise<void> {
  const { last, lastSize, context } = plan;
  await commitSize(plan, { capacity: lastSize });
  if (last.sparse) {
    await cutSparse({ ...last, sparse: last.sparse, size: lastSize, backing: null, growth: "off", context });
    return;
  }
  await last.storage.truncate(last.fileOffset + lastSize);
  await last.storage.sync();
}

/**
 * Writes descriptor and header, which makes the new size take effect. The header of a separate extent file may state
 * more guest bytes than the descriptor, never fewer, so it is written first to grow and last to shrink.
 */
async function commitSize({ storage, layout, last, text }: Plan, headerChange: HeaderChange): Promise<void> {
  if (last.sparse === null) return await storeDescriptor(storage, layout, text);
  if (last.storage === storage) return await storeDescriptor(storage, layout, text, headerChange);
  const grows = (headerChange.capacity ?? 0) > last.sparse.header.capacity;
  if (grows) await changeHeader(last.storage, headerChange);
  await storeDescriptor(storage, layout, text);
  if (!grows) await changeHeader(last.storage, headerChange);
}
